"""Where signed readings lie: on PostgreSQL in one partition for each week, made ahead; on SQLite in one table.

A partition is made as a table and then attached: that stops nobody who reads or writes others. There is none for everything else:
to attach a partition PostgreSQL would look through all that lies in it.
"""

from __future__ import annotations

import re

from sqlalchemy import Connection, text

from gridnet.clock import STEPS_PER_DAY

QUARTER_S = 900
WEEK = 7 * STEPS_PER_DAY
"""Quarter-hours in a partition; weeks are counted since 1970, and begin on Thursdays."""
AHEAD = 4
"""Weeks that are made before they come."""
LOCK = 0x67706172
"""Class of the advisory lock of whoever makes or drops partitions."""
TABLE = "service_readings"
_NAME = re.compile(rf"{TABLE}_w(\d+)", re.ASCII)
_TURN = text(f"SELECT pg_advisory_xact_lock({LOCK}, 0)")
_THERE = text(f"SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = '{TABLE}'::regclass")


def week_of(quarter: int) -> int:
    """The week that a quarter-hour since 1970 lies in."""
    return quarter // WEEK


def span(week: int) -> range:
    """The quarter-hours of a week."""
    return range(week * WEEK, (week + 1) * WEEK)


def name_of(week: int) -> str:
    """The name of a week's partition."""
    return f"{TABLE}_w{week}"


def weeks(connection: Connection) -> set[int]:
    """The weeks that there are partitions of; none on SQLite."""
    if connection.dialect.name != "postgresql":
        return set()
    found = (_NAME.fullmatch(name) for name in connection.execute(_THERE).scalars())
    return {int(each[1]) for each in found if each is not None}


def prepare(connection: Connection, quarter: int) -> set[int]:
    """Makes the partitions of a quarter-hour's week and of those after it, where they are not there. Gives the weeks that were
    there before: those are committed, unless this transaction made them itself."""
    before = weeks(connection)
    wanted = [week for week in range(week_of(quarter), week_of(quarter) + 1 + AHEAD) if week not in before]
    if connection.dialect.name != "postgresql" or not wanted:
        return before
    connection.execute(_TURN)
    # Others may have made them while this one waited.
    there = weeks(connection)
    for week in wanted:
        if week not in there:
            low, high = span(week).start, span(week).stop
            connection.execute(text(f"CREATE TABLE {name_of(week)} (LIKE {TABLE} INCLUDING ALL)"))
            attach = f"ALTER TABLE {TABLE} ATTACH PARTITION {name_of(week)} FOR VALUES FROM ({low}) TO ({high})"
            connection.execute(text(attach))
    return before


def drop(connection: Connection, week: int, most_wait_ms: int) -> None:
    """Drops a week's partition. It stops all that read and write readings for a moment; where that moment does not come within
    `most_wait_ms` it gives up, with the transaction."""
    connection.execute(text(f"SET LOCAL lock_timeout = {most_wait_ms}"))
    connection.execute(_TURN)
    connection.execute(text(f"DROP TABLE IF EXISTS {name_of(week)}"))
