"""What is known at a step of the hours ahead, as a planning task: forecasts of load and sun, and prices as published."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.forecast.forecaster import make_forecaster
from gridnet.forecast.published import known_prices
from gridnet.series.days import steps_per_day
from gridnet.tariff import mean_price_value
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Windows:
    """Makes the tasks over the next `horizon` steps. Load, sun and carbon of the step itself are measured, what follows is
    forecast, prices count as far as they are published; beyond, those of the last published day at the same time.

    A `perfect` window knows what will be: for tests, and to tell the cost of forecasts from the cost of the method.
    """

    def __init__(self, case: Case, horizon: int, perfect: bool) -> None:
        self.case, self.horizon, self.perfect = case, horizon, perfect
        self._prices = case.prices
        self._known = known_prices(case.series.price_eur_per_mwh, case.clock, 1).steps_known
        self._forecaster = make_forecaster(case)

    def at(self, step: int, soc: Floats, reached_kw: float) -> Task:
        """The task at `step` with batteries at `soc` (batteries,) and `reached_kw` the highest import so far."""
        params = self.case.params
        load_p, load_q, pv = self._devices(step)
        prices = self._prices
        end = self.case.clock.steps
        published = self._at_same_time(step, end if self.perfect else step + int(self._known[step]))
        measured = self._at_same_time(step, end if self.perfect else step + 1)
        ahead = prices._replace(
            import_eur_per_kwh=prices.import_eur_per_kwh[published],
            export_eur_per_kwh=prices.export_eur_per_kwh[published],
            carbon_kg_per_kwh=prices.carbon_kg_per_kwh[measured],
        )
        return Task(
            case=self.case,
            params=params._replace(load_p_kw=load_p, load_q_kvar=load_q, pv_p_kw=pv),
            prices=ahead,
            stored=mean_price_value(ahead, params.fleet, 0, self.horizon),
            start=0,
            steps=self.horizon,
            soc=soc,
            reached_kw=reached_kw,
        )

    def _devices(self, step: int) -> tuple[Floats, Floats, Floats]:
        """Load p and q (horizon, loads) and available PV (horizon, pvs)."""
        series = self.case.params
        if self.perfect:
            ahead = self._at_same_time(step, self.case.clock.steps)
            return series.load_p_kw[ahead], series.load_q_kvar[ahead], series.pv_p_kw[ahead]
        forecast = self._forecaster.ahead(step, self.horizon)
        known = (forecast.load_p_kw, forecast.load_q_kvar, forecast.pv_p_kw)
        for expected, measured in zip(known, (series.load_p_kw, series.load_q_kvar, series.pv_p_kw), strict=True):
            expected[0] = measured[step]
        return known

    def _at_same_time(self, step: int, end: int) -> Ints:
        """(horizon,) the steps from `step` on; from `end` on, the same time of the last day before."""
        wanted = np.arange(step, step + self.horizon)
        day = steps_per_day(self.case.clock)
        days_back = np.maximum(0, -((end - 1 - wanted) // day))
        earlier: Ints = np.maximum(wanted - days_back * day, 0)
        return earlier
