"""What a kWh in store will be worth, by what is known now: a small deterministic plan on forecasts and published prices.

The feeder is seen as one battery behind one meter. From the end of the current step the plan looks a day ahead, by clock hours:
backward dynamic programming over the fleet's state of charge, with the forecast surplus, the prices as far as they are
published (where not, those of the last published day), losses that grow with the square of the fleet's power, and export capped
at the transformers' rating; the day after is taken to be like that day. What it leaves is the marginal value of stored energy at
each state of charge, which falls as the battery fills.

The plan is made again with more and with less sun, and with higher and lower prices where they are not published. Half the
difference says what a belief about either would change, which is nothing where the decision does not hang on it. Nothing here is
learned; it is where learning starts from.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.clock import STEPS_PER_DAY, Clock
from gridnet.forecast.forecaster import make_forecaster
from gridnet.forecast.published import known_prices
from gridnet.kernels import kernel
from gridnet.losses import Losses, fleet_losses
from gridnet.tariff import Prices

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]
Ints = NDArray[np.int64]

HOURS = 24
SEGMENTS = 20
"""Parts of the state-of-charge window, each with one marginal value."""
AS_FORECAST, BY_SUN, BY_PRICE = 0, 1, 2
VIEWS = 3
"""Rows of an outlook: the value as forecast, and what more sun and higher unpublished prices would add to it."""
MORE_SUN = 0.5
"""By how much more (and less) of the forecast PV the plan is made again."""
HIGHER_EUR_PER_KWH = 0.01
"""By how much higher (and lower) prices that are not published."""
_PER_HOUR = 4
_TIE_EUR = 1e-12
_FINER = 4
_HALVINGS = 8


class OneBattery(NamedTuple):
    """The fleet as one battery behind one meter."""

    p_kw: float
    e_kwh: float
    charge: float
    """Efficiency of charging."""
    discharge: float
    low: float
    """Lowest state of charge."""
    high: float
    wear_eur_per_kwh: float
    rated_kw: float
    """Largest export."""
    own_loss: float
    """Losses in kW per kW2 of the fleet's power, and, next, per kW2 of that times the surplus."""
    beside_loss: float


class Outlook(NamedTuple):
    """What the plan reads."""

    surplus_kw: Float32s
    """(steps, HOURS + 1) forecast means of the hours from each step on."""
    pv_kw: Float32s
    """(steps, HOURS + 1) the PV in it."""
    steps_known: Ints
    """(steps,) for how many steps prices are published."""
    quarter: Ints
    """(steps,) number of each step within its clock hour."""
    battery: OneBattery


def make_outlook(case: Case, prices: Prices, losses: Losses) -> Outlook:
    """Of a case, whatever its forecast method."""
    clock = case.clock
    forecaster = make_forecaster(case)
    pv_kw = forecaster.pv.hourly(HOURS + 1)
    return Outlook(
        surplus_kw=forecaster.load.hourly(HOURS + 1) + pv_kw,
        pv_kw=pv_kw,
        steps_known=known_prices(case.series.price_eur_per_mwh, clock, 1).steps_known,
        quarter=_quarters(clock),
        battery=one_battery(case, prices, losses),
    )


