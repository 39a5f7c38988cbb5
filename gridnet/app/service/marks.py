"""Where the live feeder stands, in the database: what a restart goes on from."""

from __future__ import annotations

from sqlalchemy import Connection

from gridnet.app.service import queries
from gridnet.app.service.schema import meta
from gridnet.app.service.store import upsert

SCENARIO = "live scenario"
FIRST = "first quarter"
"""The first quarter-hour of this feeder on this database."""
SETTLED = "settled quarter"
"""The last one whose entries are in the ledger."""
WORLD = "world"
KEYS = "meter keys"
SEED = "meter seed"
ANCHOR = "series anchor"


def marked(connection: Connection, key: str) -> str | None:
    """What is noted; None where nothing is."""
    found = connection.execute(queries.MARK, {"key": key}).scalar()
    return None if found is None else str(found)


def mark(connection: Connection, key: str, value: object) -> None:
    """Notes it in the place of what was noted before."""
    upsert(connection, meta, [{"key": key, "value": str(value)}])
