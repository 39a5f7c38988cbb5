"""The witness: what it signs is one history, whoever asks, in whatever order, and whatever fails meanwhile."""

from __future__ import annotations

import errno
import multiprocessing
import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet_contracts.log import checkpoint as checkpoints
from gridnet_contracts.log import cosignature
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.cosignature import Policy, QuorumMissed, cosigners
from gridnet_contracts.log.keys import Algorithm, SignerKey
from gridnet_contracts.log.merkle import EMPTY_ROOT, ProofRefused, leaf_hash, verify_consistency
from gridnet_contracts.log.note import Note, Signature, sign
from gridnet_contracts.log.tiles import MemoryTiles, consistency, root
from gridnet_contracts.log.witness import (
    BadProof,
    Conflict,
    MalformedRequest,
    Refusal,
    UnknownLog,
    Untrusted,
    Witness,
    WitnessBroken,
)

ORIGIN, NOW = "example.org/log", 1_700_000_000
LOG = SignerKey(ORIGIN, b"\x01" * 32)
KEY, OTHER_KEY = (SignerKey(f"witness{n}.example", bytes([n]) * 32, Algorithm.COSIGNATURE) for n in (11, 12))
SIZE = 24


@dataclass(frozen=True)
class History:
    """A log's tree, honest or forked."""

    tiles: MemoryTiles

    @classmethod
    def of(cls, entries: Sequence[bytes]) -> History:
        tiles = MemoryTiles()
        tiles.append(0, [leaf_hash(entry) for entry in entries])
        return cls(tiles)

    def checkpoint(self, size: int) -> Checkpoint:
        return Checkpoint(ORIGIN, size, root(self.tiles, size))

    def note(self, size: int) -> bytes:
        return checkpoints.sign(self.checkpoint(size), LOG)

    def proof(self, old: int, new: int) -> list[bytes]:
        return consistency(self.tiles, old, new)


ENTRIES = [str(number).encode() for number in range(SIZE)]
HONEST = History.of(ENTRIES)
# The same up to entry 4, another from entry 5 on.
FORK = History.of([*ENTRIES[:5], b"another", *ENTRIES[6:]])


def witness(folder: Path, key: SignerKey = KEY) -> Witness:
    return Witness(folder, key, {ORIGIN: [LOG.verifier]}, lambda: NOW)


@pytest.fixture
def at_8(tmp_path: Path) -> Witness:
    """A witness that has cosigned the honest log at size 8."""
    made = witness(tmp_path / "witness")
    made.add_checkpoint(0, [], HONEST.note(8))
    return made


def test_a_witness_cosigns_a_log_as_it_grows(tmp_path: Path) -> None:
    made = witness(tmp_path / "new" / "folder")
    for old, new in [(0, 0), (0, 3), (3, 3), (3, 8), (8, 9), (9, 24)]:
        line = made.add_checkpoint(old, HONEST.proof(old, new), HONEST.note(new))
        cosigned = Note.decode(HONEST.note(new) + line.encode())
        assert cosigners(cosigned, [KEY.verifier]) == {KEY.verifier: NOW}
        assert cosignature.verify(cosigned.encode(), Policy(ORIGIN, LOG.verifier, (KEY.verifier,), 1)) == HONEST.checkpoint(new)


def test_a_witness_remembers(at_8: Witness, tmp_path: Path) -> None:
    with pytest.raises(Conflict) as told:
        witness(tmp_path / "witness").add_checkpoint(0, [], FORK.note(8))
    assert (told.value.status, told.value.known_size, told.value.body) == (409, 8, "8\n")
    assert witness(tmp_path / "witness").add_checkpoint(8, HONEST.proof(8, 9), HONEST.note(9))


@pytest.mark.parametrize("old", [0, 7, 9])
def test_another_old_size_is_a_conflict_that_tells_the_size(at_8: Witness, old: int) -> None:
    with pytest.raises(Conflict, match=r"^4") as told:
        at_8.add_checkpoint(old, HONEST.proof(old, 12), HONEST.note(12))
    assert (told.value.status, told.value.known_size) == (409, 8)


def test_another_root_at_the_same_size_is_a_conflict(at_8: Witness) -> None:
    with pytest.raises(Conflict, match=r"^5.*two histories") as told:
        at_8.add_checkpoint(8, [], FORK.note(8))
    assert (told.value.status, told.value.known_size) == (409, 8)


def test_a_proof_that_does_not_hold_is_unprocessable(at_8: Witness) -> None:
    proof = HONEST.proof(8, 12)
    for wrong, note in [([], HONEST.note(12)), ([*proof, EMPTY_ROOT], HONEST.note(12)), (FORK.proof(8, 12), FORK.note(12))]:
        with pytest.raises(BadProof, match=r"^6") as told:
            at_8.add_checkpoint(8, wrong, note)
        assert told.value.status == 422
    with pytest.raises(BadProof):
        at_8.add_checkpoint(8, [EMPTY_ROOT], HONEST.note(8))
    assert at_8.add_checkpoint(8, proof, HONEST.note(12))


