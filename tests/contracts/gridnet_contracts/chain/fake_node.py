"""A node in memory that loses, refuses, delays and takes back what it is told to."""

from __future__ import annotations

from collections.abc import Callable

from gridnet_contracts.chain.errors import ChainRefused, ChainUnreachable
from gridnet_contracts.chain.node import Call, Fees, Node, Receipt


class FakeNode(Node):
    """`pool` holds what was handed in. Each look at a receipt is a moment; `script` says what happens in it."""

    def __init__(self, script: dict[int, Callable[[FakeNode], None]] | None = None) -> None:
        self.url = "http://fake"
        self.script = script or {}
        self.pool: list[bytes] = []
        self.handed: list[bytes] = []
        self.blocks: dict[str, Receipt] = {}
        self.height = 10
        self.nonce = 0
        self.away = False
        self.refusal = ""
        self.base = 100
        self.looks = 0
        self.names: dict[bytes, str] = {}

    def answer(self) -> None:
        if self.away:
            raise ChainUnreachable("away")

    def chain_id(self) -> int:
        self.answer()
        return 31337

    def head(self) -> int:
        self.answer()
        return self.height

    def block_hash(self, number: int) -> bytes:
        self.answer()
        return number.to_bytes(32, "big")

    def mined(self, account: str) -> int:
        self.answer()
        return self.nonce

    def fees(self) -> Fees:
        self.answer()
        return Fees(self.base, 1)

    def estimate(self, sender: str, call: Call) -> int:
        self.answer()
        return 100_000

    def broadcast(self, raw: bytes) -> None:
        self.answer()
        if self.refusal:
            raise ChainRefused(self.refusal)
        self.handed.append(raw)
        self.pool.append(raw)

    def receipt(self, transaction: str) -> Receipt | None:
        self.looks += 1
        for moment in [each for each in sorted(self.script) if each <= self.looks]:
            self.script.pop(moment)(self)
        self.answer()
        return self.blocks.get(transaction)

    def mine(self, transaction: str, succeeded: bool = True) -> None:
        """Puts a transaction into the next block."""
        self.height += 1
        self.blocks[transaction] = Receipt(transaction, self.height, self.height.to_bytes(32, "big"), succeeded, 90_000, None)
        self.nonce = 1
