"""What stands in the tables for one device: programmes, controls, setpoints, default, override, charge; read in one transaction."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from gridnet.app.service import control_rows as rows
from gridnet.app.service import queries
from gridnet.app.service.effective import Said
from gridnet.app.service.model import (
    DISPATCH,
    DISPATCH_PRIMACY,
    OPERATOR,
    OPERATOR_PRIMACY,
    Control,
    Device,
    Fields,
    Override,
    Program,
)
from gridnet.app.service.store import moment, seconds
from gridnet.clock import STEP_H

BUILT_IN = {
    DISPATCH: Program(DISPATCH, DISPATCH_PRIMACY, description="setpoints of the dispatch policy"),
    OPERATOR: Program(OPERATOR, OPERATOR_PRIMACY, fsa="operator", description="what the operator dispatches by hand"),
}
SOC_FRESH = timedelta(hours=1)
"""A state of charge older than this says nothing."""
_STEP_S = round(STEP_H * 3600)


def programs_of(connection: Connection, device: str) -> list[Program]:
    """Everybody's programmes and the device's own, by primacy."""
    own = [rows.read_program(row) for row in connection.execute(queries.PROGRAMS, {"device": device})]
    return sorted((*BUILT_IN.values(), *own), key=lambda each: (each.primacy, each.id))


def default_of(device: Device, programs: list[Program]) -> Fields:
    """The programmes' defaults, those that count most first, then the device's own."""
    fields = Fields()
    for program in programs:
        if program.default is not None:
            fields = fields.over(program.default)
    return fields.over(device.default)


def controls_of(connection: Connection, device: Device, since: datetime, until_s: int = queries.EVER_S) -> list[Control]:
    """Every control for the device that holds at some time after `since` and not after `until_s`; of a setpoint and a plan for the
    same interval, the setpoint."""
    span = {"device": device.id, "meter": device.meter, "since_s": seconds(since), "until_s": until_s}
    said = [rows.read_control(row) for row in connection.execute(queries.CONTROLS, span)]
    if any(each.device is None for each in said):
        visible = {program.id for program in programs_of(connection, device.id)}
        said = [each for each in said if each.program in visible]
    if device.meter is None:
        return said
    decided = [rows.as_control(row, device.id, planned=False) for row in connection.execute(queries.SETPOINTS, span)]
    if until_s == queries.EVER_S or not decided:
        known = {each.start for each in decided}
        planned = [rows.as_control(row, device.id, planned=True) for row in connection.execute(queries.PLANS, span)]
        decided += [each for each in planned if each.start not in known]
    return said + decided


def said_to(connection: Connection, device: Device, now: datetime) -> Said:
    """All that counts for the device at `now`."""
    now_s = seconds(now)
    row = connection.execute(queries.OVERRIDE, {"device": device.id}).first()
    fresh = {"device": device.id, "since_s": seconds(now - SOC_FRESH)}
    return Said(
        device=device,
        # What begins within the next quarter-hour ends what holds now.
        controls=controls_of(connection, device, now, now_s + _STEP_S),
        default=default_of(device, programs_of(connection, device.id)),
        default_until=moment((now_s // _STEP_S + 1) * _STEP_S),
        override=Override(device.id, moment(row.until_s), row.reason) if row is not None and row.until_s > now_s else None,
        soc=connection.execute(queries.SOC, fresh).scalar() if device.kind == "battery" else None,
    )
