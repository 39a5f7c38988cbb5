"""Energy is conserved by everything that the rules allow, and each way of breaking that is seen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from gridnet.errors import LedgerError, VerificationError
from gridnet_contracts.audit.conservation import conserved
from gridnet_contracts.ledger.actions import certificates, registry, storage
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order, make_entry
from gridnet_contracts.ledger.replay import Replay, replay
from gridnet_contracts.ledger.rows import Allocation, Certificate, Charging, Discharging, Issuance, Lot, Row
from gridnet_contracts.ledger.rules.apply import apply
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.store import stored_leaves
from tests.contracts.gridnet_contracts.audit.story import EXPIRES, FOUND, HASH, Home, device, issue

Change = Callable[[Any], Row]


@pytest.fixture(scope="module")
def leaves(told: Home) -> list[bytes]:
    database = Database.reading(told.url)
    with database.read() as connection:
        found = [leaf for _, leaf in stored_leaves(connection)]
    database.close()
    return found


@pytest.fixture
def state(leaves: list[bytes]) -> State:
    """The story's, open to change."""
    return replay(leaves)


def _refused(state: State, words: str | None = None) -> None:
    with pytest.raises(VerificationError, match=words):
        conserved(state)


def _change(state: State, kind: type[Any], chosen: Callable[[Any], bool], **changes: Any) -> None:
    row = next(row for row in state.all_rows(kind) if chosen(row))
    state.rows[kind][State.key_of(row)] = replace(row, **changes)


def test_the_story_conserves_energy(state: State) -> None:
    assert conserved(state) == "8000 Wh issued as produced, 750 Wh from storage, 13 certificates"


def test_1_a_balance_that_came_from_nowhere(state: State) -> None:
    for place in list(state.balances):
        broken = deepcopy(state)
        broken.balances[place] += 1
        _refused(broken, "sum to 1, not to 0")


def test_1_a_balance_below_zero(state: State) -> None:
    one, other = [place for place in state.balances if place[0].startswith("owned/") and place[1] == "eur"]
    state.balances[other] += state.balances[one] + 1
    state.balances[one] = -1
    _refused(state, "holds -1 of eur")


def test_2_a_range_that_overlaps_or_leaves_a_gap(state: State) -> None:
    rows = [row for row in state.all_rows(Certificate) if row.status != "split"]
    for row in rows:
        for lo, hi in ((row.lo + 1, row.hi), (row.lo, row.hi - 1), (row.lo, row.hi + 1), (row.lo - 1, row.hi)):
            broken = deepcopy(state)
            broken.rows[Certificate][row.certificate] = replace(row, lo=lo, hi=hi)
            _refused(broken, "issuance")


def test_2_a_certificate_that_is_missing_or_there_twice(state: State) -> None:
    for row in [row for row in state.all_rows(Certificate) if row.status != "split"]:
        broken = deepcopy(state)
        del broken.rows[Certificate][row.certificate]
        _refused(broken, "issuance")
        broken = deepcopy(state)
        broken.rows[Certificate]["copy"] = replace(row, certificate="copy")
        _refused(broken, "issuance")


def test_2_a_certificate_of_no_issuance(state: State) -> None:
    for row in state.all_rows(Issuance):
        broken = deepcopy(state)
        del broken.rows[Issuance][row.issuance]
        _refused(broken, "never issued")


def test_3_a_certificate_in_another_account(state: State) -> None:
    for row in [row for row in state.all_rows(Certificate) if row.status not in {"split", "cancelled_for_storage"}]:
        other = "expired" if row.status != "expired" else "active"
        for changes in ({"status": other}, {"party": "mallory", "beneficiary": "mallory"}):
            broken = deepcopy(state)
            broken.rows[Certificate][row.certificate] = replace(row, **changes)
            _refused(broken, "certificates or lots")


def test_3_money_made_of_a_lot(state: State) -> None:
    _change(state, Lot, lambda lot: lot.asset == "gc", remaining_wh=0)
    _refused(state, "lots")


