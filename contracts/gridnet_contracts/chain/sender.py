"""Transactions that arrive once, through nodes that vanish, fees that rise and blocks that are taken back.

The nonce is the number of the account's mined transactions, never of those that wait: a transaction that hangs, of this run or of
one that crashed, is replaced rather than queued behind, so of all that were sent for one nonce one at most is ever mined. What the
call means must be safe to ask twice, which every caller sees to by looking at the contract first.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from gridnet_contracts.chain.errors import ChainRefused, ChainUnreachable, NotSettled
from gridnet_contracts.chain.keystore import Key
from gridnet_contracts.chain.node import Bid, Call, Node, Receipt, signed

GAS_SPARE = 1.25
"""Over the estimate: a claim's or an anchor's gas hardly depends on what happens before it is mined."""
KNOWN = ("already known", "already imported", "nonce too low", "known transaction")
"""What nodes say of a transaction that they have, or whose place one of ours took."""
OUTBID = ("underpriced", "fee too low")


@dataclass(frozen=True)
class Patience:
    """How long to wait for what. `most_wei`: per gas, above which no fee is raised."""

    confirmations: int = 5
    poll_s: float = 1.0
    outbid_s: float = 60.0
    give_up_s: float = 900.0
    most_wei: int = 500_000_000_000


class Sender:
    """An account's transactions, one after the other."""

    def __init__(self, node: Node, key: Key, patience: Patience, clock: Callable[[], float] = time.monotonic) -> None:
        self.node = node
        self.key = key
        self.patience = patience
        self._clock = clock

    def send(self, call: Call) -> Receipt:
        """Waits until a transaction is mined and as deep as asked for.

        Raises `ChainRefused` where the contract refuses it, `ChainUnreachable`, and `NotSettled` where it takes too long: look at
        the contract then, and ask again.
        """
        chain_id, nonce = self.node.chain_id(), self.node.mined(self.key.address)
        gas = int(self.node.estimate(self.key.address, call) * GAS_SPARE)
        fees = self.node.fees()
        if fees.most > self.patience.most_wei:
            raise NotSettled(f"gas costs {fees.most} wei now, more than {self.patience.most_wei}: ask again later")
        tried: dict[str, bytes] = {}
        end = self._clock() + self.patience.give_up_s
        while self._clock() < end:
            transaction, raw = signed(self.key, Bid(call, nonce, gas, fees, chain_id))
            tried[transaction] = raw
            self._broadcast(raw)
            receipt = self._wait(tried, nonce, end)
            if receipt is not None:
                return self._checked(receipt)
            raised = fees.outbidding(fees if self._clock() >= end else self.node.fees())
            if raised.most <= self.patience.most_wei:
                fees = raised
        raise NotSettled(
            f"nonce {nonce} of {self.key.address} is not settled after {self.patience.give_up_s:.0f} s: ask again later"
        )

    def _broadcast(self, raw: bytes) -> None:
        try:
            self.node.broadcast(raw)
        except ChainRefused as refusal:
            if not any(words in str(refusal).lower() for words in (*KNOWN, *OUTBID)):
                raise

    def _wait(self, tried: dict[str, bytes], nonce: int, end: float) -> Receipt | None:
        """The receipt of one of the transactions once it is deep enough; None where it is time to bid more, or to give up."""
        outbid = self._clock() + self.patience.outbid_s
        seen = False
        while self._clock() < end:
            with suppress(ChainUnreachable):  # a node that is away for a moment; `end` bounds the moment
                receipt = self._mined(tried)
                if receipt is not None and self._deep(receipt):
                    return receipt
                if receipt is None and seen:  # its block was taken back: hand it in again
                    for raw in tried.values():
                        self._broadcast(raw)
                elif receipt is None and self.node.mined(self.key.address) > nonce and self._mined(tried) is None:
                    raise ChainRefused(
                        f"another transaction of {self.key.address} took nonce {nonce}: look at the contract, ask again"
                    )
                seen = receipt is not None
            if not seen and self._clock() >= outbid:
                return None
            time.sleep(self.patience.poll_s)
        return None

    def _mined(self, tried: dict[str, bytes]) -> Receipt | None:
        return next((found for found in map(self.node.receipt, tried) if found is not None), None)

    def _deep(self, receipt: Receipt) -> bool:
        depth = self.node.head() - receipt.block + 1
        return depth >= self.patience.confirmations and self.node.block_hash(receipt.block) == receipt.block_hash

    @staticmethod
    def _checked(receipt: Receipt) -> Receipt:
        if not receipt.succeeded:
            raise ChainRefused(f"transaction {receipt.transaction} was mined in block {receipt.block} and failed")
        return receipt
