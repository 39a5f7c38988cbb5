"""What each home drew in the quarter-hours behind, for those whose reading is missing."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from datetime import datetime

_UNKNOWN = -1


class Drawn:
    """Verified energy by party and start of the quarter-hour, Wh."""

    def __init__(self, parties: Sequence[str]) -> None:
        self._place = {party: place for place, party in enumerate(parties)}
        self._rows: dict[datetime, array[int]] = {}

    def __len__(self) -> int:
        """Quarter-hours that are remembered."""
        return len(self._rows)

    def add(self, start: datetime, party: str, wh: int) -> None:
        """Remembers what a party drew."""
        row = self._rows.get(start)
        if row is None:
            row = self._rows[start] = array("q", [_UNKNOWN]) * len(self._place)
        row[self._place[party]] = wh

    def of(self, party: str) -> Mapping[datetime, int]:
        """What is known of a party."""
        place = self._place[party]
        return {start: row[place] for start, row in self._rows.items() if row[place] != _UNKNOWN}

    def forget(self, before: datetime) -> None:
        """Drops older quarter-hours."""
        for start in [start for start in self._rows if start < before]:
            del self._rows[start]