def test_4_quantities_of_storage_that_do_not_add_up(state: State) -> None:
    """Each quantity in each record of storage, one Wh more or less."""
    quantities = {
        Charging: ("wh",),
        Lot: ("charged_wh", "remaining_wh"),
        Allocation: ("charge_wh", "discharge_wh", "loss_wh"),
        Discharging: ("wh", "certified_wh", "grey_wh", "unbacked_wh"),
    }
    for kind, names in quantities.items():
        assert {field.name for field in fields(kind) if field.name.endswith("wh")} == set(names)
        for row in list(state.all_rows(kind)):
            for name in names:
                for more in (1, -1):
                    broken = deepcopy(state)
                    broken.rows[kind][State.key_of(row)] = replace(row, **{name: getattr(row, name) + more})
                    _refused(broken)


def test_4_two_quantities_that_hide_each_other(state: State) -> None:
    """A discharge that swaps grey for certified; a draw that was larger, its lot too."""
    for row in list(state.all_rows(Discharging)):
        broken = deepcopy(state)
        broken.rows[Discharging][row.sdr] = replace(row, certified_wh=row.certified_wh + 5, grey_wh=row.grey_wh - 5)
        _refused(broken)
    for row in list(state.all_rows(Allocation)):
        broken = deepcopy(state)
        broken.rows[Allocation][row.lot, row.entry] = replace(row, charge_wh=row.charge_wh + 5, loss_wh=row.loss_wh + 5)
        _change(broken, Lot, lambda lot, row=row: lot.lot == row.lot, charged_wh=broken.held(Lot, row.lot).charged_wh + 5)
        _refused(broken)


def test_5_a_storage_certificate_without_a_cancelled_one_behind_it(state: State) -> None:
    stored = next(row for row in state.all_rows(Certificate) if row.backing)
    for backing in ("", "nothing", stored.certificate):
        broken = deepcopy(state)
        broken.rows[Certificate][stored.certificate] = replace(stored, backing=backing)
        _refused(broken, "storage")


def test_5_a_part_of_a_storage_certificate_that_names_another_one_behind_it(state: State) -> None:
    for backing in ("", "pv@2026-06-01T10:30Z/0-1000"):
        broken = deepcopy(state)
        _change(broken, Certificate, lambda row: row.parent.startswith("bat@"), backing=backing)
        _refused(broken, "storage")


def test_5_a_produced_certificate_that_says_storage_is_behind_it(state: State) -> None:
    behind = next(row.backing for row in state.all_rows(Certificate) if row.backing)
    _change(state, Certificate, lambda row: row.status == "active" and not row.backing, backing=behind)
    _refused(state, "storage")


def test_5_an_issuance_that_says_another_origin(state: State) -> None:
    for row in list(state.all_rows(Issuance)):
        broken = deepcopy(state)
        broken.rows[Issuance][row.issuance] = replace(row, from_storage=1 - row.from_storage)
        _refused(broken, "storage")


def test_5_a_lot_that_says_more_than_was_cancelled_for_it(state: State) -> None:
    """Certified charge out of nothing, with balances to match."""
    green = next(lot for lot in state.all_rows(Lot) if lot.asset == "gc")
    broken = deepcopy(state)
    broken.rows[Lot][green.lot] = replace(green, charged_wh=green.charged_wh + 7, remaining_wh=green.remaining_wh + 7)
    scr = broken.held(Charging, green.scr)
    broken.rows[Charging][scr.scr] = replace(scr, wh=scr.wh + 7)
    broken.balances["lot/bat", "gc"] += 7
    broken.balances["source/pv", "gc"] -= 7
    _refused(broken, "cancelled")
    for status in ("active", "claimed"):
        broken = deepcopy(state)
        behind = broken.held(Certificate, green.certificate)
        broken.rows[Certificate][green.certificate] = replace(behind, status=status, beneficiary=behind.party)
        _refused(broken)


def test_5_a_certificate_cancelled_for_storage_that_is_in_no_lot(state: State) -> None:
    green = next(lot for lot in state.all_rows(Lot) if lot.asset == "gc")
    _change(state, Lot, lambda lot: lot.lot == green.lot, certificate="")
    _refused(state)


