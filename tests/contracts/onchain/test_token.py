"""Holding and handing on, as ERC-1155 has it."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contracts.onchain.engines import Engine
from tests.contracts.onchain.onchain import NOBODY, Onchain, batch_of, events

ONE, MANY = bytes.fromhex("f23a6e61"), bytes.fromhex("bc197c81")


@pytest.fixture
def held(chain: Onchain) -> Onchain:
    """Account 2 holds 1000 Wh of batch 0 and of batch 1."""
    for number in range(2):
        made = batch_of(chain.registry, 1, number, owners=(chain.engine.accounts[2],))
        assert chain.anchor(made).ok
        assert chain.claim(made, 0).ok
    return chain


def answering(engine: Engine, word: bytes) -> str:
    """A contract that answers every call with `word` and zeros."""
    runtime = b"\x7f" + word.ljust(32, b"\0") + bytes.fromhex("5f5260205ff3")  # push it, store it, return 32 bytes
    start = bytes([0x60, len(runtime), 0x60, 11, 0x5F, 0x39, 0x60, len(runtime), 0x5F, 0xF3, 0x00])
    address, outcome = engine.deploy(engine.accounts[0], start + runtime)
    assert outcome.ok
    return address.lower()


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
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0, 1], [1, 1001], b"").ok
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0, 1], [1], b"").ok
    assert not held.do(owner, "safeBatchTransferFrom", owner, other, [0], [1, 1], b"").ok
    assert holdings(held, owner) == [[1000, 1000]]
    outcome = held.do(owner, "safeBatchTransferFrom", owner, other, [0, 1], [1, 2], b"")
    moved = {"operator": owner, "sender": owner, "receiver": other, "ids": (0, 1), "values": (1, 2)}
    assert events(outcome) == [("TransferBatch", moved)]
    assert holdings(held, owner, other) == [[999, 998], [1, 2]]
    assert held.read("balanceOfBatch", [owner, other], [0, 1]) == (999, 2)


def test_balances_of_lists_that_differ_in_length_are_refused(held: Onchain) -> None:
    from tests.contracts.onchain.onchain import payload

    owner = held.engine.accounts[2]
    assert "lengths differ" in held.engine.read(held.address, payload("balanceOfBatch", [owner], [0, 1])).reason


@pytest.mark.parametrize("name", ["safeTransferFrom", "safeBatchTransferFrom"])
def test_only_holders_and_whom_they_approve_hand_on(held: Onchain, name: str) -> None:
    owner, other = held.engine.accounts[2:4]
    what: list[Any] = [0, 1] if name == "safeTransferFrom" else [[0], [1]]
    assert "not approved" in held.do(other, name, owner, other, *what, b"").reason
    said = {"owner": owner, "operator": other, "approved": True}
    assert events(held.do(owner, "setApprovalForAll", other, True)) == [("ApprovalForAll", said)]
    assert held.do(other, name, owner, other, *what, b"").ok
    assert held.do(owner, "setApprovalForAll", other, False).ok
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
    assert holdings(held, owner, willing, mute) == [[999, 1000], [1, 0], [0, 0]]


def test_a_contract_that_can_not_hold_credits_is_given_none(chain: Onchain) -> None:
    owners = (answering(chain.engine, ONE), answering(chain.engine, b""))
    made = batch_of(chain.registry, 2, owners=owners)
    assert chain.anchor(made).ok
    assert [chain.claim(made, k).ok for k in range(2)] == [True, False]
    assert [chain.balance(each, 0) for each in owners] == [1000, 0]


def test_the_registry_says_which_interfaces_it_has(chain: Onchain) -> None:
    known = [chain.read("supportsInterface", bytes.fromhex(each)) for each in ("01ffc9a7", "d9b67a26", "0e89341c", "ffffffff")]
    assert known == [True, True, False, False]
