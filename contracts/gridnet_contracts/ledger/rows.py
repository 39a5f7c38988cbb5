"""The projection: what the ledger's entries add up to, as rows. Every row is derived from the log and can be made again from it.

A row's class is its table: fields are columns, `int` a whole number, `str` text; flags are 0 or 1. `KEY` names its primary key and
`MUTABLE` the columns that may change after it was written; database triggers refuse every other change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True, slots=True)
class Registry:
    """Whose ledger it is; one row."""

    KEY: ClassVar = ("origin",)
    MUTABLE: ClassVar = ()
    origin: str
    issuer: str
    country: str
    market_zone: str
    legal_status: str
    purpose: str
    quality_scheme: str
    configuration: str


@dataclass(frozen=True, slots=True)
class Asset:
    """An asset that may be moved freely."""

    KEY: ClassVar = ("asset",)
    MUTABLE: ClassVar = ()
    asset: str
    unit: str


@dataclass(frozen=True, slots=True)
class Device:
    """A device that was registered."""

    KEY: ClassVar = ("device",)
    MUTABLE: ClassVar = ("efficiency_ppm",)
    device: str
    owner: str
    carrier: str
    source: str
    technology: str
    capacity_w: int
    commissioned: str
    grid_operator: str
    grid_connection: str
    support: str
    private: str
    storage_wh: int
    efficiency_ppm: int


@dataclass(frozen=True, slots=True)
class DeviceQuarter:
    """A quarter-hour for which something was recorded; the second time is refused. `role`: issue, charge, discharge, and for
    records, where `device` is whom they are about: consume, factor, impact."""

    KEY: ClassVar = ("device", "role", "quarter")
    MUTABLE: ClassVar = ()
    device: str
    role: str
    quarter: str
    entry: int


@dataclass(frozen=True, slots=True)
class Issuance:
    """What a device produced or discharged in an interval. `wh` is the range `[0, wh)` that certificates divide."""

    KEY: ClassVar = ("issuance",)
    MUTABLE: ClassVar = ()
    issuance: str
    device: str
    start: str
    end: str
    wh: int
    from_storage: int
    issued: str
    expires: str
    evidence: str
    dissemination: str
    disclosure: int
    emissions_mg_per_kwh: int
    emissions_method: str
    entry: int


@dataclass(frozen=True, slots=True)
class Certificate:
    """Half-open range `[lo, hi)` of an issuance's Wh. `beneficiary` and `backing` are empty where there is none."""

    KEY: ClassVar = ("certificate",)
    MUTABLE: ClassVar = ("status", "party", "beneficiary")
    certificate: str
    issuance: str
    lo: int
    hi: int
    status: str
    party: str
    beneficiary: str
    parent: str
    """The certificate it was split from."""
    backing: str
    """For a storage certificate: the certificate that was cancelled for it."""
    chain: str
    """Hash over its name and its parent's hash; of one that is no split one's child, over its name, backing, evidence and entry."""
    entry: int

    @property
    def wh(self) -> int:
        """Its quantity."""
        return self.hi - self.lo


@dataclass(frozen=True, slots=True)
class Charging:
    """Storage charging record (SCR)."""

    KEY: ClassVar = ("scr",)
    MUTABLE: ClassVar = ()
    scr: str
    device: str
    start: str
    end: str
    wh: int
    evidence: str
    entry: int


@dataclass(frozen=True, slots=True)
class Discharging:
    """Storage discharging record (SDR). `unbacked_wh`: given without a charge in the lots; no certificate comes of it."""

    KEY: ClassVar = ("sdr",)
    MUTABLE: ClassVar = ()
    sdr: str
    device: str
    start: str
    end: str
    wh: int
    certified_wh: int
    grey_wh: int
    unbacked_wh: int
    evidence: str
    entry: int


