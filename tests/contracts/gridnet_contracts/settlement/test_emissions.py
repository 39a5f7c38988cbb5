"""Avoided emissions, by hand, below zero too, and never better for rounding."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions.records import Impact
from gridnet_contracts.settlement.booking import Community, Quarter
from gridnet_contracts.settlement.emissions import Exchange, impact_orders, saved_g
from tests.contracts.gridnet_contracts.settlement.books import books, enter, faults
from tests.contracts.gridnet_contracts.settlement.builders import COMMUNITY, QUARTER, START

FIRST = Exchange(QUARTER, dispatched_wh=2000, baseline_wh=5000, average_mg_per_kwh=400_000)
NEXT = Exchange(Quarter(COMMUNITY, START + timedelta(minutes=15)), 1500, -500, 300_000)


def saved(exchanges: list[Exchange]) -> list[tuple[str, int]]:
    """Community and grams of each record."""
    actions = [order.action for order in impact_orders(exchanges)]
    return [(action.community, action.saved_g) for action in actions if isinstance(action, Impact)]


def test_less_import_saves_and_more_import_is_recorded_below_zero() -> None:
    # 3 kWh at 400 g, then 2 kWh more than the counterfactual, which would have exported, at 300 g.
    assert saved([FIRST, NEXT]) == [("lane", 1200), ("lane", -600)]


def test_marginal_intensity_has_records_of_its_own() -> None:
    both = [replace(FIRST, marginal_mg_per_kwh=900_000), replace(NEXT, marginal_mg_per_kwh=0)]
    assert saved(both) == [("lane", 1200), ("lane", -600), ("lane:marginal", 2700), ("lane:marginal", 0)]
    assert len({order.key for order in impact_orders(both)}) == 4


def test_the_ledger_takes_them_and_says_the_baseline(tmp_path: Path) -> None:
    orders = impact_orders([replace(FIRST, marginal_mg_per_kwh=900_000), replace(NEXT, marginal_mg_per_kwh=0)])
    assert {order.action.baseline for order in orders if isinstance(order.action, Impact)} == {
        "the same homes without dispatch, average intensity",
        "the same homes without dispatch, marginal intensity",
    }
    with books(tmp_path) as ledger:
        enter(ledger, orders)
        assert faults(ledger) == []


def test_a_part_of_the_marginal_intensities_is_refused() -> None:
    with pytest.raises(InputError, match="1 of 2"):
        impact_orders([replace(FIRST, marginal_mg_per_kwh=1), NEXT])


def test_out_of_order_twice_or_of_two_communities_is_refused() -> None:
    elsewhere = replace(NEXT, quarter=replace(NEXT.quarter, community=Community("road")))
    for wrong in ([NEXT, FIRST], [FIRST, FIRST], [FIRST, elsewhere]):
        with pytest.raises(InputError, match="in the order of time"):
            impact_orders(wrong)
    assert impact_orders([]) == []


def test_below_a_gram_is_carried_on() -> None:
    assert saved_g([600_000, 600_000, 600_000]) == [0, 1, 0]
    assert saved_g([-1]) == [-1]


@given(st.lists(st.integers(-(10**9), 10**9)))
def test_any_first_records_sum_to_the_exact_sum_rounded_down(saved_ug: list[int]) -> None:
    grams = saved_g(saved_ug)
    assert all(sum(grams[:k]) == sum(saved_ug[:k]) // 1_000_000 for k in range(len(grams) + 1))
