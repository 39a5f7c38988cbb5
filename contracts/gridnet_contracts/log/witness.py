"""A witness: cosigns a log's checkpoints as long as each continues the one before (C2SP tlog-witness, add-checkpoint).

It keeps one file a log: the last checkpoint it cosigned, with its own cosignature on it, so that a damaged file is noticed. A
folder belongs to one witness key for good; a new key is a new witness and gets a new folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from pathlib import Path

from gridnet.errors import InputError, LedgerError, VerificationError
from gridnet_contracts.log import durable
from gridnet_contracts.log.canonical import HASH_BYTES, Malformed
from gridnet_contracts.log.checkpoint import Checkpoint, Head
from gridnet_contracts.log.cosignature import cosign, cosigners
from gridnet_contracts.log.keys import Algorithm, SignerKey, VerifierKey
from gridnet_contracts.log.merkle import EMPTY_ROOT, ProofRefused, verify_consistency
from gridnet_contracts.log.note import Note, SignatureRefused
from gridnet_contracts.log.note import verify as verify_note

PROOF_HASHES_MAX = 63


class Refusal(VerificationError):
    """The witness does not cosign. `status` is the HTTP status of the protocol, `body` what goes with it."""

    status = 400
    body = ""


class MalformedRequest(Refusal):
    """The request is not one: a malformed checkpoint, or an old size beyond the new one."""


class Untrusted(Refusal):
    """No key that the witness knows for this log has signed the checkpoint."""

    status = 403


class UnknownLog(Refusal):
    """The witness does not watch a log of this origin."""

    status = 404


class Conflict(Refusal):
    """The log last showed another tree: `known_size` is the size the witness cosigned last."""

    status = 409

    def __init__(self, message: str, known_size: int) -> None:
        super().__init__(message, expected=known_size)
        self.known_size = known_size
        self.body = f"{known_size}\n"


class BadProof(Refusal):
    """The proof does not show that the checkpoint continues the last one."""

    status = 422


class WitnessBroken(LedgerError):
    """The witness's own folder can't be read or written, or is damaged; it signs nothing."""


class Witness:
    """Watches `logs`, a mapping from origin to the keys that may sign for it, and cosigns with `key`.

    `folder` holds its memory and is made where missing: losing it means forgetting, so back it up never and restore it never.
    `clock` gives seconds since 1970. Several processes may share a folder.
    """

    def __init__(self, folder: Path, key: SignerKey, logs: Mapping[str, Sequence[VerifierKey]], clock: Callable[[], int]) -> None:
        if key.algorithm is not Algorithm.COSIGNATURE:
            raise InputError(f"key {key.name} signs notes; a witness needs a key of type {Algorithm.COSIGNATURE:#04x}")
        self._folder = folder
        self._key = key
        self._logs = {origin: tuple(keys) for origin, keys in logs.items()}
        self._clock = clock

    def add_checkpoint(self, old_size: int, proof: Sequence[bytes], note_bytes: bytes) -> str:
        """The cosignature line, newline included, for the checkpoint in the signed note `note_bytes`.

        1. The request is well formed and its sizes are in order (`MalformedRequest`, 400).
        2. The log is known (`UnknownLog`, 404).
        3. One of the log's keys has signed, and none of their signatures is bad (`Untrusted`, 403).
        4. `old_size` is the size cosigned last, 0 at first (`Conflict`, 409).
        5. The same size has the same root (`Conflict`, 409).
        6. `proof` leads from the last root to the new one (`BadProof`, 422).

        From 4 on under a lock; the checkpoint is on the disk before its cosignature leaves. Raises the first refusal, or
        `WitnessBroken` where the folder fails.
        """
        # 1
        submitted, checkpoint = _parsed(old_size, proof, note_bytes)
        # 2
        if checkpoint.origin not in self._logs:
            raise UnknownLog(f"2: this witness watches no log called {checkpoint.origin}; ask its operator to add it")
        # 3
        try:
            verify_note(submitted, self._logs[checkpoint.origin])
        except SignatureRefused as error:
            raise Untrusted(f"3: {error}") from error
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            with durable.locked(self._folder / "lock"):
                # 4 to 6
                _continues(self._last(checkpoint.origin), old_size, checkpoint, proof)
                signature = cosign(checkpoint, self._key, self._clock())
                durable.replace(self._file(checkpoint.origin), Note(submitted.text, (signature,)).encode())
        except OSError as error:
            raise WitnessBroken(f"witness folder {self._folder}: {error.strerror or error}; nothing was signed") from error
        return signature.line()

    def _last(self, origin: str) -> Head:
        """What was cosigned last for this log; the empty tree at first."""
        path = self._file(origin)
        try:
            raw = path.read_bytes()
        except FileNotFoundError:
            return Head(0, EMPTY_ROOT)
        try:
            kept = Note.decode(raw)
            checkpoint = Checkpoint.parse(kept.text)
            ours = cosigners(kept, [self._key.verifier])
        except VerificationError as error:
            raise WitnessBroken(
                f"witness file {path} is damaged ({error}); its memory is lost, so retire this witness key"
            ) from error
        if not ours or checkpoint.origin != origin:
            raise WitnessBroken(f"witness file {path} is another witness's or log's; give each witness key its own folder")
        return checkpoint.head

    def _file(self, origin: str) -> Path:
        return self._folder / sha256(origin.encode()).hexdigest()


def _parsed(old_size: int, proof: Sequence[bytes], note_bytes: bytes) -> tuple[Note, Checkpoint]:
    try:
        submitted = Note.decode(note_bytes)
        checkpoint = Checkpoint.parse(submitted.text)
    except Malformed as error:
        raise MalformedRequest(f"1: {error}") from error
    if not 0 <= old_size <= checkpoint.size:
        raise MalformedRequest(f"1: old size {old_size} lies outside 0 to the new size, {checkpoint.size}")
    if len(proof) > PROOF_HASHES_MAX or any(len(each) != HASH_BYTES for each in proof):
        raise MalformedRequest(f"1: a proof has at most {PROOF_HASHES_MAX} hashes of {HASH_BYTES} bytes")
    return submitted, checkpoint


def _continues(last: Head, old_size: int, checkpoint: Checkpoint, proof: Sequence[bytes]) -> None:
    """Checks 4 to 6 of `Witness.add_checkpoint`."""
    # 4
    if old_size != last.size:
        raise Conflict(f"4: size {last.size} was cosigned last, not {old_size}; send a proof from there", last.size)
    # 5
    if checkpoint.size == last.size and checkpoint.root != last.root:
        raise Conflict(f"5: another root was cosigned at size {last.size}: the log shows two histories", last.size)
    # 6
    try:
        verify_consistency(last.size, last.root, checkpoint.size, checkpoint.root, proof)
    except ProofRefused as error:
        raise BadProof(f"6: {error}") from error
