"""Programmes and controls as 2030.5 puts them.

| gridnet | 2030.5 |
|---|---|
| `p_kw` | `opModTargetW`; `opModFixedW` for a device that says it knows that one alone |
| `q_kvar` | `opModFixedVar`, of its `setMaxVar`; `opModTargetVar` where it named none |
| export, import, generation, load limit | `opModExpLimW`, `opModImpLimW`, `opModGenLimW`, `opModLoadLimW` |
| `connect`, `energize` | `opModConnect`, `opModEnergize` |
| `ramp_s`, `gradient_percent_per_s` | `rampTms`, `setGradW` of the default control, in hundredths |

Signs are the same on both sides: + is generation.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from envoy_schema.server.schema.sep2.der import (
    DefaultDERControl,
    DERCapability,
    DERControlBase,
    DERControlResponse,
    DERControlType,
    DERSettings,
)
from envoy_schema.server.schema.sep2.der_control_types import ActivePower, FixedVar, ReactivePower
from envoy_schema.server.schema.sep2.event import EventStatus, EventStatusType
from envoy_schema.server.schema.sep2.types import DateTimeIntervalType, DERUnitRefType, SubscribableType

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.scale import hundredths, hundredths_of_percent, kilo_of, scaled
from gridnet.app.service.model import Control, Fields, Program

SUBSCRIBABLE = SubscribableType.resource_supports_non_conditional_subscriptions
RESPONSES = "03"
"""Clients shall say that they received a control, and what they did with it."""
STATUSES = {
    "scheduled": EventStatusType.Scheduled,
    "active": EventStatusType.Active,
    "cancelled": EventStatusType.Cancelled,
    "superseded": EventStatusType.Superseded,
}


@dataclass(frozen=True)
class Ratings:
    """What a device said of itself, as far as a setpoint's form depends on it."""

    fixed_only: bool = False
    """It follows `opModFixedW` and not `opModTargetW`."""
    most_kw: float | None = None
    most_charge_kw: float | None = None
    most_kvar: float | None = None


def ratings(capability: DERCapability | None, settings: DERSettings | None) -> Ratings:
    """Settings come before the nameplate."""
    modes = int(capability.modesSupported, 16) if capability is not None else 0
    fixed_only = bool(modes & DERControlType.OP_MOD_FIXED_W) and not modes & DERControlType.OP_MOD_TARGET_W
    set_kw = None if settings is None else settings.setMaxW
    set_charge_kw = None if settings is None else settings.setMaxChargeRateW
    set_kvar = None if settings is None else settings.setMaxVar
    if capability is not None:
        set_kw = set_kw or capability.rtgMaxW
        set_charge_kw = set_charge_kw or capability.rtgMaxChargeRateW
        set_kvar = set_kvar or capability.rtgMaxVar
    return Ratings(fixed_only, _kilo(set_kw), _kilo(set_charge_kw), _kilo(set_kvar))


def control_base(fields: Fields, device: Ratings) -> DERControlBase:
    """What a device is asked to do."""
    fixed_var, target_var = _reactive(fields.q_kvar, device)
    fixed, target = _active(fields.p_kw, device)
    return DERControlBase(
        opModConnect=fields.connect,
        opModEnergize=fields.energize,
        opModFixedVar=fixed_var,
        opModFixedW=fixed,
        opModTargetVar=target_var,
        opModTargetW=target,
        rampTms=None if fields.ramp_s is None else hundredths(fields.ramp_s),
        opModImpLimW=_power(fields.import_limit_kw),
        opModExpLimW=_power(fields.export_limit_kw),
        opModGenLimW=_power(fields.generation_limit_kw),
        opModLoadLimW=_power(fields.load_limit_kw),
    )


def der_control(control: Control, device: str, base: DERControlBase, now: datetime) -> DERControlResponse:
    """A control as the event that a device sees."""
    status = STATUSES[control.status(now)]
    since = {EventStatusType.Active: control.start, EventStatusType.Cancelled: control.cancelled}
    since[EventStatusType.Superseded] = control.superseded
    changed = since.get(status) or control.created
    coming = control.superseded if status in (EventStatusType.Scheduled, EventStatusType.Active) else None
    return DERControlResponse(
        href=hrefs.program(device, control.program, "derc", control.id),
        replyTo=hrefs.edev(device, "rsp"),
        responseRequired=RESPONSES,
        subscribable=SUBSCRIBABLE,
        mRID=control.id.upper(),
        description=control.reason[:32] or None,
        creationTime=_seconds(control.created),
        EventStatus_=EventStatus(
            currentStatus=status,
            dateTime=_seconds(changed),
            potentiallySuperseded=coming is not None,
            potentiallySupersededTime=None if coming is None else _seconds(coming),
        ),
        interval=DateTimeIntervalType(
            duration=_seconds(control.end) - _seconds(control.start),
            start=_seconds(control.start),
        ),
        randomizeStart=control.randomize_start_s or None,
        DERControlBase_=base,
    )


def default_control(fields: Fields, device: str, program: Program, base: DERControlBase) -> DefaultDERControl:
    """What a device does where no control is active."""
    gradient = fields.gradient_percent_per_s
    return DefaultDERControl(
        href=hrefs.program(device, program.id, "dderc"),
        subscribable=SUBSCRIBABLE,
        mRID=hrefs.mrid("default", device, program.id),
        DERControlBase_=base,
        setGradW=None if gradient is None else hundredths(gradient),
    )


def _active(p_kw: float | None, device: Ratings) -> tuple[int | None, ActivePower | None]:
    most_kw = device.most_kw if p_kw is None or p_kw >= 0 else device.most_charge_kw or device.most_kw
    if p_kw is not None and device.fixed_only and most_kw:
        return hundredths_of_percent(p_kw, most_kw), None
    return None, _power(p_kw)


def _reactive(q_kvar: float | None, device: Ratings) -> tuple[FixedVar | None, ReactivePower | None]:
    if q_kvar is None:
        return None, None
    if q_kvar == 0 or device.most_kvar:
        value = hundredths_of_percent(q_kvar, device.most_kvar or 1.0)
        return FixedVar(refType=DERUnitRefType.PERC_SET_MAX_VAR, value=value), None
    value, multiplier = scaled(q_kvar)
    return None, ReactivePower(multiplier=multiplier, value=value)


def _power(kw: float | None) -> ActivePower | None:
    if kw is None:
        return None
    value, multiplier = scaled(kw)
    return ActivePower(multiplier=multiplier, value=value)


def _kilo(power: ActivePower | ReactivePower | None) -> float | None:
    return None if power is None else abs(kilo_of(power.value, power.multiplier, "multiplier"))


def _seconds(time: datetime) -> int:
    return int(time.timestamp())
