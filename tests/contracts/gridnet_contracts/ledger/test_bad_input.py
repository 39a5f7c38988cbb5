"""What the ledger refuses: each with its one typed error, and with nothing written, alone or in the middle of a batch."""

from __future__ import annotations

import gc
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Cancel, Claim, Expire, Lock, Release, Reserve, Split, Transfer, Unlock
from gridnet_contracts.ledger.actions.money import Move
from gridnet_contracts.ledger.actions.parse import parse_action
from gridnet_contracts.ledger.actions.registry import OpenAsset, SetEfficiency
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import (
    AlreadyThere,
    AmountOverflow,
    CertificateExpired,
    DatabaseRefused,
    ForkRefused,
    InsufficientBalance,
    KeyReused,
    LedgerError,
    MalformedAction,
    NotFounded,
    NotMatched,
    NotWholeNumber,
    NotYetExpired,
    StatusChangeRefused,
    UnknownAsset,
    UnknownCertificate,
    UnknownDevice,
    WrongOwner,
)
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.contracts.gridnet_contracts.ledger.audit import audit, dump
from tests.contracts.gridnet_contracts.ledger.builders import (
    FOUND,
    HASH,
    NOW,
    ORIGIN,
    at,
    battery,
    certificate,
    charge,
    discharge,
    do,
    issue,
    orders,
    pay,
    solar,
    write_off,
)
from tests.contracts.gridnet_contracts.ledger.stores import Place, Templates

MOST = 2**53 - 1
SOON = "2018-06-02T11:00Z"
EXPIRED = NOW + timedelta(hours=1)
ACTIVE, HELD, RESERVED, CLAIMED, OLD = (certificate(15 * k) for k in range(5))
ANN = {"owner": "ann"}


def _claim(name: str = ACTIVE, owner: str = "ann", beneficiary: str = "ann") -> Claim:
    return Claim(certificate=name, owner=owner, beneficiary=beneficiary, purpose="heat")


