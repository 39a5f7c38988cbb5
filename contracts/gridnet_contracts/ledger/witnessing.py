"""Having checkpoints cosigned: what a ledger asks of witnesses, who remember what it showed them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gridnet.errors import GridnetError
from gridnet_contracts.log import tiles
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note, Signature
from gridnet_contracts.log.tiles import Tiles
from gridnet_contracts.log.witness import Conflict


class WitnessService(Protocol):
    """A witness, here or far away (`gridnet_contracts.log.witness.Witness` is one)."""

    def add_checkpoint(self, old_size: int, proof: Sequence[bytes], note_bytes: bytes) -> str:
        """Its cosignature line. Raises `GridnetError`; a `Conflict` tells the size it has seen."""
        ...  # pragma: no cover


def witnessed(note: bytes, log: Tiles, witnesses: Sequence[WitnessService]) -> bytes:
    """The signed checkpoint `note` with the cosignatures of the witnesses that give one. One that refuses, or fails, is left out:
    how many must have signed is for the verifier to say."""
    signed = Note.decode(note)
    size = Checkpoint.parse(signed.text).size
    given = [made for witness in witnesses if (made := _cosigned(witness, note, log, size)) is not None]
    return Note(signed.text, (*signed.signatures, *given)).encode()


def _cosigned(witness: WitnessService, note: bytes, log: Tiles, size: int) -> Signature | None:
    try:
        return Signature.decode(_asked(witness, note, log, size))
    except GridnetError:
        return None


def _asked(witness: WitnessService, note: bytes, log: Tiles, size: int) -> str:
    try:
        return witness.add_checkpoint(size, (), note)  # most often wrong: the witness then says what it has seen
    except Conflict as conflict:
        seen = conflict.known_size
        if seen == size:
            raise
    return witness.add_checkpoint(seen, tiles.consistency(log, seen, size), note)
