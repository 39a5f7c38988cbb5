"""Which key speaks for which device, and when.

A device signs an interval with the key whose window `[start, end)` holds the moment before the interval's end. `rotate` ends one
window and begins the next. `revoke` is for a key that may have been stolen: nothing that arrives from then on counts,
whatever interval it claims, because a thief can date a reading back. What arrived before stays: an audit judges by the same
time of arrival, so its answer does not change later.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any, Self

from gridnet.errors import Fault, InputError
from gridnet.metering.errors import KeyNotValid, KeyRevoked, UnknownKey
from gridnet.metering.keys import PublicKey

VERSION = 1
_TIME = "%Y-%m-%dT%H:%M:%SZ"


@dataclass(frozen=True)
class KeyEntry:
    """A key of `device` for intervals that end in `(start, end]`; `revoked`: from when nothing it signed is taken. UTC."""

    device: str
    key: PublicKey
    start: datetime
    end: datetime | None = None
    revoked: datetime | None = None

    def check(self, interval_end: datetime, at: datetime) -> None:
        """Raises `KeyNotValid` or `KeyRevoked` unless the key speaks for the interval in a message that arrived `at`."""
        if not (self.start < interval_end and (self.end is None or interval_end <= self.end)):
            until = self.end.isoformat() if self.end else "open"
            raise KeyNotValid(
                f"{self.device}: key {self.key.kid.hex()} signs intervals ending after {self.start.isoformat()} until {until}, "
                f"not one that ends {interval_end.isoformat()}",
                device=self.device,
            )
        if self.revoked is not None and at >= self.revoked:
            raise KeyRevoked(
                f"{self.device}: key {self.key.kid.hex()} was revoked {self.revoked.isoformat()}, this came {at.isoformat()}",
                device=self.device,
            )


@dataclass(frozen=True)
class KeyRegistry:
    """All keys that ever were, in any order. Raises `InputError` with every key entered twice and every bad or shared window."""

    entries: tuple[KeyEntry, ...] = ()
    _by_kid: dict[bytes, KeyEntry] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        ordered = tuple(sorted(self.entries, key=lambda entry: (entry.device, entry.start)))
        faults = list(_faults(ordered))
        if faults:
            raise InputError("the key registry contradicts itself", faults)
        object.__setattr__(self, "entries", ordered)
        object.__setattr__(self, "_by_kid", {entry.key.kid: entry for entry in ordered})

    def find(self, kid: bytes) -> KeyEntry:
        """The entry of the key named `kid`. Raises `UnknownKey`."""
        entry = self._by_kid.get(kid)
        if entry is None:
            raise UnknownKey(f"no device has a key {kid[:16].hex()}")
        return entry

    def enrol(self, device: str, key: PublicKey, start: datetime) -> Self:
        """A registry where `key` is a key of `device` from `start`. Raises `InputError` where it is known or another is open."""
        return type(self)((*self.entries, KeyEntry(device, key, start)))

    def rotate(self, device: str, key: PublicKey, at: datetime) -> Self:
        """A registry where `key` follows on the open key of `device` at `at`. Raises `InputError` where no key is open."""
        opened = [entry for entry in self.entries if entry.device == device and entry.end is None]
        if not opened:
            raise InputError(f"{device} has no open key to follow on; enrol one")
        rest = tuple(entry for entry in self.entries if entry is not opened[0])
        return type(self)((*rest, replace(opened[0], end=at), KeyEntry(device, key, at)))

    def revoke(self, kid: bytes, at: datetime) -> Self:
        """A registry where the key takes no message that arrives `at` or later. An earlier revocation stays as it is.

        The window is closed too, so that the device can go on with a new key through `enrol`.
        """
        entry = self.find(kid)
        revoked = at if entry.revoked is None else min(at, entry.revoked)
        end = entry.end if entry.end is not None and entry.end <= at else max(at, entry.start)
        return type(self)((*(each for each in self.entries if each is not entry), replace(entry, end=end, revoked=revoked)))

    def encode(self) -> str:
        """Canonical JSON: sorted keys, no spaces, entries by device and start."""
        entries = [
            {
                "device": entry.device,
                "key": entry.key.encode(),
                "start": _text(entry.start),
                "end": _text(entry.end),
                "revoked": _text(entry.revoked),
            }
            for entry in self.entries
        ]
        return json.dumps({"version": VERSION, "keys": entries}, sort_keys=True, separators=(",", ":"))

    @classmethod
    def decode(cls, text: str) -> Self:
        """The registry in `text`. Raises `InputError` unless `encode` would give `text` again."""
        try:
            content = json.loads(text)
            registry = cls(tuple(_entry(each) for each in content["keys"]))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise InputError(f"key registry: not the JSON of one: {error!r}") from error
        if registry.encode() != text:
            raise InputError("key registry: not in canonical form; write it with `encode`")
        return registry


def _faults(ordered: tuple[KeyEntry, ...]) -> Iterator[Fault]:
    seen: set[bytes] = set()
    for entry in ordered:
        where = f"{entry.device}, key {entry.key.kid.hex()}"
        if entry.key.kid in seen:
            yield Fault(where, "a key that stands in the registry already", "a key of its own")
        seen.add(entry.key.kid)
        times = [each for each in (entry.start, entry.end, entry.revoked) if each is not None]
        if any(each.tzinfo is not UTC or each.microsecond for each in times):
            yield Fault(where, f"times {', '.join(map(str, times))}", "whole seconds in UTC")
        elif entry.end is not None and entry.end < entry.start:
            yield Fault(where, f"an end {_text(entry.end)} before the start {_text(entry.start)}", "a start before the end")
    for earlier, later in pairwise(ordered):
        if earlier.device == later.device and (earlier.end is None or later.start < earlier.end):
            yield Fault(f"{later.device}, key {later.key.kid.hex()}", "a window that another key has", "one key at a time")


def _entry(content: dict[str, Any]) -> KeyEntry:
    start = _time(content["start"])
    if start is None:
        raise InputError("key registry: a key without a start")
    return KeyEntry(content["device"], PublicKey.decode(content["key"]), start, _time(content["end"]), _time(content["revoked"]))


def _text(time: datetime | None) -> str | None:
    return None if time is None else time.strftime(_TIME)


def _time(text: str | None) -> datetime | None:
    return None if text is None else datetime.strptime(text, _TIME).replace(tzinfo=UTC)
