"""A deployed credit registry: what stands in it, and the calls that change it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any

from eth_abi.abi import encode

from gridnet.errors import Fault, InputError, VerificationError
from gridnet_contracts.chain.artefact import artefact
from gridnet_contracts.chain.batch import CreditBatch, Registry
from gridnet_contracts.chain.node import Call, Node
from gridnet_contracts.chain.voucher import Voucher

ADMIN = 0
ANCHOR = 1
LOW = 2**64 - 1
SPAN = 2_000
"""Blocks whose events are asked for at once: what public endpoints allow."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """A batch as the contract holds it. `checkpoint`: SHA-256 of the text of the log's checkpoint that covers its leaves. Of
    the Wh that were claimed, those retired are gone, the others are held."""

    root: bytes
    size: int
    total_wh: int
    claimed_wh: int
    retired_wh: int
    checkpoint: bytes


@dataclass(frozen=True, slots=True)
class Wish:
    """How much of a batch is to be retired, for whom (64 bytes at most) and what for (200 bytes at most). Raises `InputError`."""

    batch: int
    wh: int
    beneficiary: str
    purpose: str

    def __post_init__(self) -> None:
        sizes = len(self.beneficiary.encode()), len(self.purpose.encode())
        faults = []
        if not 0 < self.wh < 2**53:
            faults.append(Fault("Wh", str(self.wh), "1 or more"))
        if not 0 < sizes[0] <= 64:
            faults.append(Fault("beneficiary", f"{sizes[0]} bytes", "1 to 64"))
        if sizes[1] > 200:
            faults.append(Fault("purpose", f"{sizes[1]} bytes", "200 at most"))
        if faults:
            raise InputError("can't retire:", faults)


@dataclass(frozen=True, slots=True)
class Retirement:
    """What an owner on the chain used up, and in which block."""

    holder: str
    wish: Wish
    block: int


@dataclass(frozen=True, slots=True)
class State:
    """The contract's own facts at one block."""

    batches: int
    paused: bool
    admin: str
    anchorer: str


def deployment(admin: str, anchorer: str) -> Call:
    """The transaction that makes a registry with these holders of its two roles."""
    return Call(artefact().bytecode + encode(["address", "address"], [admin, anchorer]).hex(), None)


class CreditContract:
    """The registry through a node. Reads take the block that they are about; None is the newest."""

    def __init__(self, node: Node, registry: Registry) -> None:
        self.node = node
        self.registry = registry
        self._contract = node.contract(registry.contract, artefact().abi)

    def check(self) -> None:
        """Raises `VerificationError` unless this is the chain, and the code there the shipped contract's."""
        chain_id = self.node.chain_id()
        if chain_id != self.registry.chain_id:
            message = f"{self.node.url} is a node of chain {chain_id}, not of {self.registry.chain_id}"
            raise VerificationError(message, expected=self.registry.chain_id, got=chain_id)
        if self.node.code(self.registry.contract) != artefact().runtime:
            raise VerificationError(f"what stands at {self.registry.contract} is not the contract that this gridnet ships")

    def state(self, block: int | None = None) -> State:
        """Roles and counters."""
        read = self._read
        return State(
            batches=read("batches", (), block),
            paused=read("paused", (), block),
            admin=str(read("holders", (ADMIN,), block)).lower(),
            anchorer=str(read("holders", (ANCHOR,), block)).lower(),
        )

    def batches(self) -> int:
        """How many were anchored."""
        return int(self._read("batches", (), None))

    def anchored(self, number: int, block: int | None = None) -> Anchor:
        """A batch; all zero where there is none."""
        sums = int(self._read("sums", (number,), block))
        root, checkpoint = self._read("roots", (number,), block), self._read("checkpoints", (number,), block)
        size, retired, total, claimed = (sums >> place & LOW for place in (192, 128, 64, 0))
        return Anchor(bytes(root), size, total, claimed, retired, bytes(checkpoint))

    def claimed(self, number: int, size: int, block: int | None = None) -> list[bool]:
        """Of each leaf of a batch whether it was claimed."""
        words = [int(self._read("claims", (number, k), block)) for k in range(-(-size // 256))]
        return [bool(words[k >> 8] >> (k & 255) & 1) for k in range(size)]

    def is_claimed(self, number: int, index: int) -> bool:
        """Whether one leaf was."""
        return bool(int(self._read("claims", (number, index >> 8), None)) >> (index & 255) & 1)

    def balance(self, owner: str, number: int) -> int:
        """Wh of a batch that an account holds."""
        return int(self._read("balanceOf", (_account(owner), number), None))

    def retirements(self, first: int, last: int) -> list[Retirement]:
        """All that were made in blocks `first` to `last`, in order."""
        found: list[Retirement] = []
        for start in range(first, last + 1, SPAN):
            asked = partial(self._contract.events.Retired().get_logs, from_block=start, to_block=min(start + SPAN - 1, last))
            logs: list[Any] = self.node.ask(asked)
            for each in logs:
                said = each["args"]
                holder = str(said["holder"]).lower()
                wish = Wish(said["id"], said["wh"], said["beneficiary"], said["purpose"])
                found.append(Retirement(holder, wish, each["blockNumber"]))
        return found

    def anchoring(self, batch: CreditBatch, checkpoint: bytes) -> Call:
        """Enters a batch."""
        return self._call("anchor", (batch.number, batch.root(), batch.size, batch.total_wh, checkpoint))

    def claiming(self, voucher: Voucher) -> Call:
        """Gives a credit to its owner."""
        owner, proof = _account(voucher.owner), voucher.hashes()
        return self._call(
            "claim", (voucher.batch, voucher.index, owner, bytes.fromhex(voucher.certificate_hash), voucher.wh, proof)
        )

    def retiring(self, wish: Wish) -> Call:
        """Uses up Wh that the sender holds."""
        return self._call("retire", (wish.batch, wish.wh, wish.beneficiary, wish.purpose))

    def _call(self, name: str, values: tuple[Any, ...]) -> Call:
        return Call(str(self._contract.encode_abi(name, args=list(values))), self.registry.contract)

    def _read(self, name: str, values: tuple[Any, ...], block: int | None) -> Any:
        at = "latest" if block is None else block
        return self.node.ask(lambda: self._contract.functions[name](*values).call(block_identifier=at))


def _account(address: str) -> bytes:
    return bytes.fromhex(address.removeprefix("0x"))
