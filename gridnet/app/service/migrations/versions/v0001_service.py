"""The service's first tables. History: never edited, later versions alter what it makes."""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None

TABLES = {
    "principals": "id TEXT PRIMARY KEY NOT NULL, role TEXT NOT NULL, lfdi TEXT UNIQUE, party TEXT, secret TEXT, revoked_s BIGINT",
    "tokens": "hash TEXT PRIMARY KEY NOT NULL, principal TEXT NOT NULL, expires_s BIGINT NOT NULL",
    "devices": """id TEXT PRIMARY KEY NOT NULL, number BIGINT NOT NULL UNIQUE, owner TEXT NOT NULL, lfdi TEXT UNIQUE,
        meter TEXT UNIQUE, body TEXT NOT NULL""",
    "programs": "id TEXT PRIMARY KEY NOT NULL, device TEXT, body TEXT NOT NULL",
    "controls": """id TEXT PRIMARY KEY NOT NULL, program TEXT NOT NULL, device TEXT, start_s BIGINT NOT NULL,
        end_s BIGINT NOT NULL CHECK (end_s > start_s), cancelled_s BIGINT, superseded_s BIGINT, key TEXT UNIQUE,
        body TEXT NOT NULL""",
    "setpoints": """meter TEXT NOT NULL, start_s BIGINT NOT NULL, end_s BIGINT NOT NULL CHECK (end_s > start_s),
        id TEXT NOT NULL UNIQUE, decided_s BIGINT NOT NULL, p_kw DOUBLE PRECISION NOT NULL, q_kvar DOUBLE PRECISION NOT NULL,
        source TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (meter, start_s)""",
    "plans": """meter TEXT NOT NULL, start_s BIGINT NOT NULL, end_s BIGINT NOT NULL CHECK (end_s > start_s),
        id TEXT NOT NULL, decided_s BIGINT NOT NULL, p_kw DOUBLE PRECISION NOT NULL, q_kvar DOUBLE PRECISION NOT NULL,
        source TEXT NOT NULL, reason TEXT NOT NULL, PRIMARY KEY (meter, start_s)""",
    "acks": """control TEXT NOT NULL, device TEXT NOT NULL, status TEXT NOT NULL, at_s BIGINT NOT NULL, code BIGINT,
        PRIMARY KEY (control, device, status)""",
    "messages": """meter TEXT NOT NULL, sequence BIGINT NOT NULL, digest TEXT NOT NULL, raw BYTES NOT NULL,
        received_s BIGINT NOT NULL, quarter BIGINT NOT NULL, PRIMARY KEY (meter, sequence, digest)""",
    "measurements": """device TEXT NOT NULL, channel TEXT NOT NULL, start_s BIGINT NOT NULL, duration_s BIGINT NOT NULL,
        value DOUBLE PRECISION NOT NULL, PRIMARY KEY (device, channel, start_s)""",
    "overrides": "device TEXT PRIMARY KEY NOT NULL, until_s BIGINT NOT NULL, reason TEXT NOT NULL",
    "subscriptions": """id TEXT PRIMARY KEY NOT NULL, owner TEXT NOT NULL, protocol TEXT NOT NULL, topic TEXT NOT NULL, device TEXT,
        url TEXT NOT NULL, body TEXT NOT NULL""",
    "outbox": """id TEXT PRIMARY KEY NOT NULL, subscription TEXT NOT NULL, topic TEXT NOT NULL, due_s BIGINT NOT NULL,
        attempts BIGINT NOT NULL, problem TEXT""",
    "documents": """kind TEXT NOT NULL, id TEXT NOT NULL, owner TEXT NOT NULL, device TEXT, number BIGINT NOT NULL,
        updated_s BIGINT NOT NULL, body TEXT NOT NULL, PRIMARY KEY (kind, id)""",
    "operations": """number BIGINT PRIMARY KEY NOT NULL, at_s BIGINT NOT NULL, principal TEXT NOT NULL, action TEXT NOT NULL,
        object TEXT NOT NULL, detail TEXT NOT NULL""",
    "meta": "key TEXT PRIMARY KEY NOT NULL, value TEXT NOT NULL",
}
INDEXES = {
    "devices": ["owner"],
    "programs": ["device"],
    "controls": ["device", "end_s"],
    "messages": ["quarter"],
    "subscriptions": ["topic"],
    "outbox": ["due_s"],
    "documents": ["device"],
}


def upgrade() -> None:
    """Makes every table and index."""
    binary = "BYTEA" if op.get_bind().dialect.name == "postgresql" else "BLOB"
    for name, columns in TABLES.items():
        op.execute(f"CREATE TABLE service_{name} ({columns.replace('BYTES', binary)})")
    for name, indexed in INDEXES.items():
        for column in indexed:
            op.execute(f"CREATE INDEX ix_service_{name}_{column} ON service_{name} ({column})")
