"""Frames: what the live feeder did in each quarter-hour. History: never edited, later versions alter what it makes."""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Makes the table."""
    binary = "BYTEA" if op.get_bind().dialect.name == "postgresql" else "BLOB"
    op.execute(
        f"""CREATE TABLE service_frames (quarter BIGINT PRIMARY KEY NOT NULL, feeder TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('expected', 'measured')), body {binary} NOT NULL, outlook {binary})"""
    )
