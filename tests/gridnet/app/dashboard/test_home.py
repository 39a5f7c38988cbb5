"""The prosumer's page: its own party's bill, credits, reputation and devices, and the switch."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gridnet.app.service.model import Device, Principal
from gridnet.metering.points import meter_points
from gridnet_contracts.ledger.privacy import Privacy
from tests.gridnet.app.dashboard.lane import BARE_FEEDER, LENGTH, Lane, said
from tests.gridnet.app.dashboard.visiting import Visits, visiting
from tests.gridnet.app.service.lived import PROSUMERS, Lived
from tests.gridnet.app.service.parts import OPERATOR

OUT, IN = {"hours": "3", "reason": "guests"}, {"party": ""}


def inhabited(folder: Path) -> Lane:
    """Ann and Ben are principals of their own, each with a device; Alice, of the service's tests, is no party."""
    made = Lane(folder)
    for name in ("ann", "ben"):
        with made.service.store.write() as connection:
            made.service.people.enter(connection, Principal(name, "prosumer", party=made.party[name]), None)
        made.service.devices.add(OPERATOR, Device(f"{name}-1", name, "battery", 5.0, 5.0, 5.0, 10.0))
    made.service.devices.add(OPERATOR, Device("alice-1", "alice", "battery", 5.0, 5.0, 5.0, 10.0))
    made.settles(0, (1000, 0), (0, 400), pv_wh=1000)
    made.settles(1, (300, 50), (20, 700))
    made.releases(0)
    return made


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """One for all tests that read alone."""
    made = inhabited(tmp_path_factory.mktemp("lane"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def visitor(lane: Lane) -> Iterator[Visits]:
    with visiting(lane.service, BARE_FEEDER) as made:
        yield made


@pytest.fixture
def own(tmp_path: Path) -> Iterator[tuple[Lane, Visits]]:
    """One for a test that writes."""
    made = inhabited(tmp_path)
    with visiting(made.service, BARE_FEEDER) as visits:
        yield made, visits
    made.close()


def eur(micro_eur: int) -> str:
    return f"{micro_eur / 1e6:.3f} EUR".replace("-", "\N{MINUS SIGN}")


@pytest.mark.parametrize("name", ["ann", "ben"])
def test_the_bill_stands_on_the_page_with_and_without(lane: Lane, visitor: Visits, name: str) -> None:
    expected = lane.bill(name)
    for query in ("", "?period=month", "?period=day&day=2026-03-01"):
        words = said(visitor.get(name, f"/home{query}"))
        assert f"With the community {eur(expected.community_micro_eur)}" in words
        assert f"Without it, same energies at the tariff {eur(expected.alone_micro_eur)}" in words
        assert f"Difference +{eur(expected.saved_micro_eur)} saved" in words
        assert f"Drawn {expected.drawn_wh / 1000:.2f} kWh" in words
    assert "Nothing of this period is settled" in said(visitor.get(name, "/home?day=2026-02-28"))


def test_credits_certificates_and_reputation_are_those_of_the_party(lane: Lane, visitor: Visits) -> None:
    words = said(visitor.get("ben", "/home"))
    assert "active 1 400" in words
    assert f"{lane.party['ben']}" in words
    assert lane.party["ann"] not in words
    page = visitor.get("ben", "/home").text
    assert '/console/audit/certificates/lane%3Apv-00%402026-03-01T10%3A00Z/0-400"' in page
    assert "Score, 0 to 1 0.500" in words
    assert "active 1 600" in said(visitor.get("ann", "/home"))


def test_a_prosumer_sees_nobody_else_and_an_operator_anybody(lane: Lane, visitor: Visits) -> None:
    assert "another party's page is for operators" in said(visitor.get("ann", f"/home?party={lane.party['ben']}"), 403)
    own = said(visitor.get("ann", f"/home?party={lane.party['ann']}"))
    assert "ann-1" in own
    assert "ben-1" not in own
    seen = said(visitor.get("boss", f"/home?party={lane.party['ben']}"))
    assert "ben-1" in seen
    assert "ann-1" not in seen
    assert f"With the community {eur(lane.bill('ben').community_micro_eur)}" in seen
    empty = said(visitor.get("boss", "/home"))
    assert "There is no party to bill" in empty
    assert "ann-1" not in empty
    for name in ("auditor", "many", "inverter"):
        said(visitor.get(name, "/home"), 403)


def test_who_is_no_party_has_devices_and_no_bill(visitor: Visits) -> None:
    words = said(visitor.get("alice", "/home"))
    assert "You are no party of the ledger yet" in words
    assert "alice-1" in words
    assert "ann-1" not in words


def test_opting_out_and_in_again(own: tuple[Lane, Visits]) -> None:
    lane, visitor = own
    assert visitor.post("ann", "/opt-out/ann-1", data=OUT).headers["location"] == "/console/home#devices"
    until = (lane.clock.now + timedelta(hours=3)).strftime("%Y-%m-%d %H:%M UTC")
    words = said(visitor.get("ann", "/home"))
    assert f"Opted out until {until}" in words
    assert "guests" in words
    assert lane.service.controls.overridden() == {"ann-1"}
    lane.clock.forward(hours=3.1)
    assert lane.service.controls.overridden() == frozenset()
    assert "Opted out until" not in said(visitor.get("ann", "/home"))
    visitor.post("ann", "/opt-out/ann-1", data=OUT)
    assert visitor.post("ann", "/opt-in/ann-1", data=IN).status_code == 303
    assert lane.service.controls.overridden() == frozenset()


@pytest.mark.parametrize(
    ("form", "words"),
    [
        ({"hours": "3", "reason": ""}, "1 to 200"),
        ({"hours": "3", "reason": "x" * 201}, "1 to 200"),
        ({"hours": "169", "reason": "x"}, "one of 1, 3, 6"),
        ({"hours": "-1", "reason": "x"}, "one of 1, 3, 6"),
        ({"reason": "x"}, "one of 1, 3, 6"),
    ],
)
def test_what_can_not_be_is_refused_in_words(visitor: Visits, form: dict[str, str], words: str) -> None:
    answer = visitor.post("ann", "/opt-out/ann-1", data=form)
    assert answer.status_code == 422
    assert words in answer.text


def test_another_ones_device_is_not_there(own: tuple[Lane, Visits]) -> None:
    lane, visitor = own
    assert visitor.post("ann", "/opt-out/ben-1", data=OUT).status_code == 404
    lane.service.controls.override(OPERATOR, "ben-1", lane.clock.now + LENGTH, "x")
    assert visitor.post("ann", "/opt-in/ben-1", data=IN).status_code == 404
    assert visitor.post("auditor", "/opt-in/ben-1", data=IN).status_code == 403
    assert lane.service.controls.overridden() == {"ben-1"}
    back = visitor.post("boss", "/opt-in/ben-1", data={"party": lane.party["ben"]})
    assert back.headers["location"] == f"/console/home?party={lane.party['ben'].replace(':', '%3A')}#devices"


@pytest.mark.parametrize("query", ["period=year", "day=yesterday", "day=0001-01-01", "day=9999-12-31", f"party={'x' * 300}"])
def test_an_address_that_says_nothing_is_refused(visitor: Visits, query: str) -> None:
    said(visitor.get("boss", f"/home?{query}"), 422)


def test_a_forgotten_home_has_no_bill_and_says_why(own: tuple[Lane, Visits]) -> None:
    lane, visitor = own

    Privacy(lane.ledger.database).forget(lane.party["ann"])
    assert "not disclosed here any more" in said(visitor.get("ann", "/home"))


def test_a_home_of_the_live_feeder_has_a_bill_of_every_settled_quarter_hour(lived_once: Lived) -> None:
    service, live, _ = lived_once
    homes = sum(point.kind == "home" for point in meter_points(live.case))
    with visiting(service, live) as visitor:
        for name in PROSUMERS[:2]:
            words = said(visitor.get(name, "/home?period=month"))
            assert ", 0 of them without a reading that counted" in words
            assert "saved" in words
            assert "Decided by rule" in words
        assert visitor.get("boss", "/home").text.count("<option>p:") == homes
