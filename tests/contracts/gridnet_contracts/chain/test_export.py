"""Certificates on their way out of the ledger: locked before anything else, once, and by batch."""

from __future__ import annotations

import pytest

from gridnet.errors import InputError, LedgerError, VerificationError
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.chain.batch import Credit, CreditBatch, Registry, leaf
from gridnet_contracts.chain.export import export, stored_batches
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Cancel, Claim, Lock, Transfer, Unlock
from gridnet_contracts.ledger.errors import NotMatched, StatusChangeRefused, UnknownCertificate, WrongOwner
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.ledger.store import StoredRows
from gridnet_contracts.log.cosignature import Policy
from tests.contracts.gridnet_contracts.audit.story import failed
from tests.contracts.gridnet_contracts.chain.parts import OTHER, OWNER, SOMEWHERE, gifts, produced, without_the_rule_on_chains
from tests.contracts.gridnet_contracts.ledger.builders import ORIGIN, do, orders


def batches(ledger: Ledger, registry: Registry = SOMEWHERE) -> list[CreditBatch]:
    with ledger.database.read() as connection:
        return [each.batch for each in stored_batches(connection, registry)]


def row(ledger: Ledger, k: int) -> Certificate:
    with ledger.database.read() as connection:
        [found] = StoredRows(connection).rows(Certificate, [produced(k)])
        return found


def test_what_is_given_is_locked_for_the_contract_and_a_batch(ledger: Ledger) -> None:
    assert export(ledger, SOMEWHERE, gifts(1, 0) + gifts(2, owner=OTHER.upper().replace("X", "x"))) == [0]
    assert export(ledger, SOMEWHERE, gifts(3)) == [1]
    first, second = batches(ledger)
    assert [(each.certificate, each.owner, each.wh) for each in first.credits] == [
        (produced(0), OWNER, 1000),
        (produced(1), OWNER, 1001),
        (produced(2), OTHER, 1002),
    ]
    assert (first.number, first.total_wh, second.number, second.size) == (0, 3003, 1, 1)
    assert {(row(ledger, k).status, row(ledger, k).party) for k in range(4)} == {("locked", SOMEWHERE.party)}
    assert row(ledger, 4).status == "active"
    with ledger.database.read() as connection:
        assert StoredRows(connection).balance((f"locked/{SOMEWHERE.party}", "gc")) == 3003 + 1003


def test_the_same_command_again_locks_nothing_twice(ledger: Ledger) -> None:
    assert export(ledger, SOMEWHERE, gifts(0, 1)) == [0]
    assert export(ledger, SOMEWHERE, gifts(0, 1)) == []
    assert export(ledger, SOMEWHERE, gifts(0, 1, 2)) == [1]
    assert [each.size for each in batches(ledger)] == [2, 1]


def test_what_went_out_goes_to_no_other_owner_and_no_other_contract(ledger: Ledger) -> None:
    export(ledger, SOMEWHERE, gifts(0))
    with pytest.raises(InputError, match=OWNER):
        export(ledger, SOMEWHERE, gifts(0, owner=OTHER))
    with pytest.raises(LedgerError):
        export(ledger, Registry(1, SOMEWHERE.contract), gifts(0))
    assert batches(ledger, Registry(1, SOMEWHERE.contract)) == []


@pytest.mark.parametrize(
    "spending",
    [
        Transfer(certificate=produced(0), owner="ann", to="bob"),
        Claim(certificate=produced(0), owner="ann", beneficiary="ann", purpose="p"),
        Cancel(certificate=produced(0), owner="ann", reason="r"),
        Unlock(certificate=produced(0), owner="ann"),
        Lock(certificate=produced(0), owner="ann", reason="r"),
    ],
    ids=lambda action: action.kind,
)
def test_its_owner_spends_nothing_in_the_ledger_any_more(ledger: Ledger, spending: Action) -> None:
    export(ledger, SOMEWHERE, gifts(0))
    with pytest.raises(WrongOwner):
        ledger.commit(orders(spending))


@pytest.mark.parametrize(
    "way",
    [
        Unlock(certificate=produced(0), owner=SOMEWHERE.party),
        Claim(certificate=produced(0), owner=SOMEWHERE.party, beneficiary="ann", purpose="p"),
        Transfer(certificate=produced(0), owner=SOMEWHERE.party, to="ann"),
        Cancel(certificate=produced(0), owner=SOMEWHERE.party, reason="r"),
    ],
    ids=lambda action: action.kind,
)
def test_nobody_takes_it_back_not_even_who_holds_the_seal(ledger: Ledger, way: Action) -> None:
    export(ledger, SOMEWHERE, gifts(0))
    with pytest.raises((StatusChangeRefused, NotMatched)):
        ledger.commit(orders(way))
    assert (row(ledger, 0).status, row(ledger, 0).party) == ("locked", SOMEWHERE.party)


