"""One file that proves, offline, that an entry stands in a log: `.tlog-proof` (C2SP tlog-proof@v1).

c2sp.org/tlog-proof@v1
extra <base64 of the entry>
index <the entry's place in the log>
<hashes of the inclusion proof, base64, one a line>

<the signed checkpoint>
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from gridnet.errors import VerificationError
from gridnet_contracts.log import cosignature
from gridnet_contracts.log.canonical import (
    DECIMAL_MAX,
    HASH_BYTES,
    Malformed,
    from_base64,
    from_decimal,
    to_base64,
    to_text,
)
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.merkle import leaf_hash, verify_inclusion
from gridnet_contracts.log.note import NOTE_BYTES_MAX, Note

HEADER = "c2sp.org/tlog-proof@v1"
HASHES_MAX = 63
# A checkpoint, and an entry of 65,535 bytes in base64 with the hashes.
PROOF_BYTES_MAX = NOTE_BYTES_MAX + 100_000


class NoEntry(VerificationError):
    """A proof without the entry it is about."""


@dataclass(frozen=True)
class TlogProof:
    """The file's content: leaf `index`, its inclusion proof `hashes` (32 bytes each), the signed `checkpoint` as published.

    `extra` is whatever goes with it: here the log entry itself, or None. All are claims until `verify`. Raises `Malformed`.
    """

    index: int
    hashes: tuple[bytes, ...]
    checkpoint: bytes
    extra: bytes | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.index <= DECIMAL_MAX:
            raise Malformed("proof: the index lies outside 0 to 2^63 - 1", got=self.index)
        if len(self.hashes) > HASHES_MAX or any(len(each) != HASH_BYTES for each in self.hashes):
            raise Malformed(f"proof: more than {HASHES_MAX} hashes, or one that has not {HASH_BYTES} bytes")
        if self.extra == b"":
            raise Malformed("proof: extra without content; leave it out")
        Checkpoint.parse(Note.decode(self.checkpoint).text)

    def encode(self) -> bytes:
        """The file's bytes."""
        extra = [] if self.extra is None else [f"extra {to_base64(self.extra)}"]
        lines = [HEADER, *extra, f"index {self.index}", *map(to_base64, self.hashes), ""]
        return "".join(f"{line}\n" for line in lines).encode() + self.checkpoint

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The proof in a file's bytes; raises `Malformed` unless `encode` gives `raw` again."""
        head, _, checkpoint = to_text(raw, "proof", PROOF_BYTES_MAX).partition("\n\n")
        header, *lines = head.split("\n")
        if header != HEADER:
            raise Malformed(f"proof: the first line is not {HEADER}", expected=HEADER, got=header[:40])
        extra = None
        if lines and lines[0].startswith("extra "):
            extra = from_base64(lines.pop(0).removeprefix("extra "), "proof extra")
        if not lines or not lines[0].startswith("index "):
            raise Malformed("proof: no index line")
        index = from_decimal(lines.pop(0).removeprefix("index "), "proof index")
        hashes = tuple(from_base64(line, "proof hash") for line in lines)
        return cls(index, hashes, checkpoint.encode(), extra)


@dataclass(frozen=True)
class Proven:
    """What a verified proof shows: `entry` stands at `index` in the log whose head is `checkpoint`."""

    entry: bytes
    index: int
    checkpoint: Checkpoint


def verify(raw: bytes, policy: Policy) -> Proven:
    """Checks a proof file with its entry inside, and gives what it proves.

    1. The file is well formed (`Malformed`) and carries its entry (`NoEntry`).
    2. Its checkpoint is one that `policy` trusts (`cosignature.verify`): a proof can't vouch for its own root.
    3. The entry stands at the index in the tree of that checkpoint (`ProofRefused`).
    """
    # 1
    proof = TlogProof.decode(raw)
    if proof.extra is None:
        raise NoEntry("1: the proof carries no entry; ask the log for one made with the entry as extra")
    # 2
    checkpoint = cosignature.verify(proof.checkpoint, policy)
    # 3
    verify_inclusion(leaf_hash(proof.extra), proof.index, checkpoint.size, proof.hashes, checkpoint.root)
    return Proven(proof.extra, proof.index, checkpoint)