@dataclass(frozen=True, slots=True)
class Lot:
    """Charge of one colour: `charged_wh` = what draws took + `remaining_wh`. `certificate`: the one cancelled, or empty (grey)."""

    KEY: ClassVar = ("lot",)
    MUTABLE: ClassVar = ("remaining_wh",)
    lot: str
    device: str
    rank: int
    """Order in which lots are drawn, per device."""
    scr: str
    start: str
    """Of the charging: only a discharge that begins later draws from it."""
    asset: str
    certificate: str
    charged_wh: int
    remaining_wh: int


@dataclass(frozen=True, slots=True)
class Allocation:
    """What one discharge (or write-off: `sdr` empty) took from one lot: `charge_wh = discharge_wh + loss_wh`."""

    KEY: ClassVar = ("lot", "entry")
    MUTABLE: ClassVar = ()
    lot: str
    entry: int
    scr: str
    sdr: str
    method: str
    charge_wh: int
    discharge_wh: int
    loss_wh: int
    efficiency_ppm: int
    cancelled_certificate: str
    storage_certificate: str


@dataclass(frozen=True, slots=True)
class Efficiency:
    """A storage device's efficiency as it was measured."""

    KEY: ClassVar = ("device", "entry")
    MUTABLE: ClassVar = ()
    device: str
    entry: int
    efficiency_ppm: int
    start: str
    end: str
    method: str
    evidence: str


@dataclass(frozen=True, slots=True)
class Consumption:
    """What a consumer drew in an interval."""

    KEY: ClassVar = ("consumer", "start")
    MUTABLE: ClassVar = ()
    consumer: str
    start: str
    end: str
    wh: int
    evidence: str
    entry: int


@dataclass(frozen=True, slots=True)
class Factor:
    """Emissions and carbon-free share of the grid's energy in an interval."""

    KEY: ClassVar = ("zone", "start")
    MUTABLE: ClassVar = ()
    zone: str
    start: str
    end: str
    emissions_mg_per_kwh: int
    residual_mg_per_kwh: int
    carbon_free_ppm: int
    origin: str
    entry: int


@dataclass(frozen=True, slots=True)
class Saving:
    """Emissions saved against a baseline; below zero where they rose."""

    KEY: ClassVar = ("community", "start")
    MUTABLE: ClassVar = ()
    community: str
    start: str
    end: str
    saved_g: int
    baseline: str
    evidence: str
    entry: int


@dataclass(frozen=True, slots=True)
class Verification:
    """What verification made of a community's readings of an interval."""

    KEY: ClassVar = ("community", "start", "entry")
    MUTABLE: ClassVar = ()
    community: str
    start: str
    end: str
    messages: str
    verdicts: str
    accepted: int
    rejected: int
    missing: int
    entry: int


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict that did not pass, or that a person or a probe gave."""

    KEY: ClassVar = ("device", "start", "entry")
    MUTABLE: ClassVar = ()
    device: str
    start: str
    end: str
    level: int
    outcome: str
    finding: str
    evidence: str
    entry: int


@dataclass(frozen=True, slots=True)
class Ending:
    """Why a certificate left use, or was set aside: the words that came with the action."""

    KEY: ClassVar = ("certificate", "entry")
    MUTABLE: ClassVar = ()
    certificate: str
    entry: int
    action: str
    words: str


Row = (
    Registry
    | Asset
    | Device
    | DeviceQuarter
    | Issuance
    | Certificate
    | Charging
    | Discharging
    | Lot
    | Allocation
    | Efficiency
    | Consumption
    | Factor
    | Saving
    | Verification
    | Judgement
    | Ending
)

ROWS: tuple[type[Row], ...] = (
    Registry,
    Asset,
    Device,
    DeviceQuarter,
    Issuance,
    Certificate,
    Charging,
    Discharging,
    Lot,
    Allocation,
    Efficiency,
    Consumption,
    Factor,
    Saving,
    Verification,
    Judgement,
    Ending,
)
"""In the order in which they may be written: what a row refers to comes before it."""