def test_a_first_checkpoint_needs_no_proof_and_takes_none(tmp_path: Path) -> None:
    with pytest.raises(BadProof):
        witness(tmp_path).add_checkpoint(0, [EMPTY_ROOT], HONEST.note(8))
    assert witness(tmp_path).add_checkpoint(0, [], HONEST.note(8))


def test_a_request_that_is_none_is_malformed(at_8: Witness) -> None:
    not_a_checkpoint = sign("text\n", LOG).encode()
    for old, proof, raw in [
        (8, [], b""),
        (8, [], not_a_checkpoint),
        (8, [], HONEST.note(8)[:-1]),
        (9, [], HONEST.note(8)),
        (-1, [], HONEST.note(8)),
        (8, [b"short"], HONEST.note(12)),
        (8, [EMPTY_ROOT] * 64, HONEST.note(12)),
    ]:
        with pytest.raises(MalformedRequest, match=r"^1") as told:
            at_8.add_checkpoint(old, proof, raw)
        assert told.value.status == 400


def test_an_unknown_log_is_not_found(at_8: Witness) -> None:
    with pytest.raises(UnknownLog) as told:
        at_8.add_checkpoint(0, [], checkpoints.sign(Checkpoint("example.org/other", 8, EMPTY_ROOT), LOG))
    assert told.value.status == 404


def test_a_checkpoint_that_the_log_did_not_sign_is_forbidden(at_8: Witness) -> None:
    stranger = SignerKey(ORIGIN, b"\x63" * 32)
    text = HONEST.checkpoint(12).text()
    forged = Note(text, (Signature(LOG.name, LOG.verifier.key_id, bytes(64)),))
    for raw in (
        sign(text, stranger).encode(),
        forged.encode(),
        Note(text, (*sign(text, LOG).signatures, *forged.signatures)).encode(),
    ):
        with pytest.raises(Untrusted, match=r"^3") as told:
            at_8.add_checkpoint(8, HONEST.proof(8, 12), raw)
        assert told.value.status == 403
    assert at_8.add_checkpoint(8, HONEST.proof(8, 12), sign(text, stranger, LOG).encode())


def test_logs_do_not_share_a_memory(tmp_path: Path) -> None:
    second = SignerKey("example.org/second", b"\x02" * 32)
    made = Witness(tmp_path, KEY, {ORIGIN: [LOG.verifier], second.name: [second.verifier]}, lambda: NOW)
    made.add_checkpoint(0, [], HONEST.note(8))
    other = Checkpoint(second.name, 3, root(HONEST.tiles, 3))
    assert made.add_checkpoint(0, [], checkpoints.sign(other, second))
    with pytest.raises(Conflict, match="size 8"):
        made.add_checkpoint(0, [], HONEST.note(9))


def test_a_refusal_changes_nothing(at_8: Witness, tmp_path: Path) -> None:
    def memory() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (tmp_path / "witness").iterdir()}

    before = memory()
    for old, proof, raw in [(8, [], FORK.note(8)), (8, [], HONEST.note(12)), (0, [], HONEST.note(12)), (8, [], b"")]:
        with pytest.raises(Refusal):
            at_8.add_checkpoint(old, proof, raw)
    assert memory() == before


HISTORIES = st.sampled_from([HONEST, FORK])
# Whose head, whose proof, from which old size (the one cosigned last in most cases), and by how much larger.
REQUESTS = st.tuples(HISTORIES, HISTORIES, st.none() | st.integers(0, SIZE), st.integers(-1, 9))


@given(st.lists(REQUESTS, max_size=12))
def test_whatever_is_asked_what_is_signed_is_one_history(requests: list[tuple[History, History, int | None, int]]) -> None:
    signed: list[Checkpoint] = []
    with tempfile.TemporaryDirectory() as folder:
        made = witness(Path(folder))
        for claimed, proving, guess, growth in requests:
            old = guess if guess is not None else max((each.size for each in signed), default=0)
            new = min(SIZE, max(0, old + growth))
            try:
                made.add_checkpoint(old, proving.proof(old, new) if old <= new else [], claimed.note(new))
            except Refusal:
                continue
            signed.append(claimed.checkpoint(new))
    assert [each.size for each in signed] == sorted(each.size for each in signed)
    assert any(all(each == history.checkpoint(each.size) for each in signed) for history in (HONEST, FORK))


