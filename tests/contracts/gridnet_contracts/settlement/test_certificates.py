"""Certificates of a settlement: held until verified, then lowered, sold and stored; never a Wh that was not verified."""

from __future__ import annotations

import tempfile
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions.certificates import Claim, Transfer
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import LedgerError, StatusChangeRefused
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.store import stored_rows
from gridnet_contracts.settlement.booking import Booking, Quarter, booking_orders
from gridnet_contracts.settlement.certificates import (
    Decision,
    Production,
    Storage,
    Verified,
    deliver,
    issue_orders,
    release_orders,
    reviewed_orders,
)
from gridnet_contracts.settlement.energies import HomeEnergy
from gridnet_contracts.settlement.matching import Sale
from gridnet_contracts.settlement.settlement import settle
from tests.contracts.gridnet_contracts.settlement.books import balances, books, certificates, enter, faults
from tests.contracts.gridnet_contracts.settlement.builders import COMMUNITY, HASH, QUARTER, START, TARIFF, communities, homes

AT = "@2018-06-01T10:15Z/"
ROOF = Production("pv-ann", "ann", 1000, HASH)
EMPTY = Booking(QUARTER, settle([], TARIFF, "mid_market"))


def sold(wh: int, *buyers: str) -> Booking:
    """Ann's sale of `wh` to each buyer."""
    energies = homes(("ann", wh * len(buyers), 0), *((buyer, 0, wh) for buyer in buyers))
    return Booking(QUARTER, settle(energies, TARIFF, "mid_market"))


def test_an_issue_is_held_and_can_be_neither_sold_nor_claimed(tmp_path: Path) -> None:
    with books(tmp_path) as ledger:
        enter(ledger, issue_orders(QUARTER, [ROOF, Production("pv-bob", "bob", 0, HASH)]))
        name = f"pv-ann{AT}0-1000"
        assert certificates(ledger, "held") == {name: "ann"}
        for use in (
            Transfer(certificate=name, owner="ann", to="bob"),
            Claim(certificate=name, owner="ann", beneficiary="ann", purpose="own use"),
        ):
            with pytest.raises(StatusChangeRefused):
                enter(ledger, [Order("too-soon", use)])


@pytest.mark.parametrize(("passed", "status"), [(True, "active"), (False, "withdrawn")])
def test_what_a_doubt_held_goes_where_a_person_decides_and_once(passed: bool, status: str, tmp_path: Path) -> None:
    with books(tmp_path) as ledger:
        enter(ledger, issue_orders(QUARTER, [ROOF, Production("pv-bob", "bob", 70, HASH)]))
        with ledger.database.read() as connection:
            held = [each for each in stored_rows(connection, Certificate) if each.party == "ann"]
        orders = reviewed_orders(held, Decision(passed, "meter looked at", HASH))
        for _ in range(2):  # a key makes it happen once
            enter(ledger, orders)
        assert certificates(ledger, status) == {f"pv-ann{AT}0-1000": "ann"}
        assert certificates(ledger, "held") == {f"pv-bob{AT}0-70": "bob"}
        with pytest.raises(StatusChangeRefused):
            enter(ledger, reviewed_orders(held, Decision(passed, "looked at again", "11" * 32)))
        assert faults(ledger) == []


def test_verified_ones_are_released_and_sold_ones_handed_over(tmp_path: Path) -> None:
    booking = sold(300, "bob", "cy")
    with books(tmp_path) as ledger:
        enter(ledger, [*issue_orders(QUARTER, [ROOF]), *booking_orders(booking)])
        for _ in range(2):  # what was released once is not released again
            delivery = release_orders(booking, Verified([ROOF], [], {"pv-ann": 1000}))
            enter(ledger, delivery.orders)
        assert delivery.unmet == []
        assert certificates(ledger) == {f"pv-ann{AT}0-300": "bob", f"pv-ann{AT}300-600": "cy", f"pv-ann{AT}600-1000": "ann"}
        assert faults(ledger) == []


@pytest.mark.parametrize(
    ("issued", "verified", "active", "withdrawn"),
    [
        (1000, 0, {}, {"0-1000"}),
        (1000, 400, {"0-300": "bob", "300-400": "ann"}, {"400-1000"}),
        (1000, 200, {"0-200": "bob"}, {"200-1000"}),
        (1000, 1500, {"0-300": "bob", "300-1000": "ann"}, set()),
        (0, 400, {"0-300": "bob", "300-400": "ann"}, set()),
        (0, 0, {}, set()),
    ],
)
def test_a_correction_lowers_what_was_issued_and_makes_up_what_was_not(
    tmp_path: Path, issued: int, verified: int, active: dict[str, str], withdrawn: set[str]
) -> None:
    booking = sold(300, "bob")
    with books(tmp_path) as ledger:
        enter(ledger, issue_orders(QUARTER, [replace(ROOF, wh=issued)]))
        given_wh = {"pv-ann": issued} if issued else {}
        delivery = release_orders(booking, Verified([replace(ROOF, wh=verified)], [], given_wh))
        enter(ledger, delivery.orders)
        assert certificates(ledger) == {f"pv-ann{AT}{span}": owner for span, owner in active.items()}
        assert set(certificates(ledger, "withdrawn")) == {f"pv-ann{AT}{span}" for span in withdrawn}
        assert certificates(ledger, "held") == {}
        short = 300 - min(verified, 300)
        assert delivery.unmet == ([Sale("ann", "bob", short)] if short else [])
        assert faults(ledger) == []


