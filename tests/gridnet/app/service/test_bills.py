"""A bill says what the ledger booked, and beside it what the same energies cost at the tariff."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.service.bills import Household, alone_micro_eur, bill
from gridnet.app.service.errors import NotFound
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.settlement.booking import ASSET
from gridnet_contracts.settlement.energies import HomeEnergy
from gridnet_contracts.settlement.prices import Prices
from gridnet_contracts.settlement.settlement import settle
from tests.gridnet.app.dashboard.lane import HOMES, LANE, LENGTH, PROFILE_WH, SINCE, START, UNTIL, Lane, worth
from tests.gridnet.app.service.parts import Clock, service_on


@pytest.fixture
def lane(tmp_path: Path) -> Iterator[Lane]:
    made = Lane(tmp_path)
    yield made
    made.close()


def booked(lane: Lane, name: str) -> list[int]:
    """What each settlement says that a home pays, in order."""
    return [
        line.pays_micro_eur
        for _, each in sorted(lane.bookings.items())
        for line in each.settlement.lines
        if line.party == lane.party[name]
    ]


def test_with_is_what_was_settled_and_without_the_same_energies_at_the_tariff(lane: Lane) -> None:
    lane.settles(0, (1000, 0), (0, 400))
    lane.settles(1, (0, 250), (0, 333))
    lane.settles(2, (300, 50), (20, 700))

    for name in HOMES:
        found = lane.bill(name)
        assert [each.community_micro_eur for each in found.quarters] == booked(lane, name)
        assert [each.start for each in found.quarters] == [START + k * LENGTH for k in range(3)]
        assert (found.substituted, found.unpriced) == (0, 0)
    ann = lane.bill("ann")
    assert (ann.drawn_wh, ann.injected_wh) == (300, 1320 - 20)
    # 0.0812345678 EUR/kWh is 81,235 micro-euro: 1 kWh sold; 0.31000049 EUR/kWh is 310,000: 250 Wh bought.
    assert [each.alone_micro_eur for each in ann.quarters[:2]] == [-81_235, 77_500]
    assert ann.saved_micro_eur == sum(each.alone_micro_eur - each.community_micro_eur for each in ann.quarters) > 0
    assert {day.isoformat(): sum_.alone_micro_eur for day, sum_ in ann.days.items()} == {"2026-03-01": ann.alone_micro_eur}


def test_corrections_count_and_money_that_moved_otherwise_does_not(lane: Lane) -> None:
    lane.settles(0, (1000, 0), None)
    assert lane.bill("ben").quarters[0].substituted
    assert lane.bill("ben").quarters[0].drawn_wh == PROFILE_WH
    assert [each.community_micro_eur for each in lane.bill("ben").quarters] == booked(lane, "ben")

    lane.corrects(0, (1000, 0), (0, 900))
    owes = -next(amount for account, _, amount in lane.view.balances(lane.party["ben"]) if account.startswith("source/"))
    back = (ASSET, f"owned/{lane.party['ann']}", f"source/{lane.party['ben']}", 1000)
    lane.commit([Order("paid at the bank".replace(" ", "-"), Move(legs=(back,), memo="paid"))])

    [late] = lane.bill("ben").quarters
    assert (late.drawn_wh, late.substituted) == (900, False)
    assert [late.community_micro_eur] == booked(lane, "ben") == [owes]
    assert [each.community_micro_eur for each in lane.bill("ann").quarters] == booked(lane, "ann")


def test_a_reading_that_was_not_settled_on_counts_as_settlement_counted_it(lane: Lane) -> None:
    lane.settles(0, (1000, 0), None)
    lane.reads(HOMES["ben"], 0, 500, 0)  # refused: it earns nothing
    lane.judges(HOMES["ben"], START, 0, "reject", "signed by another key")
    lane.settles(1, (0, 100), None)
    lane.reads(HOMES["ben"], 1, 5000, 1, late=3)  # kept, and for another reason not what was settled
    lane.commit(lane.consumption(1))

    refused, replaced = lane.bill("ben").quarters
    assert (refused.drawn_wh, refused.injected_wh, refused.substituted) == (PROFILE_WH, 0, True)
    assert (replaced.drawn_wh, replaced.injected_wh, replaced.substituted) == (PROFILE_WH, 0, True)


def test_a_missing_reading_is_replaced_by_the_days_before(lane: Lane) -> None:
    lane.settles(0, (0, 100), (0, 250))
    lane.settles(96, (0, 100), None)
    tomorrow = lane.bill("ben", UNTIL, UNTIL + timedelta(days=1))
    assert [(each.drawn_wh, each.substituted) for each in tomorrow.quarters] == [(250, True)]


def test_only_settled_quarter_hours_of_the_period_with_a_known_tariff_are_billed(lane: Lane) -> None:
    lane.settles(0, (1000, 0), (0, 400))
    lane.settles(1, (1000, 0), (0, 400))
    lane.reads(HOMES["ben"], 2, 0, 400)  # not settled yet
    household = Household(LANE, lane.party["ben"], HOMES["ben"], lambda: PROFILE_WH)
    later = START + LENGTH

    partly = bill(lane.service.store, household, SINCE, UNTIL, lambda start: worth(start) if start >= later else None)
    assert ([each.start for each in partly.quarters], partly.unpriced) == ([later], 1)
    assert [each.start for each in lane.bill("ben", SINCE, later).quarters] == [START]
    assert [each.start for each in lane.bill("ben", later, UNTIL).quarters] == [later]
    assert lane.bill("ben", UNTIL, UNTIL + timedelta(days=1)).quarters == ()


def test_without_a_ledger_there_is_no_bill(tmp_path: Path) -> None:
    service = service_on(f"sqlite:///{tmp_path / 'empty.db'}", Clock(), people=False)
    with pytest.raises(NotFound, match="no ledger"):
        bill(service.store, Household(LANE, "p", "home-001", lambda: 0), SINCE, UNTIL, worth)
    service.store.database.close()


wh = st.integers(0, 20_000)


@given(st.lists(st.tuples(wh, wh), min_size=1, max_size=6), st.integers(-50_000, 500_000), st.integers(-50_000, 500_000))
def test_under_the_mid_market_rate_nobody_pays_more_than_alone(homes: list[tuple[int, int]], bought: int, sold: int) -> None:
    prices = Prices(bought, sold)
    lines = settle([HomeEnergy(f"p{k}", *each) for k, each in enumerate(homes)], prices, "mid_market").lines
    for line in lines:
        assert line.pays_micro_eur <= alone_micro_eur(prices, line.drawn_wh, line.injected_wh)
    alone = settle([HomeEnergy("p", *homes[0])], prices, "mid_market").lines[0]
    if not min(homes[0]):  # who draws and injects within one quarter-hour has itself as a neighbour
        assert alone.pays_micro_eur == alone_micro_eur(prices, homes[0][1], homes[0][0])
