"""The registry's own rules: who may do what, what is claimed once, and what every step tells."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gridnet_contracts.chain.batch import Credit, CreditBatch, Registry, leaf
from gridnet_contracts.chain.contract import deployment
from gridnet_contracts.log.merkle import leaf_hash, node_hash
from tests.contracts.onchain.engines import Embedded, Engine
from tests.contracts.onchain.onchain import CHECKPOINT, NOBODY, Onchain, batch_of, deployed, events, payload
from tests.contracts.onchain.receivers import passing_on

ADMIN, ANCHOR = 0, 1


@pytest.fixture
def batch(chain: Onchain) -> CreditBatch:
    """Five credits of two owners, anchored."""
    made = batch_of(chain.registry, 5, owners=tuple(chain.engine.accounts[2:4]))
    assert chain.anchor(made).ok
    return made


def refused(outcome: Any, reason: str) -> bool:
    """Whether a call failed for that reason, and told nothing."""
    return (outcome.ok, outcome.logs) == (False, ()) and reason in outcome.reason


def test_an_anchored_batch_stands_as_it_was_given_and_is_told(chain: Onchain) -> None:
    made = batch_of(chain.registry, 5)
    outcome = chain.anchor(made)
    said = {"batch": 0, "root": made.root(), "size": 5, "total_wh": made.total_wh, "checkpoint": CHECKPOINT}
    assert events(outcome) == [("Anchored", said)]
    assert chain.read("batches") == 1
    assert (chain.read("roots", 0), chain.read("sums", 0)) == (made.root(), 5 << 192 | made.total_wh << 64)
    assert chain.read("checkpoints", 0) == CHECKPOINT


def test_only_the_anchorer_anchors_and_only_the_next_batch(chain: Onchain) -> None:
    first, second = batch_of(chain.registry, 1), batch_of(chain.registry, 1, 1)
    admin = chain.engine.accounts[0]
    assert refused(chain.anchor(first, admin), "not the anchor")
    assert refused(chain.anchor(second), "not the next batch")
    assert chain.anchor(first).ok
    assert refused(chain.anchor(first), "not the next batch")
    assert chain.anchor(second).ok


@pytest.mark.parametrize(("size", "total"), [(0, 1), (1, 0)])
def test_an_empty_batch_is_refused(chain: Onchain, size: int, total: int) -> None:
    anchorer = chain.engine.accounts[1]
    assert refused(chain.do(anchorer, "anchor", 0, b"\1" * 32, size, total, CHECKPOINT), "empty batch")


def test_a_claim_gives_its_owner_the_wh_and_is_told(chain: Onchain, batch: CreditBatch) -> None:
    credit = batch.credits[3]
    outcome = chain.claim(batch, 3)
    assert outcome.ok, outcome.reason
    said = {"batch": 0, "index": 3, "certificate": credit.chain_hash.to_bytes(32, "big")}
    moved = {"operator": chain.engine.accounts[-1], "sender": NOBODY, "receiver": credit.owner, "id": 0, "value": credit.wh}
    assert events(outcome) == [("Claimed", said), ("TransferSingle", moved)]
    assert chain.balance(credit.owner, 0) == credit.wh
    assert chain.read("claims", 0, 0) == 1 << 3
    assert chain.sums(0) == (5, 0, batch.total_wh, credit.wh)


def test_a_credit_is_claimed_once(chain: Onchain, batch: CreditBatch) -> None:
    assert chain.claim(batch, 3).ok
    assert refused(chain.claim(batch, 3), "claimed before")
    assert chain.balance(batch.credits[3].owner, 0) == batch.credits[3].wh
    assert chain.claim(batch, 1).ok


def test_every_leaf_has_a_bit_of_its_own(chain: Onchain) -> None:
    made = batch_of(chain.registry, 600)
    assert chain.anchor(made).ok
    leaves = (0, 127, 128, 255, 256, 257, 384, 511, 512, 599)
    assert [chain.claim(made, index).ok for index in leaves] == [True] * len(leaves)
    assert all(refused(chain.claim(made, index), "claimed before") for index in leaves)
    bits = sum(1 << index for index in leaves)
    assert [chain.read("claims", 0, word) for word in range(4)] == [bits >> 256 * word & 2**256 - 1 for word in range(4)]


def test_a_spent_credit_is_not_claimed_again(chain: Onchain, batch: CreditBatch) -> None:
    credit = batch.credits[0]
    assert chain.claim(batch, 0).ok
    assert chain.do(credit.owner, "retire", 0, credit.wh, "b", "p").ok
    assert refused(chain.claim(batch, 0), "claimed before")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"batch": 1}, "no such leaf"),
        ({"index": 5}, "no such leaf"),
        ({"index": 2**255}, "no such leaf"),
        ({"index": 2}, "not in the batch"),
        ({"owner": "0x" + "cd" * 20}, "not in the batch"),
        ({"owner": NOBODY}, "no such leaf"),
        ({"certificate": b"\7" * 32}, "not in the batch"),
        ({"wh": 1004}, "not in the batch"),
        ({"wh": 10**9}, "more than was anchored"),
        ({"wh": 2**256 - 1}, "more than was anchored"),
        ({"proof": []}, "not in the batch"),
    ],
)
def test_a_claim_of_anything_but_the_leaf_is_refused(
    chain: Onchain, batch: CreditBatch, changes: dict[str, Any], reason: str
) -> None:
    assert refused(chain.claim(batch, 3, **changes), reason)
    assert chain.claim(batch, 3).ok


def test_a_proof_with_a_hash_too_many_is_refused_before_the_root_is_looked_at(chain: Onchain, batch: CreditBatch) -> None:
    assert refused(chain.claim(batch, 3, proof=[*batch.proof(3), b"\0" * 32]), "proof too long")


def test_claims_of_a_batch_that_was_anchored_with_less_stop_at_the_total(chain: Onchain) -> None:
    made = batch_of(chain.registry, 3)
    anchorer = chain.engine.accounts[1]
    assert chain.do(anchorer, "anchor", 0, made.root(), 3, made.total_wh - 1, CHECKPOINT).ok
    assert [chain.claim(made, k).ok for k in range(3)] == [True, True, False]
    assert refused(chain.claim(made, 2), "more than was anchored")


def test_a_batch_anchored_with_another_size_gives_nothing(chain: Onchain) -> None:
    made = batch_of(chain.registry, 5)
    assert chain.do(chain.engine.accounts[1], "anchor", 0, made.root(), 9, made.total_wh, CHECKPOINT).ok
    assert not any(chain.claim(made, k).ok for k in range(5))


def test_a_proof_is_good_on_one_contract_and_for_one_batch(engine: Engine) -> None:
    here, there = deployed(engine), deployed(engine)
    made = batch_of(here.registry, 5)
    assert there.anchor(made).ok
    assert refused(there.claim(made, 3), "not in the batch")
    assert here.anchor(made).ok
    assert here.do(engine.accounts[1], "anchor", 1, made.root(), 5, made.total_wh, CHECKPOINT).ok
    assert refused(here.claim(made, 3, batch=1), "not in the batch")
    assert here.claim(made, 3).ok


def test_a_proof_is_good_on_one_chain(evm: Embedded) -> None:
    chain = deployed(evm)
    made = batch_of(chain.registry, 5)
    assert chain.anchor(made).ok
    evm.set_chain(1)
    try:
        assert refused(chain.claim(made, 3), "not in the batch")
        forked = replace(made, registry=Registry(1, chain.address))
        assert not chain.claim(forked, 3).ok
    finally:
        evm.set_chain(31337)
    assert chain.claim(made, 3).ok


def test_a_pause_stops_what_comes_in_and_nothing_else(chain: Onchain, batch: CreditBatch) -> None:
    admin, anchorer, owner, other = chain.engine.accounts[:4]
    assert chain.claim(batch, 0).ok
    assert refused(chain.do(anchorer, "pause", True), "not the admin")
    assert events(chain.do(admin, "pause", True)) == [("Paused", {"paused": True})]
    assert chain.read("paused")
    assert refused(chain.claim(batch, 1), "paused")
    assert refused(chain.anchor(batch_of(chain.registry, 1, 1)), "paused")
    assert chain.do(owner, "safeTransferFrom", owner, other, 0, 400, b"").ok
    assert chain.do(other, "retire", 0, 400, "b", "p").ok
    assert events(chain.do(admin, "pause", False)) == [("Paused", {"paused": False})]
    assert not chain.read("paused")
    assert chain.claim(batch, 1).ok
    assert chain.anchor(batch_of(chain.registry, 1, 1)).ok


def test_a_role_changes_hands_in_two_steps(chain: Onchain) -> None:
    admin, anchorer, new, other = chain.engine.accounts[:4]
    made = batch_of(chain.registry, 1)
    assert refused(chain.do(anchorer, "offer_role", ANCHOR, new), "not the admin")
    assert refused(chain.do(admin, "offer_role", 2, new), "no such role")
    said = {"role": ANCHOR, "account": new, "taken": False}
    assert events(chain.do(admin, "offer_role", ANCHOR, new)) == [("Role", said)]
    assert [chain.read(name, ANCHOR) for name in ("holders", "offers")] == [anchorer, new]
    assert refused(chain.anchor(made, new), "not the anchor")
    assert refused(chain.do(other, "take_role", ANCHOR), "not offered")
    assert refused(chain.do(new, "take_role", ADMIN), "not offered")
    assert events(chain.do(new, "take_role", ANCHOR)) == [("Role", said | {"taken": True})]
    assert [chain.read(name, ANCHOR) for name in ("holders", "offers")] == [new, NOBODY]
    assert chain.read("holders", ADMIN) == admin
    assert refused(chain.do(new, "take_role", ANCHOR), "not offered")
    assert refused(chain.anchor(made, anchorer), "not the anchor")
    assert chain.anchor(made, new).ok


def test_who_holds_a_role_does_nothing_by_calling_another_contract(chain: Onchain) -> None:
    admin, anchorer, new = chain.engine.accounts[:3]
    made = batch_of(chain.registry, 1)
    agent = passing_on(chain.engine, chain.address)
    assert chain.do(admin, "offer_role", ADMIN, new).ok
    for sender, name, *values in (
        (anchorer, "anchor", 0, made.root(), 1, made.total_wh, CHECKPOINT),
        (admin, "pause", True),
        (admin, "offer_role", ANCHOR, new),
        (new, "take_role", ADMIN),
    ):
        assert chain.engine.transact(sender, agent, payload(name, *values)).logs == ()
    assert (chain.read("batches"), chain.read("paused"), chain.read("holders", ADMIN)) == (0, False, admin.lower())
    assert chain.do(admin, "offer_role", ADMIN, agent).ok
    assert chain.engine.transact(new, agent, payload("take_role", ADMIN)).logs
    assert chain.read("holders", ADMIN) == agent


def test_an_offer_can_be_taken_back_and_the_admin_can_be_replaced(chain: Onchain) -> None:
    admin, _, new, other = chain.engine.accounts[:4]
    assert chain.do(admin, "offer_role", ADMIN, other).ok
    assert chain.do(admin, "offer_role", ADMIN, NOBODY).ok
    assert refused(chain.do(other, "take_role", ADMIN), "not offered")
    assert chain.do(admin, "offer_role", ADMIN, new).ok
    assert chain.do(new, "take_role", ADMIN).ok
    assert refused(chain.do(admin, "pause", True), "not the admin")
    assert chain.do(new, "pause", True).ok


def test_a_new_registry_tells_who_holds_its_roles(engine: Engine) -> None:
    admin, anchorer = engine.accounts[:2]
    _, outcome = engine.deploy(admin, bytes.fromhex(deployment(admin, anchorer).payload.removeprefix("0x")))
    told = [("Role", {"role": role, "account": engine.accounts[role], "taken": True}) for role in (ADMIN, ANCHOR)]
    assert events(outcome) == told


@pytest.mark.parametrize("missing", [0, 1])
def test_a_registry_without_a_holder_of_a_role_is_not_deployed(engine: Engine, missing: int) -> None:
    holders = [*engine.accounts[:2]]
    holders[missing] = NOBODY
    _, outcome = engine.deploy(engine.accounts[0], bytes.fromhex(deployment(*holders).payload.removeprefix("0x")))
    assert not outcome.ok


def test_what_is_retired_is_gone_and_told(chain: Onchain, batch: CreditBatch) -> None:
    credit = batch.credits[0]
    assert chain.claim(batch, 0).ok
    outcome = chain.do(credit.owner, "retire", 0, 300, "Mill Lane", "own use 2018")
    moved = {"operator": credit.owner, "sender": credit.owner, "receiver": NOBODY, "id": 0, "value": 300}
    said = {"holder": credit.owner, "id": 0, "wh": 300, "beneficiary": "Mill Lane", "purpose": "own use 2018"}
    assert events(outcome) == [("TransferSingle", moved), ("Retired", said)]
    assert (chain.balance(credit.owner, 0), chain.sums(0)) == (credit.wh - 300, (5, 300, batch.total_wh, credit.wh))


@pytest.mark.parametrize(("wh", "beneficiary"), [(0, "b"), (1, ""), (1001, "b"), (2**256 - 1, "b")])
def test_nobody_retires_nothing_for_nobody_or_more_than_is_held(
    chain: Onchain, batch: CreditBatch, wh: int, beneficiary: str
) -> None:
    owner = batch.credits[0].owner
    assert chain.claim(batch, 0).ok
    outcome = chain.do(owner, "retire", 0, wh, beneficiary, "p")
    assert (outcome.ok, outcome.logs) == (False, ())
    assert chain.do(owner, "retire", 0, 1000, "b" * 64, "p" * 200).ok


def test_nobody_retires_what_another_holds(chain: Onchain, batch: CreditBatch) -> None:
    assert chain.claim(batch, 0).ok
    assert not chain.do(chain.engine.accounts[0], "retire", 0, 1, "b", "p").ok


def test_a_call_that_the_contract_does_not_know_is_refused(chain: Onchain) -> None:
    assert not chain.engine.transact(chain.engine.accounts[0], chain.address, payload("batches")[:3]).ok
    assert not chain.engine.transact(chain.engine.accounts[0], chain.address, b"\xde\xad\xbe\xef").ok


def test_four_full_batches_share_a_slot_without_touching(chain: Onchain) -> None:
    """The most that a batch can hold, 64 bits of ones, claimed by one owner in four batches whose balances are one word."""
    anchorer, owner, other = chain.engine.accounts[1:4]
    most = 2**64 - 1
    for number in range(4):
        credit = Credit("pv", 7, owner.lower(), most)
        assert chain.do(anchorer, "anchor", number, leaf_hash(leaf(chain.registry, number, 0, credit)), 1, most, CHECKPOINT).ok
        assert chain.do(other, "claim", number, 0, owner, (7).to_bytes(32, "big"), most, []).ok
        assert [chain.balance(owner, each) for each in range(5)] == [most] * (number + 1) + [0] * (4 - number)
    assert refused(chain.do(owner, "safeTransferFrom", owner, other, 1, most + 1, b""), "more than is held")
    assert refused(chain.do(owner, "safeTransferFrom", owner, other, 1, 2**192, b""), "more than is held")
    assert chain.do(owner, "safeTransferFrom", owner, other, 1, most, b"").ok
    assert chain.do(owner, "retire", 2, most, "b", "p").ok
    assert chain.do(owner, "safeTransferFrom", owner, other, 3, 1, b"").ok
    assert [chain.balance(owner, each) for each in range(4)] == [most, 0, 0, most - 1]
    assert [chain.balance(other, each) for each in range(4)] == [0, most, 0, 1]
    assert [chain.sums(each) for each in range(4)] == [(1, most * (each == 2), most, most) for each in range(4)]


def test_leaves_of_more_than_their_batch_carry_nothing_over(chain: Onchain) -> None:
    anchorer, owner = chain.engine.accounts[1:3]
    leaves = [leaf_hash(leaf(chain.registry, 0, k, Credit("pv", 7, owner.lower(), 2**63))) for k in range(2)]
    assert chain.do(anchorer, "anchor", 0, node_hash(*leaves), 2, 2**64 - 1, CHECKPOINT).ok
    claims = [chain.do(owner, "claim", 0, k, owner, (7).to_bytes(32, "big"), 2**63, [leaves[1 - k]]) for k in range(2)]
    assert (claims[0].ok, refused(claims[1], "more than was anchored")) == (True, True)
    assert [chain.balance(owner, each) for each in range(2)] == [2**63, 0]
