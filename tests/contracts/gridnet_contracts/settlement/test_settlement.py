"""Whole settlements: by hand, and what must hold of every one."""

from __future__ import annotations

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.settlement.energies import HomeEnergy
from gridnet_contracts.settlement.prices import RULES, Prices, Rule
from gridnet_contracts.settlement.settlement import Line, Settlement, settle
from tests.contracts.gridnet_contracts.settlement.builders import PARTIES, TARIFF, communities, homes, ordered_tariffs, tariffs

rules = st.sampled_from(RULES)
promising = st.sampled_from(["mid_market", "supply_demand"])


def pays(settlement: Settlement) -> dict[str, int]:
    """Micro-euro by party."""
    return {line.party: line.pays_micro_eur for line in settlement.lines}


def test_scarce_supply_by_hand() -> None:
    settlement = settle(homes(("bob", 0, 1500), ("ann", 1000, 0)), TARIFF, "mid_market")
    # Bob buys 1 kWh of Ann at 0.20 and half a kWh of the utility at 0.30.
    assert settlement.lines == (
        Line("ann", 1000, 0, False, 1000, 0, 200_000, -200_000),
        Line("bob", 0, 1500, False, 0, 1000, 200_000, 350_000),
    )
    assert (settlement.utility_micro_eur, settlement.grid_micro_eur) == (150_000, 0)


def test_scarce_demand_by_hand() -> None:
    settlement = settle(homes(("ann", 3000, 0), ("bob", 1000, 0), ("cy", 0, 2000)), TARIFF, "mid_market")
    # Ann sells 1.5 of her 3 kWh at 0.20 and the rest at 0.10; the utility takes 2 kWh at 0.10.
    assert pays(settlement) == {"ann": -450_000, "bob": -150_000, "cy": 400_000}
    assert settlement.utility_micro_eur == -200_000


def test_the_ratio_by_hand() -> None:
    settlement = settle(homes(("ann", 1000, 0), ("bob", 0, 2000)), TARIFF, "supply_demand")
    assert pays(settlement) == {"ann": -150_000, "bob": 150_000 + 300_000}


def test_dlmp_by_hand() -> None:
    prices = replace(TARIFF, dlmp_micro_eur={"ann": 120_000, "bob": 350_000})
    settlement = settle(homes(("ann", 1000, 0), ("bob", 0, 1000)), prices, "dlmp")
    assert pays(settlement) == {"ann": -120_000, "bob": 350_000}
    assert (settlement.utility_micro_eur, settlement.grid_micro_eur) == (0, 230_000)
    back = settle(homes(("bob", 1000, 0), ("ann", 0, 1000)), prices, "dlmp")
    assert back.grid_micro_eur == -230_000


def test_what_is_below_a_micro_euro_goes_to_the_largest_remainder() -> None:
    settlement = settle(homes(("ann", 0, 1), ("bob", 0, 1), ("cy", 0, 2)), Prices(1200, 0), "mid_market")
    # 1.2, 1.2 and 2.4 micro-euro: 4.8 together, which the utility bills as 5.
    assert pays(settlement) == {"ann": 1, "bob": 1, "cy": 3}
    assert settlement.utility_micro_eur == 5


def test_where_export_is_dearer_than_import_nothing_is_matched() -> None:
    settlement = settle(homes(("ann", 1000, 0), ("bob", 0, 1000)), Prices(100_000, 120_000), "mid_market")
    assert pays(settlement) == {"ann": -120_000, "bob": 100_000}
    assert settlement.matched.sold_wh == {"ann": 0, "bob": 0}


def test_an_empty_community_and_one_without_energy_pay_nothing() -> None:
    for rule in RULES:
        assert settle([], TARIFF, rule).lines == ()
        idle = settle(homes(("ann", 0, 0), ("bob", 0, 0)), replace(TARIFF, dlmp_micro_eur={"ann": 5, "bob": 9}), rule)
        assert (set(pays(idle).values()), idle.utility_micro_eur, idle.grid_micro_eur) == ({0}, 0, 0)


def test_energies_that_are_none_are_refused() -> None:
    with pytest.raises(InputError, match="ann: drawn_wh"):
        settle(homes(("ann", 0, -1)), TARIFF, "mid_market")


def test_the_digest_is_of_every_number() -> None:
    settlement = settle(homes(("ann", 10, 0), ("bob", 0, 10)), TARIFF, "mid_market")
    flagged = replace(settlement, lines=(settlement.lines[0], replace(settlement.lines[1], substituted=True)))
    assert settlement.digest() == settle(homes(("bob", 0, 10), ("ann", 10, 0)), TARIFF, "mid_market").digest()
    assert len({settlement.digest(), flagged.digest(), replace(settlement, rule="dlmp").digest()}) == 3


@given(communities(), tariffs, rules)
def test_the_budget_balances_to_the_micro_euro(energies: list[HomeEnergy], prices: Prices, rule: Rule) -> None:
    settlement = settle(energies, prices, rule)
    assert sum(pays(settlement).values()) == settlement.utility_micro_eur + settlement.grid_micro_eur
    assert rule == "dlmp" or settlement.grid_micro_eur == 0


