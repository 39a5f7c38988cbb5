"""A VEN's report as measurements. OpenADR counts consumption: power is -value here; states of charge have no sign."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gridnet.app.api.openadr.live import REPORTS
from gridnet.app.api.openadr.times import spans
from gridnet.app.service.model import Device, Measurement
from gridnet.errors import Fault, InputError

_POWER = frozenset({"READING", "DEMAND"})
_DEFAULT_UNITS: Mapping[str, str] = {"READING": "KW", "USAGE": "KWH", **REPORTS}
_HOUR = timedelta(hours=1)
_MOST = 1e12
"""No value that is meant is beyond; an integer of JSON may be beyond what a float holds."""


def measurements(device: Device, reported: Mapping[str, Any], units: Mapping[str, str], now: datetime) -> list[Measurement]:
    """What one resource of a report says of the device; payloads that are nothing we measure are left out.

    `units`: by payload type, as the report describes them; DEMAND and READING are else in kW, USAGE in kWh, STORAGE_CHARGE_LEVEL in
    percent. Raises `InputError` naming every value that can't be.
    """
    found: list[Measurement] = []
    faults: list[Fault] = []
    for kind, value, start, duration in _values(reported, now):
        unit = units.get(kind) or _DEFAULT_UNITS.get(kind, "")
        measured = _measured(device, (kind, unit), value, duration)
        if measured is None:
            continue
        channel, own = measured
        if channel == "soc" and not 0.0 <= own <= 1.0:
            faults.append(Fault(f"{device.id}, {kind}", f"{value:g} {unit}", "a charge from empty to full"))
        found.append(Measurement(channel, start, own, duration))
    if faults:
        raise InputError("this can't be reported:", faults)
    return found


def units_of(report: Mapping[str, Any]) -> dict[str, str]:
    """Units by payload type, from a report's descriptors."""
    described: Sequence[Mapping[str, Any]] = report.get("payloadDescriptors") or ()
    return {each["payloadType"]: each["units"] for each in described if each.get("units")}


def _values(reported: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, float, datetime, timedelta]]:
    try:
        placed = list(spans(reported["intervals"], reported.get("intervalPeriod"), now))
    except ValueError as error:
        raise InputError("this can't be reported:", [Fault("intervals", "a time out of range", str(error))]) from error
    for interval, start, duration in placed:
        for payload in interval["payloads"]:
            value = payload["values"][0] if payload["values"] else None
            if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _MOST:
                yield payload["type"], float(value), start, duration


def _measured(device: Device, what: tuple[str, str], value: float, duration: timedelta) -> tuple[str, float] | None:
    """Channel and value, in gridnet's units and sign."""
    kind, unit = what
    if kind in _POWER and unit in ("KW", "KVAR"):
        return ("p_kw" if unit == "KW" else "q_kvar"), 0.0 - value
    if kind in _POWER and unit == "VOLTS":
        return "vm_v", value
    if kind == "USAGE" and unit == "KWH" and duration > timedelta(0):
        return "p_kw", 0.0 - value / (duration / _HOUR)
    if kind == "STORAGE_CHARGE_LEVEL" and unit == "PERCENT":
        return "soc", value / 100.0
    if kind == "STORAGE_CHARGE_LEVEL" and unit == "KWH" and device.e_kwh > 0.0:
        return "soc", value / device.e_kwh
    return None
