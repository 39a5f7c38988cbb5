"""Variations of a case to train on, so that a policy learns the trade and not the thirty weeks and three feeders it was shown.

A variation is the same network in another year: each training week gets the load and sun of one training week of its season
and the prices and carbon of another, whole weeks so that one day still says something of the next. Its loads, its solar and its
batteries are of another size, so that feeders without a surplus are among what it learns from, and the tariff differs. Held-out
and validation weeks are neither sources nor given another week.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK, split_of

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW_WEEKS = 3
GRID_FEE_EUR_PER_MWH = (40.0, 200.0)
SPREAD = (0.7, 1.5)
LOAD = (0.5, 2.0)
SOLAR = (0.1, 1.5)
POWER = (0.5, 1.5)
HOURS = (0.5, 2.0)
"""Of the batteries' capacity over their power, as a multiple of the scenario's."""


def varied(case: Case, rng: np.random.Generator) -> Case:
    """One variation of `case`, drawn from `rng`."""
    by_weather, by_market = _shuffled_weeks(case, rng), _shuffled_weeks(case, rng)
    load, solar, power, hours = (_between(rng, *reach) for reach in (LOAD, SOLAR, POWER, HOURS))
    series = replace(
        case.series,
        load_p_kw=load * case.series.load_p_kw[by_weather],
        load_q_kvar=load * case.series.load_q_kvar[by_weather],
        pv_p_kw=solar * case.series.pv_p_kw[by_weather],
        price_eur_per_mwh=_respread(case, case.series.price_eur_per_mwh[by_market], rng.uniform(*SPREAD)),
        carbon_g_per_kwh=case.series.carbon_g_per_kwh[by_market],
    )
    fleet = case.fleet
    batteries = fleet.batteries
    sized = np.concatenate([power * fleet.s_kva[:batteries], solar * fleet.s_kva[batteries:]])
    fleet = fleet._replace(p_kw=power * fleet.p_kw, e_kwh=power * hours * fleet.e_kwh, s_kva=sized)
    params = case.params._replace(fleet=fleet, load_p_kw=series.load_p_kw, load_q_kvar=series.load_q_kvar, pv_p_kw=series.pv_p_kw)
    tariff = case.scenario.tariff.model_copy(update={"grid_fee_eur_per_mwh": float(rng.uniform(*GRID_FEE_EUR_PER_MWH))})
    return replace(case, scenario=case.scenario.model_copy(update={"tariff": tariff}), series=series, params=params)


def _between(rng: np.random.Generator, low: float, high: float) -> float:
    """A factor, evenly drawn by its logarithm."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _respread(case: Case, spot: Floats, spread: float) -> Floats:
    """Prices of training weeks with another spread about their mean."""
    trains = np.repeat(_training_weeks(case), STEPS_PER_WEEK)
    here = np.flatnonzero(trains)
    mean = spot[here].mean()
    changed = spot.copy()
    changed[here] = mean + spread * (spot[here] - mean)
    return changed


def _shuffled_weeks(case: Case, rng: np.random.Generator) -> Ints:
    """For each step the step whose series it gets: (steps,)."""
    trains = np.flatnonzero(_training_weeks(case))
    source = np.arange(case.clock.steps)
    for week in trains:
        near = trains[np.abs(trains - week) <= WINDOW_WEEKS]
        first = int(rng.choice(near)) * STEPS_PER_WEEK
        source[week * STEPS_PER_WEEK : (week + 1) * STEPS_PER_WEEK] = np.arange(first, first + STEPS_PER_WEEK)
    return source


def _training_weeks(case: Case) -> NDArray[np.bool_]:
    """Which of the clock's whole weeks train: (weeks,)."""
    return np.array([split_of(week) == "training" for week in range(case.clock.weeks)])
