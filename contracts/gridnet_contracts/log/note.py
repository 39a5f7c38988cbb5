"""Signed notes: text, a blank line, and one line a signature (C2SP signed-note).

    This is the text.

    \N{EM DASH} example.org/log UsaE8Q...

The text of a note is to be used only after `verify`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Self

from gridnet.errors import InputError, VerificationError
from gridnet_contracts.log.canonical import Malformed, from_base64, is_lines, to_base64, to_text
from gridnet_contracts.log.keys import Algorithm, SignerKey, VerifierKey, is_name

NOTE_BYTES_MAX = 1_000_000
# Room for many witnesses; the specification asks for 16 at least, and a bound keeps a hostile note cheap.
SIGNATURES_MAX = 100
_DASH = "\N{EM DASH} "
_KEY_ID_BYTES = 4


class SignatureRefused(VerificationError):
    """A signature by a known key does not fit the text, or no known key has signed."""


@dataclass(frozen=True)
class Signature:
    """One signature line: the key's `name` and `key_id` (4 bytes), and `payload`, whose form the key's algorithm sets."""

    name: str
    key_id: bytes
    payload: bytes

    def line(self) -> str:
        """The line, with its newline."""
        return f"{_DASH}{self.name} {to_base64(self.key_id + self.payload)}\n"

    @classmethod
    def decode(cls, line: str) -> Self:
        """The signature in `line`, which has its newline; raises `Malformed`."""
        name, _, encoded = line.removeprefix(_DASH).removesuffix("\n").partition(" ")
        raw = from_base64(encoded, "signature line")
        signature = cls(name, raw[:_KEY_ID_BYTES], raw[_KEY_ID_BYTES:])
        if not (is_name(name) and signature.payload and signature.line() == line):
            raise Malformed("signature line: not an em dash, a space, a key name, a space and base64 of more than 4 bytes")
        return signature


@dataclass(frozen=True)
class Note:
    """A text of whole lines and its signatures, verified or not. Raises `Malformed`."""

    text: str
    signatures: tuple[Signature, ...]

    def __post_init__(self) -> None:
        _whole_lines(self.text)
        if not 1 <= len(self.signatures) <= SIGNATURES_MAX:
            raise Malformed(f"note: {len(self.signatures)} signatures, 1 to {SIGNATURES_MAX} are allowed")

    def encode(self) -> bytes:
        """The note as it is published."""
        return f"{self.text}\n{''.join(each.line() for each in self.signatures)}".encode()

    @classmethod
    def decode(cls, raw: bytes) -> Self:
        """The note in `raw`; raises `Malformed` unless `encode` gives `raw` again."""
        whole = to_text(raw, "note", NOTE_BYTES_MAX)
        at = whole.rfind("\n\n")
        if at < 0:
            raise Malformed("note: no blank line between text and signatures")
        lines = whole[at + 2 :].split("\n")[:-1]  # not splitlines, which also breaks at other characters
        return cls(whole[: at + 1], tuple(Signature.decode(f"{line}\n") for line in lines))


def sign(text: str, *keys: SignerKey) -> Note:
    """`text`, whole lines, signed with each of `keys`. Raises `Malformed` for another text, `InputError` for a witness's key."""
    for key in keys:
        _only_notes(key)
    message = _whole_lines(text).encode()
    return Note(text, tuple(Signature(key.name, key.verifier.key_id, key.sign(message)) for key in keys))


def verify(note: Note, trusted: Iterable[VerifierKey]) -> tuple[VerifierKey, ...]:
    """Those of the `trusted` keys that have signed `note`, at least one.

    1. Signatures of keys that are not trusted are passed over.
    2. Every signature of a trusted key fits the text.
    3. There is at least one.

    Raises `SignatureRefused` at the first check that fails.
    """
    signed: dict[VerifierKey, None] = {}
    # 1
    for key, signature in by_known_keys(note, trusted):
        _only_notes(key)
        # 2
        if not key.verify(note.text.encode(), signature.payload):
            raise SignatureRefused(f"2: the signature of {key.name} does not fit the text; the note was changed or forged")
        signed[key] = None
    # 3
    if not signed:
        raise SignatureRefused("3: none of the trusted keys has signed the note; check the keys you trust, or refuse the note")
    return tuple(signed)


def by_known_keys(note: Note, keys: Iterable[VerifierKey]) -> Iterator[tuple[VerifierKey, Signature]]:
    """The signatures whose name and key id belong to one of `keys`, each with its key; not verified yet.

    Raises `InputError` where two different keys share name and id.
    """
    known: dict[tuple[str, bytes], VerifierKey] = {}
    for key in keys:
        if known.setdefault((key.name, key.key_id), key) != key:
            raise InputError(f"two keys are called {key.name} with id {key.key_id.hex()}; give one of them another name")
    for signature in note.signatures:
        found = known.get((signature.name, signature.key_id))
        if found is not None:
            yield found, signature


def _whole_lines(text: str) -> str:
    if not is_lines(text):
        raise Malformed("note: the text holds a control character or does not end in a newline")
    return text


def _only_notes(key: SignerKey | VerifierKey) -> None:
    if key.algorithm is not Algorithm.NOTE:
        raise InputError(f"key {key.name} is a witness's: it cosigns checkpoints and signs no notes")
