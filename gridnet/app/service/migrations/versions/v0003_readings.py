"""Signed readings by week and feeder. History: never edited, later versions alter what it makes.

`service_messages` stays as it is, for processes of the version before go on reading and writing it while this one comes: nothing
is locked that they use. A later migration drops it, when no service is left that was one of theirs within `readings_days`.
"""

from __future__ import annotations

from alembic import op
from sqlalchemy import text

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Makes the table; a service that never had a feeder uses it at once."""
    postgres = op.get_bind().dialect.name == "postgresql"
    name, binary, parts = ('TEXT COLLATE "C"', "BYTEA", " PARTITION BY RANGE (quarter)") if postgres else ("TEXT", "BLOB", "")
    op.execute(
        f"""CREATE TABLE service_readings (quarter BIGINT NOT NULL, feeder {name} NOT NULL, meter {name} NOT NULL,
        sequence BIGINT NOT NULL, digest {binary} NOT NULL, raw {binary} NOT NULL, received_s BIGINT NOT NULL,
        PRIMARY KEY (quarter, feeder, meter, sequence, digest)){parts}"""
    )
    op.execute("CREATE INDEX ix_service_readings_feeder ON service_readings (feeder, meter, sequence)")
    lived = op.get_bind().execute(text("SELECT 1 FROM service_meta WHERE key = 'live scenario'")).first()
    if lived is None:
        op.execute("INSERT INTO service_meta (key, value) VALUES ('readings moved', '0003')")
