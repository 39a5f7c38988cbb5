"""An entry: one transaction of the ledger, and the canonical bytes that are its leaf in the log."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridnet.errors import LedgerError, VerificationError
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.parse import parse_action
from gridnet_contracts.ledger.canonical import canonical, quoted
from gridnet_contracts.ledger.errors import MalformedAction
from gridnet_contracts.ledger.state import Movement

FORMAT = 1
LONGEST_LEAF = 65_535
"""Bytes; what an entry bundle of the log can hold."""
KEY = re.compile(r"[\x21-\x7e]{1,128}", re.ASCII)
LEG = [str, str, str, int]
"""Types of a movement as JSON has it: an amount is a whole number, no float of the same value, no truth value."""
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", re.ASCII)


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for. `key` makes it happen once, however often it is asked."""

    key: str
    action: Action

    def body(self) -> bytes:
        """Canonical bytes of what is asked, apart from when and as which entry."""
        return canonical(self.action.body())


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as the log holds it. `time` is UTC to the second and never earlier than the entry's before."""

    seq: int
    time: str
    key: str
    action: Action
    movements: tuple[Movement, ...]
    body_hash: str
    leaf: bytes


def check_key(key: object) -> None:
    """Raises `MalformedAction` for a key that can't be one."""
    if not isinstance(key, str) or not KEY.fullmatch(key):
        raise MalformedAction(f"an idempotency key is 1 to 128 visible ASCII characters, got {str(key)[:60]!r}")


def stamp(time: datetime) -> str:
    """A time in UTC as entries write it."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ")


def make_entry(seq: int, time: str, order: Order, movements: Sequence[Movement], body: bytes) -> Entry:
    """The entry of an order that was applied; `body` is `order.body()`. Raises `MalformedAction` where its leaf is too long."""
    kind = order.action.kind
    # The pieces in the order of their keys: the same bytes as `canonical` of the whole, without writing the body twice.
    pieces = (b'{"body":', body, b',"key":', quoted(order.key).encode(), b',"kind":"', kind.encode(), b'","movements":')
    rest = (_movements(movements), b',"seq":%d,"time":"' % seq, time.encode(), b'","v":%d}' % FORMAT)
    leaf = b"".join((*pieces, *rest))
    if len(leaf) > LONGEST_LEAF:
        raise MalformedAction(f"entry {order.key!r} takes {len(leaf)} bytes, {LONGEST_LEAF} at most: ask in several orders")
    return Entry(seq, time, order.key, order.action, tuple(movements), body_hash(kind, body), leaf)


def body_hash(kind: str, body: bytes) -> str:
    """What tells a repeated order from another one with its key."""
    return hashlib.sha256(kind.encode() + b"\n" + body).hexdigest()


def _movements(movements: Sequence[Movement]) -> bytes:
    legs = [f"[{quoted(asset)},{quoted(debit)},{quoted(credit)},{amount}]" for asset, debit, credit, amount in movements]
    return f"[{','.join(legs)}]".encode()


def read_entry(leaf: bytes, seq: int) -> Entry:
    """The entry that a leaf holds: well formed, in the one form that it can be written in, of this number.
    Raises `VerificationError`."""
    fields = _fields(leaf, seq)
    try:
        check_key(fields["key"])
        action = parse_action(fields["kind"], fields["body"])
        movements = _read_movements(fields["movements"], seq)
        again = make_entry(seq, fields["time"], Order(fields["key"], action), movements, canonical(fields["body"]))
    except (LedgerError, ValueError) as error:  # NaN, or half of a surrogate pair, which JSON can write and we can't
        raise VerificationError(f"entry {seq}: {error}", step=seq) from error
    if again.leaf != leaf or fields["body"].keys() != type(action).model_fields.keys():
        raise VerificationError(f"entry {seq} is not in canonical form: the same content has another way to be written", step=seq)
    return again


def _fields(leaf: bytes, seq: int) -> dict[str, Any]:
    try:
        fields = json.loads(leaf.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise VerificationError(f"entry {seq} is not JSON: {error}", step=seq) from error
    expected = {"body", "key", "kind", "movements", "seq", "time", "v"}
    if not isinstance(fields, dict) or fields.keys() != expected or not isinstance(fields["body"], dict):
        raise VerificationError(f"entry {seq}: an entry holds {', '.join(sorted(expected))}", step=seq)
    if not isinstance(fields["time"], str) or not TIME.fullmatch(fields["time"]):
        raise VerificationError(f"entry {seq}: no time in UTC", step=seq)
    return fields


def _read_movements(listed: Any, seq: int) -> tuple[Movement, ...]:
    if not isinstance(listed, list) or not all(isinstance(leg, list) and [*map(type, leg)] == LEG for leg in listed):
        raise VerificationError(f"entry {seq}: its movements are no list of (asset, from, to, amount)", step=seq)
    return tuple((leg[0], leg[1], leg[2], leg[3]) for leg in listed)
