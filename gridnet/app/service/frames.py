"""Frames: what the live feeder did in each quarter-hour, and what was forecast when that quarter-hour was decided.

A frame is `expected` or `measured`. An expected one is made when the quarter-hour is decided: the decided setpoints are taken
through the AC power flow on the scenario's series, from the charge as it was known then. A measured one takes its place when the
quarter-hour is closed: what the simulated neighbourhood did, with what real devices' signed readings say in it, after the power
flow. Neither holds a reading itself: those are in the telemetry and, settled, in the ledger.

Numbers are rounded when they are stored: voltage to 1e-5 pu, loading to 0.01 %, powers to 1 W, charge to 1e-4.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, RowMapping, delete, func, select, true
from sqlalchemy.sql.functions import Function

from gridnet.app.service.schema import frames
from gridnet.app.service.store import Store, moment, packed, seconds, upsert
from gridnet.app.service.telemetry import QUARTER_S

Kind = Literal["expected", "measured"]
Numbers = tuple[float, ...]
Gaps = tuple[float | None, ...]
"""None where there is nothing to say: a dead bus, a branch that is out of service."""
OUTLOOK_STEPS = 96
"""How far ahead an outlook goes."""
_DECIMALS = {"vm_pu": 5, "loading_percent": 2, "soc": 4, "import_eur_per_kwh": 6, "export_eur_per_kwh": 6, "carbon_g_per_kwh": 2}
_KILO_DECIMALS = 3
_FRAMES = select(frames.c.quarter, frames.c.kind, frames.c.body)


@dataclass(frozen=True)
class Frame:
    """One quarter-hour of the live feeder. Powers are its means in kW and kvar; `p_kw > 0` injects, unless said otherwise."""

    start: datetime
    """In UTC, on a quarter-hour."""
    kind: Kind
    vm_pu: Gaps
    """(buses,) voltage magnitude, in the order of the feeder's buses."""
    loading_percent: Gaps
    """(lines + trafos,) of the rated current, lines first."""
    asked_kw: Numbers
    """(devices,) what the policy's setpoints asked for, batteries first; of a PV plant a ceiling."""
    given_kw: Numbers
    """(devices,) what the devices did: by their readings where a device reports, else as asked and able."""
    given_kvar: Numbers
    """(devices,)"""
    soc: Numbers
    """(batteries,) state of charge 0-1 at the end."""
    load_kw: Numbers
    """(homes,) what a home's loads alone inject: 0 or less. Homes are the points of kind home, in their order."""
    net_kw: Numbers
    """(homes,) injection at a home's connection, its devices with it."""
    head_kw: float
    """> 0: the feeder draws from upstream."""
    head_kvar: float
    """> 0: the feeder draws from upstream."""
    loss_kw: float
    """In lines and transformers."""
    import_eur_per_kwh: float
    export_eur_per_kwh: float
    carbon_g_per_kwh: float


@dataclass(frozen=True)
class Outlook:
    """What was known of the day ahead when a quarter-hour was decided, from that quarter-hour on."""

    levels: Numbers
    """Of the quantiles, rising; a method that knows no spread has 0.5 alone."""
    load_kw: tuple[Numbers, ...]
    """(levels, 96) of the community's load in all: 0 or less, as it draws."""
    pv_kw: tuple[Numbers, ...]
    """(levels, 96) of the sun of all plants."""
    import_eur_per_kwh: Numbers
    """(known,) as far as the day-ahead auction had published prices by then, 96 at most."""
    export_eur_per_kwh: Numbers
    """(known,)"""
    carbon_g_per_kwh: Numbers
    """(known,)"""


