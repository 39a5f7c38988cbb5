"""What a device shall do now, from all that was said to it: pure.

1. The owner's override: the default control, nothing else.
2. Of each field, the active control with the lowest primacy that speaks of it; the policy's setpoint is one of them.
3. Where nothing speaks, the default control.
4. What that asks for is cut to what the device can do, to its limits and to its owner's reserve; the reason says which of them
   bound.

A device is never told that something is infeasible: it is told what to do instead.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from gridnet.app.service.model import Control, Device, Effective, Fields, Limits, Override

DEFAULT = "default"


@dataclass(frozen=True)
class Said:
    """All that was said to a device."""

    device: Device
    controls: Sequence[Control]
    """Active ones, the policy's setpoint among them, and those that begin soon."""
    default: Fields
    default_until: datetime
    """When to ask again where only the default speaks."""
    override: Override | None = None
    soc: float | None = None
    """As last told, 0 to 1."""


def effective(said: Said, now: datetime) -> Effective:
    """What the device shall do at `now`."""
    if said.override is not None:
        reason = f"the owner opted out until {said.override.until.isoformat()}: {said.override.reason}"
        return _default(said, now, "override", reason, said.override.until)
    active = sorted((each for each in said.controls if each.status(now) == "active"), key=lambda each: (each.primacy, each.start))
    if not active:
        return _default(said, now, DEFAULT, "no control is active", min([said.default_until, *_coming(said, now)]))
    fields = Fields()
    for control in active:
        fields = fields.over(control.fields)
    leading = next((each for each in active if each.fields.p_kw is not None), active[0])
    fields = fields.over(said.default)
    p_kw, q_kvar, bound = _possible(said.device, fields, said.soc)
    reason = "; ".join((leading.reason or f"as {leading.source} decided", *bound))
    return Effective(
        device=said.device.id,
        control=leading.id,
        p_kw=p_kw,
        q_kvar=q_kvar,
        start=max(each.start for each in active),
        end=min([*(each.over for each in active), *_coming(said, now)]),
        limits=_limits(fields),
        source=leading.source,
        reason=reason,
        is_default=False,
        connect=_connected(fields),
    )


def _coming(said: Said, now: datetime) -> list[datetime]:
    """When controls begin that do not hold yet."""
    return [each.start for each in said.controls if each.status(now) == "scheduled"]


def _default(said: Said, now: datetime, source: str, reason: str, until: datetime) -> Effective:
    p_kw, q_kvar, bound = _possible(said.device, said.default, said.soc)
    words = "; ".join((reason, *bound))
    limits, connected = _limits(said.default), _connected(said.default)
    return Effective(said.device.id, DEFAULT, p_kw, q_kvar, now, until, limits, source, words, True, connected)


def _possible(device: Device, fields: Fields, soc: float | None) -> tuple[float, float, list[str]]:
    """P, Q and what cut them."""
    asked_kw = fields.p_kw or 0.0
    rating = device.s_kva or max(device.discharge_kw, device.charge_kw)
    highest = [(min(device.discharge_kw, rating), "its nameplate")]
    highest += [(limit, name) for limit, name in _named(fields, "generation_limit_kw", "export_limit_kw")]
    lowest = [(-min(device.charge_kw, rating), "its nameplate")]
    lowest += [(-limit, name) for limit, name in _named(fields, "load_limit_kw", "import_limit_kw")]
    if soc is not None and device.kind == "battery":
        if soc <= device.reserve_or_min:
            highest.append((0.0, f"its charge, {100 * soc:.0f} %, at its reserve"))
        if soc >= device.soc_max:
            lowest.append((0.0, f"its charge, {100 * soc:.0f} %, at its highest"))
    if not _connected(fields):
        highest, lowest = [(0.0, "disconnected")], [(0.0, "disconnected")]
    most, least = min(highest), max(lowest)
    p_kw = min(max(asked_kw, least[0]), most[0])
    bound = [f"cut from {asked_kw:g} kW by {(most if p_kw < asked_kw else least)[1]}"] if p_kw != asked_kw else []
    room = math.sqrt(max(0.0, rating**2 - p_kw**2)) if _connected(fields) else 0.0
    q_kvar = min(max(fields.q_kvar or 0.0, -room), room)
    if q_kvar != (fields.q_kvar or 0.0):
        bound.append("reactive power cut to what the inverter has left")
    return p_kw, q_kvar, bound


def _named(fields: Fields, *names: str) -> list[tuple[float, str]]:
    values = [(getattr(fields, name), name.removesuffix("_kw").replace("_", " ")) for name in names]
    return [(value, name) for value, name in values if value is not None]


def _connected(fields: Fields) -> bool:
    return fields.connect is not False and fields.energize is not False


def _limits(fields: Fields) -> Limits:
    return Limits(fields.export_limit_kw, fields.import_limit_kw, fields.generation_limit_kw, fields.load_limit_kw)
