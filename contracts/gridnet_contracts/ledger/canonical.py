"""Canonical bytes: one text for one meaning, so that a hash speaks for what was meant.

JSON as RFC 8785 (JCS) has it, for the part of JSON that the ledger uses: objects with sorted ASCII keys, arrays, strings, whole
numbers below 2^53 in magnitude, true, false, null. No floats: there is then no question of how a number is written.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from gridnet.errors import VerificationError

MAX_AMOUNT = 2**53 - 1
"""Largest amount and largest balance: what every JSON reader holds exactly."""

quoted: Callable[[str], str] = json.encoder.encode_basestring
"""A text as canonical JSON writes it."""
_encode = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False, check_circular=False).encode


def canonical(content: Mapping[str, Any]) -> bytes:
    """The one way to write `content`."""
    return _encode(content).encode("utf-8")


def read_canonical(text: bytes) -> dict[str, Any]:
    """The object that `text` writes. Raises `VerificationError` where it is not its one canonical form."""
    try:
        content = json.loads(text.decode("utf-8"))
        again = canonical(content) if isinstance(content, dict) else None
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"not JSON: {error}") from error
    if again != text:
        raise VerificationError("not in canonical form: the same content has another way to be written")
    return content  # type: ignore[no-any-return]  # an object, or `again` is None