# (error, what is asked), of a ledger that `stocked` has filled, an hour after `NOW`.
REFUSED: dict[str, tuple[type[LedgerError], Action]] = {
    "an asset that was not opened": (UnknownAsset, pay(1, asset="point")),
    "certificates moved as money": (UnknownAsset, pay(1, asset="gc")),
    "grey energy moved as money": (UnknownAsset, pay(1, asset="grey")),
    "the second of two legs": (UnknownAsset, Move(legs=(*pay(1).legs, *pay(1, asset="point").legs), memo="m")),
    "more than there is": (InsufficientBalance, pay(1001)),
    "more than there is in two legs": (InsufficientBalance, Move(legs=pay(600).legs * 2, memo="m")),
    "spent before it arrives": (
        InsufficientBalance,
        Move(legs=(*pay(1, "owned/dan").legs, *pay(1, credit="owned/dan").legs), memo="m"),
    ),
    "a balance beyond 2^53": (AmountOverflow, pay(MOST, "source/b", "owned/ann")),
    "a debt beyond 2^53": (
        AmountOverflow,
        Move(legs=(*pay(MOST, "source/b").legs, *pay(1, "source/b", "owned/cy").legs), memo="m"),
    ),
    "to itself": (NotMatched, pay(1, credit="owned/ann")),
    "an asset twice": (AlreadyThere, OpenAsset(asset="eur", unit="cent")),
    "the ledger's own asset": (AlreadyThere, OpenAsset(asset="gc", unit="Wh")),
    "a device twice": (AlreadyThere, solar(capacity_w=1)),
    "an efficiency without storage": (MalformedAction, solar("new", efficiency_ppm=1)),
    "storage without an efficiency": (MalformedAction, battery("new", efficiency_ppm=0)),
    "an unknown device": (UnknownDevice, issue(600, device="new")),
    "an unknown battery": (UnknownDevice, charge(600, device="new")),
    "a battery that is a roof": (UnknownDevice, charge(600, device="pv")),
    "a discharge of a roof": (UnknownDevice, discharge(600, device="pv")),
    "a write-off of nothing known": (UnknownDevice, write_off(1, "new")),
    "a write-off of more than there is": (NotMatched, write_off(501)),
    "the efficiency of nothing known": (
        UnknownDevice,
        SetEfficiency(device="new", efficiency_ppm=1, start=at(0), end=at(60), method="m", evidence=HASH),
    ),
    "an efficiency of zero": (
        NotMatched,
        SetEfficiency(device="bat", efficiency_ppm=0, start=at(0), end=at(60), method="m", evidence=HASH),
    ),
    "an issue for a battery": (NotMatched, issue(600, device="bat")),
    "an issue to somebody else": (WrongOwner, issue(600, owner="bob")),
    "a quarter twice": (AlreadyThere, issue(0, wh=5)),
    "a quarter inside another interval": (AlreadyThere, issue(0, end=at(60))),
    "more than the device can give": (NotMatched, issue(600, wh=250_001)),
    "more than the battery can give": (NotMatched, discharge(600, wh=250_001)),
    "a charging twice": (AlreadyThere, charge(120)),
    "a charging of somebody else": (WrongOwner, charge(600, owner="bob")),
    "a discharging of somebody else": (WrongOwner, discharge(600, owner="bob")),
    "less charged than cancelled": (NotMatched, charge(0, 999, (ACTIVE,))),
    "charged in another hour": (NotMatched, charge(60, 1000, (ACTIVE,))),
    "charged with a held one": (StatusChangeRefused, charge(0, 1000, (HELD,))),
    "charged with an expired one": (CertificateExpired, charge(60, 1000, (OLD,))),
    "charged with an unknown one": (UnknownCertificate, charge(0, 1000, (certificate(0, 1, 2),))),
    "an unknown certificate": (UnknownCertificate, _claim(certificate(0, 0, 999))),
    "an unknown issuance": (UnknownCertificate, _claim(certificate(600))),
    "its name written otherwise": (UnknownCertificate, _claim(certificate().replace("/0-", "/00-"))),
    "another's certificate": (WrongOwner, _claim(owner="bob")),
    "another's certificate to sell": (WrongOwner, Transfer(certificate=ACTIVE, owner="bob", to="cy")),
    "another's certificate to release": (WrongOwner, Release(certificate=HELD, owner="bob", evidence=HASH)),
    "a held one claimed": (StatusChangeRefused, _claim(HELD)),
    "claimed twice": (StatusChangeRefused, _claim(CLAIMED)),
    "claimed and sold": (StatusChangeRefused, Transfer(certificate=CLAIMED, to="bob", **ANN)),
    "claimed and expired": (StatusChangeRefused, Expire(certificate=CLAIMED, **ANN)),
    "unlocked and not locked": (StatusChangeRefused, Unlock(certificate=ACTIVE, **ANN)),
    "released and not held": (StatusChangeRefused, Release(certificate=ACTIVE, evidence=HASH, **ANN)),
    "reserved twice": (StatusChangeRefused, Reserve(certificate=RESERVED, beneficiary="dan", **ANN)),
    "reserved for another": (NotMatched, _claim(RESERVED, beneficiary="dan")),
    "sold to oneself": (NotMatched, Transfer(certificate=ACTIVE, to="ann", **ANN)),
    "split into itself and nothing": (NotMatched, Split(certificate=ACTIVE, wh=1000, **ANN)),
    "split into more than itself": (NotMatched, Split(certificate=ACTIVE, wh=1001, **ANN)),
    "expired and claimed": (CertificateExpired, _claim(OLD)),
    "expired and sold": (CertificateExpired, Transfer(certificate=OLD, to="bob", **ANN)),
    "expired and locked": (CertificateExpired, Lock(certificate=OLD, reason="r", **ANN)),
    "expired and cancelled": (CertificateExpired, Cancel(certificate=OLD, reason="r", **ANN)),
    "expired too early": (NotYetExpired, Expire(certificate=ACTIVE, **ANN)),
    "founded twice": (NotFounded, FOUND),
}


@pytest.fixture
def stocked(ledger: Ledger) -> Ledger:
    """One certificate of each sort, and 500 Wh in the battery."""
    do(ledger, issue(0), issue(15, held=True), issue(30), issue(45), issue(60, expires=SOON), charge(120, 500))
    do(ledger, Reserve(certificate=RESERVED, beneficiary="cy", **ANN), _claim(CLAIMED))
    do(ledger, time=EXPIRED)
    return ledger


def _refused(ledger: Ledger, error: type[LedgerError], asked: list[Order]) -> LedgerError:
    before, guarded = dump(ledger), ledger.seal.guard.read()
    with pytest.raises(LedgerError) as refusal:
        ledger.commit(asked, EXPIRED)
    assert type(refusal.value) is error, str(refusal.value)
    assert dump(ledger) == before
    assert ledger.seal.guard.read() == guarded
    return refusal.value


