"""The native API's messages. kW, kvar, kWh, shares 0-1, RFC 3339 in UTC; > 0 generates, and every answer says so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, AwareDatetime, Base64Bytes, BaseModel, ConfigDict, Field

from gridnet.app.service.model import (
    AckStatus,
    Control,
    ControlStatus,
    Device,
    Effective,
    Fields,
    Kind,
    Limits,
    Measurement,
    Override,
)


def _in_range(time: datetime) -> datetime:
    if not 1970 < time.year < 3000:
        raise ValueError("a time between 1971 and 2999")
    return time.astimezone(UTC)


Sign = Literal["generation_positive"]
SIGN: Sign = "generation_positive"
Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.:-]+$", examples=["alice-battery"])]
Kilo = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Positive = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Moment = Annotated[AwareDatetime, AfterValidator(_in_range)]
"""From 1971 to 2999, in UTC."""
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Message(BaseModel):
    """Every answer."""

    sign: Sign = SIGN


class Request(BaseModel):
    """Every request: unknown keys are refused."""

    model_config = ConfigDict(extra="forbid")


class FieldsBody(Request):
    """What a control asks for; what is left out, it leaves alone."""

    p_kw: Kilo | None = Field(None, description="> 0 generates", examples=[3.5])
    q_kvar: Kilo | None = None
    export_limit_kw: Positive | None = Field(None, description="of the site at its connection")
    import_limit_kw: Positive | None = None
    generation_limit_kw: Positive | None = Field(None, description="of the device itself")
    load_limit_kw: Positive | None = None
    connect: bool | None = None
    energize: bool | None = None
    ramp_s: Positive | None = None
    gradient_percent_per_s: Positive | None = None

    def fields(self) -> Fields:
        """The same for the service."""
        return Fields(**self.model_dump())

    @classmethod
    def of(cls, fields: Fields) -> Self:
        """From the service's."""
        return cls(**fields.given())


class DeviceBody(Request):
    """A device to be registered."""

    id: Name
    kind: Kind = "battery"
    owner: str | None = Field(None, max_length=64, description="for operators: whose it is; else it is yours")
    discharge_kw: Positive = Field(description="most that it injects", examples=[5.0])
    charge_kw: Positive = Field(0.0, description="most that it draws", examples=[5.0])
    s_kva: Positive = 0.0
    e_kwh: Positive = Field(0.0, examples=[10.0])
    soc_min: Share = 0.0
    soc_max: Share = 1.0
    reserve: Share = Field(0.0, description="kept for the owner: no discharge below it")
    meter: str | None = Field(
        None, max_length=64, description="for operators: its sub-meter on the live feeder", examples=["bat-00"]
    )
    meter_key: str | None = Field(None, max_length=200, description="key that its readings are signed with, ed25519:.. or p256:..")
    lfdi: str | None = Field(None, pattern=r"^[0-9A-Fa-f]{40}$")


class DeviceChanges(Request):
    """What shall be different; what is left out stays."""

    discharge_kw: Positive | None = None
    charge_kw: Positive | None = None
    s_kva: Positive | None = None
    e_kwh: Positive | None = None
    soc_min: Share | None = None
    soc_max: Share | None = None
    reserve: Share | None = None
    meter: str | None = Field(None, max_length=64, description="for operators")
    meter_key: str | None = Field(None, max_length=200, description="for operators")
    lfdi: str | None = Field(None, pattern=r"^[0-9A-Fa-f]{40}$", description="for operators")


class DeviceOut(Message):
    """A registered device."""

    id: str
    kind: Kind
    owner: str
    discharge_kw: float
    charge_kw: float
    s_kva: float
    e_kwh: float
    soc_min: float
    soc_max: float
    reserve: float
    meter: str | None
    meter_key: str | None
    lfdi: str | None
    default_control: FieldsBody
    registered: datetime | None

    @classmethod
    def of(cls, device: Device) -> Self:
        """From the service's."""
        plain = {name: getattr(device, name) for name in cls.model_fields if name not in ("sign", "default_control")}
        return cls(**plain, default_control=FieldsBody.of(device.default))


class DevicesOut(Message):
    """A page of devices."""

    devices: list[DeviceOut]
    total: int
    start: int


class LimitsOut(BaseModel):
    """What binds, kW; null where nothing does."""

    export_kw: float | None
    import_kw: float | None
    generation_kw: float | None
    load_kw: float | None

    @classmethod
    def of(cls, limits: Limits) -> Self:
        """From the service's."""
        return cls(**vars(limits))


class SetpointOut(Message):
    """What a device shall do now, and why."""

    id: str = Field(description="the control to acknowledge; `default` where none is active")
    device: str
    p_kw: float = Field(description="> 0 generates (discharges)", examples=[-2.5])
    q_kvar: float
    connect: bool
    valid_from: datetime
    valid_until: datetime
    limits: LimitsOut
    is_default: bool
    source: str = Field(examples=["rl"])
    reason: str

    @classmethod
    def of(cls, effective: Effective) -> Self:
        """From the service's."""
        return cls(
            id=effective.control,
            device=effective.device,
            p_kw=effective.p_kw,
            q_kvar=effective.q_kvar,
            connect=effective.connect,
            valid_from=effective.start,
            valid_until=effective.end,
            limits=LimitsOut.of(effective.limits),
            is_default=effective.is_default,
            source=effective.source,
            reason=effective.reason,
        )


