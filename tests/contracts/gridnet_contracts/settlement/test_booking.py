"""Settlements in the ledger: claims that balance, once each, and corrections that end where the last readings say."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import KeyReused
from gridnet_contracts.settlement.booking import LEGS, Booking, Community, Quarter, booking_orders, correct
from gridnet_contracts.settlement.energies import HomeEnergy, substitute
from gridnet_contracts.settlement.prices import RULES, Prices, Rule
from gridnet_contracts.settlement.settlement import Settlement, settle
from tests.contracts.gridnet_contracts.settlement.books import balances, books, enter, faults, owed
from tests.contracts.gridnet_contracts.settlement.builders import COMMUNITY, QUARTER, START, TARIFF, communities, homes, tariffs


def settled(*energies: tuple[str, int, int]) -> Settlement:
    """At the mid-market rate of the usual tariff."""
    return settle(homes(*energies), TARIFF, "mid_market")


def expected(settlement: Settlement) -> dict[str, int]:
    """What each party owes after one settlement alone."""
    every = {line.party: line.pays_micro_eur for line in settlement.lines}
    every |= {"utility": -settlement.utility_micro_eur, "grid": -settlement.grid_micro_eur}
    return {party: amount for party, amount in every.items() if amount}


def test_a_booking_is_claims_through_an_account_that_ends_empty() -> None:
    booking = Booking(QUARTER, settled(("ann", 1000, 0), ("bob", 0, 1500)))
    [order] = booking_orders(booking)
    assert order.key == "settle:lane:2018-06-01T10:15Z"
    assert isinstance(order.action, Move)
    assert order.action.legs == (
        ("eur-due", "source/bob", "owned/clearing:lane", 350_000),
        ("eur-due", "owned/clearing:lane", "owned/ann", 200_000),
        ("eur-due", "owned/clearing:lane", "owned/utility", 150_000),
    )
    assert order.action.memo == f"mid_market settlement, 0 substituted, sha256 {booking.settlement.digest()}"
    assert order.action.corrects is None


def test_nobody_who_owes_nothing_is_booked() -> None:
    assert booking_orders(Booking(QUARTER, settled(("ann", 0, 0)))) == []


def test_the_same_booking_twice_is_one_and_another_under_its_key_is_refused(tmp_path: Path) -> None:
    booking = Booking(QUARTER, settled(("ann", 1000, 0), ("bob", 0, 1500)))
    with books(tmp_path) as ledger:
        enter(ledger, booking_orders(booking))
        [again] = enter(ledger, booking_orders(booking))
        assert again.repeated
        with pytest.raises(KeyReused):
            enter(ledger, booking_orders(replace(booking, settlement=settled(("ann", 1000, 0), ("bob", 0, 1501)))))
        assert owed(ledger) == expected(booking.settlement)


def test_a_late_reading_is_booked_as_the_difference(tmp_path: Path) -> None:
    gap = substitute("bob", START, {}, profile_wh=500)
    before = Booking(QUARTER, settle([*homes(("ann", 1000, 0)), gap], TARIFF, "mid_market"))
    final = settled(("ann", 1000, 0), ("bob", 0, 1500))
    after, [order] = correct(before, final)
    assert (order.key, after.revision) == ("settle:lane:2018-06-01T10:15Z:fix-1", 1)
    assert isinstance(order.action, Move)
    assert order.action.corrects == "settle:lane:2018-06-01T10:15Z"
    with books(tmp_path) as ledger:
        enter(ledger, booking_orders(before))
        for _ in range(2):  # the same correction again is no second one
            enter(ledger, correct(before, final)[1])
        assert owed(ledger) == expected(final)
        assert faults(ledger) == []


def test_a_correction_that_changes_no_amount_is_no_entry() -> None:
    before = Booking(QUARTER, settled(("ann", 1000, 0), ("bob", 0, 1500)))
    assert correct(before, before.settlement) == (before, [])


def test_a_correction_of_a_correction_names_it() -> None:
    first = Booking(QUARTER, settled(("ann", 1000, 0), ("bob", 0, 1500)))
    second, _ = correct(first, settled(("ann", 900, 0), ("bob", 0, 1500)))
    third, [order] = correct(second, first.settlement)
    assert isinstance(order.action, Move)
    assert (order.key, order.action.corrects) == (third.key, second.key)
    assert third.key.endswith(":fix-2")


def test_many_homes_take_several_entries_of_one_transaction(tmp_path: Path) -> None:
    names = [f"p:{number:032x}" for number in range(2 * LEGS + 9)]
    energies = [HomeEnergy(name, 0, 1000) if number % 2 else HomeEnergy(name, 900, 0) for number, name in enumerate(names)]
    booking = Booking(QUARTER, settle(energies, TARIFF, "supply_demand"))
    orders = booking_orders(booking)
    assert [order.key for order in orders] == [booking.key, f"{booking.key}:part-2", f"{booking.key}:part-3"]
    with books(tmp_path) as ledger:
        enter(ledger, orders)
        assert owed(ledger) == expected(booking.settlement)


@pytest.mark.parametrize("name", ["utility", "grid"])
def test_a_home_can_not_be_the_utility_or_the_grid(name: str) -> None:
    with pytest.raises(InputError, match=f"party {name}"):
        booking_orders(Booking(QUARTER, settled((name, 1, 0))))
    with pytest.raises(InputError, match="names of their own"):
        booking_orders(Booking(Quarter(Community("lane", utility="x", grid="x"), START), settled(("ann", 1, 0))))


@pytest.mark.parametrize(
    "start",
    [
        START.replace(tzinfo=None),
        datetime(2018, 6, 1, 10, 20, tzinfo=UTC),
        datetime(2018, 6, 1, 10, 15, 1, tzinfo=UTC),
        datetime(2018, 6, 1, 10, 15, tzinfo=timezone(timedelta(hours=1))),
    ],
)
def test_a_quarter_hour_starts_at_one_in_utc(start: datetime) -> None:
    with pytest.raises(InputError, match="in UTC"):
        Quarter(COMMUNITY, start)


def posted(orders: list[Order]) -> dict[str, int]:
    """Balances after the orders' legs, none of `owned/..` below zero on the way."""
    found: Counter[str] = Counter()
    for order in orders:
        assert isinstance(order.action, Move)
        for _, debit, credit, amount in order.action.legs:
            found[debit] -= amount
            found[credit] += amount
            assert min(found[account] for account in (debit, credit) if account.startswith("owned/")) >= 0
    return {account: amount for account, amount in found.items() if amount}


