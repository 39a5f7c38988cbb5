"""The forecasts of a case, by the method that its scenario names: the same for the environment and for every planner.

`[forecast] method` of a scenario is one of

| method | load and PV ahead |
|---|---|
| `climatology` | mean of the same time on the last days, corrected by the last error, which fades |
| `persistence` | as yesterday at the same time |
| `boosted` | climatology corrected by gradient-boosted trees (`gridnet.forecast.boosted`), with quantiles |
| `perturbed` | no forecast but the truth with an error of a chosen size (`gridnet.forecast.perturbed`), for studies |

Whatever the method, it forecasts the feeder's total load and total PV; devices share a total. So a planner that sees devices
and an agent that sees totals know the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from gridnet.case import Case
from gridnet.errors import InputError
from gridnet.forecast import bands, climatology
from gridnet.forecast.boosted import LOAD_TREES, PV_TREES, BoostedTotal
from gridnet.forecast.climatology import Float32Array, PointTotal
from gridnet.forecast.perturbed import PerturbedTotal
from gridnet.forecast.sharing import Devices
from gridnet.scenario import Forecast, ForecastName
from gridnet.series.profiles import FloatArray


@dataclass(frozen=True)
class DeviceForecast:
    """What each device will do in the steps ahead, as one number each; `p_kw > 0` injects.

    `load_p_kw` and `load_q_kvar` are `(horizon, loads)`, `pv_p_kw`, the power that the sun gives, is `(horizon, pvs)`.
    """

    load_p_kw: FloatArray
    load_q_kvar: FloatArray
    pv_p_kw: FloatArray


@dataclass(frozen=True)
class TotalForecast:
    """Quantiles of the feeder's total load and total PV, `(levels, horizon)` kW each; a row for each of `levels`.

    `boosted` gives 0.1, 0.5 and 0.9; the others know no spread and give one row, taken as 0.5 (`Forecaster.bands` adds one).
    """

    levels: tuple[float, ...]
    load_p_kw: FloatArray
    pv_p_kw: FloatArray


class Total(Protocol):
    """A method at work on one total, `actual`, `(steps,)`."""

    actual: FloatArray
    levels: tuple[float, ...]

    def at(self, step: int, horizon: int) -> FloatArray:
        """Median forecast issued at the start of `step`, `(horizon,)`."""

    def quantiles(self, step: int, horizon: int) -> FloatArray:
        """`(levels, horizon)`, rising with the level."""

    def hourly(self, hours: int) -> Float32Array:
        """Hourly means of the medians issued at every step, `(steps, hours)`."""


class Forecaster:
    """Issues the forecasts of one case. Make one with `make_forecaster`."""

    def __init__(self, case: Case, load: Total, pv: Total, days: tuple[int, int]) -> None:
        series = case.series
        self.load, self.pv = load, pv
        self.steps = case.clock.steps
        self._loads = Devices(series.load_p_kw, case.feeder.load.p_rated_kw, days[0])
        self._reactive = Devices(series.load_q_kvar, case.feeder.load.p_rated_kw, days[0])
        self._pvs = Devices(series.pv_p_kw, case.feeder.pv.p_rated_kw, days[1])

    def ahead(self, step: int, horizon: int) -> DeviceForecast:
        """Forecast of steps `step` to `step + horizon` for each device, issued at the start of `step`.

        Only the series before `step` is looked at, so `step` itself is forecast too; where totals are `perturbed`, their shares
        among devices alone keep to that. The horizon may run past the end of the series. Totals are those of `totals` at 0.5;
        reactive power keeps each load's own power factor at that time of day.

        Raises `InputError` for a step outside the series or a horizon below 1.
        """
        self._check(step, horizon)
        load_p_kw, factor = self._loads.shared(self._loads.base(step, horizon), self.load.at(step, horizon))
        load_q_kvar = self._reactive.base(step, horizon) * np.clip(factor, 0.0, 2.0)
        pv_p_kw, _ = self._pvs.shared(self._pvs.base(step, horizon), self.pv.at(step, horizon))
        return DeviceForecast(load_p_kw, load_q_kvar, pv_p_kw)

    def totals(self, step: int, horizon: int) -> TotalForecast:
        """Quantiles of the totals over the same steps as `ahead`. Raises `InputError` as `ahead` does."""
        self._check(step, horizon)
        return TotalForecast(self.load.levels, self.load.quantiles(step, horizon), self.pv.quantiles(step, horizon))

    def bands(self, step: int, horizon: int) -> TotalForecast:
        """`totals`; for a method without quantiles with a band from how wrong it lately was (`gridnet.forecast.bands`), for people
        to look at: no policy is given it. One row as long as too little is known. Raises `InputError` as `ahead` does."""
        found = self.totals(step, horizon)
        if len(found.levels) > 1:
            return found
        load, pv = (bands.band(total, step, horizon) for total in (self.load, self.pv))
        return found if load is None or pv is None else TotalForecast(bands.LEVELS, load, pv)

    def _check(self, step: int, horizon: int) -> None:
        if not 0 <= step < self.steps:
            raise InputError(f"no forecast can be issued at step {step}; give a step from 0 to {self.steps - 1}")
        if horizon < 1:
            raise InputError(f"a forecast can't be {horizon} steps long; give 1 or more")


def make_forecaster(case: Case, method: ForecastName | None = None) -> Forecaster:
    """The forecaster of the case's own method, or of another one to compare with.

    Costs milliseconds, `perturbed` half a second for a year. `boosted` fits its trees when first asked and keeps what they
    forecast on disk. Raises `InputError` where the sun's peak leaves no room for an error as large as `perturbed` asks for.
    """
    method = method or case.scenario.forecast.method
    load_kw, pv_kw = case.series.load_p_kw.sum(axis=1), case.series.pv_p_kw.sum(axis=1)
    if method == "boosted":
        days = climatology.LOAD.days, climatology.PV.days
        return Forecaster(case, BoostedTotal(load_kw, case.clock, LOAD_TREES), BoostedTotal(pv_kw, case.clock, PV_TREES), days)
    if method == "perturbed":
        return _perturbed(case, load_kw, pv_kw)
    of_load, of_pv = climatology.LOAD, climatology.PV
    if method == "persistence":
        of_load = of_pv = climatology.PERSISTENCE
    return Forecaster(case, PointTotal(load_kw, of_load), PointTotal(pv_kw, of_pv), (of_load.days, of_pv.days))


def _perturbed(case: Case, load_kw: FloatArray, pv_kw: FloatArray) -> Forecaster:
    asked: Forecast = case.scenario.forecast
    load = PerturbedTotal(load_kw, asked.error, (asked.seed, 0))
    # Plants never give more than their peak; consumption has no such bound.
    pv = PerturbedTotal(pv_kw, asked.error, (asked.seed, 1), ceiling=float(np.abs(pv_kw).max(initial=0.0)))
    return Forecaster(case, load, pv, (climatology.LOAD.days, climatology.PV.days))


def hourly_totals(case: Case, hours: int = 24) -> Float32Array:
    """Forecast surplus (load and PV together) by the hour ahead, issued at every step, `(steps, hours)` kW.

    Row `t` is what `make_forecaster(case).totals(t, ..)` says at 0.5, as means over hours.
    """
    forecaster = make_forecaster(case)
    return forecaster.load.hourly(hours) + forecaster.pv.hourly(hours)