class IntervalOut(BaseModel):
    """A control that holds in an interval."""

    id: str
    program: str
    start: datetime
    end: datetime
    fields: FieldsBody
    primacy: int = Field(description="the lower, the more it counts")
    status: ControlStatus
    planned: bool = Field(description="published ahead for a lost link; decided anew when its interval begins")
    randomize_start_s: int
    source: str
    reason: str

    @classmethod
    def of(cls, control: Control, now: datetime) -> Self:
        """From the service's."""
        plain = {name: getattr(control, name) for name in cls.model_fields if name not in ("fields", "status")}
        return cls(**plain, fields=FieldsBody.of(control.fields), status=control.status(now))


class ScheduleOut(Message):
    """What a device shall do now and next, and without a link."""

    device: str
    intervals: list[IntervalOut]
    default_control: FieldsBody


class MeasurementBody(Request):
    """An unsigned value: it informs and is never settled."""

    channel: str = Field(min_length=1, max_length=64, examples=["soc"], description="p_kw, q_kvar, vm_v, soc, hz or another")
    start: Moment
    duration_s: Annotated[int, Field(ge=0, le=86_400)] = 0
    value: Annotated[float, Field(ge=-1e12, le=1e12, allow_inf_nan=False)]


class TelemetryBody(Request):
    """What a device reports."""

    readings: list[Base64Bytes] = Field(default_factory=list, max_length=200, description="COSE_Sign1, base64")
    measurements: list[MeasurementBody] = Field(default_factory=list, max_length=1000)


class ReceivedOut(BaseModel):
    """What became of one reading."""

    sequence: int | None
    repeated: bool = Field(description="it was here before; not counted again")
    problem: str | None


class TelemetryOut(Message):
    """The report is on disk. The next setpoint comes with it."""

    readings: list[ReceivedOut]
    measurements: int
    setpoint: SetpointOut


class ReadingsBody(Request):
    """Readings of many meters."""

    readings: list[Base64Bytes] = Field(min_length=1, max_length=2000, description="COSE_Sign1, base64")


class RemarkOut(BaseModel):
    """Words on one of the readings that were sent."""

    index: int = Field(description="its place among them, from 0")
    words: str


class ReadingsOut(BaseModel):
    """What was taken is on disk."""

    kept: int
    repeated: int = Field(description="they were here before, or twice in this report; not counted again")
    refused: list[RemarkOut]
    doubted: list[RemarkOut] = Field(description="kept, though their meters can hardly have measured it; judged at closing")


class AckBody(Request):
    """What a device did with a control."""

    control: Annotated[str, Field(min_length=1, max_length=64)]
    status: AckStatus
    at: Moment


class AckOut(AckBody):
    """An acknowledgement as it is kept."""

    model_config = ConfigDict(extra="ignore")
    device: str


class OverrideBody(Request):
    """The owner opts out."""

    until: Moment = Field(description="within the next 7 days")
    reason: str = Field("the owner's wish", min_length=1, max_length=200)


class OverrideOut(Message):
    """The device follows its default control until then."""

    device: str
    until: datetime
    reason: str

    @classmethod
    def of(cls, override: Override) -> Self:
        """From the service's."""
        return cls(**vars(override))


class DispatchBody(Request):
    """An order to a device, or to all of a programme's."""

    device: str | None = Field(None, max_length=64)
    program: str = Field("operator", max_length=64)
    fields: FieldsBody
    start: Moment
    end: Moment
    reason: str = Field("", max_length=200)
    randomize_start_s: Annotated[int, Field(ge=0, le=3600)] = 0


class DispatchOut(Message, IntervalOut):
    """A dispatched order."""

    device: str | None


class SubscriptionBody(Request):
    """Where to tell of changes."""

    topic: Literal["controls", "default", "programs", "device"]
    device: str | None = Field(None, max_length=64)
    url: str = Field(max_length=2000, examples=["https://prosumer.example/gridnet"])


class SubscriptionOut(BaseModel):
    """A subscription; the secret, shown once, signs what is sent."""

    id: str
    topic: str
    device: str | None
    url: str
    secret: str | None = None


class TokenOut(BaseModel):
    """A bearer token."""

    access_token: str
    token_type: Literal["Bearer"] = "Bearer"
    expires_in: int


class CertificateOut(BaseModel):
    """A granular certificate (EnergyTag-shaped)."""

    certificate: str
    issuance: str
    wh: int
    status: str
    party: str
    beneficiary: str
    entry: int


class CertificatesOut(BaseModel):
    """A page of certificates."""

    certificates: list[CertificateOut]
    next: str | None


class BalanceOut(BaseModel):
    """What a party holds."""

    account: str
    asset: str
    amount: int


class CreditsOut(BaseModel):
    """What a party holds of each asset."""

    party: str
    balances: list[BalanceOut]


class Health(BaseModel):
    """Whether it serves."""

    status: Literal["ok", "not ready"]
    detail: dict[str, Any] = Field(default_factory=dict)


def measurement(body: MeasurementBody) -> Measurement:
    """The same for the service."""
    return Measurement(body.channel, body.start, body.value, timedelta(seconds=body.duration_s))
