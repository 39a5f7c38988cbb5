"""A reading has one way to be written: what is written is read back, and nothing else is read."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet.metering.errors import MalformedMessage
from gridnet.metering.reading import FIRST, MAX_BYTES, Flag, Reading

counts = st.integers(0, 2**53 - 1)
readings = st.builds(
    lambda minutes, slot, **rest: Reading(
        minutes=minutes, start=datetime(1970, 1, 1, tzinfo=UTC) + slot * timedelta(minutes=minutes), **rest
    ),
    minutes=st.sampled_from([1, 5, 15, 30, 60]),
    slot=st.integers(0, 5_000_000),
    device=st.from_regex(r"[a-z0-9][a-z0-9-]{0,31}", fullmatch=True),
    sequence=counts,
    previous=st.binary(min_size=32, max_size=32),
    injected_wh=counts,
    drawn_wh=counts,
    reactive_varh=st.integers(-(2**53) + 1, 2**53 - 1),
    voltage_mv=st.integers(0, 2**32 - 1),
    soc_ppm=st.none() | st.integers(0, 1_000_000),
    flags=st.frozensets(st.sampled_from(Flag)),
)


@given(readings)
def test_what_is_written_is_read_back(reading: Reading) -> None:
    encoded = reading.encode()
    assert Reading.decode(encoded) == reading
    assert len(encoded) <= MAX_BYTES // 2 + 1


@given(readings, st.integers(0, 200), st.integers(1, 255))
def test_a_changed_byte_is_refused_or_another_reading(reading: Reading, place: int, change: int) -> None:
    encoded = bytearray(reading.encode())
    encoded[place % len(encoded)] ^= change
    try:
        other = Reading.decode(bytes(encoded))
    except MalformedMessage:
        return
    assert other != reading
    assert other.encode() == encoded


@given(st.binary(max_size=80))
def test_noise_is_refused_with_one_error(noise: bytes) -> None:
    with pytest.raises(MalformedMessage):
        Reading.decode(noise)


def test_the_net_is_what_was_injected_less_what_was_drawn(reading: Reading) -> None:
    assert replace(reading, injected_wh=5, drawn_wh=7).net_wh == -2
    assert reading.end - reading.start == timedelta(minutes=15)


@pytest.mark.parametrize(
    ("field", "bad"),
    [
        ("device", ""),
        ("device", "Home 1"),
        ("device", "x" * 33),
        ("sequence", -1),
        ("sequence", 2**53),
        ("previous", b""),
        ("start", datetime(2018, 7, 1, 12, 5, tzinfo=UTC)),
        ("start", datetime(2018, 7, 1, 12)),  # noqa: DTZ001
        ("start", datetime(2018, 7, 1, 12, tzinfo=timezone(timedelta(hours=2)))),
        ("start", datetime(1969, 12, 31, 23, 45, tzinfo=UTC)),
        ("minutes", 0),
        ("minutes", 7),
        ("injected_wh", -1),
        ("drawn_wh", 2**53),
        ("reactive_varh", -(2**53)),
        ("voltage_mv", -1),
        ("soc_ppm", 1_000_001),
    ],
)
def test_a_field_out_of_bounds_is_named(reading: Reading, field: str, bad: object) -> None:
    with pytest.raises(InputError) as caught:
        replace(reading, **{field: bad})
    assert [field in fault.where for fault in caught.value.faults] == [True]


def test_all_bad_fields_are_told_at_once(reading: Reading) -> None:
    with pytest.raises(InputError) as caught:
        replace(reading, sequence=-1, drawn_wh=-1, voltage_mv=-1)
    assert len(caught.value.faults) == 3


def _fields(reading: Reading) -> list[object]:
    return list(cbor2.loads(reading.encode()))


@pytest.mark.parametrize(
    ("place", "value"),
    [(0, 2), (0, True), (2, True), (2, 1.0), (2, -1), (4, 2**40), (4, 2**80), (10, False), (11, 16), (11, -1), (3, "x" * 32)],
)
def test_a_field_of_another_kind_is_refused(reading: Reading, place: int, value: object) -> None:
    fields = _fields(reading)
    fields[place] = value
    with pytest.raises(MalformedMessage):
        Reading.decode(cbor2.dumps(fields, canonical=True))


def test_other_ways_to_write_the_same_are_refused(reading: Reading) -> None:
    fields, encoded = _fields(replace(reading, sequence=5)), replace(reading, sequence=5).encode()
    longer = encoded.replace(bytes([5]) + b"\x58\x20" + FIRST, b"\x18\x05\x58\x20" + FIRST)
    indefinite = b"\x9f" + encoded[1:] + b"\xff"
    assert cbor2.loads(longer) == cbor2.loads(indefinite) == fields
    for other in (longer, indefinite, encoded + b"\x00", encoded[:-1], cbor2.dumps(fields[:-1]), cbor2.dumps([*fields, 0])):
        with pytest.raises(MalformedMessage):
            Reading.decode(other)
    assert Reading.decode(encoded).sequence == 5


def test_a_long_message_is_not_even_read() -> None:
    with pytest.raises(MalformedMessage, match="at most"):
        Reading.decode(bytes(MAX_BYTES + 1))
