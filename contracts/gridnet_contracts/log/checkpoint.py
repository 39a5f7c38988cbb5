"""Checkpoints: what a log says of itself, its name, size and root, as a signed note (C2SP tlog-checkpoint)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self

from gridnet.errors import VerificationError
from gridnet_contracts.log import note
from gridnet_contracts.log.canonical import (
    DECIMAL_MAX,
    HASH_BYTES,
    Malformed,
    from_base64,
    from_decimal,
    is_lines,
    to_base64,
)
from gridnet_contracts.log.keys import SignerKey, VerifierKey
from gridnet_contracts.log.merkle import EMPTY_ROOT


class WrongOrigin(VerificationError):
    """A checkpoint of another log than the one asked about."""


@dataclass(frozen=True)
class Head:
    """A tree's `size`, in leaves, and its `root` (32 bytes)."""

    size: int
    root: bytes


@dataclass(frozen=True)
class Checkpoint:
    """The head of the log `origin`. Raises `Malformed` for values that no checkpoint can carry.

    `extensions` are further lines without meaning here; gridnet's own logs write none.
    """

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(line and "\n" not in line and is_lines(f"{line}\n") for line in lines):
            raise Malformed("checkpoint: the origin and each extension are one line, not empty, without control characters")
        if not 0 <= self.size <= DECIMAL_MAX:
            raise Malformed("checkpoint: the size lies outside 0 to 2^63 - 1", got=self.size)
        if len(self.root) != HASH_BYTES:
            raise Malformed(f"checkpoint: a root of {len(self.root)} bytes, SHA-256 has {HASH_BYTES}")
        if self.size == 0 and self.root != EMPTY_ROOT:
            raise Malformed("checkpoint: a tree without leaves has another root", expected=EMPTY_ROOT.hex(), got=self.root.hex())

    @property
    def head(self) -> Head:
        """Size and root."""
        return Head(self.size, self.root)

    def text(self) -> str:
        """The text that is signed: whole lines."""
        return "".join(f"{line}\n" for line in (self.origin, str(self.size), to_base64(self.root), *self.extensions))

    @classmethod
    def parse(cls, text: str) -> Self:
        """The checkpoint in a note's text; raises `Malformed` unless `text()` gives the same again."""
        origin, *rest = text.split("\n")
        if len(rest) < 3 or rest.pop():
            raise Malformed("checkpoint: not an origin, a size and a root, one a line")
        size, root, *extensions = rest
        return cls(
            origin,
            from_decimal(size, "checkpoint size"),
            from_base64(root, "checkpoint root"),
            tuple(extensions),
        )


def sign(checkpoint: Checkpoint, key: SignerKey) -> bytes:
    """The checkpoint as a note signed by the log's key."""
    return note.sign(checkpoint.text(), key).encode()


def verify(raw: bytes, origin: str, keys: Iterable[VerifierKey]) -> Checkpoint:
    """The checkpoint in the signed note `raw`.

    1. The note and the checkpoint in it are well formed (`Malformed`).
    2. One of the log's `keys` has signed it, and no signature of theirs is bad (`SignatureRefused`).
    3. It speaks of the log `origin` (`WrongOrigin`): one key may sign for several logs.
    """
    # 1
    signed = note.Note.decode(raw)
    checkpoint = Checkpoint.parse(signed.text)
    # 2
    note.verify(signed, keys)
    # 3
    if checkpoint.origin != origin:
        raise WrongOrigin(f"a checkpoint of {checkpoint.origin}, not of {origin}", expected=origin, got=checkpoint.origin)
    return checkpoint
