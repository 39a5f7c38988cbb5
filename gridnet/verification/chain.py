"""Level 0 behind the signature: is this the device's next word, said once, at its time?

Messages may come late, twice, in any order or never. What must hold of those that came, per device and key and in this order:

1. the interval lies on the quarter-hours, is over, and is not older than the window for late readings;
2. the same bytes again are a copy: not counted, not held against anybody;
3. no other message has the same sequence number or the same interval (equivocation);
4. sequence numbers and intervals go up together;
5. where the neighbour in the sequence is known, `previous` is its hash.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from gridnet.metering.reading import FIRST, Reading

QUARTER_MINUTES = 15


@dataclass(frozen=True, slots=True)
class Link:
    """One accepted message of a device."""

    sequence: int
    start: datetime
    previous: bytes
    own: bytes


@dataclass
class Chain:
    """What is remembered of a device's accepted messages: those of the last days, by sequence and by interval."""

    by_sequence: dict[int, Link] = field(default_factory=dict)
    by_start: dict[datetime, Link] = field(default_factory=dict)

    def fault(self, reading: Reading, raw: bytes) -> str | None:
        """Why the reading can't follow on what is known; None where it can. Rules 3 to 5."""
        return next(self._faults(reading, sha256(raw).digest()), None)

    def _faults(self, reading: Reading, own: bytes) -> Iterator[str]:
        sequence, start = reading.sequence, reading.start
        if sequence in self.by_sequence:
            yield f"sequence {sequence} was used for another reading"
        if start in self.by_start:
            yield f"sequence {self.by_start[start].sequence} already stated this interval"
        if sequence == 0 and reading.previous != FIRST:
            yield "the first message names a message before it"
        below = self.by_sequence.get(max((known for known in self.by_sequence if known < sequence), default=-1))
        above = self.by_sequence.get(min((known for known in self.by_sequence if known > sequence), default=-1))
        if below is not None and below.start >= start:
            yield f"sequence {sequence} goes back in time behind sequence {below.sequence}"
        if above is not None and above.start <= start:
            yield f"sequence {sequence} is later in time than sequence {above.sequence}"
        if below is not None and below.sequence == sequence - 1 and below.own != reading.previous:
            yield f"does not name the hash of message {below.sequence}, which is known"
        if above is not None and above.sequence == sequence + 1 and above.previous != own:
            yield f"is not the message that message {above.sequence} names as the one before"

    def knows(self, raw: bytes, reading: Reading) -> bool:
        """Whether this very message was accepted before. Rule 2."""
        known = self.by_sequence.get(reading.sequence)
        return known is not None and known.own == sha256(raw).digest()

    def add(self, reading: Reading, raw: bytes) -> None:
        """Remembers an accepted message."""
        link = Link(reading.sequence, reading.start, reading.previous, sha256(raw).digest())
        self.by_sequence[link.sequence] = link
        self.by_start[link.start] = link

    def forget(self, before: datetime) -> None:
        """Drops what is older, except the newest message: it is what the next one follows on."""
        newest = max(self.by_sequence, default=None)
        old = [link for link in self.by_sequence.values() if link.start < before and link.sequence != newest]
        for link in old:
            del self.by_sequence[link.sequence], self.by_start[link.start]


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
