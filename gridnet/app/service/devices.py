"""The devices that the service talks to, and whose they are."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, func, insert, select, true, update

from gridnet.app.service import queries
from gridnet.app.service.errors import Conflict, Forbidden, NotFound
from gridnet.app.service.model import Device, Fields, Principal, is_lfdi
from gridnet.app.service.operations import Operations
from gridnet.app.service.schema import acks, controls, devices, documents, measurements, overrides
from gridnet.app.service.store import Store, moment, packed, seconds
from gridnet.app.service.webhooks import Webhooks
from gridnet.errors import Fault, InputError
from gridnet.metering.keys import PublicKey

OPERATORS_OWN = ("id", "meter", "meter_key", "lfdi", "owner", "registered")
"""What an owner can't change after registration: it says which meter speaks for the device."""


class Devices:
    """Everything about devices but what they are asked to do."""

    def __init__(self, store: Store, operations: Operations, webhooks: Webhooks, meters: frozenset[str]) -> None:
        """`meters`: names of the live feeder's sub-meters, which a device may be bound to."""
        self._store = store
        self._operations = operations
        self._webhooks = webhooks
        self._meters = meters

    def add(self, by: Principal, device: Device) -> Device:
        """Registers a device. A device's own certificate registers itself alone, others what they own, an operator anything; a
        meter of the feeder is bound by an operator. Raises `Forbidden`, `Conflict`, `InputError`."""
        self._check(by, device)
        lfdi = None if device.lfdi is None else device.lfdi.lower()
        with self._store.write() as connection:
            device = replace(device, lfdi=lfdi, registered=self._store.clock().replace(microsecond=0))
            if connection.execute(select(devices.c.id).where(devices.c.id == device.id)).first() is not None:
                raise Conflict(f"{device.id}: a device with this id is registered already", device=device.id)
            self._refuse_taken(connection, device)
            number = connection.execute(select(func.coalesce(func.max(devices.c.number), 0))).scalar_one() + 1
            connection.execute(insert(devices), [{"id": device.id, "number": number, **_row(device)}])
            self._operations.note(connection, by, "register device", device.id)
            self._webhooks.put(connection, "device", device.id)
        return device

    def get(self, by: Principal, device: str) -> Device:
        """Raises `NotFound`, for another's device too."""
        with self._store.read() as connection:
            return self.owned(connection, by, device)

    def by_lfdi(self, by: Principal, lfdi: str) -> Device:
        """The device that a certificate belongs to. Raises `NotFound`."""
        with self._store.read() as connection:
            return self._one(connection, by, devices.c.lfdi == lfdi.lower(), f"with the LFDI {lfdi[:40]}")

    def speaking_for(self, connection: Connection, by: Principal, meter: str) -> str:
        """Id of the device that speaks for a sub-meter. Raises `NotFound`, for another's too."""
        return self._one(connection, by, devices.c.meter == meter, f"behind {meter}").id

    def metered(self, connection: Connection) -> list[Device]:
        """The devices that speak for a sub-meter of the feeder, whosever they are."""
        found = connection.execute(select(devices).where(devices.c.meter.is_not(None)).order_by(devices.c.number))
        return [read_device(row._mapping) for row in found]

    def keyed(self, connection: Connection, by: Principal, ids: Sequence[str] | None) -> list[tuple[str, str, str]]:
        """(id, meter, its key) of devices that `by` may know of and that speak for a sub-meter; of some, or of all."""
        asked = select(devices.c.id, devices.c.meter, devices.c.body).where(devices.c.meter.is_not(None), _visible(by))
        if ids is not None:
            asked = asked.where(devices.c.id.in_(ids))
        found = ((row.id, row.meter, json.loads(row.body)["meter_key"]) for row in connection.execute(asked))
        return [(device, meter, key) for device, meter, key in found if key is not None]

    def page(self, by: Principal, start: int = 0, limit: int = 100) -> tuple[list[Device], int]:
        """What `by` may see, in the order of registration, and how many there are in all."""
        mine = _visible(by)
        with self._store.read() as connection:
            total = connection.execute(select(func.count()).select_from(devices).where(mine)).scalar_one()
            query: Select[Any] = select(devices).where(mine).order_by(devices.c.number).offset(start).limit(limit)
            return [read_device(row._mapping) for row in connection.execute(query)], total

    def change(self, by: Principal, device: str, **changes: Any) -> Device:
        """Replaces fields. Raises `NotFound`, `Forbidden`, `InputError`."""
        unknown = sorted(changes.keys() - {field.name for field in fields(Device)})
        if unknown:
            raise InputError("a device has no such fields:", [Fault(name, "a value", "nothing") for name in unknown])
        fixed = sorted(set(OPERATORS_OWN) & changes.keys())
        if fixed and not by.operates:
            raise Forbidden(f"{', '.join(fixed)}: set at registration, changed by an operator alone")
        with self._store.write() as connection:
            before = self.owned(connection, by, device)
            after = replace(before, **changes)
            after = replace(after, lfdi=None if after.lfdi is None else after.lfdi.lower())
            if after.id != before.id:
                raise InputError("a device keeps its id", [Fault("id", after.id, before.id)])
            self._check(by, after)
            self._refuse_taken(connection, after)
            connection.execute(update(devices).where(devices.c.id == device).values(**_row(after)))
            self._operations.note(connection, by, "change device", device, ", ".join(sorted(changes)))
            self._webhooks.put(connection, "default" if "default" in changes else "device", device)
        return after

    def remove(self, by: Principal, device: str) -> None:
        """Deregisters it; what it reported and was settled stays. Raises `NotFound`."""
        with self._store.write() as connection:
            self.owned(connection, by, device)
            self._webhooks.put(connection, "device", device)
            connection.execute(delete(devices).where(devices.c.id == device))
            # Whoever registers the name again shall not meet what another left.
            for table in (overrides, documents, measurements, acks):
                connection.execute(delete(table).where(table.c.device == device))
            self._webhooks.forget(connection, device)
            now_s = self._store.now_s()
            left = (controls.c.device == device) & (controls.c.end_s > now_s) & controls.c.cancelled_s.is_(None)
            connection.execute(update(controls).where(left).values(cancelled_s=now_s))
            nobodys = f"gone/{secrets.token_hex(8)}"
            connection.execute(update(controls).where(controls.c.device == device).values(device=nobodys))
            self._operations.note(connection, by, "deregister device", device)

    def owned(self, connection: Connection, by: Principal, device: str) -> Device:
        """The device, if `by` may know of it. Raises `NotFound`."""
        row = connection.execute(queries.DEVICE, {"device": device}).first()
        if row is None or not (by.operates or row.owner == by.id or (row.lfdi is not None and row.lfdi == by.lfdi)):
            raise NotFound(f"no device {device[:64]}")
        return read_device(row._mapping)

    def _one(self, connection: Connection, by: Principal, which: ColumnElement[bool], words: str) -> Device:
        row = connection.execute(select(devices).where(which & _visible(by))).first()
        if row is None:
            raise NotFound(f"no device {words}")
        return read_device(row._mapping)

    def _refuse_taken(self, connection: Connection, device: Device) -> None:
        """Raises `Conflict` where another device has the certificate or the meter."""
        for column, value in ((devices.c.lfdi, device.lfdi), (devices.c.meter, device.meter)):
            taken = select(devices.c.id).where(column == value, devices.c.id != device.id)
            if value is not None and connection.execute(taken).first() is not None:
                raise Conflict(f"{device.id}: another device has this {column.name} already", device=device.id)

    def _check(self, by: Principal, device: Device) -> None:
        if not by.operates:
            if by.role == "auditor" or device.owner != by.id:
                raise Forbidden(f"{by.id} registers devices of its own", device=device.id)
            if by.role != "aggregator" and device.lfdi is not None and device.lfdi.lower() != by.lfdi:
                raise Forbidden("another certificate's device is registered by an aggregator or an operator", device=device.id)
        faults = []
        if device.meter is not None and device.meter not in self._meters:
            faults.append(Fault("meter", repr(device.meter), "a battery's or PV plant's meter of the feeder, e.g. bat-00"))
        if device.lfdi is not None and not is_lfdi(device.lfdi):
            faults.append(Fault("lfdi", repr(device.lfdi[:80]), "40 hexadecimal digits"))
        if device.meter_key is not None:
            try:
                PublicKey.decode(device.meter_key)
            except InputError as error:
                faults.append(Fault("meter_key", repr(device.meter_key[:80]), str(error)))
        if faults:
            raise InputError(f"device {device.id} can't be registered:", faults)


def _visible(by: Principal) -> ColumnElement[bool]:
    if by.operates:
        return true()
    mine = devices.c.owner == by.id
    return mine | (devices.c.lfdi == by.lfdi) if by.lfdi is not None else mine


def _row(device: Device) -> dict[str, Any]:
    body = asdict(device) | {"default": device.default.given()}
    for name in ("id", "owner", "lfdi", "meter"):
        del body[name]
    body["registered"] = None if device.registered is None else seconds(device.registered)
    return {"owner": device.owner, "lfdi": device.lfdi, "meter": device.meter, "body": packed(body)}


def read_device(row: Mapping[Any, Any]) -> Device:
    """A device from its row."""
    body = json.loads(row["body"])
    body["default"] = Fields(**body["default"])
    body["registered"] = None if body["registered"] is None else moment(body["registered"])
    return Device(id=row["id"], owner=row["owner"], lfdi=row["lfdi"], meter=row["meter"], **body)