def test_what_was_retired_on_the_chain_is_claimed_for_the_contract_alone(ledger: Ledger) -> None:
    export(ledger, SOMEWHERE, gifts(0))
    party = SOMEWHERE.party
    ledger.commit(orders(Claim(certificate=produced(0), owner=party, beneficiary=party, purpose="p")))
    assert row(ledger, 0).status == "claimed"


def test_another_lock_is_still_undone(ledger: Ledger) -> None:
    reason = f"chain {SOMEWHERE.chain_id} {SOMEWHERE.contract} batch 0 leaf 0 to {OWNER}"
    do(ledger, Lock(certificate=produced(0), owner="ann", reason=reason), Unlock(certificate=produced(0), owner="ann"))
    assert row(ledger, 0).status == "active"


def test_an_auditor_sees_a_rule_that_was_switched_off(ledger: Ledger) -> None:
    policy = Policy(ORIGIN, ledger.seal.key.verifier)
    export(ledger, SOMEWHERE, gifts(0))
    assert failed(audit_database(ledger.database, policy)) == 0
    with without_the_rule_on_chains():
        ledger.commit(orders(Unlock(certificate=produced(0), owner=SOMEWHERE.party)))
    assert row(ledger, 0).status == "active"
    *_, last = audit_database(ledger.database, policy)
    assert (last.number, "comes back from a chain" in last.finding) == (2, True)


def test_a_batch_with_one_that_is_spent_locks_nothing(ledger: Ledger) -> None:
    do(ledger, Cancel(certificate=produced(1), owner="ann", reason="r"))
    with pytest.raises(LedgerError):
        export(ledger, SOMEWHERE, gifts(0, 1))
    assert (row(ledger, 0).status, batches(ledger)) == ("active", [])


def test_a_certificate_that_is_not_there_is_named(ledger: Ledger) -> None:
    with pytest.raises(UnknownCertificate, match="nowhere"):
        export(ledger, SOMEWHERE, [("pv@nowhere", OWNER)])


@pytest.mark.parametrize("owner", ["0x" + "0" * 40, "0x12", "ann", "", "0x" + "g" * 40])
def test_an_owner_that_is_no_account_is_refused(ledger: Ledger, owner: str) -> None:
    with pytest.raises(InputError):
        export(ledger, SOMEWHERE, gifts(0, owner=owner))


@pytest.mark.parametrize("words", ["batch 0 leaf 1", "batch 1 leaf 0", "batch 0 leaf 00x"])
def test_locks_that_make_no_whole_batch_are_seen(ledger: Ledger, words: str) -> None:
    party = SOMEWHERE.party
    reason = f"chain {SOMEWHERE.chain_id} {SOMEWHERE.contract} {words} to {OWNER}"
    do(ledger, Transfer(certificate=produced(0), owner="ann", to=party), Lock(certificate=produced(0), owner=party, reason=reason))
    with pytest.raises(VerificationError):
        batches(ledger)


def test_a_leaf_is_seven_words() -> None:
    content = leaf(SOMEWHERE, 3, 4, Credit("pv", 5, OTHER, 6))
    assert len(content) == 7 * 32
    words = [int.from_bytes(content[k : k + 32], "big") for k in range(0, 224, 32)]
    assert words == [31337, int(SOMEWHERE.contract, 16), 3, 4, int(OTHER, 16), 5, 6]


@pytest.mark.parametrize(("size", "wh"), [(0, 1), (2, 2**53 - 1)])
def test_a_batch_that_no_contract_takes_is_none(size: int, wh: int) -> None:
    with pytest.raises(InputError):
        CreditBatch(SOMEWHERE, 0, tuple(Credit("pv", k, OTHER, wh) for k in range(size)))


@pytest.mark.parametrize(("chain_id", "contract"), [(0, "0x" + "12" * 20), (1, "0x" + "AB" * 20), (1, "0x12")])
def test_a_registry_is_a_chain_and_an_address(chain_id: int, contract: str) -> None:
    with pytest.raises(InputError):
        Registry(chain_id, contract)
