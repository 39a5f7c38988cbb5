"""Cosignatures of witnesses, cosignature/v1 (C2SP tlog-cosignature), and what a verifier asks for: a quorum of them.

A log can show one history to you and another to the rest of the world; its own signature does not tell. A witness signs a
checkpoint only if it continues everything that the witness signed for this log before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from gridnet.errors import InputError, VerificationError
from gridnet_contracts.log import checkpoint as checkpoints
from gridnet_contracts.log.canonical import DECIMAL_MAX
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.keys import Algorithm, SignerKey, VerifierKey
from gridnet_contracts.log.note import Note, Signature, SignatureRefused, by_known_keys

_TIME_BYTES = 8


class QuorumMissed(VerificationError):
    """Fewer of the named witnesses have cosigned than the policy asks for."""


@dataclass(frozen=True)
class Policy:
    """Whom a verifier trusts: the log `origin` by `log_key`, if at least `quorum` of `witnesses` have cosigned.

    A quorum of 0 trusts the log alone. Raises `InputError` for a quorum that can't be met, and for a witness that would count
    twice (the signed bytes don't hold its name) or that is the log itself.
    """

    origin: str
    log_key: VerifierKey
    witnesses: tuple[VerifierKey, ...] = ()
    quorum: int = 0

    def __post_init__(self) -> None:
        for key in self.witnesses:
            _only_cosignatures(key)
        publics = {self.log_key.public, *(key.public for key in self.witnesses)}
        if len(publics) != 1 + len(self.witnesses):
            raise InputError("policy: the log and its witnesses need different keys, each named once")
        if not 0 <= self.quorum <= len(self.witnesses):
            raise InputError(f"policy: a quorum of {self.quorum} among {len(self.witnesses)} witnesses; name more or ask for fewer")


def cosign(checkpoint: Checkpoint, key: SignerKey, time_s: int) -> Signature:
    """The witness's signature: it saw `checkpoint` as the largest of its log at `time_s`, seconds since 1970."""
    _only_cosignatures(key)
    if not 0 <= time_s <= DECIMAL_MAX:
        raise InputError(f"cosignature time {time_s}: seconds since 1970 lie between 0 and 2^63 - 1")
    made = key.sign(_message(checkpoint.text(), time_s))
    return Signature(key.name, key.verifier.key_id, time_s.to_bytes(_TIME_BYTES, "big") + made)


def cosigners(signed: Note, witnesses: Iterable[VerifierKey]) -> dict[VerifierKey, int]:
    """The `witnesses` that cosigned the checkpoint in `signed`, each with its latest time, in seconds since 1970.

    Signatures of others are passed over; raises `SignatureRefused` for a bad signature of one of `witnesses`.
    """
    times: dict[VerifierKey, int] = {}
    for key, signature in by_known_keys(signed, witnesses):
        _only_cosignatures(key)
        time_s = int.from_bytes(signature.payload[:_TIME_BYTES], "big")
        made = signature.payload[_TIME_BYTES:]
        if time_s > DECIMAL_MAX or not key.verify(_message(signed.text, time_s), made):
            raise SignatureRefused(f"the cosignature of {key.name} does not fit the checkpoint; it was changed or forged")
        times[key] = max(time_s, times.get(key, 0))
    return times


def verify(raw: bytes, policy: Policy) -> Checkpoint:
    """The checkpoint in the signed note `raw`, if `policy` trusts it.

    1. It is well formed, signed by the log's key, and of the log asked about (`checkpoint.verify`).
    2. No cosignature of a named witness is bad (`SignatureRefused`).
    3. Enough of the named witnesses have cosigned (`QuorumMissed`).
    """
    # 1
    checkpoint = checkpoints.verify(raw, policy.origin, [policy.log_key])
    # 2
    seen = cosigners(Note.decode(raw), policy.witnesses)
    # 3
    if len(seen) < policy.quorum:
        raise QuorumMissed(
            f"{len(seen)} of {len(policy.witnesses)} witnesses have cosigned, {policy.quorum} are asked for; fetch it again later",
            expected=policy.quorum,
            got=len(seen),
        )
    return checkpoint


def _message(text: str, time_s: int) -> bytes:
    return f"cosignature/v1\ntime {time_s}\n{text}".encode()


def _only_cosignatures(key: SignerKey | VerifierKey) -> None:
    if key.algorithm is not Algorithm.COSIGNATURE:
        raise InputError(f"key {key.name} signs notes; a witness needs a key of type {Algorithm.COSIGNATURE:#04x}")