class Frames:
    """The stored frames of one feeder, of which `feeder` is the scenario; those of another on the same database are not shown, as
    their buses are others. `days`: how long frames are kept."""

    def __init__(self, store: Store, feeder: str, days: int) -> None:
        self._store = store
        self._feeder = feeder
        self._days = days

    def put(self, connection: Connection, frame: Frame, outlook: Outlook | None = None) -> None:
        """Keeps a frame in the place of the one of its quarter-hour; an expected one never takes a measured one's. An outlook that
        is there stays where none is given."""
        own = self._own(frames.c.quarter == _quarter(frame.start))
        there = connection.execute(select(frames).where(own)).mappings().first()
        kind, body = frame.kind, _squeezed(_said(frame))
        if there is not None and there["kind"] == "measured" and kind == "expected":
            kind, body = there["kind"], there["body"]
        kept = None if there is None else there["outlook"]
        row = {"quarter": _quarter(frame.start), "feeder": self._feeder, "kind": kind, "body": body}
        upsert(connection, frames, [{**row, "outlook": kept if outlook is None else _squeezed(_said(outlook))}])

    def at(self, time: datetime) -> Frame | None:
        """The frame of the quarter-hour that `time` lies in; None where there is none."""
        with self._store.read() as connection:
            row = connection.execute(_FRAMES.where(self._own(frames.c.quarter == _quarter(time)))).mappings().first()
        return None if row is None else _frame(row)

    def span(self, since: datetime, until: datetime) -> list[Frame]:
        """Frames that begin in `[since, until)`, by start."""
        first, end = (math.ceil(each.timestamp() / QUARTER_S) for each in (since, until))
        which = self._own((frames.c.quarter >= first) & (frames.c.quarter < end))
        with self._store.read() as connection:
            return [_frame(row) for row in connection.execute(_FRAMES.where(which).order_by(frames.c.quarter)).mappings()]

    def outlook(self, time: datetime) -> Outlook | None:
        """What was forecast when the quarter-hour that `time` lies in was decided; None where nothing was kept."""
        query = select(frames.c.outlook).where(self._own(frames.c.quarter == _quarter(time)))
        with self._store.read() as connection:
            body = connection.execute(query).scalar()
        return None if body is None else Outlook(**_opened(body))

    def newest(self) -> datetime | None:
        """Start of the last frame; None where there is none."""
        return self._outermost(func.max(frames.c.quarter))

    def first(self) -> datetime | None:
        """Start of the first frame that is kept; None where there is none."""
        return self._outermost(func.min(frames.c.quarter))

    def trim(self, connection: Connection, now: datetime) -> None:
        """Forgets what ended more than `days` ago, of every feeder."""
        connection.execute(delete(frames).where(frames.c.quarter < _quarter(now - timedelta(days=self._days))))

    def _own(self, which: ColumnElement[bool]) -> ColumnElement[bool]:
        return which & (frames.c.feeder == self._feeder)

    def _outermost(self, which: Function[int]) -> datetime | None:
        with self._store.read() as connection:
            quarter = connection.execute(select(which).where(self._own(true()))).scalar()
        return None if quarter is None else moment(quarter * QUARTER_S)


def _quarter(time: datetime) -> int:
    return seconds(time) // QUARTER_S


def _said(part: Frame | Outlook) -> dict[str, Any]:
    """The fields that the row has no column for, rounded."""
    names = (each.name for each in fields(part) if each.name not in ("start", "kind"))
    return {name: _rounded(getattr(part, name), _DECIMALS.get(name, _KILO_DECIMALS)) for name in names}


def _rounded(value: Any, decimals: int) -> Any:
    if value is None:
        return None
    return [_rounded(each, decimals) for each in value] if isinstance(value, tuple) else round(value, decimals) + 0.0


def _frame(row: RowMapping) -> Frame:
    return Frame(start=moment(row["quarter"] * QUARTER_S), kind=row["kind"], **_opened(row["body"]))


def _squeezed(body: Mapping[str, Any]) -> bytes:
    return zlib.compress(packed(body).encode())


def _opened(body: bytes) -> dict[str, Any]:
    stored: dict[str, Any] = json.loads(zlib.decompress(body))
    return {name: _frozen(value) for name, value in stored.items()}


def _frozen(value: Any) -> Any:
    return tuple(_frozen(each) for each in value) if isinstance(value, list) else value
