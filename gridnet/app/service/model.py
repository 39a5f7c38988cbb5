"""What the service speaks of: principals, devices, programmes, controls, acknowledgements, telemetry.

Powers are at the device's AC terminals, `p_kw > 0` injects (generation, discharge). Times are aware, in UTC, intervals half-open.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from typing import Literal

from gridnet.errors import Fault, InputError

Role = Literal["device", "prosumer", "aggregator", "operator", "auditor"]
ROLES: tuple[Role, ...] = ("device", "prosumer", "aggregator", "operator", "auditor")
Kind = Literal["battery", "pv", "site"]
KINDS: tuple[Kind, ...] = ("battery", "pv", "site")
AckStatus = Literal["received", "started", "completed", "cancelled", "superseded", "opt_out", "opt_in", "rejected"]
ACK_STATUSES: tuple[AckStatus, ...] = (
    "received",
    "started",
    "completed",
    "cancelled",
    "superseded",
    "opt_out",
    "opt_in",
    "rejected",
)
ControlStatus = Literal["scheduled", "active", "completed", "cancelled", "superseded"]

DISPATCH = "dispatch"
"""The programme of the policy's setpoints."""
OPERATOR = "operator"
"""The programme of what an operator dispatches by hand."""
DISPATCH_PRIMACY, OPERATOR_PRIMACY = 65, 1
"""IEEE 2030.5 leaves 65 to 191 to the user and reserves 3 to 64."""
NO_ENTERPRISE = "00000000"
"""How ids of controls end: IEEE 2030.5 wants 8 digits of a private enterprise number there; 0 stands for none."""
MOST_KW = 1e6


@dataclass(frozen=True)
class Principal:
    """Who asks. `id` owns devices; a certificate that no principal was made for has `lfdi:..` as its id."""

    id: str
    role: Role
    lfdi: str | None = None
    """40 hexadecimal digits of the certificate it came with, or is known by."""
    party: str | None = None
    """Its pseudonym in the ledger, where it has one."""

    @property
    def operates(self) -> bool:
        """Whether it runs the service."""
        return self.role == "operator"


@dataclass(frozen=True)
class Fields:
    """What a control asks for; None where it says nothing. Limits are magnitudes, 0 or more. Raises `InputError`."""

    p_kw: float | None = None
    q_kvar: float | None = None
    export_limit_kw: float | None = None
    """Of the site's injection at its connection."""
    import_limit_kw: float | None = None
    generation_limit_kw: float | None = None
    """Of the device's own injection."""
    load_limit_kw: float | None = None
    connect: bool | None = None
    energize: bool | None = None
    ramp_s: float | None = None
    """Time to go from the old value to the new one."""
    gradient_percent_per_s: float | None = None
    """Default ramp, of the nameplate."""

    def __post_init__(self) -> None:
        faults = []
        for name, value in self.given().items():
            if isinstance(value, bool):
                continue
            lowest = -MOST_KW if name in {"p_kw", "q_kvar"} else 0.0
            if not (math.isfinite(value) and lowest <= value <= MOST_KW):
                faults.append(Fault(name, str(value), f"a number from {lowest:g} to {MOST_KW:g}"))
        if faults:
            raise InputError("a control can't ask for this:", faults)

    def given(self) -> dict[str, float | bool]:
        """What it says."""
        return {each.name: getattr(self, each.name) for each in fields(self) if getattr(self, each.name) is not None}

    def over(self, weaker: Fields) -> Fields:
        """These fields, and those of `weaker` where these say nothing."""
        return Fields(**{**weaker.given(), **self.given()})  # type: ignore[arg-type]


REST = Fields(p_kw=0.0, q_kvar=0.0)
"""Harms neither grid nor battery."""


@dataclass(frozen=True)
class Device:
    """A device that the service talks to. Raises `InputError` naming every fault."""

    id: str
    owner: str
    """Id of the principal that it belongs to."""
    kind: Kind
    discharge_kw: float
    """Most that it injects."""
    charge_kw: float = 0.0
    """Most that it draws."""
    s_kva: float = 0.0
    e_kwh: float = 0.0
    soc_min: float = 0.0
    soc_max: float = 1.0
    reserve: float = 0.0
    """State of charge below which it is not discharged: the owner's own."""
    meter: str | None = None
    """Its sub-meter on the live feeder, `bat-03`; None for a device that the model of the grid does not hold."""
    meter_key: str | None = None
    """Public key that its readings are signed with."""
    lfdi: str | None = None
    pin: int | None = None
    """IEEE 2030.5 registration PIN, with its check digit."""
    default: Fields = REST
    """What it does when nothing else is said."""
    registered: datetime | None = None

    def __post_init__(self) -> None:
        faults = list(_faults(self))
        if faults:
            raise InputError(f"device {self.id} can't be registered:", faults)

    @property
    def reserve_or_min(self) -> float:
        """The lowest state of charge that a setpoint may lead to; 0 stands for no reserve of the owner's own."""
        return self.reserve or self.soc_min

    @property
    def sfdi(self) -> int | None:
        """The short form of its certificate's name."""
        return None if self.lfdi is None else sfdi_of(self.lfdi)


