"""What a ladder remembers: rows of numbers that give the readings back, and chains that answer as a plain list would."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from hypothesis import given
from hypothesis import strategies as st

from gridnet.metering.reading import FIRST, Flag, Reading
from gridnet.verification.chain import Chain
from gridnet.verification.known import Known

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
METERS = ("home-000", "bat-00", "head")
COUNTS = st.integers(0, 2**53 - 1)


@st.composite
def _readings(draw: st.DrawFn) -> Reading:
    return Reading(
        device=draw(st.sampled_from(METERS)),
        sequence=draw(COUNTS),
        previous=draw(st.binary(min_size=32, max_size=32)),
        start=NOON + draw(st.integers(0, 5)) * QUARTER,
        injected_wh=draw(COUNTS),
        drawn_wh=draw(COUNTS),
        reactive_varh=draw(st.integers(-(2**53) + 1, 2**53 - 1)),
        voltage_mv=draw(st.integers(0, 2**32 - 1)),
        soc_ppm=draw(st.none() | st.integers(0, 1_000_000)),
        flags=draw(st.frozensets(st.sampled_from(Flag))),
    )


@given(st.lists(_readings(), max_size=20), st.integers(0, 6))
def test_what_is_known_comes_back_and_what_is_old_is_forgotten(readings: list[Reading], cut: int) -> None:
    known, expected = Known(METERS), {}
    for reading in readings:
        known.add(reading)
        expected[reading.start, reading.device] = replace(reading, previous=FIRST)
    before = NOON + cut * QUARTER
    known.forget(before)
    kept = {key: each for key, each in expected.items() if key[0] >= before}
    assert {(start, name): each for start in known.starts for name, each in known.at(start).items()} == kept
    for start in (NOON + k * QUARTER for k in range(6)):
        for name in METERS:
            assert known.of(start, name) == kept.get((start, name))
            assert known.has(start, name) == ((start, name) in kept)


class _Plain:
    """The rules of the chain on a list of (sequence, start, previous, own), in their order."""

    def __init__(self) -> None:
        self.links: list[tuple[int, datetime, bytes, bytes]] = []

    def fault(self, reading: Reading, raw: bytes) -> str | None:
        return next(self._faults(reading, raw), None)

    def _faults(self, reading: Reading, raw: bytes) -> Iterator[str]:
        sequence, start, own = reading.sequence, reading.start, sha256(raw).digest()
        below = max((link for link in self.links if link[0] < sequence), default=None)
        above = min((link for link in self.links if link[0] > sequence), default=None)
        for link in self.links:
            if link[0] == sequence:
                yield f"sequence {sequence} was used for another reading"
        for link in self.links:
            if link[1] == start:
                yield f"sequence {link[0]} already stated this interval"
        if sequence == 0 and reading.previous != FIRST:
            yield "the first message names a message before it"
        if below and below[1] >= start:
            yield f"sequence {sequence} goes back in time behind sequence {below[0]}"
        if above and above[1] <= start:
            yield f"sequence {sequence} is later in time than sequence {above[0]}"
        if below and below[0] == sequence - 1 and below[3] != reading.previous:
            yield f"does not name the hash of message {below[0]}, which is known"
        if above and above[0] == sequence + 1 and above[2] != own:
            yield f"is not the message that message {above[0]} names as the one before"

    def forget(self, before: datetime) -> None:
        newest = max((link[0] for link in self.links), default=None)
        self.links = [link for link in self.links if link[1] >= before or link[0] == newest]


_TURNS = st.tuples(st.integers(0, 7), st.integers(-2, 2), st.sampled_from(["true", "first", "other"]), st.integers(0, 9))


@given(st.lists(_TURNS, max_size=40), st.integers(0, 59))
def test_a_chain_says_of_every_message_what_the_rules_say(turns: list[tuple[int, int, str, int]], seconds: int) -> None:
    chain, plain = Chain(), _Plain()
    raws = {sequence: b"%d" % sequence for sequence in range(-1, 9)}
    hashes = {sequence: sha256(raw).digest() for sequence, raw in raws.items()}
    for sequence, shift, names, cut in turns:
        previous = {"true": hashes[sequence - 1] if sequence else FIRST, "first": FIRST, "other": bytes([7]) * 32}[names]
        reading = Reading(
            device="home-000",
            sequence=sequence,
            previous=previous,
            start=NOON + (sequence + shift) * QUARTER,
            injected_wh=0,
            drawn_wh=1,
            reactive_varh=0,
            voltage_mv=230_000,
        )
        raw = raws[sequence] if names != "other" else raws[sequence] + b"x"
        assert chain.fault(reading, raw) == plain.fault(reading, raw)
        assert chain.knows(raw, reading) == any(link[0] == sequence and link[3] == sha256(raw).digest() for link in plain.links)
        if plain.fault(reading, raw) is None:
            chain.add(reading, raw)
            plain.links.append((sequence, reading.start, previous, sha256(raw).digest()))
        if cut > 7:
            before = NOON + (cut - 6) * QUARTER + timedelta(seconds=seconds)
            chain.forget(before)
            plain.forget(before)
        assert len(chain) == len(plain.links)
