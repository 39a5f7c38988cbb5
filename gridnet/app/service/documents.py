"""What a protocol's clients leave and the core does not read: one table for all of them, with ownership."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, func, insert, select, true, update

from gridnet.app.service.devices import Devices
from gridnet.app.service.errors import Conflict, NotFound
from gridnet.app.service.model import Document, Principal
from gridnet.app.service.schema import documents
from gridnet.app.service.store import Store, moment, packed
from gridnet.errors import Fault, InputError

MOST_BYTES = 64 * 1024


class Documents:
    """Documents by kind and id. A document is its owner's and the operator's; one about a device is for the device's owner too."""

    def __init__(self, store: Store, devices: Devices) -> None:
        self._store = store
        self._devices = devices

    def put(self, by: Principal, kind: str, name: str, body: dict[str, Any], device: str | None = None) -> Document:
        """Inserts, or replaces what is `by`'s. Raises `Conflict` for another's, `NotFound` for a device, `InputError`."""
        text = packed(body)
        if len(text) > MOST_BYTES:
            raise InputError("the document is too long:", [Fault(f"{kind} {name}", f"{len(text)} bytes", f"{MOST_BYTES} at most")])
        with self._store.write() as connection:
            if device is not None:
                self._devices.owned(connection, by, device)
            which, updated_s = (documents.c.kind == kind) & (documents.c.id == name), self._store.now_s()
            known = connection.execute(select(documents).where(which)).first()
            if known is not None and not (by.operates or known.owner == by.id):
                raise Conflict(f"{kind} {name} is there already, and another's")
            if known is not None:
                connection.execute(update(documents).where(which).values(body=text, updated_s=updated_s, device=device))
                return Document(kind, name, known.owner, body, device, moment(updated_s), known.number)
            last = select(func.coalesce(func.max(documents.c.number), 0)).where(documents.c.kind == kind)
            number = connection.execute(last).scalar_one() + 1
            row = {"kind": kind, "id": name, "owner": by.id, "device": device, "number": number}
            connection.execute(insert(documents), [{**row, "updated_s": updated_s, "body": text}])
            return Document(kind, name, by.id, body, device, moment(updated_s), number)

    def get(self, by: Principal, kind: str, name: str) -> Document:
        """Raises `NotFound`, for another's too."""
        which = (documents.c.kind == kind) & (documents.c.id == name)
        with self._store.read() as connection:
            row = connection.execute(select(documents).where(which)).first()
            if row is not None and row.device is not None:
                self._devices.owned(connection, by, row.device)
            elif row is not None and not (by.operates or row.owner == by.id):
                row = None
        if row is None:
            raise NotFound(f"no {kind} {name[:64]}")
        return _read(row)

    def page(
        self, by: Principal, kind: str, device: str | None = None, start: int = 0, limit: int = 100
    ) -> tuple[list[Document], int]:
        """Those of a kind that `by` may see, oldest first, and how many there are. Raises `NotFound` for a device."""
        with self._store.read() as connection:
            which: ColumnElement[bool] = true() if by.operates else documents.c.owner == by.id
            if device is not None:
                self._devices.owned(connection, by, device)
                which = documents.c.device == device
            which &= documents.c.kind == kind
            total = connection.execute(select(func.count()).select_from(documents).where(which)).scalar_one()
            query = select(documents).where(which).order_by(documents.c.number).offset(start).limit(limit)
            return [_read(row) for row in connection.execute(query)], total

    def remove(self, by: Principal, kind: str, name: str) -> None:
        """Raises `NotFound`."""
        self.get(by, kind, name)
        with self._store.write() as connection:
            connection.execute(delete(documents).where((documents.c.kind == kind) & (documents.c.id == name)))


def _read(row: Row[Any]) -> Document:
    return Document(row.kind, row.id, row.owner, json.loads(row.body), row.device, moment(row.updated_s), row.number)
