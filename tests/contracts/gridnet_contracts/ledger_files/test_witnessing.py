"""Having checkpoints cosigned: whoever of the witnesses can does, and none of them can hold up the ledger."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.witnessing import WitnessService, witnessed
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.cosignature import Policy, QuorumMissed, verify
from gridnet_contracts.log.keys import Algorithm, SignerKey
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.note import Note
from gridnet_contracts.log.tiles import MemoryTiles, root
from gridnet_contracts.log.witness import BadProof, Conflict, MalformedRequest, Witness, WitnessBroken
from tests.contracts.gridnet_contracts.audit.story import FOUND, KEY, ORIGIN, Home, device, opened

KEYS = [SignerKey(f"witness{n}.example", bytes([n]) * 32, Algorithm.COSIGNATURE) for n in (7, 8)]


def _tiles(size: int) -> MemoryTiles:
    tiles = MemoryTiles()
    tiles.append(0, [leaf_hash(b"%d" % k) for k in range(size)])
    return tiles


def _note(tiles: MemoryTiles, size: int) -> bytes:
    return sign(Checkpoint(ORIGIN, size, root(tiles, size)), KEY)


def _witness(folder: Path, key: SignerKey = KEYS[0]) -> Witness:
    return Witness(folder, key, {ORIGIN: [KEY.verifier]}, lambda: 1_800_000_000)


def _cosigned(note: bytes) -> list[str]:
    return [signature.name for signature in Note.decode(note).signatures[1:]]


def test_each_witness_cosigns_a_log_that_grows(tmp_path: Path) -> None:
    tiles = _tiles(300)
    witnesses = [_witness(tmp_path / key.name, key) for key in KEYS]
    policy = Policy(ORIGIN, KEY.verifier, tuple(key.verifier for key in KEYS), 2)
    for size in (1, 2, 7, 7, 256, 300):
        note = witnessed(_note(tiles, size), tiles, witnesses)
        assert verify(note, policy).size == size
    late = witnessed(_note(tiles, 300), tiles, [_witness(tmp_path / "late", KEYS[1])])
    assert _cosigned(late) == [KEYS[1].name]


def test_a_witness_that_saw_more_or_something_else_is_left_out(tmp_path: Path) -> None:
    tiles, other = _tiles(20), _tiles(20)
    other.tiles[0, 0] = other.tiles[0, 0][::-1]
    witness = _witness(tmp_path / "witness")
    assert _cosigned(witnessed(_note(tiles, 10), tiles, [witness])) == [KEYS[0].name]
    assert _cosigned(witnessed(_note(tiles, 9), tiles, [witness])) == []
    assert _cosigned(witnessed(_note(other, 10), other, [witness])) == []
    assert _cosigned(witnessed(_note(other, 20), other, [witness])) == []
    assert _cosigned(witnessed(_note(tiles, 20), tiles, [witness])) == [KEYS[0].name]
    with pytest.raises(QuorumMissed):
        verify(witnessed(_note(tiles, 9), tiles, [witness]), Policy(ORIGIN, KEY.verifier, (KEYS[0].verifier,), 1))


class _Odd:
    """A witness that answers as it is told to."""

    def __init__(self, *answers: str | Exception) -> None:
        self._answers = list(answers)

    def add_checkpoint(self, old_size: int, proof: Sequence[bytes], note_bytes: bytes) -> str:
        answer = self._answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


ODD: dict[str, _Odd] = {
    "one that is broken": _Odd(WitnessBroken("disk")),
    "one that breaks at the second word": _Odd(Conflict("4", 3), WitnessBroken("disk")),
    "one that refuses": _Odd(MalformedRequest("1")),
    "one that refuses the proof": _Odd(Conflict("4", 3), BadProof("6")),
    "one that says to have seen more than there is": _Odd(Conflict("4", 99)),
    "one that says to have seen less than nothing": _Odd(Conflict("4", -1)),
    "one that says something else each time": _Odd(Conflict("4", 3), Conflict("4", 5)),
    "one that speaks nonsense": _Odd("nonsense"),
    "one that says nothing": _Odd(""),
    "one that says two things": _Odd("\u2014 a AAAAAAAA\n\u2014 b AAAAAAAA\n"),
}


@pytest.mark.parametrize("how", ODD)
def test_a_witness_that_misbehaves_is_left_out_and_the_others_are_not(how: str, tmp_path: Path) -> None:
    tiles = _tiles(10)
    asked: list[WitnessService] = [ODD[how], _witness(tmp_path / "witness")]
    note = witnessed(_note(tiles, 10), tiles, asked)
    assert _cosigned(note) == [KEYS[0].name]


def test_a_commit_stands_where_a_witness_is_broken(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    home = Home(f"sqlite:///{tmp_path}/ledger.db", tmp_path / "seal", "ann", "bob")
    home.seal.mkdir()
    ledger = opened(home, [_witness(tmp_path / "file"), _witness(tmp_path / "whole", KEYS[1])])
    ledger.database.migrate()
    ledger.commit([Order("found", FOUND)])
    [receipt] = ledger.commit([Order("pv", device("pv", "ann"))])
    assert receipt.entry == 1
    assert _cosigned(ledger.publish()) == [KEYS[1].name]
    ledger.close()
