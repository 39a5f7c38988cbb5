"""Time stamps of a user's file, turned into UTC at once. A naive stamp is refused unless its time zone is named."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from gridnet.series.faultlist import FaultList, some_of

_HAS_OFFSET = r"[T ]\d{2}[0-9:.,]*([Zz]|[+-]\d{2}(?::?\d{2})?)$"
_ANY_YEAR = 2020


def zone_named(name: str | None, faults: FaultList) -> ZoneInfo | None:
    """The named zone, with a fault where no such zone exists."""
    if name is None:
        return None
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        faults.add("timezone", repr(name), "an IANA time zone, such as 'Europe/Berlin'")
        return None


def utc_stamps(stamps: pd.Series, lines: pd.Series, devices: pd.Series, zone: ZoneInfo | None, faults: FaultList) -> pd.Series:
    """`stamps` in UTC, `NaT` where a fault is reported.

    Where a zone's clock is put back, the same naive stamp comes twice for a device; the first is the summer one.
    """
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        utc: pd.Series = stamps.dt.tz_convert("UTC").dt.as_unit("ns")
        return utc
    if pd.api.types.is_datetime64_any_dtype(stamps.dtype):
        return _localised(stamps, lines, devices, zone, faults)
    text = stamps.astype(str).str.strip()
    aware = text.str.extract(_HAS_OFFSET)[0].notna()
    parsed = pd.to_datetime(text, utc=True, format="ISO8601", errors="coerce").dt.as_unit("ns")
    bad = parsed.isna()
    faults.add_rows(lines[bad].to_numpy(), "timestamp", _shown(text[bad]), "an ISO 8601 time with offset")
    naive = ~aware & ~bad
    if naive.any():
        # Read as UTC above; the wall-clock reading is the same without the zone.
        wall = parsed[naive].dt.tz_localize(None)
        localised = _localised(wall, lines[naive], devices[naive], zone, faults)
        parsed = parsed.where(~naive, localised.reindex(parsed.index))
    return parsed


def standard_offset_h(stamps: pd.Series, zone: str | None) -> float:
    """Fixed offset of the local day: the named zone's without daylight saving, else the least that the stamps carry.

    `Z` counts as offset 0. Expects stamps and a zone that `utc_stamps` and `zone_named` found no fault with.
    """
    if zone is not None:
        offsets = [datetime(_ANY_YEAR, month, 1, tzinfo=ZoneInfo(zone)).utcoffset() for month in (1, 7)]
        return min(offset for offset in offsets if offset is not None) / timedelta(hours=1)
    if isinstance(stamps.dtype, pd.DatetimeTZDtype):
        ahead = stamps.dt.tz_localize(None) - stamps.dt.tz_convert("UTC").dt.tz_localize(None)
        return float(ahead.min() / pd.Timedelta(hours=1))
    written = stamps.astype(str).str.strip().str.extract(_HAS_OFFSET)[0].dropna().unique()
    return min((_offset_h(text) for text in written), default=0.0)


def _offset_h(text: str) -> float:
    if text in "Zz":
        return 0.0
    digits = text[1:].replace(":", "").ljust(4, "0")
    hours = int(digits[:2]) + int(digits[2:]) / 60
    return -hours if text[0] == "-" else hours


def _localised(wall: pd.Series, lines: pd.Series, devices: pd.Series, zone: ZoneInfo | None, faults: FaultList) -> pd.Series:
    if zone is None:
        faults.add_rows(
            lines.to_numpy(), "timestamp", f"{_shown(wall.astype(str))}, without offset",
            "an offset such as +01:00 or Z, or `timezone` named in the scenario",
        )  # fmt: skip
        return pd.Series(pd.NaT, index=wall.index, dtype="datetime64[ns, UTC]")
    first_of_two = ~pd.DataFrame({"device": devices, "wall": wall}).duplicated().to_numpy(dtype=np.bool_)
    localised = wall.dt.tz_localize(zone, ambiguous=first_of_two, nonexistent="NaT")
    skipped = localised.isna() & wall.notna()
    got = _shown(wall[skipped].astype(str))
    faults.add_rows(lines[skipped].to_numpy(), "timestamp", got, f"a time that exists in {zone}")
    utc: pd.Series = localised.dt.tz_convert("UTC").dt.as_unit("ns")
    return utc


def _shown(texts: pd.Series) -> str:
    return some_of(repr(text) for text in texts.unique())
