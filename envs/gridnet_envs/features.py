"""The part of the observation that only depends on the step, for all steps at once: (steps, `SERIES_SLOTS`) float32."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.forecast.forecaster import hourly_totals
from gridnet.forecast.published import known_prices
from gridnet.tariff import Prices
from gridnet_envs.slots import BOUND, FORECAST_HOURS, SERIES_SLOTS

Float32s = NDArray[np.float32]


def series_features(case: Case, prices: Prices) -> Float32s:
    """Scaled and cut values of every series slot at every step, (steps, width).

    Load and PV are seen up to and including the step itself; forecasts and prices as known at its start.
    """
    load_kw, pv_kw = case.series.load_p_kw.sum(axis=1), case.series.pv_p_kw.sum(axis=1)
    spot = case.series.price_eur_per_mwh
    known = known_prices(spot, case.clock, FORECAST_HOURS)
    mean = known.hourly.mean(axis=1)
    power_kw = reference_power_kw(case)
    values = {
        **_calendar(case),
        "surplus": (load_kw + pv_kw) / power_kw,
        "surplus_forecast": hourly_totals(case, FORECAST_HOURS) / power_kw,
        "spot": spot - mean,
        "spot_ahead": known.hourly - mean[:, None],
        "spot_mean": mean,
        "hours_known": known.steps_known * case.clock.dt_h,
        "margin": (prices.import_eur_per_kwh - prices.export_eur_per_kwh) * 1e3,
        "fleet_hours": np.full(len(spot), case.fleet.e_kwh.sum() / power_kw),
        "fleet_share": np.full(len(spot), power_kw / _connection_kw(case)),
    }
    columns = [np.reshape(values[slot.name], (len(spot), slot.width)) / slot.scale for slot in SERIES_SLOTS]
    return np.ascontiguousarray(np.clip(np.hstack(columns), -BOUND, BOUND), dtype=np.float32)


def reference_power_kw(case: Case) -> float:
    """The power that feeder-level slots are relative to: the fleet's, or the loads' rating where there is no battery."""
    fleet_kw = float(case.fleet.p_kw.sum())
    return fleet_kw if fleet_kw > 0 else max(1.0, float(case.feeder.load.p_rated_kw.sum()))


def _connection_kw(case: Case) -> float:
    rated = float(case.feeder.trafo_kva.sum())
    return rated if rated > 0 else max(1.0, float(case.feeder.load.p_rated_kw.sum()))


def _calendar(case: Case) -> dict[str, NDArray[np.float64]]:
    clock = case.clock
    local = clock.start + timedelta(hours=clock.utc_offset_h)
    hours = local.hour + local.minute / 60 + np.arange(clock.steps) * clock.dt_h
    day = (local.weekday() + hours // 24) % 7
    of_day, of_year = 2 * np.pi * hours / 24, 2 * np.pi * ((local.timetuple().tm_yday - 1) * 24 + hours) / 8766
    return {
        "day": np.stack([np.sin(of_day), np.cos(of_day)], axis=1),
        "season": np.stack([np.sin(of_year), np.cos(of_year)], axis=1),
        "weekend": (day >= 5).astype(np.float64),
    }
