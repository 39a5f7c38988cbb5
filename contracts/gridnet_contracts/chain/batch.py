"""A batch of credits: certificates that leave the ledger for a chain, as the leaves of one RFC 6962 tree.

A leaf is seven 32-byte big-endian words: chain id, contract, batch, index, owner, certificate, Wh. Each is bound to its place, so
a proof is good once, on one contract of one chain. The tree is that of the transparency log (RFC 6962), and so is the check of its
proofs. It is held whole here, since a proof is made of every leaf.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from gridnet.errors import Fault, InputError
from gridnet_contracts.ledger.rules.context import CHAIN
from gridnet_contracts.log.merkle import leaf_hash, node_hash

WORD = 32
ADDRESS = re.compile(r"0x[0-9a-fA-F]{40}", re.ASCII)
NOBODY = "0x" + "0" * 40
LARGEST = 65_536
"""Leaves of a batch at most: what one transaction of the ledger takes in seconds."""
TOTAL_MAX = 2**53 - 1
"""Wh of a batch at most: what an account of the ledger holds. The contract holds more."""


def address(text: str, where: str = "address") -> str:
    """An account's address in lower case. Raises `InputError`."""
    if not ADDRESS.fullmatch(text) or text.lower() == NOBODY:
        raise InputError(
            "can't tell whose account is meant:", [Fault(where, repr(text[:60]), "0x and 40 hexadecimal digits, not all 0")]
        )
    return text.lower()


@dataclass(frozen=True, slots=True)
class Registry:
    """A deployed contract: chain id and address (lower case)."""

    chain_id: int
    contract: str

    def __post_init__(self) -> None:
        if address(self.contract, "contract") != self.contract or self.chain_id < 1:
            raise InputError(
                "not a registry:", [Fault("registry", f"{self.chain_id} {self.contract}", "a chain id, an address in lower case")]
            )

    @property
    def party(self) -> str:
        """Who holds, in the ledger, what went to this contract."""
        return f"{CHAIN}{self.chain_id}:{self.contract}"


@dataclass(frozen=True, slots=True)
class Credit:
    """A certificate for an owner on the chain. `chain_hash`: the ledger's hash over its name and what it comes from."""

    certificate: str
    chain_hash: int
    owner: str
    wh: int


@dataclass(frozen=True)
class CreditBatch:
    """Credits in the order of their leaves, and the tree over them. Raises `InputError` for a batch that no contract takes."""

    registry: Registry
    number: int
    credits: tuple[Credit, ...]
    _levels: list[list[bytes]] = field(init=False, repr=False, compare=False)
    """The tree's nodes from the leaves up; the last of an odd level stands on the next one, too."""

    def __post_init__(self) -> None:
        if not 0 < len(self.credits) <= LARGEST or self.total_wh > TOTAL_MAX:
            got = f"{len(self.credits)} with {self.total_wh} Wh"
            raise InputError("no batch:", [Fault("credits", got, f"1 to {LARGEST}, with {TOTAL_MAX} Wh at most")])
        leaves = [leaf_hash(leaf(self.registry, self.number, k, each)) for k, each in enumerate(self.credits)]
        object.__setattr__(self, "_levels", _tree(leaves))

    @property
    def size(self) -> int:
        """How many leaves."""
        return len(self.credits)

    @property
    def total_wh(self) -> int:
        """Of all leaves."""
        return sum(each.wh for each in self.credits)

    def root(self) -> bytes:
        """The tree's root, 32 bytes."""
        return self._levels[-1][0]

    def proof(self, index: int) -> list[bytes]:
        """That leaf `index`, from 0 to `size` - 1, is in the tree: 32 bytes each, the leaf's sibling first."""
        levels = enumerate(self._levels[:-1])
        return [nodes[index >> height ^ 1] for height, nodes in levels if index >> height ^ 1 < len(nodes)]


def _tree(leaves: list[bytes]) -> list[list[bytes]]:
    levels = [leaves]
    while len(levels[-1]) > 1:
        nodes = levels[-1]
        pairs = [node_hash(nodes[k], nodes[k + 1]) for k in range(0, len(nodes) - 1, 2)]
        levels.append([*pairs, nodes[-1]] if len(nodes) % 2 else pairs)
    return levels


def leaf(registry: Registry, number: int, index: int, credit: Credit) -> bytes:
    """The canonical bytes of a leaf."""
    return words(
        [registry.chain_id, int(registry.contract, 16), number, index, int(credit.owner, 16), credit.chain_hash, credit.wh]
    )


def words(values: Sequence[int]) -> bytes:
    """Whole numbers from 0 to 2^256 - 1 as 32-byte big-endian words."""
    return b"".join(value.to_bytes(WORD, "big") for value in values)
