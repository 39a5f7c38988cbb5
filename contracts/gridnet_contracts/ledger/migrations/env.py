"""Run by Alembic: migrates through the connection that `gridnet_contracts.ledger.database` hands over."""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transaction_per_migration=False)
context.run_migrations()
