"""Run by Alembic: migrates through the connection that `gridnet.app.service.store` hands over."""

from __future__ import annotations

from alembic import context

attributes = context.config.attributes
context.configure(connection=attributes["connection"], version_table=attributes["version_table"], transaction_per_migration=False)
context.run_migrations()