@given(communities(), communities(), tariffs, st.sampled_from(RULES))
def test_legs_balance_party_by_party_and_leave_the_clearing_empty(
    first: list[HomeEnergy], last: list[HomeEnergy], prices: Prices, rule: Rule
) -> None:
    before = Booking(QUARTER, settle(first, prices, rule))
    after, corrections = correct(before, settle(last, prices, rule))
    for orders, due in (
        (booking_orders(before), expected(before.settlement)),
        (booking_orders(before) + corrections, expected(after.settlement)),
    ):
        found = posted(orders)
        assert not any("clearing" in account for account in found)
        net: Counter[str] = Counter()
        for account, amount in found.items():
            net[account.partition("/")[2]] -= amount
        assert {party: amount for party, amount in net.items() if amount} == due


@settings(max_examples=12)
@given(st.lists(communities(), min_size=1, max_size=4), tariffs, st.sampled_from(RULES))
def test_however_often_corrected_it_ends_as_the_last_readings_say(
    versions: list[list[HomeEnergy]], prices: Prices, rule: Rule
) -> None:
    with tempfile.TemporaryDirectory() as folder, books(Path(folder)) as ledger:
        booking = Booking(QUARTER, settle(versions[0], prices, rule))
        enter(ledger, booking_orders(booking))
        for energies in versions[1:]:
            booking, orders = correct(booking, settle(energies, prices, rule))
            enter(ledger, orders)
        assert owed(ledger) == expected(settle(versions[-1], prices, rule))
        assert "owned/clearing:lane" not in balances(ledger, "eur-due")
        assert faults(ledger) == []