def _first(kind: type[Any], state: State, number: int, *statuses: str) -> Any:
    """One of the rows, in a status that fits if there is one."""
    rows = [row for row in state.all_rows(kind) if not statuses or row.status in statuses]
    return rows[number % len(rows)] if rows else None


STEPS = st.tuples(st.integers(0, 12), st.integers(0, 20), st.integers(1, 2500))


def _actions(state: State, step: int, number: int, wh: int) -> Iterator[Action]:
    """An action that may well be allowed, of the kind that `step` says."""
    quarter = f"2026-06-{2 + number // 8:02d}T{10 + number % 8:02d}"
    span = {"start": f"{quarter}:00Z", "end": f"{quarter}:15Z"}
    if step <= 2:
        yield issue("ann", 0, wh, **span, held=step == 2)
    elif step == 3:
        green = [row.certificate for row in state.all_rows(Certificate) if row.status == "active" and row.party == "ann"]
        for chosen in ((green[number % len(green)],) if green else (), ()):
            start = chosen[0].partition("@")[2][:13] if chosen else quarter
            yield storage.Charge(
                device="bat", owner="ann", start=f"{start}:30Z", end=f"{start}:45Z", wh=wh, certificates=chosen, evidence=HASH
            )
    elif step == 4:
        day = {"start": f"{quarter}:45Z", "end": f"{quarter[:-2]}{int(quarter[-2:]) + 1}:00Z"}
        yield storage.Discharge(device="bat", owner="ann", **day, wh=wh, held=wh % 2 == 0, expires=EXPIRES, evidence=HASH)
    elif step == 5:
        yield storage.WriteOff(device="bat", wh=wh, reason="counted", evidence=HASH)
    elif step == 6:
        yield registry.SetEfficiency(
            device="bat", efficiency_ppm=wh * 400, start="2026-05-01T00:00Z", end="2026-06-01T00:00Z", method="m", evidence=HASH
        )
    else:
        yield from _on_a_certificate(state, step, number, wh)


def _on_a_certificate(state: State, step: int, number: int, wh: int) -> Iterator[Action]:
    row = _first(Certificate, state, number, *(("held",) if step == 12 else ("active", "reserved", "locked")))
    if row is None:
        return
    name = {"certificate": row.certificate, "owner": row.party}
    one: dict[int, Callable[[], Action]] = {
        7: lambda: certificates.Split(**name, wh=1 + (row.wh - 1) * wh // 2501),
        8: lambda: certificates.Transfer(**name, to="bob" if row.party == "ann" else "ann"),
        9: lambda: certificates.Claim(**name, beneficiary="bob", purpose="use"),
        10: lambda: certificates.Withdraw(**name, reason="wrong"),
        11: lambda: certificates.Lock(**name, reason="chain") if wh % 2 else certificates.Reserve(**name, beneficiary="bob"),
        12: lambda: certificates.Release(**name, evidence=HASH),
    }
    yield one[step]()


@given(st.lists(STEPS, min_size=10, max_size=40))
def test_whatever_the_rules_allow_conserves_energy(steps: list[tuple[int, int, int]]) -> None:
    ledger = Replay()
    kept = 0
    for action in (
        FOUND,
        device("pv", "ann"),
        device("bat", "ann", source="storage", storage_wh=10_000, efficiency_ppm=900_000),
    ):
        ledger.take(_leaf(ledger, action, f"first {action.kind} {kept}".replace(" ", "-")))
        kept += 1
    for place, step in enumerate(steps):
        for action in _actions(ledger.state, *step):
            try:
                leaf = _leaf(ledger, action, f"{place}-{kept}")
            except LedgerError:
                continue
            ledger.take(leaf)
            kept += 1
            assert conserved(ledger.state)
            event(action.kind)
            break


def _leaf(ledger: Replay, action: Action, key: str) -> bytes:
    """The leaf that an action makes, tried out on a copy."""
    context = Context(deepcopy(ledger.state), ledger.size, "2026-06-20T12:00:00Z")
    apply(context, action)
    order = Order(key, action)
    return make_entry(ledger.size, context.time, order, context.movements, order.body()).leaf
