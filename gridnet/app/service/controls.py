"""What devices are asked to do: programmes, dispatches, the policy's setpoints, acknowledgements, overrides."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from gridnet.app.service import control_rows as rows
from gridnet.app.service.devices import Devices
from gridnet.app.service.effective import effective
from gridnet.app.service.errors import Conflict, NotFound
from gridnet.app.service.fencing import Overtaken, named
from gridnet.app.service.model import (
    DISPATCH,
    NO_ENTERPRISE,
    Ack,
    Control,
    Effective,
    Fields,
    Order,
    Override,
    Principal,
    Program,
    Setpoint,
)
from gridnet.app.service.names import MAIN, feeder_of
from gridnet.app.service.operations import Operations, operator_only
from gridnet.app.service.said import BUILT_IN, controls_of, default_of, programs_of, said_to
from gridnet.app.service.schema import acks, controls, overrides, plans, programs, setpoints
from gridnet.app.service.store import Store, moment, seconds, upsert
from gridnet.app.service.webhooks import Webhooks
from gridnet.errors import Fault, InputError

LONGEST, FURTHEST = timedelta(days=7), timedelta(days=366)
_SAME_KW = 5e-4


class Controls:
    """All that is said to devices."""

    def __init__(self, store: Store, devices: Devices, operations: Operations, webhooks: Webhooks) -> None:
        self._store = store
        self._devices = devices
        self._operations = operations
        self._webhooks = webhooks

    def put_program(self, by: Principal, program: Program) -> Program:
        """Makes or replaces a programme. Raises `Forbidden`, `NotFound` for its device, `InputError`."""
        operator_only(by, "a programme")
        faults = [] if 0 <= program.primacy <= 255 else [Fault("primacy", str(program.primacy), "0 to 255")]
        if not 1 <= len(program.id) <= 64 or program.id in BUILT_IN:
            faults.append(Fault("id", repr(program.id[:80]), f"1 to 64 characters, and not {' or '.join(BUILT_IN)}"))
        if faults:
            raise InputError("there can be no such programme:", faults)
        with self._store.write() as connection:
            if program.device is not None:
                self._devices.owned(connection, by, program.device)
            upsert(connection, programs, [rows.program_row(program)])
            self._operations.note(connection, by, "put programme", program.id)
            self._webhooks.put(connection, "programs", program.device)
        return program

    def programs(self, by: Principal, device: str) -> list[Program]:
        """Everybody's programmes and the device's own, by primacy. Raises `NotFound`."""
        with self._store.read() as connection:
            self._devices.owned(connection, by, device)
            return programs_of(connection, device)

    def program(self, by: Principal, program: str) -> Program:
        """Raises `NotFound`, for one of another's device too."""
        if program in BUILT_IN:
            return BUILT_IN[program]
        with self._store.read() as connection:
            row = connection.execute(select(programs).where(programs.c.id == program)).first()
            if row is None:
                raise NotFound(f"no programme {program[:64]}")
            if row.device is not None:
                self._devices.owned(connection, by, row.device)
            return rows.read_program(row)

    def dispatch(self, by: Principal, order: Order) -> Control:
        """Sends an order out. Controls of the same programme for the same device that it overlaps are superseded. Raises
        `Forbidden`, `NotFound`, `InputError`, and `Conflict` where the key stands for another order."""
        operator_only(by, "dispatching")
        program = self.program(by, order.program)
        with self._store.write() as connection:
            if order.device is not None:
                self._devices.owned(connection, by, order.device)
            control = self._made(order, program)
            known = self._by_key(connection, order.key, control)
            if known is not None:
                return known
            self._check(order, program)
            self._supersede(connection, control)
            connection.execute(insert(controls), [rows.control_row(control, order.key)])
            self._operations.note(connection, by, "dispatch", control.id, f"{order.program} {order.device or 'everybody'}")
            self._webhooks.put(connection, "controls", control.device)
        return control

    def cancel(self, by: Principal, control: str) -> Control:
        """Takes a control back, at once. Raises `Forbidden`, `NotFound`, and `Conflict` where it is over."""
        operator_only(by, "cancelling")
        with self._store.write() as connection:
            found = self._get(connection, by, control)
            now = self._store.clock().replace(microsecond=0)
            if found.status(now) not in ("active", "scheduled"):
                raise Conflict(f"control {control} is {found.status(now)}")
            changed = update(controls).where(controls.c.id == control).values(cancelled_s=seconds(now))
            if not connection.execute(changed).rowcount:
                raise Conflict(f"{control} is a policy's setpoint: dispatch another control over it")
            self._operations.note(connection, by, "cancel", control)
            self._webhooks.put(connection, "controls", found.device)
        return replace(found, cancelled=now)

    def get(self, by: Principal, control: str) -> Control:
        """Raises `NotFound`, for one of another's device too."""
        with self._store.read() as connection:
            return self._get(connection, by, control)

    def of_device(self, by: Principal, device: str, program: str | None = None, since: datetime | None = None) -> list[Control]:
        """Active and scheduled controls by start; with `since` also what was over after it. Raises `NotFound`."""
        now = self._store.clock()
        with self._store.read() as connection:
            found = controls_of(connection, self._devices.owned(connection, by, device), min(now, since or now))
        wanted = [each for each in found if program in (None, each.program)]
        wanted = [each for each in wanted if each.over > (since or now)]
        return sorted(wanted, key=lambda each: (each.start, each.primacy, each.id))

    def effective(self, by: Principal, device: str) -> Effective:
        """What the device shall do now. Raises `NotFound`."""
        now = self._store.clock()
        with self._store.read() as connection:
            said = said_to(connection, self._devices.owned(connection, by, device), now)
        return effective(said, now)

    def default(self, by: Principal, device: str) -> Fields:
        """What the device does where nothing else is said. Raises `NotFound`."""
        with self._store.read() as connection:
            owned = self._devices.owned(connection, by, device)
            return default_of(owned, programs_of(connection, device))

    def acknowledge(self, by: Principal, ack: Ack) -> None:
        """Keeps what a device says of a control. Raises `NotFound` for one that it was never sent."""
        with self._store.write() as connection:
            self._devices.owned(connection, by, ack.device)
            control = self._get(connection, by, ack.control)
            if control.device not in (None, ack.device):
                raise NotFound(f"no control {ack.control[:64]} of {ack.device}")
            row = {"control": ack.control, "device": ack.device, "status": ack.status, "at_s": seconds(ack.at), "code": ack.code}
            upsert(connection, acks, [row])

    def acks(self, by: Principal, device: str, control: str | None = None) -> list[Ack]:
        """What a device said, oldest first. Raises `NotFound`."""
        which = acks.c.device == device
        if control is not None:
            which &= acks.c.control == control
        with self._store.read() as connection:
            self._devices.owned(connection, by, device)
            found = connection.execute(select(acks).where(which).order_by(acks.c.at_s, acks.c.control, acks.c.status))
            return [Ack(row.control, row.device, row.status, moment(row.at_s), row.code) for row in found]

    def override(self, by: Principal, device: str, until: datetime, reason: str) -> Override:
        """The owner opts out until a time at most 7 days away. Raises `NotFound`, `InputError`."""
        now = self._store.clock()
        faults = [] if now < until <= now + LONGEST else [Fault("until", until.isoformat(), "a time within the next 7 days")]
        if not 1 <= len(reason) <= 200:
            faults.append(Fault("reason", f"{len(reason)} characters", "1 to 200"))
        if faults:
            raise InputError(f"{device} can't opt out so:", faults)
        with self._store.write() as connection:
            self._devices.owned(connection, by, device)
            upsert(connection, overrides, [{"device": device, "until_s": seconds(until), "reason": reason}])
            self._webhooks.put(connection, "controls", device)
        return Override(device, until, reason)

    def end_override(self, by: Principal, device: str) -> None:
        """The owner is in again. Raises `NotFound`."""
        with self._store.write() as connection:
            self._devices.owned(connection, by, device)
            connection.execute(delete(overrides).where(overrides.c.device == device))
            self._webhooks.put(connection, "controls", device)

    def overridden(self) -> frozenset[str]:
        """Devices whose owners have opted out just now."""
        with self._store.read() as connection:
            query = select(overrides.c.device).where(overrides.c.until_s > self._store.now_s())
            return frozenset(connection.execute(query).scalars())

    def decided(self, now_decided: list[Setpoint], planned: list[Setpoint], feeder: str = MAIN) -> None:
        """Keeps a policy's decision for a feeder, each meter's interval once: what is there stays. The feeder's plans are replaced.
        Raises `Overtaken` where the interval went by meanwhile."""
        own = plans.c.meter.startswith(f"{feeder}/", autoescape=True) if feeder else ~plans.c.meter.contains("/")
        with self._store.write(feeder) as connection:
            decided_s = self._store.now_s()
            if any(seconds(each.end) <= decided_s for each in now_decided):
                raise Overtaken(f"{named(feeder)}: what was decided came too late for its quarter-hour", got=decided_s)
            known = {(row.meter, row.start_s): row for row in connection.execute(select(plans).where(own))}
            upsert(connection, setpoints, [_named_row(known, each, decided_s) for each in now_decided], replace=False)
            connection.execute(delete(plans).where(own))
            upsert(connection, plans, [_named_row(known, each, decided_s) for each in planned])
            for device in self._devices.metered(connection):
                if device.meter is not None and feeder_of(device.meter) == feeder:
                    self._webhooks.put(connection, "controls", device.id)

    def setpoints_at(self, start: datetime, connection: Connection, meters: Sequence[str] | None = None) -> dict[str, Setpoint]:
        """The policy's setpoints of an interval, by meter; of all meters, or of some."""
        which = setpoints.c.start_s == seconds(start)
        if meters is not None:
            which &= setpoints.c.meter.in_(meters)
        found = connection.execute(select(setpoints).where(which))
        return {row.meter: rows.read_setpoint(row) for row in found}

    def last_decided(self) -> datetime | None:
        """When a policy decided last; None where none did yet."""
        with self._store.read() as connection:
            decided_s = connection.execute(select(func.max(setpoints.c.decided_s))).scalar()
        return None if decided_s is None else moment(decided_s)

    def _check(self, order: Order, program: Program) -> None:
        now, faults = self._store.clock(), []
        start, end = (each.replace(microsecond=0) for each in (order.start, order.end))
        if not timedelta(0) < end - start <= LONGEST:
            faults.append(Fault("start, end", f"{order.start}, {order.end}", "an end after the start, 7 days at most"))
        if order.start > now + FURTHEST:
            faults.append(Fault("start", order.start.isoformat(), "a time within a year"))
        if order.end <= now:
            faults.append(Fault("end", order.end.isoformat(), f"a time after {now.isoformat()}"))
        if not order.fields.given():
            faults.append(Fault("fields", "nothing", "at least one of them"))
        if not 0 <= order.randomize_start_s <= 3600:
            faults.append(Fault("randomize_start_s", str(order.randomize_start_s), "0 to 3600"))
        if order.program == DISPATCH:
            faults.append(Fault("program", DISPATCH, "another one: this is the policy's"))
        if program.device is not None and order.device not in (None, program.device):
            faults.append(Fault("device", str(order.device), f"{program.device}, whose programme {program.id} is"))
        if faults:
            raise InputError("this can't be dispatched:", faults)

    def _made(self, order: Order, program: Program) -> Control:
        return Control(
            id=secrets.token_hex(12) + NO_ENTERPRISE,
            program=program.id,
            device=order.device if order.device is not None else program.device,
            fields=order.fields,
            start=order.start.replace(microsecond=0),
            end=order.end.replace(microsecond=0),
            created=self._store.clock().replace(microsecond=0),
            reason=order.reason,
            primacy=program.primacy,
            randomize_start_s=order.randomize_start_s,
        )

    def _by_key(self, connection: Connection, key: str | None, control: Control) -> Control | None:
        """The control that the key stands for, if it was asked for in the same words as `control`."""
        row = None if key is None else connection.execute(select(controls).where(controls.c.key == key)).first()
        if row is None:
            return None
        known = rows.read_control(row)
        same = replace(known, id=control.id, created=control.created, cancelled=None, superseded=None, primacy=control.primacy)
        if same != control:
            raise Conflict(f"key {str(key)[:64]!r} stands for another dispatch, {known.id}")
        return known

    def _supersede(self, connection: Connection, control: Control) -> None:
        same = (controls.c.program == control.program) & (controls.c.device.is_not_distinct_from(control.device))
        overlap = (controls.c.start_s < seconds(control.end)) & (controls.c.end_s > seconds(control.start))
        # The older one holds until the newer one begins.
        from_s = max(seconds(control.start), seconds(control.created))
        in_force = controls.c.cancelled_s.is_(None) & (controls.c.superseded_s.is_(None) | (controls.c.superseded_s > from_s))
        connection.execute(update(controls).where(same & overlap & in_force).values(superseded_s=from_s))

    def _get(self, connection: Connection, by: Principal, control: str) -> Control:
        row = connection.execute(select(controls).where(controls.c.id == control)).first()
        if row is not None:
            if row.device is not None:
                self._devices.owned(connection, by, row.device)
            return rows.read_control(row)
        for table, planned in ((setpoints, False), (plans, True)):
            row = connection.execute(select(table).where(table.c.id == control)).first()
            if row is not None:
                return rows.as_control(row, self._devices.speaking_for(connection, by, row.meter), planned=planned)
        raise NotFound(f"no control {control[:64]}")


def _named_row(known: dict[tuple[str, int], Any], setpoint: Setpoint, decided_s: int) -> dict[str, Any]:
    """A setpoint's row. One that was planned just so keeps its name: devices that hold the plan need not change anything."""
    row = rows.setpoint_row(setpoint, decided_s)
    plan = known.get((setpoint.meter, row["start_s"]))
    same = plan is not None and abs(plan.p_kw - setpoint.p_kw) < _SAME_KW and abs(plan.q_kvar - setpoint.q_kvar) < _SAME_KW
    return row | {"id": plan.id} if same and plan is not None else row
