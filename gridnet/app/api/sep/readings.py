"""Readings of mirror usage points as the service's measurements.

The direction of a reading stands in its type and is never assumed. Forward is what a DER delivers, and what a site draws: the usage
point's role says which of them it is (py20305 and CSIP-AUS agree). gridnet counts generation and export.

| flowDirection | of a DER | of a site |
|---|---|---|
| 1 forward, 4 net (forward less reverse) | + | - |
| 19 reverse | - | + |
| any other | kept, marked `undirected` | the same |
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self

from envoy_schema.server.schema.sep2.types import RoleFlagsType

from gridnet.app.api.sep.incoming import INT48, LAST_S, UINT32, Reader
from gridnet.app.api.sep.scale import MOST_MULTIPLIER, unscaled
from gridnet.app.service.model import Measurement

_CHANNELS = {38: ("p_kw", 1e-3), 63: ("q_kvar", 1e-3), 29: ("vm_v", 1.0), 33: ("hz", 1.0)}
"""By unit of measure: the channel, and what makes its unit of the reading's."""
_DIRECTED = (38, 63)
_FORWARD, _REVERSE = (1, 4), (19,)
_QUALIFIERS = {8: "max", 9: "min"}
_WHOLE_PHASES = (0, 224)


@dataclass(frozen=True)
class Type:
    """What a MirrorMeterReading measures (ReadingType)."""

    uom: int = 0
    multiplier: int = 0
    flow: int = 0
    qualifier: int = 0
    phase: int = 0

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """From what a client sent; what is wrong is noted there."""
        return cls(
            uom=reader.integer("uom", 0, 255) or 0,
            multiplier=reader.integer("powerOfTenMultiplier", -MOST_MULTIPLIER, MOST_MULTIPLIER) or 0,
            flow=reader.integer("flowDirection", 0, 255) or 0,
            qualifier=reader.integer("dataQualifier", 0, 255) or 0,
            phase=reader.integer("phase", 0, 255) or 0,
        )

    def body(self) -> dict[str, Any]:
        """For the document of its usage point."""
        return asdict(self)

    def channel(self, *, site: bool) -> str:
        """`p_kw`, `q_kvar`, `vm_v` or `hz` of the device itself, else with what tells it apart: `site.p_kw`, `vm_v.phase64.max`."""
        name, _ = _CHANNELS.get(self.uom, (f"uom{self.uom}", 1.0))
        parts = ["site"] if site else []
        parts.append(name)
        if self.phase not in _WHOLE_PHASES:
            parts.append(f"phase{self.phase}")
        if self.qualifier in _QUALIFIERS:
            parts.append(_QUALIFIERS[self.qualifier])
        if self.uom in _DIRECTED and self.flow not in (*_FORWARD, *_REVERSE):
            parts.append("undirected")
        return ".".join(parts)

    def number(self, value: int, *, site: bool) -> float:
        """A reading in the channel's unit and with gridnet's sign."""
        sign = 1
        if self.uom in _DIRECTED:
            sign = -1 if self.flow in _REVERSE else 1
            sign = -sign if site and self.flow in (*_FORWARD, *_REVERSE) else sign
        _, unit = _CHANNELS.get(self.uom, ("", 1.0))
        return sign * unscaled(value, self.multiplier, "ReadingType/powerOfTenMultiplier") * unit


@dataclass(frozen=True)
class Value:
    """One reading: when it began (seconds since 1970; None: not said), over how many seconds, and its number."""

    start_s: int | None
    duration_s: int
    value: int

    def measured(self, kind: Type, now: datetime, *, site: bool) -> Measurement:
        """The measurement that it is."""
        start = now if self.start_s is None else datetime.fromtimestamp(self.start_s, UTC)
        number = kind.number(self.value, site=site)
        return Measurement(kind.channel(site=site), start, number, timedelta(seconds=self.duration_s))


def is_site(role_flags: int) -> bool:
    """Whether a usage point is where the site meets the grid, not a DER."""
    return bool(role_flags & RoleFlagsType.IS_PREMISES_AGGREGATION_POINT) and not role_flags & RoleFlagsType.IS_DER


def values_of(reader: Reader) -> Iterator[Value]:
    """The readings of a MirrorMeterReading, single ones and those of its sets. What is wrong is noted there."""
    updated_s = reader.integer("lastUpdateTime", 0, LAST_S)
    for each in reader.children("Reading"):
        yield from _value(each, updated_s)
    for readings in reader.children("MirrorReadingSet"):
        start_s, duration_s = _period(readings)
        inside = readings.children("Reading")
        for place, each in enumerate(inside):
            share_s = duration_s // len(inside)
            yield from _value(each, None if start_s is None else start_s + place * share_s, share_s)


def _value(reader: Reader, start_s: int | None, duration_s: int = 0) -> Iterator[Value]:
    value = reader.integer("value", -INT48, INT48 - 1, needed=True)
    own_s, own_duration_s = _period(reader)
    if value is not None:
        yield Value(start_s if own_s is None else own_s, own_duration_s or duration_s, value)


def _period(reader: Reader) -> tuple[int | None, int]:
    period = reader.child("timePeriod")
    if period is None:
        return None, 0
    return period.integer("start", 0, LAST_S, needed=True), period.integer("duration", 0, UINT32) or 0