def is_lfdi(text: str) -> bool:
    """Whether it is 40 hexadecimal digits."""
    return len(text) == 40 and set(text.lower()) <= set("0123456789abcdef")


def sfdi_of(lfdi: str) -> int:
    """First 36 bits of an LFDI and a digit that makes the sum of all digits a multiple of 10 (IEEE 2030.5, 6.3.4)."""
    first = int(lfdi[:9], 16)
    return first * 10 + (10 - sum(map(int, str(first))) % 10) % 10


def _faults(device: Device) -> Iterator[Fault]:
    if not 1 <= len(device.id) <= 64 or not all(each.isalnum() or each in "-_.:" for each in device.id):
        yield Fault("id", repr(device.id[:80]), "1 to 64 letters, digits and - _ . :")
    if device.kind not in KINDS:
        yield Fault("kind", repr(device.kind), " or ".join(KINDS))
    for name in ("discharge_kw", "charge_kw", "s_kva", "e_kwh"):
        value = getattr(device, name)
        if not 0.0 <= value <= MOST_KW:
            yield Fault(name, str(value), f"0 to {MOST_KW:g}")
    if not 0.0 <= device.soc_min <= device.reserve_or_min <= device.soc_max <= 1.0:
        yield Fault(
            "soc_min, reserve, soc_max", f"{device.soc_min}, {device.reserve}, {device.soc_max}", "shares in this order, 0 to 1"
        )


@dataclass(frozen=True)
class Program:
    """Controls under one authority. The lower the primacy, the more it counts. `device`: whose it is, None for everybody's."""

    id: str
    primacy: int
    device: str | None = None
    fsa: str = "dispatch"
    """Name of the function set assignment that 2030.5 clients find it under."""
    description: str = ""
    default: Fields | None = None


@dataclass(frozen=True)
class Control:
    """One order to one device (`device`) or to all of a programme's (None), for `[start, end)`."""

    id: str
    """32 hexadecimal digits, the last 8 `NO_ENTERPRISE`."""
    program: str
    device: str | None
    fields: Fields
    start: datetime
    end: datetime
    created: datetime
    source: str = "operator"
    """Who decided: operator, rl, mpc, rule, default."""
    reason: str = ""
    primacy: int = OPERATOR_PRIMACY
    randomize_start_s: int = 0
    cancelled: datetime | None = None
    superseded: datetime | None = None
    planned: bool = False
    """Published ahead for devices that lose the link; decided anew when its interval begins."""

    @property
    def over(self) -> datetime:
        """When it is or was over."""
        return min(each for each in (self.end, self.cancelled, self.superseded) if each is not None)

    def status(self, now: datetime) -> ControlStatus:
        """Where it stands at `now`."""
        if self.superseded is not None and self.superseded <= now:
            return "superseded"
        if self.cancelled is not None and self.cancelled <= now:
            return "cancelled"
        if now < self.start:
            return "scheduled"
        return "active" if now < self.end else "completed"


@dataclass(frozen=True)
class Order:
    """A control to be. `key`: the same one twice gives one control."""

    program: str
    device: str | None
    fields: Fields
    start: datetime
    end: datetime
    reason: str = ""
    randomize_start_s: int = 0
    key: str | None = None


@dataclass(frozen=True)
class Setpoint:
    """What a policy decided for the device behind one meter of the feeder, and one interval."""

    meter: str
    start: datetime
    end: datetime
    p_kw: float
    q_kvar: float
    source: str
    reason: str


@dataclass(frozen=True)
class Limits:
    """What binds a device now, kW; None where nothing does."""

    export_kw: float | None = None
    import_kw: float | None = None
    generation_kw: float | None = None
    load_kw: float | None = None


@dataclass(frozen=True)
class Effective:
    """What a device shall do now, and why."""

    device: str
    control: str
    """Id of the control that it mainly follows."""
    p_kw: float
    q_kvar: float
    start: datetime
    end: datetime
    limits: Limits
    source: str
    reason: str
    is_default: bool
    connect: bool = True


@dataclass(frozen=True)
class Worth:
    """What energy costs and emits in a quarter-hour at the live feeder's connection."""

    import_eur_per_kwh: float
    export_eur_per_kwh: float
    carbon_g_per_kwh: float


@dataclass(frozen=True)
class Ack:
    """What a device says it did with a control."""

    control: str
    device: str
    status: AckStatus
    at: datetime
    code: int | None = None
    """The protocol's own number, where it has one."""


@dataclass(frozen=True)
class Measurement:
    """An unsigned value, mean over its interval: it informs, and is never settled. `channel`: p_kw, q_kvar, vm_v, soc, hz, or a
    protocol's own name."""

    channel: str
    start: datetime
    value: float
    duration: timedelta = timedelta(0)


@dataclass(frozen=True)
class Override:
    """The owner opts out until `until`: the device follows its default control."""

    device: str
    until: datetime
    reason: str


@dataclass(frozen=True)
class Document:
    """What a protocol's client left here and the core does not read: a MirrorUsagePoint, a VEN, an event, a log entry."""

    kind: str
    id: str
    owner: str
    body: dict[str, object] = field(hash=False)
    device: str | None = None
    updated: datetime | None = None
    number: int = 0
    """Grows with each new document: lists are in this order."""
