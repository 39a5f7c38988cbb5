"""Transactions through nodes that fail in every way that nodes do. Time is a counter."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

import pytest
from eth_account.typed_transactions import TypedTransaction
from eth_utils.crypto import keccak
from hexbytes import HexBytes

from gridnet_contracts.chain import sender as sending
from gridnet_contracts.chain.errors import ChainRefused, ChainUnreachable, NotSettled
from gridnet_contracts.chain.keystore import Key
from gridnet_contracts.chain.node import Call, Fees, Receipt
from gridnet_contracts.chain.sender import Patience, Sender
from tests.contracts.gridnet_contracts.chain.fake_node import FakeNode
from tests.contracts.gridnet_contracts.chain.parts import KEY

CALL = Call("0x12345678", "0x" + "12" * 20)


@pytest.fixture(autouse=True)
def _no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sending.time, "sleep", lambda _: None)


def send(node: FakeNode, **patience: Any) -> Receipt:
    ticks = count()
    settings: dict[str, Any] = {"confirmations": 1, "outbid_s": 20, "give_up_s": 200} | patience
    return Sender(node, Key(*KEY), Patience(**settings), clock=lambda: float(next(ticks))).send(CALL)


def name_of(raw: bytes) -> str:
    return "0x" + keccak(raw).hex()


def fields(raw: bytes) -> dict[str, Any]:
    return TypedTransaction.from_bytes(HexBytes(raw)).as_dict()


def mine(which: int = -1, succeeded: bool = True) -> Callable[[FakeNode], None]:
    """Mines one of the transactions that were handed in."""
    return lambda node: node.mine(name_of(node.handed[which]), succeeded)


def away(state: bool) -> Callable[[FakeNode], None]:
    return lambda node: setattr(node, "away", state)


def test_a_transaction_is_mined_with_gas_to_spare_on_its_chain() -> None:
    node = FakeNode({2: mine()})
    receipt = send(node)
    [raw] = node.handed
    sent = fields(raw)
    assert receipt.transaction == name_of(raw)
    assert (sent["nonce"], sent["gas"], sent["chainId"], sent["type"]) == (0, 125_000, 31337, 2)
    assert (sent["maxFeePerGas"], sent["maxPriorityFeePerGas"], sent["value"]) == (100, 1, 0)


def test_it_waits_until_its_block_is_deep_enough() -> None:
    node = FakeNode({2: mine(), 5: lambda node: setattr(node, "height", 14)})
    assert send(node, confirmations=4).block == 11
    assert node.looks >= 5
    shallow = FakeNode({2: mine()})
    with pytest.raises(NotSettled):
        send(shallow, confirmations=4)
    assert len(shallow.handed) == 1


def test_what_a_reorganisation_takes_back_is_handed_in_again() -> None:
    def take_back(node: FakeNode) -> None:
        node.blocks.clear()
        node.nonce = 0

    node = FakeNode({2: mine(), 3: take_back, 5: mine(0), 6: lambda node: setattr(node, "height", 20)})
    receipt = send(node, confirmations=3)
    assert node.handed[0] == node.handed[1]
    assert receipt.transaction == name_of(node.handed[0])


def test_a_receipt_of_a_block_that_is_no_longer_the_chains_does_not_count() -> None:
    def other_chain(node: FakeNode) -> None:
        node.block_hash = lambda number: b"\0" * 32  # type: ignore[method-assign]

    node = FakeNode({2: mine(), 1: other_chain})
    with pytest.raises(NotSettled):
        send(node)


def test_one_that_hangs_is_replaced_by_one_that_pays_more() -> None:
    node = FakeNode({15: mine()})
    send(node)
    first, second = node.handed[0], node.handed[-1]
    assert fields(first)["nonce"] == fields(second)["nonce"] == 0
    assert fields(second)["maxFeePerGas"] >= 126
    assert fields(second)["maxPriorityFeePerGas"] == 2


def test_the_one_that_was_to_be_replaced_may_be_mined_after_all() -> None:
    node = FakeNode({15: mine(0)})
    assert send(node).transaction == name_of(node.handed[0])


def test_no_fee_passes_the_ceiling() -> None:
    node = FakeNode()
    with pytest.raises(NotSettled):
        send(node, most_wei=130)
    assert {fields(raw)["maxFeePerGas"] for raw in node.handed} <= {100, 126}
    dear = FakeNode()
    dear.base = 200
    with pytest.raises(NotSettled, match="200 wei"):
        send(dear, most_wei=130)
    assert dear.handed == []


@pytest.mark.parametrize("words", ["already known", "replacement transaction underpriced", "nonce too low"])
def test_what_the_node_has_already_is_waited_for(words: str) -> None:
    """As after a crash: the first run's transaction is in the pool, and the same again is refused."""
    node = FakeNode()
    probe = FakeNode({2: mine()})
    known = send(probe).transaction
    node.refusal = words
    node.script = {3: lambda node: node.mine(known)}
    assert send(node).transaction == known


def test_another_refusal_is_not_waited_for() -> None:
    node = FakeNode()
    node.refusal = "insufficient funds"
    with pytest.raises(ChainRefused, match="insufficient"):
        send(node)


def test_a_node_that_is_away_for_a_moment_is_waited_for_and_one_that_is_gone_is_not() -> None:
    node = FakeNode({2: away(True), 6: away(False), 7: mine()})
    assert send(node).succeeded
    with pytest.raises(NotSettled):
        send(FakeNode({2: away(True)}), outbid_s=500)
    gone = FakeNode()
    gone.away = True
    with pytest.raises(ChainUnreachable):
        send(gone)


def test_a_transaction_that_fails_in_its_block_is_refused() -> None:
    with pytest.raises(ChainRefused, match="block 11"):
        send(FakeNode({2: mine(succeeded=False)}))


def test_another_transaction_in_its_place_is_noticed() -> None:
    node = FakeNode({2: lambda node: setattr(node, "nonce", 1)})
    with pytest.raises(ChainRefused, match="took nonce 0"):
        send(node)


def test_more_than_today_and_more_than_before() -> None:
    assert Fees(100, 4).outbidding(Fees(50, 1)) == Fees(126, 6)
    assert Fees(100, 4).outbidding(Fees(500, 9)) == Fees(500, 9)