@given(communities(), tariffs, rules)
def test_the_utility_gets_its_bill_and_each_home_its_own_to_the_micro_euro(
    energies: list[HomeEnergy], prices: Prices, rule: Rule
) -> None:
    settlement = settle(energies, prices, rule)
    bill = rent = 0
    for line in settlement.lines:
        outside = prices.import_micro_eur * (line.drawn_wh - line.bought_wh) - prices.export_micro_eur * (
            line.injected_wh - line.sold_wh
        )
        inside = line.price_micro_eur_per_kwh * (line.bought_wh - line.sold_wh)
        assert abs(line.pays_micro_eur - Fraction(inside + outside, 1000)) < 1
        bill, rent = bill + outside, rent + inside
    assert 0 <= settlement.utility_micro_eur - Fraction(bill, 1000) < 1
    assert abs(settlement.grid_micro_eur - Fraction(rent, 1000)) < 1


@given(communities(), tariffs, rules)
def test_energy_is_conserved(energies: list[HomeEnergy], prices: Prices, rule: Rule) -> None:
    settlement = settle(energies, prices, rule)
    assert sum(line.sold_wh for line in settlement.lines) == sum(line.bought_wh for line in settlement.lines)
    exported = sum(line.injected_wh - line.sold_wh for line in settlement.lines)
    imported = sum(line.drawn_wh - line.bought_wh for line in settlement.lines)
    assert imported - exported == sum(home.drawn_wh for home in energies) - sum(home.injected_wh for home in energies)
    assert not prices.leave_room or min(imported, exported) == 0
    assert all(
        min(line.sold_wh, line.bought_wh, line.injected_wh - line.sold_wh, line.drawn_wh - line.bought_wh) >= 0
        for line in settlement.lines
    )


@given(communities(), tariffs, promising)
def test_nobody_does_worse_than_with_the_utility_alone(energies: list[HomeEnergy], prices: Prices, rule: Rule) -> None:
    for line in settle(energies, prices, rule).lines:
        alone_nano = prices.import_micro_eur * line.drawn_wh - prices.export_micro_eur * line.injected_wh
        assert line.pays_micro_eur <= -(-alone_nano // 1000), line


def test_dlmp_does_not_promise_that() -> None:
    dear = replace(TARIFF, dlmp_micro_eur={"ann": 100_000, "bob": 400_000})
    assert pays(settle(homes(("ann", 1000, 0), ("bob", 0, 1000)), dear, "dlmp"))["bob"] > 300_000


@given(communities(), ordered_tariffs)
def test_mid_market_is_the_mean_price_of_the_literature(energies: list[HomeEnergy], prices: Prices) -> None:
    supply, demand = sum(home.injected_wh for home in energies), sum(home.drawn_wh for home in energies)
    mid = (prices.import_micro_eur + prices.export_micro_eur) // 2
    short, over = max(demand - supply, 0), max(supply - demand, 0)
    buy = Fraction(mid * (demand - short) + prices.import_micro_eur * short, max(demand, 1))
    sell = Fraction(mid * (supply - over) + prices.export_micro_eur * over, max(supply, 1))
    spread = prices.import_micro_eur - prices.export_micro_eur
    for line in settle(energies, prices, "mid_market").lines:
        mean = (buy * line.drawn_wh - sell * line.injected_wh) / 1000
        # Whole Wh: each register's share is at most one Wh off, which moves it between two prices half the spread apart.
        assert abs(line.pays_micro_eur - mean) <= Fraction(2 * (spread + 1), 1000) + 1


@given(communities(), ordered_tariffs, st.integers(-500_000, 900_000))
def test_dlmp_with_one_price_everywhere_leaves_the_grid_nothing(energies: list[HomeEnergy], prices: Prices, single: int) -> None:
    mid = (prices.import_micro_eur + prices.export_micro_eur) // 2
    uniform = replace(prices, dlmp_micro_eur=dict.fromkeys(PARTIES, mid))
    by_bus, by_middle = settle(energies, uniform, "dlmp"), settle(energies, prices, "mid_market")
    assert replace(by_bus, rule="mid_market") == by_middle
    assert settle(energies, replace(prices, dlmp_micro_eur=dict.fromkeys(PARTIES, single)), "dlmp").grid_micro_eur == 0


@given(communities(), tariffs, rules, st.integers(0, 9))
def test_the_order_of_the_homes_does_not_matter(energies: list[HomeEnergy], prices: Prices, rule: Rule, seed: int) -> None:
    shuffled = random.Random(seed).sample(energies, len(energies))
    assert settle(shuffled, prices, rule) == settle(energies, prices, rule)


@given(communities(), tariffs, rules, st.integers(2, 9))
def test_so_many_times_the_energy_is_so_many_times_the_trade(
    energies: list[HomeEnergy], prices: Prices, rule: Rule, times: int
) -> None:
    once = settle(energies, prices, rule)
    more = settle(
        [replace(home, injected_wh=times * home.injected_wh, drawn_wh=times * home.drawn_wh) for home in energies], prices, rule
    )
    assert sum(more.matched.sold_wh.values()) == times * sum(once.matched.sold_wh.values())
    assert abs(more.utility_micro_eur - times * once.utility_micro_eur) <= times
    for before, after in zip(once.lines, more.lines, strict=True):
        assert after.price_micro_eur_per_kwh == before.price_micro_eur_per_kwh
        assert abs(after.sold_wh - times * before.sold_wh) <= times
        assert abs(after.bought_wh - times * before.bought_wh) <= times


@given(communities(), tariffs, rules)
def test_a_substituted_home_earns_nothing(energies: list[HomeEnergy], prices: Prices, rule: Rule) -> None:
    settlement = settle(energies, prices, rule)
    assert settlement.substituted == sum(home.substituted for home in energies)
    for line in settlement.lines:
        assert not line.substituted or line.sold_wh == line.injected_wh == 0
