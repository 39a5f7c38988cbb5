"""Keys of meters: Ed25519 and P-256, with one short name and one way to be written. The one door to `cryptography` for metering.

Signatures are deterministic: Ed25519 is (RFC 8032), P-256 takes its nonce from the message (RFC 6979). A P-256 signature (r, s)
has a twin (r, n - s) that anyone can make from it; `sign` gives the lower one and `is_lowest` tells it, so that a message can
be held to one form.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from hashlib import sha256
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gridnet.errors import InputError

KID_BYTES = 8
SECRET_BYTES = 32
SIGNATURE_BYTES = 64
_P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
_KEYS_KEPT = 4096


class Algorithm(IntEnum):
    """What a key signs with; the value is the algorithm's number in COSE (RFC 9053, section 2)."""

    EDDSA = -8
    ES256 = -7


_PREFIX = {Algorithm.EDDSA: "ed25519", Algorithm.ES256: "p256"}
_PUBLIC_BYTES = {Algorithm.EDDSA: 32, Algorithm.ES256: 33}
_TEXT = re.compile("(ed25519|p256):([0-9a-f]+)")


@dataclass(frozen=True)
class PublicKey:
    """The public half: 32 bytes of Ed25519, or a P-256 point compressed to 33. Raises `InputError` for what is no such key."""

    public: bytes
    algorithm: Algorithm = Algorithm.EDDSA

    def __post_init__(self) -> None:
        expected = _PUBLIC_BYTES[self.algorithm]
        if len(self.public) != expected:
            raise InputError(f"public key: {len(self.public)} bytes where {_PREFIX[self.algorithm]} has {expected}")
        if self.algorithm is Algorithm.ES256:
            try:
                _p256(self.public)
            except ValueError as error:
                raise InputError("public key: no compressed point of P-256; export the key again") from error

    @property
    def kid(self) -> bytes:
        """The key's name in messages: the first 8 bytes of the SHA-256 of its text."""
        return sha256(self.encode().encode()).digest()[:KID_BYTES]

    def encode(self) -> str:
        """The key as text: `ed25519:` or `p256:` and its bytes in hex."""
        return f"{_PREFIX[self.algorithm]}:{self.public.hex()}"

    @classmethod
    def decode(cls, text: str) -> Self:
        """The key in `text`; raises `InputError` unless `encode` would give `text` again."""
        match = _TEXT.fullmatch(text)
        if match is None or len(match[2]) % 2:
            raise InputError(f"public key {text[:80]!r}: expected ed25519: or p256: and the key's bytes in small hex")
        return cls(bytes.fromhex(match[2]), next(each for each, prefix in _PREFIX.items() if prefix == match[1]))

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` (64 bytes) over `message` was made with the private half."""
        if len(signature) != SIGNATURE_BYTES:
            return False
        try:
            if self.algorithm is Algorithm.EDDSA:
                _ed25519(self.public).verify(signature, message)
            else:
                r, s = _halves(signature)
                _p256(self.public).verify(encode_dss_signature(r, s), message, ec.ECDSA(SHA256()))
        except InvalidSignature:
            return False
        return True

    def is_lowest(self, signature: bytes) -> bool:
        """Whether nobody but the key's holder can make another valid signature from this one."""
        return self.algorithm is Algorithm.EDDSA or 2 * _halves(signature)[1] <= _P256_ORDER


@dataclass(frozen=True)
class DeviceKey:
    """The private half: 32 bytes that are never shown. Raises `InputError` where they can be no key."""

    secret: bytes = field(repr=False)
    algorithm: Algorithm = Algorithm.EDDSA

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            raise InputError(f"device key: {len(self.secret)} bytes where {SECRET_BYTES} are needed")
        if self.algorithm is Algorithm.ES256 and not 0 < int.from_bytes(self.secret) < _P256_ORDER:
            raise InputError("device key: no number from 1 to the order of P-256; generate a new one")

    @classmethod
    def generate(cls, algorithm: Algorithm = Algorithm.EDDSA) -> Self:
        """A new key from the system's randomness."""
        return cls(_secret(os.urandom(2 * SECRET_BYTES), algorithm), algorithm)

    @classmethod
    def simulated(cls, seed: int, device: str, generation: int = 0, algorithm: Algorithm = Algorithm.EDDSA) -> Self:
        """The key that a simulation with `seed` gives `device`. Whoever knows the seed knows the key: never for a real meter."""
        source = f"gridnet simulated key/{seed}/{device}/{generation}/{algorithm.name}".encode()
        return cls(_secret(sha256(source).digest() + sha256(source + b"/2").digest(), algorithm), algorithm)

    @property
    def public_key(self) -> PublicKey:
        """The public half."""
        return _public(self.algorithm, self.secret)

    def sign(self, message: bytes) -> bytes:
        """The signature (64 bytes) over `message`; the same message gives the same bytes."""
        if self.algorithm is Algorithm.EDDSA:
            return _ed25519_private(self.secret).sign(message)
        r, s = decode_dss_signature(_p256_private(self.secret).sign(message, ec.ECDSA(SHA256(), deterministic_signing=True)))
        return r.to_bytes(SECRET_BYTES) + min(s, _P256_ORDER - s).to_bytes(SECRET_BYTES)


def _secret(source: bytes, algorithm: Algorithm) -> bytes:
    """A secret from 64 random bytes; twice the order's length leaves no bias that could be measured (FIPS 186-5, A.2.1)."""
    if algorithm is Algorithm.EDDSA:
        return source[:SECRET_BYTES]
    return (int.from_bytes(source) % (_P256_ORDER - 1) + 1).to_bytes(SECRET_BYTES)


def _halves(signature: bytes) -> tuple[int, int]:
    return int.from_bytes(signature[:SECRET_BYTES]), int.from_bytes(signature[SECRET_BYTES:])


# Reading a key costs as much as using it, and a meter's key is used every quarter-hour.
@lru_cache(maxsize=_KEYS_KEPT)
def _ed25519(public: bytes) -> Ed25519PublicKey:
    return Ed25519PublicKey.from_public_bytes(public)


@lru_cache(maxsize=_KEYS_KEPT)
def _p256(public: bytes) -> ec.EllipticCurvePublicKey:
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), public)


@lru_cache(maxsize=_KEYS_KEPT)
def _ed25519_private(secret: bytes) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(secret)


@lru_cache(maxsize=_KEYS_KEPT)
def _p256_private(secret: bytes) -> ec.EllipticCurvePrivateKey:
    return ec.derive_private_key(int.from_bytes(secret), ec.SECP256R1())


@lru_cache(maxsize=_KEYS_KEPT)
def _public(algorithm: Algorithm, secret: bytes) -> PublicKey:
    if algorithm is Algorithm.EDDSA:
        return PublicKey(_ed25519_private(secret).public_key().public_bytes_raw())
    point = _p256_private(secret).public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
    return PublicKey(point, algorithm)
