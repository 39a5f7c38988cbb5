"""Supply meets demand: pro rata, whole Wh, nobody first."""

from __future__ import annotations

from collections import Counter

from hypothesis import given

from gridnet_contracts.settlement.energies import HomeEnergy
from gridnet_contracts.settlement.matching import Matched, Sale, match, nothing_matched, sales
from tests.contracts.gridnet_contracts.settlement.builders import communities, homes


def test_scarce_supply_is_shared_among_buyers() -> None:
    matched = match(homes(("ann", 100, 0), ("bob", 0, 100), ("cy", 0, 50)))
    assert matched == Matched({"ann": 100, "bob": 0, "cy": 0}, {"ann": 0, "bob": 67, "cy": 33})


def test_scarce_demand_is_shared_among_sellers() -> None:
    matched = match(homes(("ann", 100, 0), ("bob", 200, 0), ("cy", 0, 50)))
    assert matched.sold_wh == {"ann": 17, "bob": 33, "cy": 0}
    assert matched.bought_wh["cy"] == 50


def test_one_side_alone_sells_nothing() -> None:
    alone = homes(("ann", 100, 0), ("bob", 200, 0))
    assert match(alone) == nothing_matched(alone)


def test_sales_pair_the_sides_in_the_order_of_names() -> None:
    matched = Matched({"ann": 70, "bob": 30, "cy": 0}, {"ann": 0, "cy": 60, "dee": 40})
    assert sales(matched) == [Sale("ann", "cy", 60), Sale("ann", "dee", 10), Sale("bob", "dee", 30)]


def test_nobody_sells_to_itself() -> None:
    assert sales(match(homes(("ann", 10, 10)))) == []


@given(communities())
def test_sold_is_bought_and_no_meter_gives_more_than_it_measured(energies: list[HomeEnergy]) -> None:
    matched = match(energies)
    supply, demand = sum(home.injected_wh for home in energies), sum(home.drawn_wh for home in energies)
    assert sum(matched.sold_wh.values()) == sum(matched.bought_wh.values()) == min(supply, demand)
    for home in energies:
        assert 0 <= matched.sold_wh[home.party] <= home.injected_wh
        assert 0 <= matched.bought_wh[home.party] <= home.drawn_wh


@given(communities())
def test_sales_are_few_and_add_up_to_both_sides_but_for_own_use(energies: list[HomeEnergy]) -> None:
    matched = match(energies)
    given_wh: Counter[str] = Counter()
    taken_wh: Counter[str] = Counter()
    for sale in sales(matched):
        assert sale.wh > 0
        assert sale.seller != sale.buyer
        given_wh[sale.seller] += sale.wh
        taken_wh[sale.buyer] += sale.wh
    own = {home.party: matched.sold_wh[home.party] - given_wh[home.party] for home in energies}
    assert all(wh >= 0 for wh in own.values())
    assert own == {home.party: matched.bought_wh[home.party] - taken_wh[home.party] for home in energies}
    sides = sum(wh > 0 for side in (matched.sold_wh, matched.bought_wh) for wh in side.values())
    assert len(sales(matched)) <= max(sides - 1, 0)
