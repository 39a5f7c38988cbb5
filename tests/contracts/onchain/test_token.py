"""Holding and handing on, as ERC-1155 has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.onchain.engines import Outcome
from tests.contracts.onchain.onchain import CODEC, NOBODY, Onchain, batch_of, claiming, events, payload
from tests.contracts.onchain.receivers import MANY, ONE, answering, passing_on, recording


@pytest.fixture
def held(chain: Onchain) -> Onchain:
    """Account 2 holds 1000 Wh of batch 0 and of batch 1."""
    for number in range(2):
        made = batch_of(chain.registry, 1, number, owners=(chain.engine.accounts[2],))
        assert chain.anchor(made).ok
        assert chain.claim(made, 0).ok
    return chain


def holdings(chain: Onchain, *accounts: str) -> list[list[int]]:
    return [[chain.balance(each, number) for number in range(2)] for each in accounts]


def test_a_holder_hands_on_and_it_is_told(held: Onchain) -> None:
    owner, other = held.engine.accounts[2:4]
    moved = {"operator": owner, "sender": owner, "receiver": other, "id": 0, "value": 400}
    assert events(held.do(owner, "safeTransferFrom", owner, other, 0, 400, b"x")) == [("TransferSingle", moved)]
    assert holdings(held, owner, other) == [[600, 1000], [400, 0]]


def test_a_transfer_to_oneself_changes_nothing(held: Onchain) -> None:
    owner = held.engine.accounts[2]
    assert held.do(owner, "safeTransferFrom", owner, owner, 0, 1000, b"").ok
    assert holdings(held, owner) == [[1000, 1000]]


def test_several_batches_go_in_one_transaction_or_none(held: Onchain) -> None:
    owner, other = held.engine.accounts[2:4]
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0, 0], [600, 600], b"").ok
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0, 1], [1, 1001], b"").ok
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0, 1], [1], b"").ok
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0], [1, 1], b"").ok
    assert holdings(held, owner) == [[1000, 1000]]
    outcome = held.do(owner, "safeBatchTransferFrom", owner, other, [0, 1], [1, 2], b"")
    moved = {"operator": owner, "sender": owner, "receiver": other, "ids": (0, 1), "values": (1, 2)}
    assert events(outcome) == [("TransferBatch", moved)]
    assert holdings(held, owner, other) == [[999, 998], [1, 2]]
    assert held.read("balanceOfBatch", [owner, other], [0, 1]) == (999, 2)


def test_nothing_can_be_handed_on_and_asked_for_and_so_can_the_most(held: Onchain) -> None:
    owner, other = held.engine.accounts[2:4]
    willing = answering(held.engine, MANY)
    for receiver in (other, willing):
        [(_, told)] = events(held.do(owner, "safeBatchTransferFrom", owner, receiver, [], [], b""))
        assert (told["ids"], told["values"]) == ((), ())
        assert held.do(owner, "safeBatchTransferFrom", owner, receiver, [0, 1] * 32, [3] * 64, b"\1" * 1024).ok
        assert held.balance(receiver, 0) == 96
    assert held.read("balanceOfBatch", [], []) == ()
    assert held.read("balanceOfBatch", [owner, other] * 32, [0] * 64) == (808, 96) * 32
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0] * 65, [1] * 65, b"").ok
    assert not held.engine.read(held.address, payload("balanceOfBatch", [owner] * 65, [0] * 65)).ok


def test_balances_of_lists_that_differ_in_length_are_refused(held: Onchain) -> None:
    owner = held.engine.accounts[2]
    assert "lengths differ" in held.engine.read(held.address, payload("balanceOfBatch", [owner], [0, 1])).reason


@pytest.mark.parametrize("name", ["safeTransferFrom", "safeBatchTransferFrom"])
def test_only_holders_and_whom_they_approve_hand_on(held: Onchain, name: str) -> None:
    owner, other = held.engine.accounts[2:4]
    what: list[Any] = [0, 1] if name == "safeTransferFrom" else [[0], [1]]
    assert "not approved" in held.do(other, name, owner, other, *what, b"").reason
    said = {"owner": owner, "operator": other, "approved": True}
    assert events(held.do(owner, "setApprovalForAll", other, True)) == [("ApprovalForAll", said)]
    assert [held.read("isApprovedForAll", *pair) for pair in ((owner, other), (other, owner))] == [True, False]
    [(_, moved)] = events(held.do(other, name, owner, other, *what, b""))
    assert [moved[key] for key in ("operator", "sender", "receiver")] == [other, owner, other]
    assert events(held.do(owner, "setApprovalForAll", other, False)) == [("ApprovalForAll", said | {"approved": False})]
    assert "not approved" in held.do(other, name, owner, other, *what, b"").reason
    assert "no receiver" in held.do(owner, name, owner, NOBODY, *what, b"").reason


def test_nobody_hands_on_more_than_is_held(held: Onchain) -> None:
    owner, other = held.engine.accounts[2:4]
    assert not held.do(owner, "safeTransferFrom", owner, other, 0, 1001, b"").ok
    assert not held.do(owner, "safeTransferFrom", owner, other, 2, 1, b"").ok


@pytest.mark.parametrize("name", ["safeTransferFrom", "safeBatchTransferFrom"])
def test_a_contract_receives_only_what_it_says_it_can_hold(held: Onchain, name: str) -> None:
    owner = held.engine.accounts[2]
    right, wrong = (ONE, MANY) if name == "safeTransferFrom" else (MANY, ONE)
    what: list[Any] = [0, 1] if name == "safeTransferFrom" else [[0], [1]]
    willing, mute = answering(held.engine, right), answering(held.engine, wrong)
    assert held.do(owner, name, owner, willing, *what, b"").ok
    assert not held.do(owner, name, owner, mute, *what, b"").ok
    assert not held.do(owner, name, owner, held.address, *what, b"").ok
    assert not held.do(owner, name, owner, answering(held.engine, right, 31), *what, b"").ok
    assert not held.do(owner, name, owner, answering(held.engine, right + b"\1"), *what, b"").ok
    assert holdings(held, owner, willing, mute) == [[999, 1000], [1, 0], [0, 0]]


def test_a_contract_is_told_who_sends_it_what_and_why(held: Onchain) -> None:
    owner, other = held.engine.accounts[2:4]
    assert held.do(owner, "setApprovalForAll", other, True).ok
    one, many = recording(held.engine, ONE), recording(held.engine, MANY)
    single, several = (
        ["address", "address", "uint256", "uint256", "bytes"],
        ["address", "address", "uint256[]", "uint256[]", "bytes"],
    )
    outcome = held.do(other, "safeTransferFrom", owner, one, 1, 30, b"why")
    assert told(outcome, ONE, single) == (other, owner, 1, 30, b"why")
    outcome = held.do(other, "safeBatchTransferFrom", owner, many, [1, 0], [30, 40], b"why")
    assert told(outcome, MANY, several) == (other, owner, (1, 0), (30, 40), b"why")
    batch = batch_of(held.registry, 1, 2, owners=(one,))
    assert held.anchor(batch).ok
    assert told(held.claim(batch, 0), ONE, single) == (held.engine.accounts[-1], NOBODY, 2, 1000, b"")


def told(outcome: Outcome, selector: bytes, types: list[str]) -> tuple[Any, ...]:
    """What a recording contract was called with; Vyper sends more bytes than it encodes."""
    [content] = [content for topics, content in outcome.logs if not topics]
    assert content[:4] == selector
    return tuple(CODEC.decode(types, content[4:]))


def test_a_contract_acts_for_itself_and_not_for_who_calls_it(held: Onchain) -> None:
    """What counts is who calls the registry: an account that is led to call some contract gives nothing away by that."""
    owner, other = held.engine.accounts[2:4]
    agent = passing_on(held.engine, held.address)
    for name, *values in (
        ("safeTransferFrom", owner, other, 0, 1, b""),
        ("safeBatchTransferFrom", owner, other, [0], [1], b""),
        ("retire", 0, 1, "b", "p"),
    ):
        assert held.engine.transact(owner, agent, payload(name, *values)).logs == ()
    assert holdings(held, owner) == [[1000, 1000]]
    assert held.do(owner, "safeTransferFrom", owner, agent, 0, 100, b"").ok
    batch = batch_of(held.registry, 1, 2, owners=(other,))
    assert held.anchor(batch).ok
    for name, *values in (
        ("safeTransferFrom", agent, other, 0, 30, b""),
        ("safeBatchTransferFrom", agent, other, [0], [5], b""),
        ("retire", 0, 20, "b", "p"),
        ("claim", *claiming(batch, 0)),
    ):
        saids = [said for _, said in events(held.engine.transact(owner, agent, payload(name, *values)))]
        assert [said["operator"] for said in saids if "operator" in said] == [agent]
        assert [said["holder"] for said in saids if "holder" in said] == [agent] * (name == "retire")
    assert holdings(held, owner, agent, other) == [[900, 1000], [45, 0], [35, 0]]
    recorder = recording(held.engine, ONE)
    outcome = held.engine.transact(owner, agent, payload("safeTransferFrom", agent, recorder, 0, 1, b""))
    assert told(outcome, ONE, ["address", "address"]) == (agent, agent)
    recorder = recording(held.engine, MANY)
    outcome = held.engine.transact(owner, agent, payload("safeBatchTransferFrom", agent, recorder, [0], [1], b""))
    assert told(outcome, MANY, ["address", "address"]) == (agent, agent)
    said = {"owner": agent, "operator": other, "approved": True}
    assert events(held.engine.transact(owner, agent, payload("setApprovalForAll", other, True))) == [("ApprovalForAll", said)]
    assert [held.read("isApprovedForAll", giver, other) for giver in (agent, owner)] == [True, False]
    assert held.do(owner, "setApprovalForAll", other, True).ok
    taking = payload("safeTransferFrom", owner, other, 1, 1, b"")
    assert held.engine.transact(other, agent, taking).logs == ()
    assert held.do(owner, "setApprovalForAll", agent, True).ok
    assert held.engine.transact(other, agent, taking).logs != ()


def test_a_contract_that_can_not_hold_credits_is_given_none(chain: Onchain) -> None:
    owners = (answering(chain.engine, ONE), answering(chain.engine, b""))
    made = batch_of(chain.registry, 2, owners=owners)
    assert chain.anchor(made).ok
    assert [chain.claim(made, k).ok for k in range(2)] == [True, False]
    assert [chain.balance(each, 0) for each in owners] == [1000, 0]


def test_the_registry_says_which_interfaces_it_has(chain: Onchain) -> None:
    known = [chain.read("supportsInterface", bytes.fromhex(each)) for each in ("01ffc9a7", "d9b67a26", "0e89341c", "ffffffff")]
    assert known == [True, True, False, False]
