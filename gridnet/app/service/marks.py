"""Where the live feeder stands, in the database: what a restart goes on from."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from gridnet.app.service import queries
from gridnet.app.service.names import qualified
from gridnet.app.service.schema import meta
from gridnet.app.service.store import upsert

SCENARIO = "live scenario"
FIRST = "first quarter"
"""The first quarter-hour of this feeder on this database."""
SETTLED = "settled quarter"
"""The last one whose entries are in the ledger."""
WORLD = "world"
MOVED = "readings moved"
"""Whether the first feeder's readings are kept where this version keeps them, not where the one before does."""
KEYS = "meter keys"
PLATES = "meter plates"
SEED = "meter seed"


def of(feeder: str, key: str) -> str:
    """The key of what is noted of one feeder."""
    return qualified(feeder, key)


def marked(connection: Connection, key: str) -> str | None:
    """What is noted; None where nothing is."""
    found = connection.execute(queries.MARK, {"key": key}).scalar()
    return None if found is None else str(found)


def all_of(connection: Connection, keys: Sequence[str]) -> dict[str, str]:
    """What is noted under some keys."""
    return {row.key: row.value for row in connection.execute(queries.MARKS, {"keys": list(keys)})}


def mark(connection: Connection, key: str, value: object) -> None:
    """Notes it in the place of what was noted before."""
    upsert(connection, meta, [{"key": key, "value": str(value)}])
