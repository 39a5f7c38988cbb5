"""The price rules, by hand and against the formulas of their papers."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.settlement.prices import RULES, Prices, Rule, community_prices
from tests.contracts.gridnet_contracts.settlement.builders import TARIFF, ordered_tariffs, tariffs

amounts = st.integers(0, 10_000)


def price(rule: Rule, prices: Prices, supply: int, demand: int) -> int:
    """The one price of two homes, a seller and a buyer."""
    found = community_prices(rule, prices, {"ann": supply, "bob": 0}, {"ann": 0, "bob": demand})
    [single] = set(found.values())
    return single


def test_mid_market_is_half_way_whatever_is_offered() -> None:
    assert {price("mid_market", TARIFF, supply, demand) for supply, demand in ((0, 5), (5, 5), (9, 5), (5, 0))} == {200_000}
    assert price("mid_market", Prices(5, 2), 1, 1) == 3


def test_the_ratio_moves_the_price_from_import_to_export() -> None:
    by_ratio = {supply: price("supply_demand", TARIFF, supply, 100) for supply in (0, 50, 100, 101, 500)}
    # 0.1 x 0.3 / (0.2 x 0.5 + 0.1) = 0.15
    assert by_ratio == {0: 300_000, 50: 150_000, 100: 100_000, 101: 100_000, 500: 100_000}


@pytest.mark.parametrize("export", [0, -1, -80_000])
def test_where_export_earns_nothing_the_ratio_gives_the_export_price(export: int) -> None:
    assert price("supply_demand", Prices(300_000, export), 50, 100) == export
    assert price("supply_demand", Prices(300_000, export), 0, 0) == export


@given(ordered_tariffs.filter(lambda prices: prices.export_micro_eur > 0), st.integers(0, 999), st.integers(1, 999))
def test_the_ratio_is_the_papers_formula_rounded_down(prices: Prices, supply: int, demand: int) -> None:
    bought, sold, ratio = prices.import_micro_eur, prices.export_micro_eur, Fraction(supply, demand)
    exact = Fraction(sold * bought) / ((bought - sold) * ratio + sold) if ratio <= 1 else Fraction(sold)
    assert price("supply_demand", prices, supply, demand) == int(exact)


@given(ordered_tariffs, amounts, amounts, st.sampled_from(["mid_market", "supply_demand"]))
def test_both_lie_between_export_and_import(prices: Prices, supply: int, demand: int, rule: Rule) -> None:
    assert prices.export_micro_eur <= price(rule, prices, supply, demand) <= prices.import_micro_eur


@given(tariffs, amounts, amounts, st.integers(1, 50))
def test_prices_know_no_scale(prices: Prices, supply: int, demand: int, times: int) -> None:
    for rule in ("mid_market", "supply_demand"):
        assert price(rule, prices, supply, demand) == price(rule, prices, times * supply, times * demand)


def test_dlmp_is_each_homes_own() -> None:
    prices = Prices(300_000, 100_000, {"ann": 1, "bob": -2, "zed": 3})
    assert community_prices("dlmp", prices, {"ann": 1, "bob": 0}, {"ann": 0, "bob": 1}) == {"ann": 1, "bob": -2}


def test_dlmp_names_every_home_without_a_price() -> None:
    with pytest.raises(InputError) as refusal:
        community_prices("dlmp", Prices(3, 1, {"bob": 1}), {"ann": 1, "bob": 1, "cy": 0}, {"ann": 1, "bob": 1, "cy": 0})
    assert [fault.where for fault in refusal.value.faults] == ["ann: dlmp", "cy: dlmp"]


def test_an_unknown_rule_is_refused_with_those_that_there_are() -> None:
    with pytest.raises(InputError, match=", ".join(RULES)):
        community_prices("flat", TARIFF, {}, {})  # type: ignore[arg-type]


def test_prices_become_whole_micro_euro() -> None:
    assert Prices.from_eur(0.3000004, -0.0500006, {"ann": 0.25}) == Prices(300_000, -50_001, {"ann": 250_000})


def test_prices_that_are_none_are_all_named() -> None:
    with pytest.raises(InputError) as refusal:
        Prices.from_eur(float("nan"), 0.1, {"ann": float("inf")})
    assert [fault.where for fault in refusal.value.faults] == ["import", "dlmp of ann"]
