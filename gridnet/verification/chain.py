"""Level 0 behind the signature: is this the device's next word, said once, at its time?

Messages may come late, twice, in any order or never. What must hold of those that came, per device and key and in this order:

1. the interval lies on the quarter-hours, is over, and is not older than the window for late readings;
2. the same bytes again are a copy: not counted, not held against anybody;
3. no other message has the same sequence number or the same interval (equivocation);
4. sequence numbers and intervals go up together;
5. where the neighbour in the sequence is known, `previous` is its hash.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256

from gridnet.metering.reading import FIRST, HASH_BYTES, Reading

QUARTER_MINUTES = 15
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MINUTE = timedelta(minutes=1)


class Chain:
    """What is remembered of a device's accepted messages, those of the last days: numbers, starts and hashes side by side, in the
    order of both (rule 4), for a service remembers many."""

    def __init__(self) -> None:
        self._sequence = array("q")
        self._minute = array("q")
        self._own = bytearray()
        self._previous = bytearray()

    def __len__(self) -> int:
        """How many messages are remembered."""
        return len(self._sequence)

    def fault(self, reading: Reading, raw: bytes) -> str | None:
        """Why the reading can't follow on what is known; None where it can. Rules 3 to 5."""
        return next(self._faults(reading, sha256(raw).digest()), None)

    def _faults(self, reading: Reading, own: bytes) -> Iterator[str]:
        sequence, minute = reading.sequence, _minute(reading.start)
        place = bisect_left(self._sequence, sequence)
        used = self._holds(place, sequence)
        if used:
            yield f"sequence {sequence} was used for another reading"
        same = bisect_left(self._minute, minute)
        if same < len(self) and self._minute[same] == minute:
            yield f"sequence {self._sequence[same]} already stated this interval"
        if sequence == 0 and reading.previous != FIRST:
            yield "the first message names a message before it"
        below, above = place - 1, place + used
        before = self._sequence[below] if below >= 0 else None
        after = self._sequence[above] if above < len(self) else None
        if before is not None and self._minute[below] >= minute:
            yield f"sequence {sequence} goes back in time behind sequence {before}"
        if after is not None and self._minute[above] <= minute:
            yield f"sequence {sequence} is later in time than sequence {after}"
        if before is not None and before == sequence - 1 and _hash(self._own, below) != reading.previous:
            yield f"does not name the hash of message {before}, which is known"
        if after is not None and after == sequence + 1 and _hash(self._previous, above) != own:
            yield f"is not the message that message {after} names as the one before"

    def knows(self, raw: bytes, reading: Reading) -> bool:
        """Whether this very message was accepted before. Rule 2."""
        place = bisect_left(self._sequence, reading.sequence)
        return self._holds(place, reading.sequence) and _hash(self._own, place) == sha256(raw).digest()

    def add(self, reading: Reading, raw: bytes) -> None:
        """Remembers a message that has no fault."""
        place = bisect_left(self._sequence, reading.sequence)
        self._sequence.insert(place, reading.sequence)
        self._minute.insert(place, _minute(reading.start))
        self._own[place * HASH_BYTES : place * HASH_BYTES] = sha256(raw).digest()
        self._previous[place * HASH_BYTES : place * HASH_BYTES] = reading.previous

    def forget(self, before: datetime) -> None:
        """Drops what is older, except the newest message: it is what the next one follows on."""
        old = min(bisect_left(self._minute, _minute(before)), len(self) - 1)
        if old > 0:
            del self._sequence[:old], self._minute[:old], self._own[: old * HASH_BYTES], self._previous[: old * HASH_BYTES]

    def _holds(self, place: int, sequence: int) -> bool:
        return place < len(self) and self._sequence[place] == sequence


def _hash(hashes: bytearray, place: int) -> bytes:
    return bytes(hashes[place * HASH_BYTES : (place + 1) * HASH_BYTES])


def _minute(time: datetime) -> int:
    """Since 1970; rounded up where seconds are over."""
    return -((_EPOCH - time) // _MINUTE)


def time_fault(reading: Reading, now: datetime, late: timedelta, early_s: int) -> str | None:
    """Why the reading's interval can't be reported now; None where it can. Rule 1."""
    if reading.minutes != QUARTER_MINUTES:
        return f"an interval of {reading.minutes} minutes where {QUARTER_MINUTES} are settled"
    ahead = reading.end - now
    if ahead > timedelta(seconds=early_s):
        return f"its interval ends {round(ahead.total_seconds())} s after it arrived"
    if now - reading.end > late:
        return (
            f"{round((now - reading.end).total_seconds() / 3600)} h late where {round(late.total_seconds() / 3600)} h are allowed"
        )
    return None