@lru_cache(maxsize=8)
def _quarters(clock: Clock) -> Ints:
    """One array for all feeders of a clock: not to be written to."""
    return (clock.start.minute // 15 + np.arange(clock.steps)) % _PER_HOUR


def one_battery(case: Case, prices: Prices, losses: Losses) -> OneBattery:
    """The case's fleet as one; without batteries it can do nothing."""
    fleet = case.fleet
    # By ratings, not by the series: what will be must not reach a decision.
    lossy = fleet_losses(losses, fleet.p_kw, np.abs(case.feeder.load.p_rated_kw), np.abs(case.feeder.pv.p_rated_kw))
    rated_kw = float(case.feeder.trafo_kva.sum()) * case.scenario.limits.trafo_percent / 100.0
    return OneBattery(
        p_kw=float(fleet.p_kw.sum()),
        e_kwh=float(fleet.e_kwh.sum()),
        charge=float(fleet.efficiency[0]),
        discharge=float(fleet.efficiency[1]),
        low=float(fleet.soc_window[0]),
        high=float(fleet.soc_window[1]),
        wear_eur_per_kwh=prices.wear_eur_per_kwh,
        rated_kw=rated_kw if rated_kw > 0.0 else np.inf,
        own_loss=lossy.own,
        beside_loss=lossy.beside,
    )


@kernel
def look_ahead(outlook: Outlook, prices: Prices, step_: int, value_eur_per_kwh: Floats) -> None:
    """Fills `value_eur_per_kwh` (VIEWS, SEGMENTS), from empty to full, as of the end of `step_`."""
    value_eur_per_kwh[:] = 0.0
    if outlook.battery.e_kwh <= 0.0:
        return
    battery = outlook.battery
    spacing_kwh = (battery.high - battery.low) / SEGMENTS * battery.e_kwh
    stages, changed = np.empty((HOURS, 4)), np.empty((HOURS, 4))
    sun_kw, unpublished = np.empty(HOURS), np.empty(HOURS)
    _stages(outlook, prices, step_, stages, sun_kw, unpublished)
    # The day after is like this one; after that a kWh is worth what the mean price says.
    beyond = 0.5 * battery.discharge * (stages[:, 1].mean() + stages[:, 2].mean())
    tomorrow, cost = -beyond * spacing_kwh * np.arange(SEGMENTS + 1), np.empty(SEGMENTS + 1)
    _plan(battery, stages, spacing_kwh, tomorrow)
    cost[:] = tomorrow
    _plan(battery, stages, spacing_kwh, cost)
    value_eur_per_kwh[AS_FORECAST] = (cost[:-1] - cost[1:]) / spacing_kwh
    for side in (1.0, -1.0):
        changed[:] = stages
        changed[:, 0] += side * MORE_SUN * sun_kw
        cost[:] = tomorrow
        _plan(battery, changed, spacing_kwh, cost)
        value_eur_per_kwh[BY_SUN] += 0.5 * side * (cost[:-1] - cost[1:]) / spacing_kwh
        if unpublished.max() > 0.0:
            changed[:] = stages
            changed[:, 1] += side * HIGHER_EUR_PER_KWH * unpublished
            changed[:, 2] += side * HIGHER_EUR_PER_KWH * unpublished
            cost[:] = tomorrow
            _plan(battery, changed, spacing_kwh, cost)
            value_eur_per_kwh[BY_PRICE] += 0.5 * side * (cost[:-1] - cost[1:]) / spacing_kwh


@kernel
def _plan(battery: OneBattery, stages: Floats, spacing_kwh: float, cost: Floats) -> None:
    """Takes `cost` (SEGMENTS + 1,) to go at each level from after `stages` to before them."""
    sooner = np.empty(SEGMENTS + 1)
    for h in range(HOURS - 1, -1, -1):
        stage = stages[h]
        target = 0
        for g in range(SEGMENTS + 1):
            first, last = _reach(battery, stage, g * spacing_kwh, spacing_kwh, SEGMENTS)
            # The fuller a battery is, the fuller it best stays: the search goes on from the last level's best.
            target = min(max(target, first), last)
            least = _cost_of_gaining(battery, stage, g * spacing_kwh, (target - g) * spacing_kwh, spacing_kwh, cost)
            while target < last:
                more = _cost_of_gaining(battery, stage, g * spacing_kwh, (target + 1 - g) * spacing_kwh, spacing_kwh, cost)
                if more >= least:
                    break
                target, least = target + 1, more
            sooner[g] = min(least, _cheapest_kink(battery, stage, g * spacing_kwh, spacing_kwh, cost)[1])
        cost[:] = sooner


@kernel
def cheapest_p_kw(
    battery: OneBattery, surplus_kw: float, buy: float, sell: float, hours: float, stored_kwh: float, value_eur_per_kwh: Floats
) -> float:
    """The fleet's power over the next `hours` that costs least, what it leaves in store being worth `value_eur_per_kwh`
    (SEGMENTS,), linear between the middles of the parts; `stored_kwh` counts from empty.

    What costs is smooth between a few kinks: the best of those and of evenly spaced levels is found first, then the best near it.
    """
    window_kwh = (battery.high - battery.low) * battery.e_kwh
    if window_kwh <= 0.0:
        return 0.0
    cost = _cost_after(value_eur_per_kwh, window_kwh)
    spacing_kwh = window_kwh / (cost.shape[0] - 1)
    stage = np.array([surplus_kw, buy, sell, hours])
    best_kw, least = _cheapest_kink(battery, stage, stored_kwh, spacing_kwh, cost)
    first, last = _reach(battery, stage, stored_kwh, spacing_kwh, cost.shape[0] - 1)
    for level in range(first, last + 1):
        gained_kwh = level * spacing_kwh - stored_kwh
        total = _cost_of_gaining(battery, stage, stored_kwh, gained_kwh, spacing_kwh, cost)
        if total < least - _TIE_EUR:
            best_kw, least = _power_of_gaining(battery, hours, gained_kwh), total
    return _refined(battery, stage, stored_kwh, spacing_kwh, cost, best_kw, least)


@kernel
def _cost_after(value_eur_per_kwh: Floats, window_kwh: float) -> Floats:
    """Cost to go (SEGMENTS * _FINER + 1,) at evenly spaced levels, from the values of the parts."""
    parts = SEGMENTS * _FINER
    cost = np.empty(parts + 1)
    cost[0] = 0.0
    for part in range(parts):
        place = min(max((part + 0.5) / _FINER - 0.5, 0.0), SEGMENTS - 1.0)
        below = min(int(place), SEGMENTS - 2)
        value = value_eur_per_kwh[below] + (value_eur_per_kwh[below + 1] - value_eur_per_kwh[below]) * (place - below)
        cost[part + 1] = cost[part] - value * window_kwh / parts
    return cost


@kernel
def _refined(
    battery: OneBattery, stage: Floats, stored_kwh: float, spacing_kwh: float, cost: Floats, best_kw: float, least: float
) -> float:
    """The best power near `best_kw`, by halving the span between its neighbours."""
    hours = stage[3]
    lowest, highest = _range_kw(battery, hours, stored_kwh, spacing_kwh * (cost.shape[0] - 1))
    span = spacing_kwh / hours
    for _ in range(_HALVINGS):
        span *= 0.5
        for side in (-span, span):
            held = min(max(best_kw + side, lowest), highest)
            gained_kwh = -held * hours * battery.charge if held < 0.0 else -held * hours / battery.discharge
            total = _cost_of_gaining(battery, stage, stored_kwh, gained_kwh, spacing_kwh, cost)
            if total < least - _TIE_EUR:
                best_kw, least = held, total
                break
    return best_kw


@kernel
def _stages(outlook: Outlook, prices: Prices, step_: int, stages: Floats, sun_kw: Floats, unpublished: Floats) -> None:
    """Fills the stages of the plan, (HOURS, 4): surplus kW, import and export price, length in hours; the PV in each, and
    whether its price is a guess (1) or published (0). They are the rest of the clock hour, then whole hours, from the end of
    `step_` on."""
    published = step_ + outlook.steps_known[step_]
    start = step_ + 1
    length = _PER_HOUR - 1 - outlook.quarter[step_]
    if length == 0:
        length = _PER_HOUR
    for h in range(HOURS):
        priced = start
        unpublished[h] = 0.0
        if priced >= published:
            unpublished[h] = 1.0
            priced -= STEPS_PER_DAY * (1 + (priced - published) // STEPS_PER_DAY)
        priced = max(priced, 0)
        # The forecasts are means of hours that begin now; the stage's own mean lies between two of them.
        place = max((start - step_ - 0.5 * (_PER_HOUR - length)) / _PER_HOUR, 0.0)
        below = min(int(place), HOURS - 1)
        share = min(place - below, 1.0)
        stages[h, 0] = outlook.surplus_kw[step_, below] * (1.0 - share) + outlook.surplus_kw[step_, below + 1] * share
        stages[h, 1] = prices.import_eur_per_kwh[priced] + prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[step_]
        stages[h, 2] = prices.export_eur_per_kwh[priced]
        stages[h, 3] = length / _PER_HOUR
        sun_kw[h] = outlook.pv_kw[step_, below] * (1.0 - share) + outlook.pv_kw[step_, below + 1] * share
        start += length
        length = _PER_HOUR


@kernel
def _range_kw(battery: OneBattery, hours: float, stored_kwh: float, most_kwh: float) -> tuple[float, float]:
    """Lowest (charging) and highest (discharging) power that the fleet can hold for `hours`."""
    lowest = -min(battery.p_kw, max(0.0, most_kwh - stored_kwh) / (battery.charge * hours))
    return lowest, min(battery.p_kw, max(0.0, stored_kwh) * battery.discharge / hours)


@kernel
def _reach(battery: OneBattery, stage: Floats, stored_kwh: float, spacing_kwh: float, levels: int) -> tuple[int, int]:
    """The first and the last of `levels` levels that the fleet can get to."""
    lowest, highest = _range_kw(battery, stage[3], stored_kwh, spacing_kwh * levels)
    first = int(np.ceil((stored_kwh - highest * stage[3] / battery.discharge) / spacing_kwh - 1e-9))
    return first, int((stored_kwh - lowest * stage[3] * battery.charge) / spacing_kwh + 1e-9)


@kernel
def _power_of_gaining(battery: OneBattery, hours: float, gained_kwh: float) -> float:
    return -gained_kwh / (battery.charge * hours) if gained_kwh > 0.0 else -gained_kwh * battery.discharge / hours


@kernel
def _cost_of_gaining(
    battery: OneBattery, stage: Floats, stored_kwh: float, gained_kwh: float, spacing_kwh: float, cost: Floats
) -> float:
    """Cost now and later of ending the stage with `gained_kwh` more, `cost` (SEGMENTS + 1,) being what is to go after it."""
    surplus_kw, buy, sell, hours = stage[0], stage[1], stage[2], stage[3]
    power = _power_of_gaining(battery, hours, gained_kwh)
    place = min(max((stored_kwh + gained_kwh) / spacing_kwh, 0.0), cost.shape[0] - 1 - 1e-9)
    below = int(place)
    later = cost[below] + (cost[below + 1] - cost[below]) * (place - below)
    net = surplus_kw + power - battery.own_loss * power * power - battery.beside_loss * power * surplus_kw
    export = min(max(net, 0.0), battery.rated_kw) if sell > 0.0 else 0.0
    return float((max(-net, 0.0) * buy - export * sell + abs(power) * battery.wear_eur_per_kwh) * hours + later)


@kernel
def _cheapest_kink(battery: OneBattery, stage: Floats, stored_kwh: float, spacing_kwh: float, cost: Floats) -> tuple[float, float]:
    """The best, and its cost, of: rest, balancing the surplus, exporting what the transformers carry, and the two limits."""
    hours = stage[3]
    lowest, highest = _range_kw(battery, hours, stored_kwh, spacing_kwh * (cost.shape[0] - 1))
    best_kw, least = 0.0, np.inf
    for power in (0.0, -stage[0], battery.rated_kw - stage[0], lowest, highest):
        held = min(max(power, lowest), highest)
        gained_kwh = -held * hours * battery.charge if held < 0.0 else -held * hours / battery.discharge
        total = _cost_of_gaining(battery, stage, stored_kwh, gained_kwh, spacing_kwh, cost)
        if total < least - _TIE_EUR:
            best_kw, least = held, total
    return best_kw, least
