"""Electricity price and carbon intensity: the embedded German year 2018, joined to any clock by analog days."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from gridnet.clock import Clock, is_held_out
from gridnet.errors import InputError
from gridnet.resources import data_dir
from gridnet.series.days import IntArray, day_types, days_apart, days_of_leap_year, local_dates, steps_per_day
from gridnet.series.profiles import FloatArray

MARKET_CLOCK = Clock(start=datetime(2017, 12, 31, 23, tzinfo=UTC), steps=8_760, dt_h=1.0)
"""The hours of the embedded table: 2018 in CET, 365 days."""

WINDOW_DAYS = 28
WINDOW_HELD_OUT_DAYS = 56
"""Far enough to reach the held-out week before and the one after: within 28 days a test day would find a handful of
price days, and a bad match of the weather (correlation of daily wind and price 0.0 instead of -0.3)."""
Z_SCORE_DAYS = 61

_HOURS_PER_DAY = 24
_COLUMNS = ("price_eur_per_mwh", "carbon_g_per_kwh", "pv_mw", "wind_mw", "generation_mw")


@dataclass(frozen=True)
class MarketTable:
    """Germany, 2018, hourly on `MARKET_CLOCK`; read-only `(8760,)` arrays. Sources in `data/SOURCES.md`.

    `price_eur_per_mwh` is the day-ahead price, `carbon_g_per_kwh` the mean life-cycle intensity of generation;
    `pv_mw`, `wind_mw` and `generation_mw` (all fuels with a carbon factor) are the generation behind it.
    """

    price_eur_per_mwh: FloatArray
    carbon_g_per_kwh: FloatArray
    pv_mw: FloatArray
    wind_mw: FloatArray
    generation_mw: FloatArray


@dataclass(frozen=True)
class Market:
    """Prices and carbon on a clock, `(steps,)`, and which day of `MARKET_CLOCK` each local day took, `(days,)`."""

    price_eur_per_mwh: FloatArray
    carbon_g_per_kwh: FloatArray
    analog_day: IntArray


@lru_cache(maxsize=1)
def embedded_market() -> MarketTable:
    """The market table that ships with gridnet. Raises `InputError` where the file is not the one that shipped."""
    path = data_dir() / "market_de_2018.csv"
    with path.open(encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    if tuple(header[1:]) != _COLUMNS or len(rows) != MARKET_CLOCK.steps:
        raise InputError(f"{path} does not hold 8,760 hours of {', '.join(_COLUMNS)}; restore it from the distribution")
    values = np.array([row[1:] for row in rows], dtype=np.float64).T.copy()
    values.flags.writeable = False
    return MarketTable(*values)


def join_by_analog_day(table: MarketTable, clock: Clock, pv_pu: FloatArray, wind_pu: FloatArray) -> Market:
    """Gives each local day of `clock` the price and carbon of the 2018 day most like it.

    `pv_pu` and `wind_pu`, `(steps,)`, are the clock's own sunshine and windiness. Alike means: same day type, within 28
    days of the year (around its end), and nearest in daily PV and daily wind, each as a z-score against the 61 days
    around it. Joining by date instead would leave prices blind to the weather that the PV profiles follow.

    Price days are split as the clock is, so that no test day shares a price day with training: a 2018 day in a held-out
    week goes only to days in the clock's held-out weeks, and every other day only to training days. Held-out days look
    56 days far. A day without any candidate in its window looks as far as the nearest one.

    Hourly values hold for the hour's steps; both clocks' days are local days. Raises `InputError` where `clock` does
    not hold whole local days or its step does not divide an hour.
    """
    dates, market_dates = local_dates(clock), local_dates(MARKET_CLOCK)
    per_hour = round(1 / clock.dt_h)
    if per_hour < 1 or per_hour * clock.dt_h != 1.0:
        raise InputError(f"hourly prices can't be held over steps of {clock.dt_h} h; use a step that divides an hour")
    unlike = _unlikeness(
        np.stack([_daily_z_scores(pv_pu, steps_per_day(clock)), _daily_z_scores(wind_pu, steps_per_day(clock))]),
        np.stack([_daily_z_scores(table.pv_mw, _HOURS_PER_DAY), _daily_z_scores(table.wind_mw, _HOURS_PER_DAY)]),
    )
    allowed = (day_types(dates)[:, None] == day_types(market_dates)[None, :]) & (
        held_out_days(len(dates))[:, None] == held_out_days(len(market_dates))[None, :]
    )
    apart = np.where(allowed, days_apart(days_of_leap_year(dates), days_of_leap_year(market_dates)), len(market_dates))
    window = np.where(held_out_days(len(dates)), WINDOW_HELD_OUT_DAYS, WINDOW_DAYS)
    reach = np.maximum(apart.min(axis=1), window)[:, None]
    analog_day = np.where(apart <= reach, unlike, np.inf).argmin(axis=1)
    return Market(
        price_eur_per_mwh=_held(table.price_eur_per_mwh, analog_day, per_hour),
        carbon_g_per_kwh=_held(table.carbon_g_per_kwh, analog_day, per_hour),
        analog_day=analog_day,
    )


def held_out_days(days: int) -> npt.NDArray[np.bool_]:
    """Whether each of the first `days` days of a clock lies in a held-out week, `(days,)`."""
    return np.array([is_held_out(day // 7) for day in range(days)], dtype=np.bool_)


def _daily_z_scores(values: FloatArray, per_day: int) -> FloatArray:
    """Daily means as z-scores against the days around each, `(days,)`; the window is cut short at both ends."""
    daily = values.reshape(-1, per_day).mean(axis=1)
    half = Z_SCORE_DAYS // 2
    around = [daily[max(0, day - half) : day + half + 1] for day in range(len(daily))]
    spread = np.array([window.std() for window in around])
    centred: FloatArray = daily - np.array([window.mean() for window in around])
    scores: FloatArray = np.divide(centred, spread, out=np.zeros_like(centred), where=spread > 0)
    return scores


def _unlikeness(ours: FloatArray, theirs: FloatArray) -> FloatArray:
    """Squared distance of every pair of days, `(days, market days)`, from features `(2, days)`."""
    distance: FloatArray = ((ours[:, :, None] - theirs[:, None, :]) ** 2).sum(axis=0)
    return distance


def _held(hourly: FloatArray, analog_day: IntArray, per_hour: int) -> FloatArray:
    held: FloatArray = np.repeat(hourly.reshape(-1, _HOURS_PER_DAY)[analog_day].ravel(), per_hour)
    return held