def test_a_log_that_lies_to_two_witnesses_is_exposed_when_they_compare(tmp_path: Path) -> None:
    """Told: a log shows one history to one witness and another to the second; its victims see one cosigned head each."""
    first, second = witness(tmp_path / "first"), witness(tmp_path / "second", OTHER_KEY)
    shown_first = HONEST.note(8) + first.add_checkpoint(0, [], HONEST.note(8)).encode()
    shown_second = FORK.note(8) + second.add_checkpoint(0, [], FORK.note(8)).encode()

    # Each view carries the log's signature and one witness's: nobody who sees only one can tell.
    one = cosignature.verify(shown_first, Policy(ORIGIN, LOG.verifier, (KEY.verifier,), 1))
    other = cosignature.verify(shown_second, Policy(ORIGIN, LOG.verifier, (OTHER_KEY.verifier,), 1))
    # Side by side they convict the log: it signed two roots of one size, and no proof can join them.
    assert one.size == other.size
    assert one.root != other.root
    with pytest.raises(ProofRefused, match="two roots at one size"):
        verify_consistency(one.size, one.root, other.size, other.root, [])
    # A witness that is shown both refuses, at this size and at every later one.
    for shown, view in ((first, FORK), (second, HONEST)):
        with pytest.raises(Conflict, match="two histories"):
            shown.add_checkpoint(8, [], view.note(8))
        for new in range(9, SIZE + 1):
            with pytest.raises(BadProof):
                shown.add_checkpoint(8, view.proof(8, new), view.note(new))
    # Who asks for both witnesses never believes either view.
    both = Policy(ORIGIN, LOG.verifier, (KEY.verifier, OTHER_KEY.verifier), 2)
    for shown_to_one in (shown_first, shown_second):
        with pytest.raises(QuorumMissed):
            cosignature.verify(shown_to_one, both)


@pytest.mark.parametrize(("name", "confirmed"), [("replace", False), ("fsync", False), ("fsync", True)])
def test_a_disk_that_fails_gets_no_cosignature_out_and_no_fork_later(
    at_8: Witness, monkeypatch: pytest.MonkeyPatch, name: str, confirmed: bool
) -> None:
    call, used = getattr(os, name), 0

    def fails(*args: Any) -> Any:
        nonlocal used
        used += 1
        if used == 1 + confirmed:  # the second sync is the folder's: the new file has its name by then
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return call(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, name, fails)
        with pytest.raises(WitnessBroken, match="nothing was signed"):
            at_8.add_checkpoint(8, HONEST.proof(8, 12), HONEST.note(12))
    remembered = 12 if confirmed else 8
    with pytest.raises(Refusal):
        at_8.add_checkpoint(remembered, FORK.proof(remembered, 12), FORK.note(12))
    assert at_8.add_checkpoint(remembered, HONEST.proof(remembered, 12), HONEST.note(12))


def test_a_damaged_memory_signs_nothing(at_8: Witness, tmp_path: Path) -> None:
    [path] = [path for path in (tmp_path / "witness").iterdir() if path.name != "lock"]
    whole = path.read_bytes()
    for place in range(len(whole)):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << place % 8
        path.write_bytes(flipped)
        with pytest.raises(WitnessBroken):
            at_8.add_checkpoint(8, HONEST.proof(8, 12), HONEST.note(12))
    path.write_bytes(b"")
    with pytest.raises(WitnessBroken):
        at_8.add_checkpoint(0, [], HONEST.note(12))
    path.write_bytes(whole)
    assert at_8.add_checkpoint(8, HONEST.proof(8, 12), HONEST.note(12))


def test_a_folder_of_another_witness_is_refused(at_8: Witness, tmp_path: Path) -> None:
    with pytest.raises(WitnessBroken, match="its own folder"):
        witness(tmp_path / "witness", OTHER_KEY).add_checkpoint(8, HONEST.proof(8, 12), HONEST.note(12))


def test_a_memory_moved_to_another_log_s_place_is_refused(tmp_path: Path) -> None:
    second = SignerKey("example.org/second", b"\x02" * 32)
    made = Witness(tmp_path, KEY, {ORIGIN: [LOG.verifier], second.name: [second.verifier]}, lambda: NOW)
    made.add_checkpoint(0, [], HONEST.note(8))
    [of_first] = [path for path in tmp_path.iterdir() if path.name != "lock"]
    made.add_checkpoint(0, [], checkpoints.sign(Checkpoint(second.name, 3, root(HONEST.tiles, 3)), second))
    [of_second] = [path for path in tmp_path.iterdir() if path.name not in {"lock", of_first.name}]
    of_first.write_bytes(of_second.read_bytes())
    with pytest.raises(WitnessBroken, match="another witness's or log's"):
        made.add_checkpoint(3, HONEST.proof(3, 12), HONEST.note(12))


def test_a_key_that_signs_notes_makes_no_witness(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="0x04"):
        witness(tmp_path, LOG)


def _ask(folder: str, barrier: Barrier, honest: bool) -> None:
    view = HONEST if honest else FORK
    made = witness(Path(folder))
    barrier.wait()
    try:
        made.add_checkpoint(3, view.proof(3, 12), view.note(12))
    except Conflict:
        os._exit(20)
    os._exit(10)


def test_of_several_processes_that_share_a_folder_one_signs(tmp_path: Path) -> None:
    witness(tmp_path).add_checkpoint(0, [], HONEST.note(3))
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(4)
    running = [context.Process(target=_ask, args=(str(tmp_path), barrier, n % 2 == 0)) for n in range(4)]
    for each in running:
        each.start()
    for each in running:
        each.join()
    assert sorted(each.exitcode or 0 for each in running) == [10, 20, 20, 20]
