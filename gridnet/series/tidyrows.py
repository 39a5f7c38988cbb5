"""The rows of a tidy file as numbers and UTC stamps, with a fault for everything that isn't one."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow

from gridnet.scenario import SeriesFile
from gridnet.series.faultlist import FaultList, some_of
from gridnet.series.quantities import PER_INTERVAL, Quantity
from gridnet.series.stamps import utc_stamps, zone_named

PARQUET = (".parquet", ".pq")
NO_DEVICE = ""


def read_table(content: bytes, file: Path, faults: FaultList) -> pd.DataFrame | None:
    """The file as it stands (text where it is CSV); `None` with a fault where it can't be read."""
    try:
        if file.suffix.lower() in PARQUET:
            table = pd.read_parquet(io.BytesIO(content))
            return table.reset_index() if "timestamp" in table.index.names else table
        return pd.read_csv(
            io.BytesIO(content), dtype=str, keep_default_na=False, skip_blank_lines=False, encoding="utf-8-sig"
        ).fillna("")
    except (pd.errors.ParserError, pd.errors.EmptyDataError, UnicodeDecodeError, pyarrow.ArrowException) as error:
        reason = " ".join(str(error).split())
        faults.add("the file", reason, "a CSV file with a header (comma-separated UTF-8), or a Parquet file")
        return None


def has_columns(table: pd.DataFrame, spec: SeriesFile, wants_device: bool, faults: FaultList) -> bool:
    """Whether the columns that are needed are there; a fault for each that isn't."""
    needed = ["timestamp", "value"]
    needed += ["unit"] if spec.unit is None else []
    needed += ["device"] if wants_device else []
    present = some_of(repr(column) for column in table.columns)
    missing = [column for column in needed if column not in table.columns]
    for column in missing:
        or_unit = " or `unit` named in the scenario" if column == "unit" else ""
        faults.add(f"column {column}", f"no such column (but {present})", f"a column '{column}'{or_unit}")
    if not len(table):
        faults.add("the file", "no rows", "at least one local day of intervals")
    return not missing and len(table) > 0


def parse_rows(table: pd.DataFrame, spec: SeriesFile, quantity: Quantity, faults: FaultList) -> pd.DataFrame:
    """Rows with `line`, `device`, `stamp` (UTC, `NaT` where bad), `value` in the quantity's base unit, `is_energy`
    (whether `value` is energy per interval), and `q_kvar` where a load file has it."""
    first_line = 1 if spec.file.suffix.lower() in PARQUET else 2
    line = pd.Series(np.arange(first_line, first_line + len(table)), index=table.index)
    per_device = quantity.per_device and "device" in table.columns
    device = table["device"].astype(str).str.strip() if per_device else pd.Series(NO_DEVICE, index=table.index)
    unit = table["unit"].astype(str).str.strip() if "unit" in table.columns else _declared(spec, table)
    factor = unit.map(quantity.units)
    unknown = factor.isna()
    known = ", ".join(quantity.units)
    if "unit" in table.columns:
        faults.add_rows(line[unknown].to_numpy(), "unit", some_of(map(repr, unit[unknown].unique())), f"one of {known}")
    elif unknown.any():
        faults.add("unit named in the scenario", repr(spec.unit), f"one of {known}")
    stamp = utc_stamps(table["timestamp"], line, device, zone_named(spec.timezone, faults), faults)
    rows = pd.DataFrame({"line": line, "device": device, "stamp": stamp, "is_energy": unit.isin(PER_INTERVAL)})
    rows["value"] = _numbers(table["value"], line, "value", faults) * factor
    if quantity is Quantity.LOAD and "q_kvar" in table.columns:
        rows["q_kvar"] = _numbers(table["q_kvar"], line, "q_kvar", faults)
    return rows


def check_sign(rows: pd.DataFrame, quantity: Quantity, faults: FaultList) -> None:
    """A load file that mostly injects, and a PV value below 0, have the wrong sign."""
    if quantity is Quantity.LOAD:
        share = float((rows["value"] > 0).sum()) / max(1, int((rows["value"] != 0).sum()))
        if share > 0.5:
            faults.add(
                "column value",
                f"{share:.0%} of the values that aren't 0 are positive",
                "consumption as negative values (p_kw > 0 injects into the grid); "
                "turn the sign if the file counts consumption as positive",
            )
    elif quantity is Quantity.PV:
        below = rows["value"] < 0
        got = some_of(f"{value:g} kW" for value in rows["value"][below].head(3))
        faults.add_rows(rows["line"][below].to_numpy(), "value", got, "available power of 0 or more (injection is > 0)")


def _declared(spec: SeriesFile, table: pd.DataFrame) -> pd.Series:
    return pd.Series(spec.unit, index=table.index, dtype=str)


def _numbers(column: pd.Series, line: pd.Series, name: str, faults: FaultList) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    bad = ~np.isfinite(numbers)
    faults.add_rows(line[bad].to_numpy(), name, some_of(repr(item) for item in column[bad].unique()), "a finite number")
    return numbers
