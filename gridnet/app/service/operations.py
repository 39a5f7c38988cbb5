"""The record of what operators did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from gridnet.app.service.errors import Forbidden
from gridnet.app.service.model import Principal
from gridnet.app.service.schema import operations
from gridnet.app.service.store import Store, moment


@dataclass(frozen=True)
class Operation:
    """One line of the record."""

    number: int
    at: datetime
    principal: str
    action: str
    object: str
    detail: str


class Operations:
    """Who changed what, when; lines are added and never changed."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def record(self, by: Principal, action: str, subject: str, detail: str = "") -> None:
        """Adds a line. Raises `Unavailable`."""
        with self._store.write() as connection:
            self.note(connection, by, action, subject, detail)

    def note(self, connection: Connection, by: Principal, action: str, subject: str, detail: str = "") -> None:
        """Adds a line in the transaction of what was done."""
        number = connection.execute(select(func.coalesce(func.max(operations.c.number), -1))).scalar_one() + 1
        line = {"number": number, "at_s": self._store.now_s(), "principal": by.id, "action": action}
        connection.execute(insert(operations), [{**line, "object": subject[:200], "detail": detail[:1000]}])

    def page(self, by: Principal, start: int = 0, limit: int = 100) -> list[Operation]:
        """Lines `start` and on, oldest first. For operators and auditors. Raises `Forbidden`."""
        if by.role not in ("operator", "auditor"):
            raise Forbidden("the operators' record is for operators and auditors")
        query = select(operations).where(operations.c.number >= start).order_by(operations.c.number).limit(limit)
        with self._store.read() as connection:
            return [
                Operation(row.number, moment(row.at_s), row.principal, row.action, row.object, row.detail)
                for row in connection.execute(query)
            ]


def operator_only(by: Principal, what: str) -> None:
    """Raises `Forbidden` for anybody else."""
    if not by.operates:
        raise Forbidden(f"{what} is the operator's")
