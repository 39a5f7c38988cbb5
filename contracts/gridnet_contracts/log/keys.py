"""Ed25519 keys with a name, in the textual formats of C2SP signed-note and of Go's sumdb.

A verifier key is `name+id+base64`, a signer key `PRIVATE+KEY+name+id+base64`. Behind the base64 stand the algorithm's byte
and the key's 32 bytes; the id is the first 4 bytes of SHA-256 over the name, a newline, the algorithm's byte and the public key.
Ed25519 signatures are deterministic (RFC 8032): the same key and message give the same bytes.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, field
from enum import IntEnum
from hashlib import sha256
from pathlib import Path
from typing import Self

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from gridnet.errors import InputError
from gridnet_contracts.log.canonical import Malformed, from_base64, is_clean, to_base64
from gridnet_contracts.log.durable import sync_folder

KEY_BYTES = 32
_PRIVATE = "PRIVATE+KEY+"


class Algorithm(IntEnum):
    """What a key signs: the text of a note, or a checkpoint with the time of its cosignature."""

    NOTE = 0x01
    COSIGNATURE = 0x04


@dataclass(frozen=True)
class VerifierKey:
    """The public half: `name`, `public` (32 bytes) and what it signs. Raises `InputError` for a bad name or length."""

    name: str
    public: bytes
    algorithm: Algorithm = Algorithm.NOTE

    def __post_init__(self) -> None:
        _check(self.name, self.public)

    @property
    def key_id(self) -> bytes:
        """The 4 bytes that, with the name, point a signature to its key."""
        return sha256(f"{self.name}\n".encode() + bytes([self.algorithm]) + self.public).digest()[:4]

    def encode(self) -> str:
        """The key as `name+id+base64`."""
        return f"{self.name}+{self.key_id.hex()}+{to_base64(bytes([self.algorithm]) + self.public)}"

    @classmethod
    def decode(cls, text: str) -> Self:
        """The key in `text`; raises `InputError` unless `encode` would give `text` again."""
        name, algorithm, public = _parts(text, "verifier key")
        key = cls(name, public, algorithm)
        if key.encode() != text:
            raise InputError(f"verifier key {name}: the id does not belong to the name and key; copy the key again, whole")
        return key

    def verify(self, message: bytes, signature: bytes) -> bool:
        """Whether `signature` over `message` was made with the private half; one that has not 64 bytes was not."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature:
            return False
        return True


@dataclass(frozen=True)
class SignerKey:
    """The private half: `name`, `seed` (32 bytes, never shown) and what it signs."""

    name: str
    seed: bytes = field(repr=False)
    algorithm: Algorithm = Algorithm.NOTE

    def __post_init__(self) -> None:
        _check(self.name, self.seed)

    @classmethod
    def generate(cls, name: str, algorithm: Algorithm = Algorithm.NOTE) -> Self:
        """A new key from the system's randomness; raises `InputError` for a bad name."""
        return cls(name, os.urandom(KEY_BYTES), algorithm)

    @property
    def verifier(self) -> VerifierKey:
        """The public half."""
        return VerifierKey(self.name, self._private().public_key().public_bytes_raw(), self.algorithm)

    def sign(self, message: bytes) -> bytes:
        """The signature (64 bytes) over `message`."""
        return self._private().sign(message)

    def encode(self) -> str:
        """The key as `PRIVATE+KEY+name+id+base64`: a secret."""
        return f"{_PRIVATE}{self.name}+{self.verifier.key_id.hex()}+{to_base64(bytes([self.algorithm]) + self.seed)}"

    @classmethod
    def decode(cls, text: str) -> Self:
        """The key in `text`; raises `InputError`, which never repeats the secret, unless `encode` would give `text` again."""
        if not text.startswith(_PRIVATE):
            raise InputError(f"not a signer key: it begins with {_PRIVATE}; a verifier key can't sign")
        name, algorithm, seed = _parts(text.removeprefix(_PRIVATE), "signer key")
        key = cls(name, seed, algorithm)
        if key.encode() != text:
            raise InputError(f"signer key {name}: the id does not belong to the name and key; restore the key from its backup")
        return key

    def save(self, path: Path) -> None:
        """Writes the key to the new file `path`, for its owner's eyes alone. Raises `InputError` if `path` exists or fails."""
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError as error:
            raise InputError(f"key file {path} exists and is not overwritten; choose another name or move it away") from error
        except OSError as error:
            raise InputError(
                f"key file {path}: {error.strerror}; name a file in a folder that exists and can be written"
            ) from error
        try:
            with open(handle, "w", encoding="utf-8") as stream:
                stream.write(f"{self.encode()}\n")
                stream.flush()
                os.fsync(handle)
            sync_folder(path.parent)
        except OSError as error:
            path.unlink(missing_ok=True)  # half a key is no key
            raise InputError(f"key file {path}: {error.strerror}; the key was not saved") from error

    @classmethod
    def load(cls, path: Path) -> Self:
        """The key in file `path`; raises `InputError` where it can't be read, is damaged, or others may read it."""
        try:
            mode = stat.S_IMODE(path.stat().st_mode)
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"key file {path} can't be read ({type(error).__name__}); name a file made by SignerKey.save"
            ) from error
        if mode & 0o077:
            raise InputError(f"key file {path} has mode {mode:04o}: others could use the key; run chmod 600 {path}")
        return cls.decode(text.removesuffix("\n"))

    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)


def is_name(name: str) -> bool:
    """Whether `name` may name a key: not empty, no Unicode space, no plus, no control character."""
    return bool(name) and is_clean(name) and not any(each.isspace() or each == "+" for each in name)


def _check(name: str, key: bytes) -> None:
    if not is_name(name):
        raise InputError(f"key name {name!r}: use letters, digits, dots and slashes, without space or plus, as in example.org/log")
    if len(key) != KEY_BYTES:
        raise InputError(f"key {name}: {len(key)} bytes where Ed25519 has {KEY_BYTES}")


def _parts(text: str, what: str) -> tuple[str, Algorithm, bytes]:
    """Name, algorithm and key bytes of `name+id+base64`; the caller checks the id by encoding again."""
    name, _, rest = text.partition("+")
    _, _, encoded = rest.partition("+")
    try:
        raw = from_base64(encoded, what)
    except Malformed as error:
        raise InputError(f"{what}: not of the form name+id+base64; copy the key again, whole") from error
    if len(raw) != 1 + KEY_BYTES or raw[0] not in list(Algorithm):
        known = ", ".join(f"{each:#04x}" for each in Algorithm)
        raise InputError(f"{what}: not an Ed25519 key of a known type ({known}); it needs a type byte and {KEY_BYTES} bytes")
    return name, Algorithm(raw[0]), raw[1:]
