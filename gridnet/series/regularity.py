"""Whether rows form regular, complete series: one interval, no gap, no duplicate, no disorder, every device."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pandas as pd

from gridnet.clock import Clock
from gridnet.series.faultlist import FaultList, some_of
from gridnet.series.resample import INTERVALS_MINUTES, STEP_MINUTES, minute_of
from gridnet.series.tidyrows import NO_DEVICE

_NS_PER_MINUTE = 60_000_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def check_devices(rows: pd.DataFrame, devices: tuple[str, ...], faults: FaultList) -> None:
    """Faults for devices that the network does not have, and for those of the network that the file lacks."""
    known = ", ".join(devices) if len(devices) <= 6 else some_of(devices)
    unknown = ~rows["device"].isin(devices)
    names = some_of(repr(name) for name in rows["device"][unknown].unique())
    faults.add_rows(rows["line"][unknown].to_numpy(), "device", names, f"a device of the network ({known})")
    missing = sorted(set(devices) - set(rows["device"]))
    if missing:
        faults.add("column device", f"no rows for {some_of(missing)}", "a series for every device of the network")


def regular_rows(rows: pd.DataFrame, faults: FaultList) -> tuple[pd.DataFrame, int | None]:
    """Rows sorted by device and stamp without duplicates, with `minute` since 1970; and the interval in minutes.

    The interval is the commonest distance between neighbours; `None` where there is none that is understood.
    """
    rows = rows.dropna(subset=["stamp"])
    backwards = rows.groupby("device", sort=False)["stamp"].diff() < pd.Timedelta(0)
    faults.add_rows(rows["line"][backwards].to_numpy(), "timestamp", "a time before its predecessor's", "rising times")
    twice = rows.duplicated(["device", "stamp"])
    faults.add_rows(rows["line"][twice].to_numpy(), "timestamp", "a time that came before", "each interval once")
    rows = rows[~twice].sort_values(["device", "stamp"], kind="stable")
    nanoseconds: npt.NDArray[np.int64] = np.asarray(rows["stamp"].astype("int64"), dtype=np.int64)
    rows = rows.assign(minute=nanoseconds // _NS_PER_MINUTE)
    same_device = rows["device"].to_numpy()[1:] == rows["device"].to_numpy()[:-1]
    distance_ns = np.diff(nanoseconds)[same_device]
    if not len(distance_ns):
        faults.add("column timestamp", "fewer than two intervals", "a regular series")
        return rows, None
    distances, counts = np.unique(distance_ns, return_counts=True)
    interval_ns = int(distances[counts.argmax()])
    if interval_ns not in [minutes * _NS_PER_MINUTE for minutes in INTERVALS_MINUTES]:
        expected = f"{', '.join(map(str, INTERVALS_MINUTES))} min"
        faults.add("column timestamp", f"intervals of {interval_ns / _NS_PER_MINUTE:g} min", expected)
        return rows, None
    interval = interval_ns // _NS_PER_MINUTE
    _check_gaps(rows, nanoseconds, same_device, interval, faults)
    return rows, interval


def check_coverage(rows: pd.DataFrame, interval: int, clock: Clock, faults: FaultList) -> None:
    """A fault for each set of devices whose series starts after the clock or ends before it."""
    start = minute_of(clock.start)
    end = start + clock.steps * STEP_MINUTES
    span = rows.groupby("device")["minute"].agg(["min", "max"])
    short = span[(span["min"] > start) | (span["max"] + interval < end)]
    for _, group in short.groupby(["min", "max"]):
        of_devices = "" if list(group.index) == [NO_DEVICE] else f" of {some_of(group.index)}"
        covered = f"{_time(int(group['min'].iloc[0]))} to {_time(int(group['max'].iloc[0]) + interval)}"
        faults.add(f"the series{of_devices}", covered, f"all of {_time(start)} to {_time(end)}")


def _check_gaps(
    rows: pd.DataFrame,
    nanoseconds: npt.NDArray[np.int64],
    same_device: npt.NDArray[np.bool_],
    interval: int,
    faults: FaultList,
) -> None:
    line = rows["line"].to_numpy()
    grid = min(interval, STEP_MINUTES)
    between = line[nanoseconds % (grid * _NS_PER_MINUTE) != 0]
    faults.add_rows(between, "timestamp", "a time between intervals", f"interval starts at multiples of {grid} min")
    distance = np.diff(nanoseconds) / (interval * _NS_PER_MINUTE)
    gap = same_device & (distance > 1)
    missing = f"{int(np.ceil(distance[gap] - 1).sum())} intervals missing before"
    every = f"a value every {interval} min"
    faults.add_rows(np.sort(line[1:][gap]), "timestamp", missing, f"{every}, none left out")
    early = same_device & (distance > 0) & (distance < 1)
    faults.add_rows(np.sort(line[1:][early]), "timestamp", f"less than {interval} min after the one before", every)


def _time(minute: int) -> str:
    return (_EPOCH + timedelta(minutes=minute)).strftime("%Y-%m-%dT%H:%MZ")
