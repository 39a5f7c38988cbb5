"""What a meter says about one interval, in whole numbers, and its one way to be written.

The bytes are CBOR (RFC 8949) in core deterministic encoding (section 4.2.1): an array of the version and the fields in the
order of the class. `decode` accepts what `encode` writes and nothing else, so equal readings have equal hashes.

| field | unit | from | to |
|---|---|---|---|
| sequence | messages of the device before this one | 0 | 2^53 - 1 |
| start | minutes since 1970-01-01T00:00Z, a multiple of `minutes` | 0 | the end of 2999 |
| minutes | min, a divisor of 60 | 1 | 60 |
| injected_wh, drawn_wh | Wh | 0 | 2^53 - 1 |
| reactive_varh | varh, > 0 injects | -(2^53 - 1) | 2^53 - 1 |
| voltage_mv | mV, phase to neutral | 0 | 2^32 - 1 |
| soc_ppm | millionths of the capacity | 0 | 1,000,000 |
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Self

import cbor2

from gridnet.errors import Fault, InputError
from gridnet.metering.errors import MalformedMessage

VERSION = 1
HASH_BYTES = 32
FIRST = bytes(HASH_BYTES)
"""What stands for the message before the first one."""
SOC_FULL_PPM = 1_000_000
MAX_BYTES = 256
"""Longest encoding that is looked at. The longest that `encode` can write has 129."""

_MAX_COUNT = 2**53 - 1
_MAX_U32 = 2**32 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)
_DEVICE = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
_LAST = datetime(2999, 12, 31, 23, tzinfo=UTC)
_BOUNDS = (
    ("sequence", 0, _MAX_COUNT),
    ("injected_wh", 0, _MAX_COUNT),
    ("drawn_wh", 0, _MAX_COUNT),
    ("reactive_varh", -_MAX_COUNT, _MAX_COUNT),
    ("voltage_mv", 0, _MAX_U32),
)
_INT, _STR, _BYTES = (int,), (str,), (bytes,)
_TYPES: tuple[tuple[type, ...], ...] = (_INT, _STR, _INT, _BYTES, *[_INT] * 6, (int, type(None)), _INT)


class Flag(Enum):
    """What a meter knows to be wrong with its own reading; the value is its bit in the encoding."""

    CLOCK_UNSYNCED = 1
    """The clock was not set for more than a day."""
    NO_VOLTAGE = 2
    """There was no voltage at the meter."""
    COVER_OPEN = 4
    """The cover was open."""
    RESTARTED = 8
    """The meter started within the interval; it may hold less energy than flowed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """One interval `[start, start + minutes)` of one device.

    `previous` is the SHA-256 of the device's message before (`FIRST` for the first one). `voltage_mv` is the mean of the
    interval; 230 V is 1 pu. `soc_ppm` belongs to batteries, at the end of the interval. Raises `InputError` with every
    field that leaves the table's bounds.
    """

    device: str
    sequence: int
    previous: bytes
    start: datetime
    minutes: int = 15
    injected_wh: int
    drawn_wh: int
    reactive_varh: int
    voltage_mv: int
    soc_ppm: int | None = None
    flags: frozenset[Flag] = frozenset()

    def __post_init__(self) -> None:
        faults = [Fault(f"reading of {self.device!r}, {field}", *rest) for field, *rest in _faults(self)]
        if faults:
            raise InputError("the reading can't be written", faults)

    @property
    def net_wh(self) -> int:
        """Injected less drawn energy, Wh."""
        return self.injected_wh - self.drawn_wh

    @property
    def end(self) -> datetime:
        """When the interval ends; it does not contain this moment."""
        return self.start + self.minutes * _MINUTE

    def encode(self) -> bytes:
        """The reading's deterministic CBOR."""
        when = [(self.start - _EPOCH) // _MINUTE, self.minutes]
        energies = [self.injected_wh, self.drawn_wh, self.reactive_varh, self.voltage_mv]
        flags = sum(flag.value for flag in self.flags)
        return cbor2.dumps(
            [VERSION, self.device, self.sequence, self.previous, *when, *energies, self.soc_ppm, flags], canonical=True
        )

    @classmethod
    def decode(cls, encoded: bytes) -> Self:
        """The reading in `encoded`. Raises `MalformedMessage` unless `encode` would give `encoded` again."""
        fields = _fields(encoded)
        try:
            reading = cls(
                device=fields[1],
                sequence=fields[2],
                previous=fields[3],
                start=_EPOCH + fields[4] * _MINUTE,
                minutes=fields[5],
                injected_wh=fields[6],
                drawn_wh=fields[7],
                reactive_varh=fields[8],
                voltage_mv=fields[9],
                soc_ppm=fields[10],
                flags=_named(fields[11]),
            )
        except InputError as error:
            raise MalformedMessage(str(error.faults[0])) from error
        except OverflowError as error:
            raise MalformedMessage("reading: its start is beyond any date") from error
        if reading.encode() != encoded:
            raise MalformedMessage("reading: not in deterministic encoding, or with an unknown flag or version")
        return reading


def _fields(encoded: bytes) -> list[Any]:
    """The twelve values that `encoded` holds, each of the type that its field has."""
    if len(encoded) > MAX_BYTES:
        raise MalformedMessage(f"reading: {len(encoded)} bytes, {MAX_BYTES} at most", expected=MAX_BYTES, got=len(encoded))
    try:
        fields = cbor2.loads(encoded, max_depth=4, allow_indefinite=False)
    except cbor2.CBORError as error:
        raise MalformedMessage(f"reading: not CBOR: {error}") from error
    if not isinstance(fields, list) or len(fields) != len(_TYPES):
        raise MalformedMessage(f"reading: not an array of {len(_TYPES)} fields")
    # A bool is an int to `isinstance`, and is not a number here.
    if not all(type(field) in types for field, types in zip(fields, _TYPES, strict=True)):
        raise MalformedMessage("reading: a field of another type than its own")
    return fields


def _named(bits: int) -> frozenset[Flag]:
    return frozenset(flag for flag in Flag if bits & flag.value) if bits else frozenset()


def _faults(reading: Reading) -> Iterator[tuple[str, str, str]]:
    """Field, what was got, what was expected."""
    if not _DEVICE.fullmatch(reading.device):
        yield "device", repr(reading.device), "1 to 32 small letters, digits and hyphens"
    if len(reading.previous) != HASH_BYTES:
        yield "previous", f"{len(reading.previous)} bytes", f"{HASH_BYTES} bytes"
    if not 1 <= reading.minutes <= 60 or 60 % reading.minutes:
        yield "minutes", str(reading.minutes), "a divisor of 60"
    elif reading.start.utcoffset() != timedelta(0):
        yield "start", str(reading.start), "a time in UTC"
    elif (reading.start - _EPOCH) % (reading.minutes * _MINUTE) or not _EPOCH <= reading.start <= _LAST:
        yield "start", str(reading.start), f"a multiple of {reading.minutes} minutes from 1970 to 2999"
    for field, lowest, highest in _BOUNDS:
        value = getattr(reading, field)
        if not lowest <= value <= highest:
            yield field, str(value), f"{lowest} to {highest}"
    if reading.soc_ppm is not None and not 0 <= reading.soc_ppm <= SOC_FULL_PPM:
        yield "soc_ppm", str(reading.soc_ppm), f"0 to {SOC_FULL_PPM}"
