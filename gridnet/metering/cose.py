"""A reading as a signed message: COSE_Sign1 (RFC 9052, section 4.2) in deterministic CBOR (RFC 8949, section 4.2.1).

    18([ << {1: alg, 4: kid} >>, {}, << reading >>, signature ])

Algorithm and key name are both protected and nothing is unprotected, so that no byte of a message can change without the signature
failing. The signature covers `Sig_structure`: ["Signature1", protected, external, payload].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

import cbor2

from gridnet.metering.errors import BadSignature, MalformedMessage, WrongAlgorithm, WrongDevice
from gridnet.metering.keys import DeviceKey, PublicKey
from gridnet.metering.reading import Reading
from gridnet.metering.registry import KeyRegistry

MAX_BYTES = 512
"""Longest message that is looked at; a reading's has about 160."""

_TAG = 18
_ALG, _CRITICAL, _KID = 1, 2, 4
_CONTEXT = "Signature1"


@dataclass(frozen=True, slots=True)
class Sign1:
    """A COSE_Sign1 taken apart; `protected` and `payload` are the bytes that the signature covers."""

    protected: bytes
    headers: Mapping[Any, Any]
    """What `protected` holds."""
    unprotected: Mapping[Any, Any]
    payload: bytes
    signature: bytes

    def encode(self) -> bytes:
        """The message."""
        return cbor2.dumps(cbor2.CBORTag(_TAG, [self.protected, self.unprotected, self.payload, self.signature]), canonical=True)


def sign(reading: Reading, key: DeviceKey) -> bytes:
    """The message in which the holder of `key` states `reading`."""
    headers = {_ALG: int(key.algorithm), _KID: key.public_key.kid}
    protected, payload = cbor2.dumps(headers, canonical=True), reading.encode()
    return Sign1(protected, headers, {}, payload, key.sign(_to_be_signed(protected, payload, b""))).encode()


def message_hash(raw: bytes) -> bytes:
    """What the device's next reading names as `previous`: SHA-256 over the whole message."""
    return sha256(raw).digest()


def open_message(raw: bytes, registry: KeyRegistry, at: datetime) -> Reading:
    """The reading in `raw`, which arrived `at` (UTC), if these hold, in this order:

    1. it is one COSE_Sign1 in deterministic encoding, with algorithm and key name protected and no other header;
    2. the key is in the registry (`UnknownKey`);
    3. the algorithm is the key's (`WrongAlgorithm`);
    4. the signature is the key's, in its one form (`BadSignature`);
    5. the payload is a reading in deterministic encoding (`MalformedMessage`, as in 1);
    6. the key is the reading's device's (`WrongDevice`);
    7. the key signs this interval, and was not revoked when the message came (`KeyNotValid`, `KeyRevoked`).

    Sequence, previous hash and clock need the device's other messages: `gridnet.verification` looks at them.
    """
    sign1 = parse_sign1(raw)
    if sign1.headers.keys() != {_ALG, _KID} or sign1.unprotected or not isinstance(sign1.headers[_KID], bytes):
        raise MalformedMessage("message: its headers are not algorithm and key name, both protected, and nothing else")
    entry = registry.find(sign1.headers[_KID])
    verify_sign1(sign1, entry.key)
    if not entry.key.is_lowest(sign1.signature):
        raise BadSignature(f"{entry.device}: the upper twin of a P-256 signature, which anyone can make", device=entry.device)
    reading = Reading.decode(sign1.payload)
    if reading.device != entry.device:
        raise WrongDevice(f"a reading of {reading.device} signed with a key of {entry.device}", device=reading.device)
    entry.check(reading.end, at)
    return reading


def key_name(raw: bytes) -> bytes:
    """The name of the key that a message says it is signed with; nothing is verified. Raises `MalformedMessage`."""
    named = parse_sign1(raw).headers.get(_KID)
    if not isinstance(named, bytes):
        raise MalformedMessage("message: no key is named")
    return named


def parse_sign1(raw: bytes) -> Sign1:
    """Any tagged COSE_Sign1 with its payload inside, not verified. Raises `MalformedMessage`.

    Critical headers are refused: none beyond the standard ones is understood here. So is every encoding but the deterministic one.
    """
    if len(raw) > MAX_BYTES:
        raise MalformedMessage(f"message: {len(raw)} bytes, {MAX_BYTES} at most", expected=MAX_BYTES, got=len(raw))
    tagged = _only_form(raw, "message")
    parts = tagged.value if isinstance(tagged, cbor2.CBORTag) and tagged.tag == _TAG else None
    if not isinstance(parts, list | tuple) or len(parts) != 4:
        raise MalformedMessage(f"message: not an array of 4 under tag {_TAG}")
    protected, unprotected, payload, signature = parts
    if not all(isinstance(each, bytes) for each in (protected, payload, signature)) or not isinstance(unprotected, Mapping):
        raise MalformedMessage("message: protected headers, payload and signature are byte strings, unprotected headers a map")
    # An empty map is written as an empty string here (RFC 9052, section 3).
    headers = _only_form(protected, "protected headers") if protected else {}
    if not isinstance(headers, Mapping) or (protected and not headers):
        raise MalformedMessage("message: the protected headers are no map")
    if _CRITICAL in headers or _CRITICAL in unprotected:
        raise MalformedMessage("message: a critical header that is not understood here")
    if headers.keys() & unprotected.keys():
        raise MalformedMessage("message: a header both protected and unprotected")
    return Sign1(protected, headers, unprotected, payload, signature)


def verify_sign1(sign1: Sign1, key: PublicKey, external: bytes = b"") -> None:
    """Raises `WrongAlgorithm` or `BadSignature` unless `key` signed the message and `external`."""
    algorithm = sign1.headers.get(_ALG)
    if type(algorithm) is not int or algorithm != key.algorithm:
        raise WrongAlgorithm(
            f"message: algorithm {algorithm!r} where key {key.kid.hex()} signs with {key.algorithm.name}",
            expected=int(key.algorithm),
            got=algorithm,
        )
    if not key.verify(_to_be_signed(sign1.protected, sign1.payload, external), sign1.signature):
        raise BadSignature(f"message: not signed with key {key.kid.hex()}, or changed since")


def _to_be_signed(protected: bytes, payload: bytes, external: bytes) -> bytes:
    return cbor2.dumps([_CONTEXT, protected, external, payload], canonical=True)


def _only_form(encoded: bytes, what: str) -> Any:
    """What `encoded` holds, if deterministic encoding would write it so."""
    try:
        content = cbor2.loads(encoded, max_depth=8, allow_indefinite=False, allow_duplicate_keys=False)
        again = cbor2.dumps(content, canonical=True)
    except cbor2.CBORError as error:
        raise MalformedMessage(f"{what}: not CBOR: {error}") from error
    if again != encoded:
        raise MalformedMessage(f"{what}: not in deterministic encoding, or followed by more bytes")
    return content
