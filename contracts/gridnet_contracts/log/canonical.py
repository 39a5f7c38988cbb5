"""Text that has exactly one spelling: base64, decimals and lines, as the C2SP formats ask for.

A second spelling of the same evidence is a way to smuggle something past a comparison, so each reader here refuses what its
writer would not have written.
"""

from __future__ import annotations

import base64
import re

from gridnet.errors import VerificationError

HASH_BYTES = 32
# Sizes, indices and times fit a signed 64-bit integer: the bound of tlog-cosignature, and of a SQL BIGINT.
DECIMAL_MAX = 2**63 - 1
_DECIMAL = re.compile("0|[1-9][0-9]{0,18}")
# Control characters but newline, and surrogates, which UTF-8 can't carry.
_UNCLEAN = re.compile("[\x00-\x09\x0b-\x1f\ud800-\udfff]")


class Malformed(VerificationError):
    """Evidence that does not keep to its format, so that nothing in it can be trusted."""


def to_base64(raw: bytes) -> str:
    """Standard base64 with padding (RFC 4648, section 4)."""
    return base64.b64encode(raw).decode("ascii")


def from_base64(text: str, what: str) -> bytes:
    """The bytes behind `text`. Raises `Malformed`, naming `what`, unless encoding them again gives `text`."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError as error:
        raise Malformed(f"{what}: not base64") from error
    if to_base64(raw) != text:
        raise Malformed(f"{what}: base64 in another spelling than the canonical one")
    return raw


def from_decimal(text: str, what: str) -> int:
    """A count from 0 to 2^63 - 1 without leading zeros. Raises `Malformed`, naming `what`."""
    if _DECIMAL.fullmatch(text) is None or int(text) > DECIMAL_MAX:
        raise Malformed(f"{what}: not a decimal from 0 to 2^63 - 1 without leading zeros", got=text[:40])
    return int(text)


def to_text(raw: bytes, what: str, limit: int) -> str:
    """`raw` as text of whole lines: UTF-8, no control character but newline, at most `limit` bytes. Else `Malformed`."""
    if len(raw) > limit:
        raise Malformed(f"{what}: {len(raw)} bytes, {limit} at most", expected=limit, got=len(raw))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"{what}: byte {error.start} is not UTF-8") from error
    if not is_lines(text):
        raise Malformed(f"{what}: a control character, or no newline at the end")
    return text


def is_lines(text: str) -> bool:
    """Whether `text` is whole lines: ends in a newline, can be written as UTF-8, holds no other control character."""
    return text.endswith("\n") and is_clean(text)


def is_clean(text: str) -> bool:
    """Whether `text` can be written as UTF-8 and holds no control character below U+0020 but newline."""
    return _UNCLEAN.search(text) is None
