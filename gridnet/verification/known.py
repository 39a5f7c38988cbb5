"""The accepted readings that checks look back at: a row of numbers for each, since a service remembers many."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridnet.metering.reading import FIRST, Flag, Reading

Ints = NDArray[np.int64]
Numbers = NDArray[np.signedinteger[Any]]

SEQUENCE, INJECTED_WH, DRAWN_WH, REACTIVE_VARH, VOLTAGE_MV, SOC_PPM, FLAGS = range(7)
"""Columns of a row."""
_NOTHING = -1
_FIELDS = 7
_MOST = 2**31 - 1
_FLAGS = tuple(frozenset(flag for flag in Flag if bits & flag.value) for bits in range(1 << len(Flag)))
"""By their bits."""


class Known:
    """Readings of quarter-hours by start and meter. One that is read from here names no message before it."""

    def __init__(self, meters: Sequence[str]) -> None:
        self._meters = tuple(meters)
        self._place = {name: place for place, name in enumerate(self._meters)}
        self._rows: dict[datetime, Numbers] = {}

    @property
    def starts(self) -> Collection[datetime]:
        """Intervals of which anything is known."""
        return self._rows.keys()

    def add(self, reading: Reading) -> None:
        """Remembers a reading of one of the meters."""
        rows = self._rows.get(reading.start)
        if rows is None:
            rows = self._rows[reading.start] = np.full((len(self._meters), _FIELDS), _NOTHING, dtype=np.int32)
        numbers = (
            reading.sequence,
            reading.injected_wh,
            reading.drawn_wh,
            reading.reactive_varh,
            reading.voltage_mv,
            _NOTHING if reading.soc_ppm is None else reading.soc_ppm,
            sum(flag.value for flag in reading.flags),
        )
        # A reading may state 2^53 - 1 of anything, and honest ones never need that much room.
        if max(numbers) > _MOST or min(numbers) < -_MOST:
            rows = self._rows[reading.start] = rows.astype(np.int64)
        rows[self._place[reading.device]] = numbers

    def has(self, start: datetime, meter: str) -> bool:
        """Whether the meter's reading is there."""
        rows = self._rows.get(start)
        return rows is not None and bool(rows[self._place[meter], SEQUENCE] != _NOTHING)

    def places(self, meters: Sequence[str]) -> Ints:
        """Rows of these meters."""
        return np.array([self._place[name] for name in meters], dtype=np.int64)

    def rows(self, start: datetime) -> tuple[Numbers, NDArray[np.bool_]]:
        """(meters, columns) the numbers of an interval of `starts`, and (meters,) whose are there."""
        rows = self._rows[start]
        return rows, rows[:, SEQUENCE] != _NOTHING

    def at(self, start: datetime) -> Mapping[str, Reading]:
        """The readings of an interval by meter."""
        rows = self._rows.get(start)
        if rows is None:
            return {}
        told = np.flatnonzero(rows[:, SEQUENCE] != _NOTHING)
        return {(name := self._meters[place]): _reading(name, start, rows[place].tolist()) for place in told.tolist()}

    def of(self, start: datetime, meter: str) -> Reading | None:
        """A meter's reading of an interval."""
        return _reading(meter, start, self._rows[start][self._place[meter]].tolist()) if self.has(start, meter) else None

    def forget(self, before: datetime) -> None:
        """Drops older intervals."""
        for start in [start for start in self._rows if start < before]:
            del self._rows[start]


def _reading(meter: str, start: datetime, row: Sequence[int]) -> Reading:
    return Reading(
        device=meter,
        sequence=row[SEQUENCE],
        previous=FIRST,
        start=start,
        injected_wh=row[INJECTED_WH],
        drawn_wh=row[DRAWN_WH],
        reactive_varh=row[REACTIVE_VARH],
        voltage_mv=row[VOLTAGE_MV],
        soc_ppm=None if row[SOC_PPM] == _NOTHING else row[SOC_PPM],
        flags=_FLAGS[row[FLAGS]],
    )
