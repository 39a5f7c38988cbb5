"""How long signed readings are kept: `readings_days` after they arrived, and as long as verification looks back at them.

On PostgreSQL whole weeks go, a table at a time, so nothing is searched for and no space is left behind; on SQLite, and where the
version before kept them, rows go.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from sqlalchemy import delete

from gridnet.app.service import marks, partitions
from gridnet.app.service.errors import Unavailable
from gridnet.app.service.schema import messages, readings
from gridnet.app.service.store import Store
from gridnet.clock import STEPS_PER_DAY

LOG = logging.getLogger("gridnet.service")
MOST_WAIT_MS = 500
"""How long whoever reads or writes readings may be kept waiting for a week to go; another day tries again."""
_TRIMMING = "/readings"
"""Whose lock is taken: no feeder has such a name."""


def first_kept(quarter: int, days: int, looked_at: int, settled: Iterable[int]) -> int:
    """The first quarter-hour whose readings stay at `quarter`: those of `days` days, and whatever is looked back at, `looked_at`
    quarter-hours, from the last one `settled` of each feeder."""
    return min([quarter - days * STEPS_PER_DAY, quarter - looked_at, *(each - looked_at for each in settled)])


def trim(store: Store, quarter: int, days: int, looked_at: int, feeders: Iterable[str]) -> None:
    """Makes the weeks ahead of `quarter` and drops what is not kept any more. `feeders`: all that the service carries, whoever
    carries them. Raises `Unavailable`."""
    keys = [marks.of(feeder, marks.SETTLED) for feeder in feeders]
    with store.write(_TRIMMING) as connection:
        partitions.prepare(connection, quarter)
        first = first_kept(quarter, days, looked_at, map(int, marks.all_of(connection, keys).values()))
        connection.execute(delete(messages).where(messages.c.quarter < first))
        weeks = partitions.weeks(connection)
        if connection.dialect.name != "postgresql":
            connection.execute(delete(readings).where(readings.c.quarter < first))
    for week in sorted(each for each in weeks if partitions.span(each).stop <= first):
        try:
            with store.write(_TRIMMING) as connection:
                partitions.drop(connection, week, MOST_WAIT_MS)
        except Unavailable as error:
            LOG.warning("the readings of week %d stay until tomorrow: %s", week, error)
            return
