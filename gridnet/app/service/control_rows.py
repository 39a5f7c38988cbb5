"""Programmes, controls and setpoints to rows of their tables and back."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from sqlalchemy import Row

from gridnet.app.service.model import DISPATCH, DISPATCH_PRIMACY, NO_ENTERPRISE, Control, Fields, Program, Setpoint
from gridnet.app.service.store import moment, packed, seconds


def program_row(program: Program) -> dict[str, Any]:
    """A programme's row."""
    default = None if program.default is None else program.default.given()
    body = {"primacy": program.primacy, "fsa": program.fsa, "description": program.description, "default": default}
    return {"id": program.id, "device": program.device, "body": packed(body)}


def read_program(row: Row[Any]) -> Program:
    """A programme from its row."""
    body = json.loads(row.body)
    default = None if body["default"] is None else Fields(**body["default"])
    return Program(row.id, body["primacy"], row.device, body["fsa"], body["description"], default)


def control_row(control: Control, key: str | None) -> dict[str, Any]:
    """A dispatched control's row."""
    body = {
        "fields": control.fields.given(),
        "created": seconds(control.created),
        "source": control.source,
        "reason": control.reason,
        "primacy": control.primacy,
        "randomize_start_s": control.randomize_start_s,
    }
    return {
        "id": control.id,
        "program": control.program,
        "device": control.device,
        "start_s": seconds(control.start),
        "end_s": seconds(control.end),
        "cancelled_s": None,
        "superseded_s": None,
        "key": key,
        "body": packed(body),
    }


def read_control(row: Row[Any]) -> Control:
    """A dispatched control from its row."""
    body = json.loads(row.body)
    return Control(
        id=row.id,
        program=row.program,
        device=row.device,
        fields=Fields(**body["fields"]),
        start=moment(row.start_s),
        end=moment(row.end_s),
        created=moment(body["created"]),
        source=body["source"],
        reason=body["reason"],
        primacy=body["primacy"],
        randomize_start_s=body["randomize_start_s"],
        cancelled=None if row.cancelled_s is None else moment(row.cancelled_s),
        superseded=None if row.superseded_s is None else moment(row.superseded_s),
    )


def setpoint_row(setpoint: Setpoint, decided_s: int) -> dict[str, Any]:
    """A setpoint's row, or a plan's."""
    start_s = seconds(setpoint.start)
    name = (
        hashlib.sha256(f"{setpoint.meter}/{start_s}/{decided_s}/{setpoint.p_kw}/{setpoint.q_kvar}".encode()).hexdigest()[:24]
        + NO_ENTERPRISE
    )
    return {
        "meter": setpoint.meter,
        "start_s": start_s,
        "end_s": seconds(setpoint.end),
        "id": name,
        "decided_s": decided_s,
        "p_kw": setpoint.p_kw,
        "q_kvar": setpoint.q_kvar,
        "source": setpoint.source,
        "reason": setpoint.reason,
    }


def read_setpoint(row: Row[Any]) -> Setpoint:
    """A setpoint from its row."""
    return Setpoint(row.meter, moment(row.start_s), moment(row.end_s), row.p_kw, row.q_kvar, row.source, row.reason)


def as_control(row: Row[Any], device: str, *, planned: bool) -> Control:
    """A setpoint or a plan as the control that a device gets."""
    return Control(
        id=row.id,
        program=DISPATCH,
        device=device,
        fields=Fields(p_kw=row.p_kw, q_kvar=row.q_kvar),
        start=moment(row.start_s),
        end=moment(row.end_s),
        created=moment(row.decided_s),
        source=row.source,
        reason=row.reason,
        primacy=DISPATCH_PRIMACY,
        planned=planned,
    )
