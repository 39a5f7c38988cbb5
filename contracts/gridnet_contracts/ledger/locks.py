"""Which certificates were set aside, and with what words."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, select

from gridnet_contracts.ledger.actions.certificates import Lock
from gridnet_contracts.ledger.rows import Certificate, Ending
from gridnet_contracts.ledger.schema import table_of
from gridnet_contracts.ledger.store import streamed


def stored_locks(connection: Connection, prefix: str) -> Iterator[tuple[int, str, Certificate]]:
    """(entry, words, certificate as it stands now) of every lock whose words begin with `prefix`, in the order of their entries."""
    endings, certificates = table_of(Ending), table_of(Certificate)
    query = (
        select(endings.c.entry, endings.c.words, *certificates.c)
        .join_from(endings, certificates, endings.c.certificate == certificates.c.certificate)
        .where(endings.c.action == Lock.kind, endings.c.words.startswith(prefix, autoescape=True))
        .order_by(endings.c.entry)
    )
    for entry, words, *columns in streamed(connection, query):
        yield entry, words, Certificate(*columns)
