"""What verdicts do to a device's standing, and the queue for a person."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from gridnet.errors import InputError
from gridnet.verification.reputation import PPM, Reputation, after_day
from gridnet.verification.review import ReviewQueue
from gridnet.verification.verdict import Level, Verdict, hold

DAY = datetime(2018, 7, 1, tzinfo=UTC)
PASSED = Verdict("head", DAY, Level.BALANCED, "pass", "balanced", {})
SUSPECTED = hold(Level.LOCATED, "home-001", DAY, "explains it", confidence_ppm=800_000)
PROBED = Verdict("home-001", DAY, Level.PROBED, "pass", "moved", {"decided": 1})
FAILED = replace(PROBED, outcome="hold")
NO_FOLLOW = hold(Level.BALANCED, "home-001", DAY, "its voltage does not follow")


def test_a_newcomer_stands_in_the_middle_and_good_days_raise_it() -> None:
    beliefs = {"home-001": Reputation()}
    for _ in range(28):
        beliefs = after_day(beliefs, [PASSED], "head")

    assert Reputation().score_ppm == PPM // 2
    assert beliefs["home-001"].score_ppm == PPM * 29 // 30
    assert Reputation().wants_probe
    assert not beliefs["home-001"].wants_probe


def test_a_suspicion_alone_changes_nothing_that_pays() -> None:
    before = Reputation(good=30)
    after = after_day({"home-001": before}, [replace(PASSED, outcome="hold"), SUSPECTED], "head")["home-001"]

    assert after.score_ppm == before.score_ppm
    assert after.suspicion_ppm == 800_000
    assert after.wants_probe


def test_an_imbalance_is_held_against_nobody() -> None:
    beliefs = {"home-001": Reputation(good=3), "home-002": Reputation(good=4)}
    assert after_day(beliefs, [replace(PASSED, outcome="hold")], "head") == beliefs


def test_a_day_is_not_good_for_one_whose_voltage_does_not_follow() -> None:
    after = after_day({"home-001": Reputation(), "home-002": Reputation()}, [PASSED, NO_FOLLOW], "head")

    assert (after["home-001"].good, after["home-001"].bad) == (0, 5)
    assert (after["home-002"].good, after["home-002"].bad) == (1, 0)


def test_probes_and_people_clear_or_confirm() -> None:
    suspected = Reputation(good=10).after(SUSPECTED)
    undecided = replace(PROBED, evidence={"decided": 0})
    cleared = hold(Level.REVIEWED, "home-001", DAY, "meter exchanged")

    assert suspected.after(PROBED).suspicion_ppm == 0
    assert suspected.after(PROBED).score_ppm > suspected.score_ppm
    assert suspected.after(FAILED).score_ppm < suspected.score_ppm
    assert suspected.after(FAILED).suspicion_ppm == 800_000
    assert suspected.after(undecided) == suspected
    assert suspected.after(replace(cleared, outcome="pass")).suspicion_ppm == 0
    assert suspected.after(replace(cleared, outcome="reject")).bad == 50


def test_the_queue_takes_doubts_once_and_the_highest_rung_first() -> None:
    impossible = hold(Level.POSSIBLE, "home-009", DAY, "too much")
    later = hold(Level.BALANCED, "home-002", DAY + timedelta(days=1), "its voltage does not follow")
    queue = ReviewQueue().with_verdicts([PASSED, impossible, later, SUSPECTED]).with_verdicts([SUSPECTED, NO_FOLLOW])

    assert [doubt.device for doubt in queue.pending()] == ["home-001", "home-002", "home-009"]
    assert queue.pending()[0].verdicts == (SUSPECTED, NO_FOLLOW)
    assert (queue.pending()[0].level, queue.pending()[0].since) == (Level.LOCATED, DAY)
    assert queue.pending()[0].finding == SUSPECTED.finding


def test_what_level_0_rejects_needs_nobody() -> None:
    forged = Verdict("home-001", DAY, Level.SIGNED, "reject", "wrong signature", {})
    assert ReviewQueue().with_verdicts([forged]).pending() == ()


def test_a_decision_closes_the_doubt_and_lists_what_it_decided() -> None:
    queue, verdict = ReviewQueue().with_verdicts([SUSPECTED]).decide("home-001", "pass", "ann", "meter tested: fine")

    assert queue.pending() == ()
    assert (verdict.level, verdict.outcome) == (Level.REVIEWED, "pass")
    assert verdict.evidence == {"who": "ann", "verdict_0": SUSPECTED.digest()}


@pytest.mark.parametrize(
    ("device", "who", "words"), [("home-002", "ann", "fine"), ("home-001", " ", "fine"), ("home-001", "ann", "")]
)
def test_no_decision_without_a_doubt_a_name_and_a_reason(device: str, who: str, words: str) -> None:
    with pytest.raises(InputError):
        ReviewQueue().with_verdicts([SUSPECTED]).decide(device, "reject", who, words)
