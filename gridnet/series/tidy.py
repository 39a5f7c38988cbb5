"""Users' own series: tidy CSV or Parquet, checked whole, converted to UTC, put onto the clock."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import pandas as pd

from gridnet.clock import Clock
from gridnet.errors import InputError
from gridnet.scenario import SeriesFile
from gridnet.series.faultlist import FaultList
from gridnet.series.profiles import FloatArray
from gridnet.series.quantities import Quantity
from gridnet.series.regularity import check_coverage, check_devices, regular_rows
from gridnet.series.resample import on_clock, whole_days
from gridnet.series.stamps import standard_offset_h
from gridnet.series.tidyrows import NO_DEVICE, PARQUET, check_sign, has_columns, parse_rows, read_table


@dataclass(frozen=True)
class TidySeries:
    """A user's series on `clock`.

    `values`, `(steps, devices)`, in kW (`p_kw > 0` injects), EUR/MWh or g/kWh; one column where the quantity has no
    devices. `q_kvar`, same shape, only where a load file has that column. `sha256` is the file's.
    """

    clock: Clock
    values: FloatArray
    q_kvar: FloatArray | None
    sha256: str
    source: str
    licence: str


def read_tidy(spec: SeriesFile, quantity: Quantity, devices: tuple[str, ...], clock: Clock | None) -> TidySeries:
    """The series in `spec.file` for `devices`, in their order, on `clock`.

    Columns: `timestamp` (ISO 8601 with offset, the interval's start), `value`, `unit` unless `spec.unit` names it,
    `device` for load and PV unless the network has just one; load files may add `q_kvar`. Others are ignored. Power
    comes in W, kW, MW, or as energy per interval in Wh, kWh, MWh; prices in EUR/MWh, EUR/kWh, ct/kWh; carbon in g/kWh,
    kg/MWh.

    SIGN, as everywhere: `p_kw > 0` injects into the grid. A load file holds consumption as NEGATIVE values (`q_kvar`
    too, where the load is inductive); a PV file holds available power, never below 0.

    Intervals of 60, 30 and 15 minutes are held, of 5, 3 and 1 averaged, so energy is kept. Nothing is filled: gaps,
    duplicates, disorder and values that aren't numbers are faults. Without `clock` it is the file's own span, cut to
    whole local days; the local day follows `spec.timezone` (its standard time), else the least offset written.

    Raises `InputError` listing every fault of the file at once, like faults of many rows as one.
    """
    faults = FaultList(spec.file, "row" if spec.file.suffix.lower() in PARQUET else "line")
    series = _read(spec, quantity, devices if quantity.per_device else (NO_DEVICE,), clock, faults)
    if series is None or faults.faults:
        raise InputError(f"the {quantity} series can't be used:", faults.faults)
    return series


def _read(
    spec: SeriesFile, quantity: Quantity, devices: tuple[str, ...], clock: Clock | None, faults: FaultList
) -> TidySeries | None:
    if not devices:
        faults.add(f"series.{quantity}", "a file", f"no file: the network has no devices for a {quantity} series")
        return None
    content = _content(spec, faults)
    table = None if content is None else read_table(content, spec.file, faults)
    if content is None or table is None:
        return None
    if not has_columns(table, spec, quantity.per_device and len(devices) > 1, faults):
        return None
    rows = parse_rows(table, spec, quantity, faults)
    if quantity.per_device and "device" not in table.columns:
        rows["device"] = devices[0]
    check_devices(rows, devices, faults)
    check_sign(rows, quantity, faults)
    rows, interval = regular_rows(rows, faults)
    if interval is None:
        return None
    clock = clock or _own_clock(rows, interval, standard_offset_h(table["timestamp"], spec.timezone), faults)
    if clock is not None:
        check_coverage(rows, interval, clock, faults)
    if clock is None or faults.faults:
        return None
    rows.loc[rows["is_energy"], "value"] /= interval / 60
    return TidySeries(
        clock=clock,
        values=_columns(rows, "value", devices, interval, clock),
        q_kvar=_columns(rows, "q_kvar", devices, interval, clock) if "q_kvar" in rows else None,
        sha256=hashlib.sha256(content).hexdigest(),
        source=spec.source,
        licence=spec.licence,
    )


def _content(spec: SeriesFile, faults: FaultList) -> bytes | None:
    try:
        return spec.file.read_bytes()
    except OSError as error:
        faults.add("the file", error.strerror or str(error), "a file that can be read")
        return None


def _own_clock(rows: pd.DataFrame, interval: int, utc_offset_h: float, faults: FaultList) -> Clock | None:
    first, end = int(rows["minute"].min()), int(rows["minute"].max()) + interval
    clock = whole_days(first, end, utc_offset_h)
    if clock is None:
        expected = f"at least one whole local day (UTC{utc_offset_h:+g} h)"
        faults.add("column timestamp", f"{(end - first) / 60:g} h", expected)
    return clock


def _columns(rows: pd.DataFrame, column: str, devices: tuple[str, ...], interval: int, clock: Clock) -> FloatArray:
    by_device = {str(device): group for device, group in rows.groupby("device", sort=False)}
    series = [
        on_clock(group[column].to_numpy(dtype=np.float64), int(group["minute"].iloc[0]), interval, clock)
        for group in (by_device[device] for device in devices)
    ]
    return np.stack(series, axis=1)
