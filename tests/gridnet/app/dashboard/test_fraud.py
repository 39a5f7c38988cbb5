"""The fraud page: open doubts with their evidence, what a number means, decisions and false alarms."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta

import pytest

from gridnet.verification.settings import Settings
from tests.gridnet.app.dashboard.lane import BARE_FEEDER, START, Lane, said
from tests.gridnet.app.dashboard.visiting import Visits, visiting

SUSPECT = "explains the imbalance with a gain of -20.0 +- 2.0 %, confidence 93 %, impedances taken as right to 5 %"


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    made = Lane(tmp_path_factory.mktemp("lane"))
    midnight = START.replace(hour=0)
    made.judges("head", midnight, 2, "hold", "head against homes: CUSUM 9.0 of 8.0", minutes=60)
    made.judges("home-001", midnight, 3, "hold", SUSPECT, minutes=60)
    made.judges("home-002", START, 1, "hold", "<i>more</i> than its fuse")
    made.judges("bat-00", START, 0, "reject", "signed by another key")
    made.judges("home-002", START, 5, "pass", "the fuse was changed")
    made.judges("home-002", START + timedelta(days=1), 4, "hold", "2 +- 3 % of a probe; 40 % would pass", minutes=60)
    yield made
    made.close()


@pytest.fixture(scope="module")
def visitor(lane: Lane) -> Iterator[Visits]:
    with visiting(lane.service, BARE_FEEDER) as made:
        yield made


def test_open_doubts_stand_first_with_evidence_and_what_their_number_is(visitor: Visits) -> None:
    page = visitor.get("auditor", "/fraud")
    words = said(page)
    assert re.findall(r"<h3 id=\"suspect-\d\"><code>(.*?)</code>", page.text) == ["lane:home-002", "lane:home-001", "lane:head"]
    assert "Confidence: 93 % that its meter explains the imbalance" in words
    assert "Confidence: the share of its probe that reached the neighbours" in words
    assert "Confidence: beyond a threshold" in words
    digests = re.findall(r"<code>([0-9a-f]{64})</code>", page.text)
    assert len(digests) == 4  # of home-002 the earlier doubt too, which was decided
    assert f"{100 * Settings().false_alarms:g} % of windows of {Settings().window_days} days" in words
    assert "not the chance of intent" in words


def test_a_decision_is_counted_with_an_interval(visitor: Visits) -> None:
    words = said(visitor.get("auditor", "/fraud"))
    assert "all levels 1 1 0 100 [21, 100]" in words
    assert "L1 1 1 0 100 [21, 100]" in words
    assert "lane:home-002 cleared the fuse was changed 1 2026-03-01T10:00Z" in words


def test_the_ladder_is_counted_and_records_are_found(visitor: Visits) -> None:
    words = said(visitor.get("boss", "/fraud"))
    assert "L0 signature, order and clock of a message 0 0 1" in words
    assert "L3 which home explains an imbalance 0 1 0" in words
    assert "6 fit" in words
    for query, count in (
        ("level=3", "1 fits"),
        ("outcome=pass", "1 fits"),
        ("device=home-002", "3 fit"),
        ("since=2026-03-02", "1 fits"),
        ("until=2026-03-02&outcome=hold", "3 fit"),
        ("device=nobody", "0 fit"),
    ):
        assert f"{count}." in said(visitor.get("auditor", f"/fraud?{query}")), query
    for query in ("level=6", "level=x", "outcome=maybe", "since=soon"):
        assert said(visitor.get("auditor", f"/fraud?{query}"), 422)


def test_words_of_a_record_are_shown_as_words(visitor: Visits) -> None:
    page = visitor.get("auditor", "/fraud").text
    assert "&lt;i&gt;more&lt;/i&gt;" in page
    assert "<i>more" not in page


def test_the_page_changes_nothing(visitor: Visits) -> None:
    assert '<form class="controls" method="get"' in visitor.get("auditor", "/fraud").text
    assert visitor.post("auditor", "/fraud", data={"device": "lane:home-001"}).status_code == 405
