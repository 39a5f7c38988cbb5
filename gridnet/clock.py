"""Half-open time: step `k` is the interval `[start + k*dt, start + (k+1)*dt)`, labelled by its start, in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Literal

from gridnet.errors import InputError

STEP_H = 0.25
STEPS_PER_DAY = 96
STEPS_PER_WEEK = 7 * STEPS_PER_DAY


@dataclass(frozen=True)
class Clock:
    """A run of equal steps.

    `start` is the first step's start (timezone-aware, UTC), `steps` how many there are, `dt_h` their length in hours,
    and `utc_offset_h` the fixed offset of the local day that tariffs, profiles and forecasts follow (no daylight
    saving: SimBench rows are uniform quarter-hours of CET, so its local day is UTC+1 all year).

    Raises `InputError` for a start without a time zone, a negative number of steps, or a length that is not above 0.
    """

    start: datetime
    steps: int
    dt_h: float = STEP_H
    utc_offset_h: float = 1.0

    def __post_init__(self) -> None:
        if self.start.tzinfo is None:
            raise InputError(f"clock start {self.start} has no time zone; give an aware UTC time")
        if self.steps < 0:
            raise InputError(f"a clock can't have {self.steps} steps; give 0 or more")
        if not self.dt_h > 0:
            raise InputError(f"a clock's step can't last {self.dt_h} h; give a length above 0")
        object.__setattr__(self, "start", self.start.astimezone(UTC))

    def time_of(self, step: int) -> datetime:
        """Start of `step`, in UTC."""
        return self.start + timedelta(hours=self.dt_h * step)

    def local_step_of_day(self, step: int) -> int:
        """Index of `step` within its local day, counted from local midnight and rounded down."""
        local = self.time_of(step) + timedelta(hours=self.utc_offset_h)
        seconds = 3600 * local.hour + 60 * local.minute + local.second
        return seconds // round(3600 * self.dt_h)

    def weekday(self, step: int) -> int:
        """Local day of the week of `step`, Monday = 0."""
        return (self.time_of(step) + timedelta(hours=self.utc_offset_h)).weekday()

    @property
    def weeks(self) -> int:
        """How many whole weeks fit."""
        return self.steps // round(168 / self.dt_h)


Split = Literal["training", "validation", "held-out"]

HELD_OUT_EVERY = 5
VALIDATION_EVERY = 10


def split_of(week: int) -> Split:
    """The split that `week` (0-based) belongs to: every fifth week is held out for tests, every tenth chooses among
    checkpoints, the others train. Fixed before the first training run."""
    if is_held_out(week):
        return "held-out"
    return "validation" if week % VALIDATION_EVERY == 1 else "training"


def is_held_out(week: int) -> bool:
    """Whether `week` (0-based) is a test week. Training never sees these."""
    return week % HELD_OUT_EVERY == HELD_OUT_EVERY - 1
