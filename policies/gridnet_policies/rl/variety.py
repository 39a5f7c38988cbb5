"""Variations of a case to train on, so that a policy learns the trade and not the thirty weeks it was shown.

A variation is the same network with another year: each training day gets the load and sun of one training day of its kind and
season and the prices and carbon of another, and the tariff and the batteries' capacity differ. Held-out and validation days
are neither sources nor changed.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.clock import split_of
from gridnet.series.days import day_types, days_apart, days_of_leap_year, local_dates, steps_per_day

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW_DAYS = 21
GRID_FEE_EUR_PER_MWH = (40.0, 200.0)
CAPACITY = (0.5, 2.0)
SPREAD = (0.7, 1.5)


def varied(case: Case, rng: np.random.Generator) -> Case:
    """One variation of `case`, drawn from `rng`."""
    weather, market = _shuffled_days(case, rng), _shuffled_days(case, rng)
    per_day = steps_per_day(case.clock)
    by_weather, by_market = _steps(weather, per_day, case.clock.steps), _steps(market, per_day, case.clock.steps)
    trains = np.repeat(_training_days(case), per_day)
    spot = case.series.price_eur_per_mwh[by_market]
    learnt = np.flatnonzero(trains[: len(spot)])
    mean = spot[learnt].mean()
    spot[learnt] = mean + rng.uniform(*SPREAD) * (spot[learnt] - mean)
    series = replace(
        case.series,
        load_p_kw=case.series.load_p_kw[by_weather],
        load_q_kvar=case.series.load_q_kvar[by_weather],
        pv_p_kw=case.series.pv_p_kw[by_weather],
        price_eur_per_mwh=spot,
        carbon_g_per_kwh=case.series.carbon_g_per_kwh[by_market],
    )
    fee = {"grid_fee_eur_per_mwh": float(rng.uniform(*GRID_FEE_EUR_PER_MWH))}
    fleet = case.fleet._replace(e_kwh=case.fleet.e_kwh * np.exp(rng.uniform(*np.log(CAPACITY))))
    params = case.params._replace(fleet=fleet, load_p_kw=series.load_p_kw, load_q_kvar=series.load_q_kvar, pv_p_kw=series.pv_p_kw)
    tariff = case.scenario.tariff.model_copy(update=fee)
    return replace(case, scenario=case.scenario.model_copy(update={"tariff": tariff}), series=series, params=params)


def _shuffled_days(case: Case, rng: np.random.Generator) -> Ints:
    """For each day of the clock the day whose series it gets: (days,)."""
    dates, trains = local_dates(case.clock), _training_days(case)
    kinds, of_year = day_types(dates), days_of_leap_year(dates)
    days = np.arange(len(dates))
    source = days.copy()
    for day in days[trains]:
        near = days_apart(of_year[day : day + 1], of_year).ravel() <= WINDOW_DAYS
        source[day] = rng.choice(days[trains & near & (kinds == kinds[day])])
    return source


def _training_days(case: Case) -> NDArray[np.bool_]:
    """Which of the clock's days train: (days,)."""
    return np.array([split_of(day // 7) == "training" for day in range(len(local_dates(case.clock)))])


def _steps(source_day: Ints, per_day: int, steps: int) -> Ints:
    """Source step of each step, from the source day of each whole day; steps past the last whole day stay."""
    by_day = (source_day[:, None] * per_day + np.arange(per_day)).ravel()[:steps]
    return np.concatenate([by_day, np.arange(len(by_day), steps)])
