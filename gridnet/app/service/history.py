"""What was decided and dispatched in a stretch of time, long after: read alone, for those who look back."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select

from gridnet.app.service import control_rows as rows
from gridnet.app.service.model import Control, Setpoint
from gridnet.app.service.schema import controls, setpoints
from gridnet.app.service.store import Store, seconds


def decided(store: Store, since: datetime, until: datetime, meters: Collection[str] | None = None) -> list[Setpoint]:
    """The policy's setpoints that begin in `[since, until)`, by start and meter; of all meters where none are named."""
    which = (setpoints.c.start_s >= seconds(since)) & (setpoints.c.start_s < seconds(until))
    if meters is not None:
        which &= setpoints.c.meter.in_(meters)
    with store.read() as connection:
        found = connection.execute(select(setpoints).where(which).order_by(setpoints.c.start_s, setpoints.c.meter))
        return [rows.read_setpoint(row) for row in found]


def dispatched(store: Store, since: datetime, until: datetime, devices: Collection[str] | None = None) -> list[Control]:
    """What was dispatched by hand and held, or was to hold, at some time in `[since, until)`, by start: everybody's controls and
    those of `devices`, of all devices where none are named."""
    which = (controls.c.end_s > seconds(since)) & (controls.c.start_s < seconds(until))
    if devices is not None:
        which &= controls.c.device.is_(None) | controls.c.device.in_(devices)
    with store.read() as connection:
        found = connection.execute(select(controls).where(which).order_by(controls.c.start_s, controls.c.id))
        return [rows.read_control(row) for row in found]
