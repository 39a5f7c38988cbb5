"""The way of a credit on a real node, and everything that may break on the way."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from gridnet.errors import VerificationError
from gridnet_contracts.chain.anchoring import anchor_waiting, checkpoint_hash, claim, retire
from gridnet_contracts.chain.batch import Registry
from gridnet_contracts.chain.contract import CreditContract, Wish
from gridnet_contracts.chain.errors import ChainRefused, ChainUnreachable
from gridnet_contracts.chain.export import Exported, export, stored_batches
from gridnet_contracts.chain.keystore import Key
from gridnet_contracts.chain.node import Node
from gridnet_contracts.chain.reconcile import Reconciliation, mirrored, reconcile
from gridnet_contracts.chain.sender import Sender
from gridnet_contracts.chain.voucher import Voucher
from gridnet_contracts.ledger.actions.certificates import Claim, Lock, Transfer, Unlock, Withdraw
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.merkle import ProofRefused
from gridnet_contracts.log.note import Note
from tests.contracts.gridnet_contracts.chain.parts import OTHER, OWNER, gifts, hand_in, produced, without_the_rule_on_chains
from tests.contracts.gridnet_contracts.ledger.builders import orders
from tests.contracts.onchain.engines import Anvil


def anchored(ledger: Ledger, contract: CreditContract, sender: Sender) -> list[bool]:
    """Of each batch that waited whether it was sent now."""
    return [receipt is not None for _, receipt in anchor_waiting(ledger.database, contract, sender)]


def stored(ledger: Ledger, contract: CreditContract) -> list[Exported]:
    with ledger.database.read() as connection:
        return list(stored_batches(connection, contract.registry))


def compared(ledger: Ledger, contract: CreditContract) -> Reconciliation:
    return reconcile(ledger.database, contract)


def vouchers(ledger: Ledger, contract: CreditContract) -> list[Voucher]:
    return [Voucher.of(each.batch, k) for each in stored(ledger, contract) for k in range(each.batch.size)]


@pytest.fixture
def public(ledger: Ledger, contract: CreditContract, sender: Sender) -> Ledger:
    """A ledger with two batches on the chain, of three and two credits."""
    export(ledger, contract.registry, gifts(0, 1, 2))
    export(ledger, contract.registry, gifts(3) + gifts(4, owner=OTHER))
    assert anchored(ledger, contract, sender) == [True, True]
    return ledger


def test_a_credit_goes_from_the_ledger_to_its_retirement(public: Ledger, contract: CreditContract, sender: Sender) -> None:
    checkpoint = Note.decode(public.publish()).text
    assert contract.anchored(1).checkpoint == checkpoint_hash(checkpoint)
    assert Checkpoint.parse(checkpoint).size > stored(public, contract)[1].entry
    assert all(claim(contract, each, sender) for each in vouchers(public, contract))
    assert [contract.balance(OWNER, 0), contract.balance(OWNER, 1), contract.balance(OTHER, 1)] == [3003, 1003, 1004]
    wish = Wish(0, 2001, "Mill Lane", "own use")
    assert retire(contract, wish, 0, sender) is not None
    found = compared(public, contract)
    assert found.agrees, found.faults
    assert [each.line() for each in found.batches] == [(0, 3, 3003, 3003, 2001, 0), (1, 2, 2007, 2007, 0, 0)]
    orders = mirrored(contract.registry, found)
    assert [order.action.body()["certificate"] for order in orders] == [produced(0), produced(1)]
    public.commit(orders)
    again = compared(public, contract)
    assert again.agrees, again.faults
    assert again.batches[0].line() == (0, 3, 3003, 3003, 2001, 2001)
    assert mirrored(contract.registry, again) == []


def test_anchoring_again_sends_nothing(public: Ledger, contract: CreditContract, sender: Sender) -> None:
    mined = sender.node.mined(sender.key.address)
    assert anchored(public, contract, sender) == []
    assert sender.node.mined(sender.key.address) == mined


def test_a_run_that_died_after_sending_anchors_nothing_twice(ledger: Ledger, contract: CreditContract, sender: Sender) -> None:
    """The queue was read, then another run anchored: what this one would send is refused, and taken as done."""
    export(ledger, contract.registry, gifts(0))
    export(ledger, contract.registry, gifts(1))
    late = anchor_waiting(ledger.database, contract, sender)
    assert next(late)[1] is not None
    assert anchored(ledger, contract, sender) == [True]
    assert [receipt for _, receipt in late] == [None]
    assert contract.batches() == 2


def test_a_crash_between_looking_and_sending_is_survived(
    ledger: Ledger, contract: CreditContract, sender: Sender, monkeypatch: pytest.MonkeyPatch
) -> None:
    export(ledger, contract.registry, gifts(0))
    first = sender.send(contract.anchoring(stored(ledger, contract)[0].batch, b"\1" * 32))
    counts = iter([0, 0])
    monkeypatch.setattr(contract, "batches", lambda: next(counts, 1))
    [(_, receipt)] = anchor_waiting(ledger.database, contract, sender)
    assert (receipt, first.succeeded) == (None, True)


@contextmanager
def unreachable(contract: CreditContract) -> Iterator[CreditContract]:
    """The contract through a node that is gone."""
    yield CreditContract(Node("http://127.0.0.1:9", timeout_s=1), contract.registry)


def test_without_a_node_credits_are_locked_and_wait(ledger: Ledger, contract: CreditContract, sender: Sender) -> None:
    with unreachable(contract) as gone:
        assert export(ledger, gone.registry, gifts(0, 1)) == [0]
        with pytest.raises(ChainUnreachable):
            anchored(ledger, gone, sender)
    found = compared(ledger, contract)
    assert (found.agrees, found.waiting) == (True, 1)
    assert anchored(ledger, contract, sender) == [True]
    assert compared(ledger, contract).waiting == 0


def test_what_a_reorganisation_took_is_anchored_again(
    ledger: Ledger, contract: CreditContract, sender: Sender, node: Anvil
) -> None:
    snapshot = node.ask("evm_snapshot")
    export(ledger, contract.registry, gifts(0))
    assert anchored(ledger, contract, sender) == [True]
    assert node.ask("evm_revert", snapshot)
    assert compared(ledger, contract).waiting == 1
    assert anchored(ledger, contract, sender) == [True]
    assert compared(ledger, contract).agrees


def test_a_transaction_whose_block_is_taken_back_while_it_waits_arrives(
    contract: CreditContract, sender: Sender, node: Anvil
) -> None:
    """Two blocks are replaced by empty ones while the second confirmation is waited for."""
    patient = Sender(sender.node, sender.key, replace(sender.patience, confirmations=3))
    state = {"looks": 0}
    deep = patient._deep

    def looked(receipt: object) -> bool:
        state["looks"] += 1
        if state["looks"] == 1:
            node.ask("anvil_reorg", 1, [])
        else:
            node.ask("evm_mine")
        return deep(receipt)  # type: ignore[arg-type]

    patient._deep = looked  # type: ignore[method-assign]
    receipt = patient.send(contract._call("pause", (True,)))
    assert state["looks"] > 2
    assert sender.node.block_hash(receipt.block) == receipt.block_hash
    assert contract.state().paused


def test_a_voucher_is_refused_before_anything_is_sent(public: Ledger, contract: CreditContract, sender: Sender) -> None:
    voucher = vouchers(public, contract)[0]
    mined = sender.node.mined(sender.key.address)
    for change in ({"wh": 1001}, {"owner": OTHER}, {"batch": 7}, {"index": 1}):
        with pytest.raises(ProofRefused):
            claim(contract, voucher.model_copy(update=change), sender)
    assert sender.node.mined(sender.key.address) == mined


def test_a_credit_is_claimed_once_and_retired_once_in_the_same_words(
    public: Ledger, contract: CreditContract, sender: Sender
) -> None:
    voucher = vouchers(public, contract)[0]
    assert claim(contract, voucher, sender) is not None
    assert claim(contract, voucher, sender) is None
    wish = Wish(0, 100, "Mill Lane", "own use")
    assert retire(contract, wish, 0, sender) is not None
    assert retire(contract, wish, 0, sender) is None
    assert retire(contract, replace(wish, purpose="another"), 0, sender) is not None
    with pytest.raises(ChainRefused):
        retire(contract, replace(wish, wh=5000), 0, sender)
    assert contract.balance(OWNER, 0) == 800


def test_the_contracts_own_reason_is_told(ledger: Ledger, contract: CreditContract, sender: Sender) -> None:
    stranger = Sender(sender.node, Key(OTHER, b"\1" * 32), sender.patience)
    export(ledger, contract.registry, gifts(0))
    with pytest.raises(ChainRefused, match="not the anchor"):
        anchored(ledger, contract, stranger)


@pytest.mark.parametrize("registry", [Registry(31337, OTHER), Registry(1, OTHER)])
def test_another_chain_or_another_contract_is_refused(ledger: Ledger, sender: Sender, registry: Registry) -> None:
    with pytest.raises(VerificationError):
        anchored(ledger, CreditContract(sender.node, registry), sender)


def test_an_unlocked_certificate_is_not_anchored(ledger: Ledger, contract: CreditContract, sender: Sender) -> None:
    export(ledger, contract.registry, gifts(0))
    with without_the_rule_on_chains():
        ledger.commit(orders(Unlock(certificate=produced(0), owner=contract.registry.party)))
    with pytest.raises(VerificationError, match="can't be anchored"):
        anchored(ledger, contract, sender)
    assert "4: " in "".join(compared(ledger, contract).faults)


@pytest.mark.parametrize(
    ("name", "step"),
    [("unlock", "4"), ("withdraw", "4"), ("claim", "4")],
)
def test_what_is_spent_on_both_sides_is_found(
    public: Ledger, contract: CreditContract, sender: Sender, name: str, step: str
) -> None:
    assert compared(public, contract).agrees
    party = contract.registry.party
    spending = {
        "unlock": Unlock(certificate=produced(0), owner=party),
        "withdraw": Withdraw(certificate=produced(0), owner=party, reason="r"),
        "claim": Claim(certificate=produced(0), owner=party, beneficiary="ann", purpose="p"),
    }[name]
    with without_the_rule_on_chains():
        public.commit(orders(spending))
    found = compared(public, contract)
    assert not found.agrees
    assert all(each.startswith(f"{step}: ") for each in found.faults)
    if name == "claim":  # claimed in the ledger, and on the chain, and not retired there
        assert claim(contract, vouchers(public, contract)[0], sender) is not None
        assert "1000 Wh are claimed in the ledger, 0 retired" in "".join(compared(public, contract).faults)


@pytest.mark.parametrize(
    "change", ["status = 'active'", "status = 'active', party = 'ann'", "party = 'ann'", "status = 'withdrawn'"]
)
def test_a_row_that_was_changed_by_hand_is_found(public: Ledger, contract: CreditContract, tmp_path: Path, change: str) -> None:
    with hand_in(tmp_path / "ledger.db") as connection:
        changed = connection.execute(f"UPDATE certificates SET {change} WHERE certificate = '{produced(0)}'")
        assert changed.rowcount == 1
    assert "4:" in [each[:2] for each in compared(public, contract).faults]


def test_batches_that_only_the_chain_holds_and_checkpoints_that_nobody_signed_are_found(
    public: Ledger, contract: CreditContract, sender: Sender
) -> None:
    other = stored(public, contract)[0].batch
    sender.send(contract.anchoring(replace(other, number=2), b"\2" * 32))
    assert [each[:2] for each in compared(public, contract).faults] == ["3:"]
    export(public, contract.registry, gifts(5))
    found = compared(public, contract).faults
    assert [each[:2] for each in found] == ["3:", "3:"]
    assert "is not the ledger's" in found[0]
    assert "did not sign" in found[1]
    late = anchor_waiting(public.database, _one_short(contract), sender)
    with pytest.raises(VerificationError, match="another batch 2"):
        list(late)


def _one_short(contract: CreditContract) -> CreditContract:
    """The contract as a run sees it that looked before batch 2 was anchored."""
    before = CreditContract(contract.node, contract.registry)
    counts = iter([2])
    before.batches = lambda: next(counts, 3)  # type: ignore[method-assign]
    return before


def test_a_certificate_in_two_batches_is_found(public: Ledger, contract: CreditContract) -> None:
    party = contract.registry.party
    with without_the_rule_on_chains():
        public.commit(orders(Unlock(certificate=produced(0), owner=party)))
    reason = f"chain {contract.registry.chain_id} {contract.registry.contract} batch 2 leaf 0 to {OWNER}"
    public.commit(orders(Lock(certificate=produced(0), owner=party, reason=reason)))
    assert any(each.startswith("2: ") for each in compared(public, contract).faults)


def test_money_in_the_contracts_account_is_found(public: Ledger, contract: CreditContract) -> None:
    party = contract.registry.party
    public.commit(
        orders(Transfer(certificate=produced(7), owner="ann", to=party), Lock(certificate=produced(7), owner=party, reason="r"))
    )
    assert [each[:2] for each in compared(public, contract).faults] == ["6:"]


def test_a_node_that_vanishes_for_good_says_so() -> None:
    with pytest.raises(ChainUnreachable, match="try again"):
        Node("http://127.0.0.1:9", timeout_s=1).chain_id()
