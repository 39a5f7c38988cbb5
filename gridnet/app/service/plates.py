"""What each sub-meter of a feeder may measure at most: noted by whoever keeps the feeder, for all that take its readings in.

So a process that answers requests alone needs neither the feeder's series nor its network to say that a reading can't be.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from gridnet.app.service import marks
from gridnet.metering.points import Kind, MeterPoint
from gridnet.metering.reading import Reading
from gridnet.verification.plate import by_kind, by_plate, margin_of
from gridnet.verification.settings import Settings

_MARGIN = margin_of(Settings())


@dataclass(frozen=True, slots=True)
class Plate:
    """A meter's kind and its full scale."""

    kind: Kind
    capacity_w: int

    def doubts(self, reading: Reading) -> Iterator[str]:
        """Why the reading can't be what the meter's device did."""
        for verdict in (*by_plate(reading, self.capacity_w, _MARGIN), *by_kind(reading, self.kind)):
            yield verdict.finding


def note(connection: Connection, feeder: str, points: Iterable[MeterPoint]) -> None:
    """Notes the plates of a feeder's meters."""
    marks.mark(connection, marks.of(feeder, marks.PLATES), json.dumps({each.name: [each.kind, each.capacity_w] for each in points}))


def plates(connection: Connection, feeders: Iterable[str]) -> dict[str, Mapping[str, Plate]]:
    """By feeder and local name of the meter; nothing of a feeder that nobody has kept yet."""
    noted = marks.all_of(connection, [marks.of(feeder, marks.PLATES) for feeder in feeders])
    return {feeder: _read(noted.get(marks.of(feeder, marks.PLATES), "{}")) for feeder in feeders}


@lru_cache(maxsize=1024)
def _read(text: str) -> Mapping[str, Plate]:
    return {name: Plate(kind, capacity_w) for name, (kind, capacity_w) in json.loads(text).items()}
