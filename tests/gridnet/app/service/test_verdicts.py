"""What waits, what was decided, and how often a doubt was a false alarm."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from gridnet.app.bench import fraud as bench
from gridnet.app.service.verdicts import Share, Wanted, docket, findings, records
from gridnet.verification.verdict import Level
from tests.gridnet.app.dashboard.lane import LANE, LENGTH, START, Lane


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    made = Lane(tmp_path)
    midnight = START.replace(hour=0)
    made.judges("head", midnight, 2, "hold", "head against homes", minutes=60)
    made.judges("home-001", midnight, 3, "hold", "explains the imbalance, confidence 90 %", minutes=60)
    made.judges("home-002", START, 1, "hold", "more than its fuse")
    made.judges("home-002", START + LENGTH, 0, "reject", "signed by another key")
    made.judges("bat-00", START, 4, "pass", "98 +- 3 % of a probe", minutes=60)
    yield made
    made.close()


def decide(lane: Lane, device: str, outcome: str) -> None:
    lane.judges(device, START, 5, outcome, f"{outcome}, says the person")


def test_doubts_are_open_until_a_person_decides(lane: Lane) -> None:
    court, counts = docket(lane.view)
    assert [(each.device, each.level) for each in court.open.pending()] == [
        (f"{LANE}:home-001", Level.LOCATED),
        (f"{LANE}:head", Level.BALANCED),
        (f"{LANE}:home-002", Level.POSSIBLE),
    ]
    assert (court.decided, court.false_alarms()) == ((), [("all levels", Share(0, 0))])
    assert counts == {(2, "hold"): 1, (3, "hold"): 1, (1, "hold"): 1, (0, "reject"): 1, (4, "pass"): 1}


def test_decisions_are_counted_by_the_level_that_had_doubted(lane: Lane) -> None:
    decide(lane, "home-001", "pass")
    decide(lane, "head", "pass")
    decide(lane, "home-002", "reject")
    court, _ = docket(lane.view)
    assert court.open.pending() == ()
    assert [(each.record.device, each.level, each.doubts, each.cleared) for each in court.decided] == [
        (f"{LANE}:home-001", Level.LOCATED, 1, True),
        (f"{LANE}:head", Level.BALANCED, 1, True),
        (f"{LANE}:home-002", Level.POSSIBLE, 1, False),
    ]
    assert court.false_alarms() == [("all levels", Share(2, 3)), ("L1", Share(0, 1)), ("L2", Share(1, 1)), ("L3", Share(1, 1))]


def test_a_doubt_after_a_decision_is_open_again(lane: Lane) -> None:
    decide(lane, "home-001", "pass")
    lane.judges("home-001", START + timedelta(hours=1), 1, "hold", "more than its fuse")
    court, _ = docket(lane.view)
    assert f"{LANE}:home-001" in [each.device for each in court.open.pending()]
    assert [each.doubts for each in court.decided] == [1]


def test_records_are_found_by_level_outcome_device_and_time(lane: Lane) -> None:
    def found(wanted: Wanted) -> list[str]:
        rows, total = records(lane.view, wanted, 100)
        assert total == len(rows)
        return [each.device.removeprefix(f"{LANE}:") for each in rows]

    assert found(Wanted()) == ["bat-00", "home-002", "home-002", "home-001", "head"]
    assert found(Wanted(level=0)) == ["home-002"]
    assert found(Wanted(outcome="pass")) == ["bat-00"]
    assert found(Wanted(device="home")) == ["home-002", "home-002", "home-001"]
    assert found(Wanted(device="_")) == []
    assert found(Wanted(since="2026-03-01T10:15Z")) == ["home-002"]
    assert found(Wanted(until="2026-03-01T10:00Z")) == ["home-001", "head"]
    rows, total = records(lane.view, Wanted(), 2)
    assert (len(rows), total) == (2, 5)


def test_findings_are_what_speaks_against_a_device(lane: Lane) -> None:
    asked = [f"{LANE}:home-002", f"{LANE}:bat-00", "nobody"]
    found = findings(lane.view, asked)
    assert {name: [each.level for each in own] for name, own in found.items()} == {asked[0]: [0, 1], asked[1]: [], asked[2]: []}


@pytest.mark.parametrize(("count", "of"), [(0, 0), (0, 1), (1, 1), (3, 17), (199, 200)])
def test_the_interval_is_the_one_that_the_benchmark_states(count: int, of: int) -> None:
    assert Share(count, of).interval == pytest.approx(bench.Share(count, of).interval, abs=1e-6)
