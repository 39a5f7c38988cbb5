"""Level 1 as far as one reading and its meter's plate tell: what needs neither series nor other meters.

`gridnet.verification.possible` has these checks among its own; whoever takes readings in tells of them at once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from gridnet.metering.points import PHASE_V, Kind
from gridnet.metering.reading import Flag, Reading
from gridnet.verification.settings import Settings
from gridnet.verification.verdict import Level, Verdict, hold

ROUNDING_WH = 2
"""A display counts whole Wh: a reading is off by less than 1, and what two of them say by less than 2."""
_LOWEST_PU, _HIGHEST_PU = 0.7, 1.3
_DRIFT = 0.01
"""Share of the power by which a clock that was not set for days may misplace energy."""


def margin_of(settings: Settings) -> float:
    """The share by which a meter's energy may be off."""
    return settings.limit_sigmas * settings.meter.power + _DRIFT


def by_plate(reading: Reading, capacity_w: int, margin: float) -> Iterator[Verdict]:
    """What speaks against the reading by itself: apparent power beyond the capacity, a voltage that is none, an open cover."""
    hours = reading.minutes / 60.0
    both = max(reading.injected_wh, reading.drawn_wh)
    va = math.hypot(max(0, both - ROUNDING_WH), max(0, abs(reading.reactive_varh) - ROUNDING_WH)) / hours
    if va > capacity_w * (1.0 + margin):
        finding = f"{va:.0f} VA on average where {capacity_w} VA is the capacity"
        yield against(reading, finding, va=round(va), capacity_va=capacity_w)
    volts = reading.voltage_mv / (1000.0 * PHASE_V)
    if not _LOWEST_PU <= volts <= _HIGHEST_PU and Flag.NO_VOLTAGE not in reading.flags:
        yield against(reading, f"voltage {volts:.3f} pu is none that a supplied home has", voltage_mv=reading.voltage_mv)
    if Flag.COVER_OPEN in reading.flags:
        yield against(reading, "the meter says that its cover was open")


def by_kind(reading: Reading, kind: Kind) -> Iterator[Verdict]:
    """What speaks against the direction of its energy: PV draws nothing."""
    if kind == "pv" and reading.drawn_wh > ROUNDING_WH:
        yield against(reading, f"a PV plant drew {reading.drawn_wh} Wh", drawn_wh=reading.drawn_wh)


def against(reading: Reading, finding: str, **evidence: int | str) -> Verdict:
    """A reading is held at level 1."""
    return hold(Level.POSSIBLE, reading.device, reading.start, finding, sequence=reading.sequence, **evidence)