def test_it_is_refused_alone_and_with_it_its_batch(stocked: Ledger) -> None:
    for what, (error, action) in REFUSED.items():
        alone = _refused(stocked, error, [Order(what.replace(" ", "-"), action)])
        assert alone.__notes__ == [f"order {what.replace(' ', '-')!r}"]
        _refused(stocked, error, orders(pay(1), issue(900), action, pay(2)))
    assert len(do(stocked, pay(1), issue(900), pay(2), time=EXPIRED)) == 3, "a refusal left something behind"
    audit(stocked)


def test_the_same_actions_pass_where_nothing_is_wrong(stocked: Ledger) -> None:
    fine = (
        pay(1000),
        pay(MOST - 1000, "source/b", "owned/bob"),
        issue(600, wh=250_000),
        discharge(600, wh=250_000),
        charge(0, 1000, (ACTIVE,)),
        _claim(RESERVED, beneficiary="cy"),
        Release(certificate=HELD, evidence=HASH, **ANN),
        Split(certificate=HELD, wh=999, **ANN),
        Transfer(certificate=certificate(15, 999, 1000), to="bob", **ANN),
        Expire(certificate=OLD, **ANN),
        write_off(1),
    )
    assert len(do(stocked, *fine, time=EXPIRED)) == len(fine)
    audit(stocked)


MALFORMED: dict[str, tuple[type[LedgerError], Callable[[], Any]]] = {
    "a float": (NotWholeNumber, lambda: issue(wh=1.5)),
    "a float without a fraction": (NotWholeNumber, lambda: issue(wh=1000.0)),
    "a float in a leg": (NotWholeNumber, lambda: pay(1.0)),  # type: ignore[arg-type]
    "a text": (NotWholeNumber, lambda: issue(wh="1000")),
    "a truth": (NotWholeNumber, lambda: issue(wh=True)),
    "not a number": (NotWholeNumber, lambda: issue(wh=float("nan"))),
    "beyond 2^53": (AmountOverflow, lambda: issue(wh=2**53)),
    "beyond 2^53 in a leg": (AmountOverflow, lambda: pay(2**53)),
    "beyond 2^64": (AmountOverflow, lambda: issue(wh=2**70)),
    "nothing": (MalformedAction, lambda: issue(wh=0)),
    "less than nothing": (MalformedAction, lambda: pay(-5)),
    "no account": (MalformedAction, lambda: pay(1, "retired/ann")),
    "an account with a slash": (MalformedAction, lambda: pay(1, "owned/ann/x")),
    "an account with a line": (MalformedAction, lambda: pay(1, "owned/ann\n")),
    "a name in capitals": (MalformedAction, lambda: issue(device="PV")),
    "an empty name": (MalformedAction, lambda: issue(owner="")),
    "a name with a line": (MalformedAction, lambda: issue(device="pv\n")),
    "a half-written time": (MalformedAction, lambda: issue(expires="2020-06-01")),
    "a day that is none": (MalformedAction, lambda: issue(expires="2020-02-30T00:00Z")),
    "an hour that is none": (MalformedAction, lambda: issue(expires="2020-02-03T25:00Z")),
    "other digits": (MalformedAction, lambda: issue(expires="\uff12020-02-03T05:00Z")),
    "ten minutes": (MalformedAction, lambda: issue(end=at(10))),
    "over the hour": (MalformedAction, lambda: issue(45, end=at(75))),
    "backwards": (MalformedAction, lambda: issue(30, end=at(15))),
    "no time at all": (MalformedAction, lambda: issue(30, end=at(30))),
    "a short digest": (MalformedAction, lambda: issue(evidence="0" * 63)),
    "a field too many": (MalformedAction, lambda: issue(colour="green")),
    "no legs": (MalformedAction, lambda: Move(legs=(), memo="m")),
    "a control character": (MalformedAction, lambda: Move(legs=pay(1).legs, memo="a\0b")),
    "half a surrogate": (MalformedAction, lambda: Move(legs=pay(1).legs, memo="a\ud800b")),
    "an unknown action": (MalformedAction, lambda: parse_action("steal", {})),
    "an action without a name": (MalformedAction, lambda: parse_action(None, {})),
    "a field too few": (MalformedAction, lambda: parse_action("issue", {"device": "pv"})),
}


