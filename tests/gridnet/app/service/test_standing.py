"""Reputation from the ledger's records is what the running pipeline would have believed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.service.standing import FEWEST_QUARTERS, closed_days, standings, weighed
from gridnet.verification.reputation import Reputation, after_day
from gridnet.verification.verdict import Level, Outcome, Verdict
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.rows import Judgement
from tests.gridnet.app.dashboard.lane import LANE, Lane

DAY = date(2026, 3, 1)
HOMES = ("home-001", "home-002", "home-003")
BALANCE, VOLTAGE = "head against homes: CUSUM 9.0 of 8.0", "its voltage does not follow the grid's"
SUSPECT = "explains the imbalance with a gain of -20.0 +- 2.0 %, confidence 93 %, impedances taken as right to 5 %"


def at(day: int) -> datetime:
    return datetime(2026, 3, 1, tzinfo=UTC) + timedelta(days=day)


def record(device: str, day: int, level: Level, outcome: str, finding: str, minutes: int = 60) -> Judgement:
    start = at(day)
    words = instant(start), instant(start + timedelta(minutes=minutes))
    return Judgement(f"{LANE}:{device}", *words, int(level), outcome, finding, "00" * 32, 1000 + day)


def days(count: int) -> list[date]:
    return [DAY + timedelta(days=k) for k in range(count)]


def test_days_that_nobody_doubts_speak_for_a_home() -> None:
    assert weighed(HOMES, days(5), [])["home-001"].belief == Reputation(good=5)
    assert weighed(HOMES, days(5), [])["home-001"].days == 5
    assert weighed(HOMES, [], [])["home-001"].belief == Reputation()


def test_a_doubted_day_speaks_for_nobody_and_a_doubted_voltage_against_its_home() -> None:
    rows = [record("head", 1, Level.BALANCED, "hold", BALANCE), record("home-002", 2, Level.BALANCED, "hold", VOLTAGE)]
    found = weighed(HOMES, days(4), rows)
    assert found["home-001"].belief == Reputation(good=3)
    assert found["home-002"].belief == Reputation(good=2, bad=5)


def test_probes_persons_and_suspicions_weigh_as_they_do_in_the_pipeline() -> None:
    rows = [
        record("home-001", 0, Level.PROBED, "pass", "98 +- 3 % of a probe reached the neighbours' meters"),
        record("home-002", 0, Level.PROBED, "hold", "2 +- 3 % of a probe reached the neighbours' meters; 40 % would pass"),
        record(
            "home-003", 0, Level.PROBED, "pass", "50 +- 90 % of a probe reached the neighbours' meters; too few intervals to decide"
        ),
        record("home-003", 1, Level.LOCATED, "hold", SUSPECT),
        record("home-002", 1, Level.REVIEWED, "reject", "it was bridged", 15),
    ]
    found = weighed(HOMES, days(1), rows[:3])
    assert [found[home].belief for home in HOMES] == [Reputation(good=21), Reputation(bad=20), Reputation(good=1)]
    found = weighed(HOMES, days(2), rows)
    assert found["home-003"].belief == Reputation(good=1, suspicion_ppm=930_000)
    assert found["home-002"].belief == Reputation(good=1, bad=70)


def test_a_doubt_of_one_quarter_hour_and_one_of_a_device_weigh_nothing() -> None:
    rows = [record("head", 0, Level.BALANCED, "hold", BALANCE, 15), record("bat-00", 0, Level.POSSIBLE, "hold", "its charge")]
    assert weighed(HOMES, days(1), rows)["home-001"].belief == Reputation(good=1)


said = st.tuples(
    st.sampled_from(("head", *HOMES)),
    st.integers(0, 3),
    st.sampled_from((Level.BALANCED, Level.PROBED)),
    st.sampled_from(("hold", "pass")),
)


@given(st.lists(said, max_size=8), st.integers(0, 4))
def test_the_beliefs_are_those_of_a_pipeline_that_saw_every_verdict(
    told: list[tuple[str, int, Level, Outcome]], closed: int
) -> None:
    held = [each for each in told if (each[2] is Level.PROBED) == (each[0] != "head") or each[3] == "hold"]
    held = [each for each in held if each[0] != "head" or (each[2] is Level.BALANCED and each[3] == "hold")]
    expected = {home: Reputation() for home in HOMES}
    for number in range(closed):
        verdicts = [
            Verdict(device, at(number), level, outcome, "words", {}) for device, day, level, outcome in held if day == number
        ]
        if not any(each.device == "head" for each in verdicts):
            verdicts.append(Verdict("head", at(number), Level.BALANCED, "pass", "balanced", {}))
        expected = after_day(expected, verdicts, "head")
    rows = [record(device, day, level, outcome, "words") for device, day, level, outcome in held]
    assert {home: each.belief for home, each in weighed(HOMES, days(closed), rows).items()} == expected


def quarters(day: date, count: int) -> set[tuple[date, str]]:
    return {(day, f"{k // 4:02d}:{k % 4 * 15:02d}") for k in range(count)}


def test_a_day_is_closed_by_the_quarter_hour_that_the_pipeline_closes_it_with() -> None:
    tomorrow = DAY + timedelta(days=1)
    assert closed_days(quarters(DAY, 96)) == []
    assert closed_days(quarters(DAY, 96) | quarters(tomorrow, 6)) == []
    assert closed_days(quarters(DAY, 96) | quarters(tomorrow, 7)) == [DAY]  # 01:30 is judged at 02:00
    assert closed_days(quarters(DAY, FEWEST_QUARTERS) | {(tomorrow, "01:30")}) == [DAY]
    assert closed_days(quarters(DAY, FEWEST_QUARTERS - 1) | {(tomorrow, "01:30")}) == []


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    made = Lane(tmp_path)
    yield made
    made.close()


def test_a_ledgers_records_are_read(lane: Lane) -> None:
    for number in [*range(FEWEST_QUARTERS), 62]:  # 62: 01:30 of the day after
        lane.settles(number, (0, 100), (0, 100))
    lane.judges("home-002", datetime(2026, 3, 1, tzinfo=UTC), 4, "hold", "2 +- 3 % of a probe", minutes=60)
    found = standings(lane.view, LANE, ["home-001", "home-002"])
    assert found["home-001"].belief == Reputation(good=1)
    assert found["home-002"].belief == Reputation(bad=20)
    assert standings(lane.view, "another", ["home-001"])["home-001"].days == 0
