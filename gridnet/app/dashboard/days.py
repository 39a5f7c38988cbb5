"""The day that a page shows: in UTC, in quarter-hours."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gridnet.app.dashboard.asked import midnight, read_day
from gridnet.app.dashboard.looking import Looking
from gridnet.app.service.frames import Frame
from gridnet.errors import Fault, InputError

QUARTER = timedelta(minutes=15)
QUARTERS = 96
_AT = re.compile(r"([01]\d|2[0-3]):(00|15|30|45)")


@dataclass(frozen=True)
class Day:
    """`[start, end)`, and the first and last day that there is something to show of."""

    start: datetime
    first: datetime
    last: datetime

    @property
    def end(self) -> datetime:
        """Where the next day begins."""
        return self.start + timedelta(days=1)

    @property
    def before(self) -> datetime | None:
        """The day before, where frames are kept of it."""
        return self.start - timedelta(days=1) if self.start > self.first else None

    @property
    def after(self) -> datetime | None:
        """The day after, where it has begun."""
        return self.end if self.start < self.last else None

    @property
    def times(self) -> list[datetime]:
        """Every quarter-hour's start."""
        return [self.start + number * QUARTER for number in range(QUARTERS)]

    def number(self, time: datetime) -> int:
        """Of the quarter-hour that `time` lies in, 0 to 95."""
        return (time - self.start) // QUARTER


def day_of(looking: Looking, text: str | None) -> Day:
    """The day named `2026-03-01`; that of the newest frame, or today, where nothing is said. Raises `InputError`."""
    frames = looking.service.frames
    now = looking.service.clock()
    last = midnight(frames.newest() or now)
    first = midnight(frames.first() or now)
    return Day(midnight(read_day("day", text)) if text else last, min(first, last), last)


def frame_at(looking: Looking, day: Day, at: str | None) -> Frame | None:
    """The frame that `chosen` gives, of which nothing but it is read where it can be named. Raises `InputError`."""
    frames = looking.service.frames
    named = _time(day, at) if at else frames.newest()
    found = frames.at(named) if named is not None and day.start <= named < day.end else None
    return found or chosen(day, frames.span(day.start, day.end), at)


def chosen(day: Day, frames: Sequence[Frame], at: str | None) -> Frame | None:
    """The frame that begins at `at` (`14:15`) or is the last before it; the last of all where nothing is said. Raises
    `InputError`."""
    if not at:
        return frames[-1] if frames else None
    time = _time(day, at)
    return next((frame for frame in reversed(frames) if frame.start <= time), frames[0] if frames else None)


def _time(day: Day, at: str) -> datetime:
    said = _AT.fullmatch(at)
    if said is None:
        raise InputError("there is no such quarter-hour:", [Fault("at", repr(at[:40]), "a time, like 14:15")])
    return day.start + timedelta(hours=int(said[1]), minutes=int(said[2]))