@pytest.mark.parametrize("what", MALFORMED)
def test_an_action_that_is_none_can_not_be_built(what: str) -> None:
    error, build = MALFORMED[what]
    with pytest.raises(LedgerError) as refusal:
        build()
    assert type(refusal.value) is error, str(refusal.value)


@pytest.mark.parametrize("key", ["", "a b", "a\n", "ä", "k" * 129, "a\0", 5, None])
def test_a_key_that_is_none_is_refused(ledger: Ledger, key: Any) -> None:
    before = dump(ledger)
    with pytest.raises(MalformedAction):
        ledger.commit([*orders(pay(1)), Order(key, pay(1))], NOW)
    assert dump(ledger) == before


def test_an_order_that_is_repeated_gives_its_first_receipt(ledger: Ledger) -> None:
    asked = [Order("a", pay(1)), Order("b", issue()), Order("k" * 128, pay(2))]
    first = ledger.commit(asked, NOW)
    before = dump(ledger)
    again = ledger.commit(asked, EXPIRED)
    assert [(r.key, r.entry, r.leaf_hash, r.repeated) for r in again] == [(r.key, r.entry, r.leaf_hash, True) for r in first]
    assert not any(receipt.repeated for receipt in first)
    assert dump(ledger) == before


def test_a_repeated_order_beside_new_ones_is_not_done_again(ledger: Ledger) -> None:
    [first] = ledger.commit([Order("a", pay(1))], NOW)
    made = ledger.commit([Order("n", pay(10)), Order("a", pay(1)), Order("m", pay(100)), Order("n", pay(10))], NOW)
    assert [receipt.entry for receipt in made] == [first.entry + 1, first.entry, first.entry + 2, first.entry + 1]
    assert [receipt.repeated for receipt in made] == [False, True, False, True]
    audit(ledger, {receipt.entry: receipt.leaf_hash for receipt in made})


def test_a_key_with_another_body_is_refused(ledger: Ledger) -> None:
    ledger.commit([Order("a", pay(1)), Order("i", issue())], NOW)
    for other in (pay(2), issue(), Move(legs=pay(1).legs, memo="other")):
        _refused(ledger, KeyReused, [Order("fresh", pay(5)), Order("a", other)])
    _refused(ledger, KeyReused, [Order("new", pay(5)), Order("new", pay(6))])


def test_nothing_asked_is_nothing_written(ledger: Ledger) -> None:
    before = dump(ledger)
    assert ledger.commit([], NOW) == []
    assert dump(ledger) == before


def test_time_does_not_go_backwards(ledger: Ledger) -> None:
    before = dump(ledger)
    with pytest.raises(LedgerError, match="can't follow"):
        do(ledger, pay(1), time=NOW - timedelta(seconds=1))
    assert dump(ledger) == before
    do(ledger, pay(1), time=NOW)


def test_the_first_entry_founds(url: str, tmp_path: Path) -> None:
    database = Database(url)
    ledger = Ledger(database, Seal.make(tmp_path / "new", ORIGIN))
    before = dump(ledger)
    for asked in ([pay(1)], [solar()], [OpenAsset(asset="eur", unit="e"), FOUND], [FOUND, OpenAsset(asset="eur", unit="e"), FOUND]):
        with pytest.raises(NotFounded):
            do(ledger, *asked)
        assert dump(ledger) == before
        assert ledger.seal.guard.read() is None
    ledger.close()


def test_founding_again_with_the_same_words_opens(place: Place) -> None:
    seal = Seal.at(place.folder)
    again = Ledger.found(place.url, seal, FOUND)
    assert audit(again) == 1
    again.close()
    with pytest.raises(KeyReused):
        Ledger.found(place.url, seal, FOUND.model_copy(update={"country": "FR"}))
    with pytest.raises(ForkRefused):
        Ledger.found(place.url, seal, FOUND.model_copy(update={"origin": "example.net/other"}))
    gc.collect()  # a connection that was left open would say so now


def test_what_is_no_ledger_is_not_opened(templates: Templates, place: Place) -> None:
    with pytest.raises(DatabaseRefused, match="found one first"):
        Ledger.open(templates.store.empty(), Seal.at(place.folder))
    gc.collect()


def test_an_entry_of_tomorrow_is_no_proof(ledger: Ledger) -> None:
    for entry in (-1, 5, 10**30):
        with pytest.raises(LedgerError):
            ledger.prove(entry)
