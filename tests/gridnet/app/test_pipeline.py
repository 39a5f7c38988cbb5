"""What a pipeline remembers: as far back as anything asks, and no further, however long it runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.community import Community
from gridnet.app.drawn import Drawn
from gridnet.app.pipeline import RELEASE_AFTER, Pipeline
from gridnet.app.pricing import Pricing
from gridnet.app.probing import Prober
from gridnet.case import load_case
from gridnet.metering.link import Delivery
from gridnet.metering.points import meter_points
from gridnet.metering.reading import FIRST, Reading
from gridnet.verification.ladder import Judged, Ladder
from gridnet.verification.verdict import Level, Verdict, hold
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.settlement.energies import DAYS

QUARTERS = 96 * (DAYS + 4)


class _Entered:
    def __init__(self) -> None:
        self.keys: list[str] = []

    def commit(self, orders: Sequence[Order], time: datetime | None = None) -> list[Any]:
        self.keys += [order.key for order in orders]
        return []


class _Trusting:
    """A ladder that has a reading of each meter but one home's on every other day, and doubts the first home each time."""

    def __init__(self, community: Community) -> None:
        self._community = community

    def judge(self, start: datetime, messages: Sequence[bytes], now: datetime) -> Judged:
        first, second, *_ = self._community.of_kind("home")
        told = [point for point in self._community.points if point != second or start.day % 2]
        readings = tuple(_reading(point.name, start) for point in told)
        return Judged(readings, (hold(Level.POSSIBLE, first.name, start, "doubted"),), ())

    def close_day(self, day: date) -> list[Verdict]:
        end = datetime.combine(day, datetime.min.time(), UTC)
        return [hold(Level.BALANCED, self._community.head.name, end, "does not balance")]


def _reading(name: str, start: datetime) -> Reading:
    return Reading(
        device=name,
        sequence=0,
        previous=FIRST,
        start=start,
        injected_wh=0,
        drawn_wh=start.hour + 1,
        reactive_varh=0,
        voltage_mv=230_000,
    )


def _lived(whole: bool, quarters: int) -> tuple[Pipeline, _Entered]:
    case = load_case("tiny")
    community = Community(case, "tiny", {home.bus: home.name for home in meter_points(case) if home.kind == "home"})
    entered, ladder = _Entered(), cast(Ladder, _Trusting(community))
    prober = cast(Prober, SimpleNamespace(judge=lambda: [], choose=lambda now, beliefs: None))
    pipeline = Pipeline(community, entered, ladder, Pricing(community, "mid_market", 0), prober)
    pipeline.whole = whole
    for step in range(1, quarters + 1):
        pipeline.close(step, [Delivery(step, "bat-00", step - 1, 0, b"raw")])
    return pipeline, entered


@pytest.fixture(scope="module")
def forgetful() -> tuple[Pipeline, _Entered]:
    return _lived(whole=False, quarters=QUARTERS)


def test_what_a_pipeline_remembers_does_not_grow(forgetful: tuple[Pipeline, _Entered]) -> None:
    pipeline, _ = forgetful
    now = pipeline.community.case.clock.time_of(QUARTERS)
    kept = pipeline.readings()
    assert len(kept) == RELEASE_AFTER - 1
    assert min(kept) > now - RELEASE_AFTER * timedelta(minutes=15)
    assert len(pipeline._drawn) <= RELEASE_AFTER + DAYS * 96 + 1
    assert len(pipeline._doubts) <= RELEASE_AFTER + 96 + 4
    assert len(pipeline._bookings) == len(pipeline._issued) == RELEASE_AFTER - 1


def test_what_is_entered_does_not_hang_on_what_is_forgotten(forgetful: tuple[Pipeline, _Entered]) -> None:
    whole, entered = _lived(whole=True, quarters=QUARTERS)
    assert entered.keys == forgetful[1].keys
    assert len(whole.readings()) == QUARTERS
    assert len(whole.readings(whole.community.case.clock.time_of(QUARTERS - 10))) == 10


_ROWS = st.lists(st.tuples(st.integers(0, 5), st.sampled_from("ab"), st.integers(0, 2**53 - 1)), max_size=20)


@given(_ROWS, st.integers(0, 6))
def test_what_homes_drew_comes_back(rows: list[tuple[int, str, int]], cut: int) -> None:
    noon, drawn, expected = datetime(2026, 3, 1, 12, tzinfo=UTC), Drawn(["a", "b"]), {}
    for hour, party, wh in rows:
        drawn.add(noon + timedelta(hours=hour), party, wh)
        expected[party, noon + timedelta(hours=hour)] = wh
    drawn.forget(noon + timedelta(hours=cut))
    for party in "ab":
        kept = {start: wh for (who, start), wh in expected.items() if who == party and start >= noon + timedelta(hours=cut)}
        assert drawn.of(party) == kept
