"""The per-unit year profiles that SimBench ships: loads, PV plants and wind parks.

Source: SimBench (Meinecke et al., Energies 13(12), 2020, 3290), read from the installed `simbench` package.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from gridnet.clock import STEPS_PER_DAY, Clock

if TYPE_CHECKING:
    import pandas as pd

FloatArray = npt.NDArray[np.float64]

_ALL_GRIDS_SCENARIO = 2
"""SimBench scenario whose profile set holds every shape, heat pumps and charging points included."""

SIMBENCH_CLOCK = Clock(start=datetime(2015, 12, 31, 23, tzinfo=UTC), steps=35_136)
"""The year of the profiles: 2016, 366 days of 96 uniform quarter-hours of CET. SimBench labels its rows with daylight
saving (one hour skipped in March, one repeated in October) though the rows themselves are evenly spaced, so the row
number is the time. PV peaks at row-hour 11.3 on average all year, an hour ahead of solar noon in CET."""


@dataclass(frozen=True)
class Profiles:
    """Per-unit profiles by SimBench's profile name, each a read-only `(steps,)` array on `SIMBENCH_CLOCK`.

    `load_p` and `load_q` are per unit of a load's rated active and reactive power and keep SimBench's sign (positive
    consumes); `pv`, `wind` and `other` (biomass, hydro, the plants of whole grids) are per unit of a plant's rated
    power (positive generates).
    """

    load_p: Mapping[str, FloatArray]
    load_q: Mapping[str, FloatArray]
    pv: Mapping[str, FloatArray]
    wind: Mapping[str, FloatArray]
    other: Mapping[str, FloatArray]

    def pv_mean(self) -> FloatArray:
        """Mean of all PV profiles, `(steps,)`: the sunshine of the year."""
        return mean_profile(self.pv)

    def wind_mean(self) -> FloatArray:
        """Mean of all wind profiles, `(steps,)`: the windiness of the year."""
        return mean_profile(self.wind)


def mean_profile(profiles: Mapping[str, FloatArray]) -> FloatArray:
    """Mean over profiles, `(steps,)`."""
    mean: FloatArray = np.mean(np.stack(list(profiles.values())), axis=0)
    return mean


def on_days(profile: FloatArray, source_day: npt.NDArray[np.int64]) -> FloatArray:
    """A profile's quarter-hours on the given days of the SimBench year, `(days * 96,)`."""
    days: FloatArray = profile.reshape(-1, STEPS_PER_DAY)[source_day]
    return days.ravel()


@lru_cache(maxsize=1)
def simbench_profiles() -> Profiles:
    """All SimBench profiles. Takes about five seconds the first time, most of it importing `simbench`."""
    import simbench  # the import alone costs three seconds: only who needs profiles pays

    tables = simbench.get_all_simbench_profiles(_ALL_GRIDS_SCENARIO)
    load, renewables = tables["load"], tables["renewables"]
    return Profiles(
        load_p=_columns(load, r"(.+)_pload"),
        load_q=_columns(load, r"(.+)_qload"),
        pv=_columns(renewables, r"(PV\d+)"),
        wind=_columns(renewables, r"(WP\d+)"),
        other=_columns(renewables, r"(BM\d+|Hydro\d+|[lmh]v_.+)"),
    )


def _columns(table: pd.DataFrame, pattern: str) -> Mapping[str, FloatArray]:
    columns: dict[str, FloatArray] = {}
    for column in table.columns:
        match = re.fullmatch(pattern, column)
        if match:
            values = table[column].to_numpy(dtype=np.float64, copy=True)
            values.flags.writeable = False
            columns[match[1]] = values
    return MappingProxyType(columns)