def test_a_sale_may_take_several_roofs(tmp_path: Path) -> None:
    roofs = [Production("pv-ann", "ann", 100, HASH), Production("pv-bob", "ann", 100, HASH)]
    orders = release_orders(sold(150, "cy"), Verified(roofs, [], {})).orders
    moved = [order.action.certificate for order in orders if isinstance(order.action, Transfer)]
    assert moved == [f"pv-ann{AT}0-100", f"pv-bob{AT}0-50"]


def test_a_battery_takes_what_is_not_sold_and_its_certificates_can_meet_later_sales(tmp_path: Path) -> None:
    later = Quarter(COMMUNITY, START + timedelta(minutes=15))
    store = Storage("bat-ann", "ann", charged_wh=800, discharged_wh=0, evidence=HASH)
    give = replace(store, charged_wh=0, discharged_wh=90)
    with books(tmp_path) as ledger:
        enter(ledger, issue_orders(QUARTER, [ROOF]))
        enter(ledger, release_orders(sold(300, "bob"), Verified([ROOF], [store], {"pv-ann": 1000})).orders)
        # 700 of the 1,000 Wh were left, and 100 of the 800 charged are grey.
        assert balances(ledger, "gc")["lot/bat-ann"] == 700
        assert balances(ledger, "grey")["lot/bat-ann"] == 100
        booking = Booking(later, sold(150, "bob").settlement)
        enter(ledger, release_orders(booking, Verified([], [give], {})).orders)  # the grey ones first
        another = Booking(Quarter(COMMUNITY, START + timedelta(minutes=30)), booking.settlement)
        delivery = release_orders(another, Verified([], [replace(give, discharged_wh=120)], {}))
        enter(ledger, delivery.orders)
        [stored] = [name for name, owner in certificates(ledger).items() if owner == "ann"]
        handed = deliver(another.quarter, delivery.unmet, {"ann": [stored]})
        enter(ledger, handed.orders)
        assert certificates(ledger)[stored] == "bob"
        assert handed.unmet == [Sale("ann", "bob", 30)]
        assert faults(ledger) == []


def test_energies_below_zero_are_all_named() -> None:
    wrong = Verified([replace(ROOF, wh=-1)], [Storage("bat-bob", "bob", 0, -1, HASH)], {})
    with pytest.raises(InputError, match="bat-bob, pv-ann"):
        release_orders(EMPTY, wrong)


def test_the_order_of_the_meters_does_not_matter() -> None:
    meters = [ROOF, Production("pv-bob", "bob", 5, HASH)]
    assert issue_orders(QUARTER, meters) == issue_orders(QUARTER, meters[::-1])
    forth, back = (release_orders(sold(10, "cy"), Verified(each, [], {"pv-ann": 900})) for each in (meters, meters[::-1]))
    assert forth == back


ENERGY = st.integers(0, 3000)


@settings(max_examples=8)
@given(st.data())
def test_a_day_of_any_quarters_is_audited_and_certifies_what_was_verified_alone(data: st.DataObject) -> None:
    verified_wh: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder, books(Path(folder)) as ledger:
        days = []
        for number in range(data.draw(st.integers(1, 3))):
            quarter = Quarter(COMMUNITY, START + number * timedelta(minutes=15))
            energies: list[HomeEnergy] = data.draw(communities())
            booking = Booking(quarter, settle(energies, TARIFF, "supply_demand"))
            roofs = [Production(f"pv-{home.party}", home.party, data.draw(ENERGY), HASH) for home in energies]
            enter(ledger, [*booking_orders(booking), *issue_orders(quarter, roofs)])
            days.append((booking, roofs))
        for booking, roofs in days:
            final = [replace(roof, wh=data.draw(st.sampled_from([0, 1, roof.wh // 2, roof.wh, roof.wh + 7]))) for roof in roofs]
            stores = [Storage(f"bat-{roof.owner}", roof.owner, data.draw(ENERGY), data.draw(ENERGY), HASH) for roof in roofs]
            issued = {roof.device: roof.wh for roof in roofs}
            delivery = release_orders(booking, Verified(final, stores, issued))
            enter(ledger, delivery.orders)
            for roof in final:
                verified_wh[roof.device] += min(roof.wh, issued[roof.device] or roof.wh)
            promised = sum(booking.settlement.matched.sold_wh.values())
            assert sum(sale.wh for sale in delivery.unmet) <= promised
        gc = balances(ledger, "gc")
        for device, wh in verified_wh.items():
            withdrawn = sum(_wh(name) for name in certificates(ledger, "withdrawn") if name.startswith(f"{device}@"))
            assert -gc.get(f"source/{device}", 0) - withdrawn == wh
        assert certificates(ledger, "held") == {}
        assert faults(ledger) == []


def _wh(name: str) -> int:
    lo, hi = name.rpartition("/")[2].split("-")
    return int(hi) - int(lo)


def test_a_refused_order_leaves_nothing_of_its_quarter(tmp_path: Path) -> None:
    booking = sold(300, "bob")
    with books(tmp_path) as ledger:
        orders = [*booking_orders(booking), *issue_orders(QUARTER, [ROOF, Production("pv-nobody", "ann", 5, HASH)])]
        with pytest.raises(LedgerError, match="pv-nobody"):
            enter(ledger, orders)
        assert balances(ledger, "eur-due") == {}
        assert certificates(ledger, "held") == {}
