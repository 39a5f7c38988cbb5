"""What the future will cost from every state of charge, knowing it all: what a charge left at the end of a run is worth, and a
teacher for training, never for play.

The feeder is seen as one battery behind one meter: the fleet's power and capacity together, load and PV summed, losses aside,
export capped at the transformers' rating and given up where it would cost money. Backward dynamic programming on a grid of
states of charge; the candidates at each state are the two limits, rest, balancing the surplus, and keeping export at the
rating, which hold the optimum but for rounding on the grid, plus a few powers between.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK, split_of
from gridnet.kernels import kernel
from gridnet.tariff import Prices, StoredValue, mean_price_value

Floats = NDArray[np.float64]

GRID = 61
_BETWEEN = 9


class Foresight(NamedTuple):
    """Perfect-foresight cost to go."""

    cost_eur: Floats
    """(steps + 1, GRID): cost from the start of each step to the end of the series, by state of charge."""
    soc: Floats
    """(GRID,) the states of charge."""
    e_kwh: float

    def cost_at(self, step: NDArray[np.int64], soc: Floats) -> Floats:
        """Cost to go (batch,) at `step` (batch,) and fleet state of charge `soc` (batch,), linear between grid points."""
        place = np.clip((soc - self.soc[0]) / (self.soc[1] - self.soc[0]), 0.0, len(self.soc) - 1 - 1e-9)
        below = place.astype(np.int64)
        share = place - below
        return np.asarray(self.cost_eur[step, below] * (1 - share) + self.cost_eur[step, below + 1] * share)

    def values_after(self, step: NDArray[np.int64], parts: int) -> Floats:
        """Marginal value of a kWh in store, EUR (batch, parts): what one more would save from the end of `step` (batch,) on, in
        each of `parts` equal parts of the window, from empty to full. `parts` divides `GRID` - 1."""
        levels = self.cost_eur[step + 1][:, :: (GRID - 1) // parts]
        part_kwh = (self.soc[-1] - self.soc[0]) * self.e_kwh / parts
        return np.asarray((levels[:, :-1] - levels[:, 1:]) / part_kwh)


def foresee(case: Case, training_only: bool = False) -> Foresight:
    """Solves the whole series of a case, or, with `training_only`, each unbroken run of training weeks by itself, so that
    nothing of another split's weeks reaches a value; steps of other weeks then hold zeros."""
    steps = case.clock.steps
    cost_eur, levels = np.zeros((steps + 1, GRID)), _levels(case)
    for first, last in _training_runs(case) if training_only else [(0, steps)]:
        cost_eur[first : last + 1] = _cost_to_go(case, first, last, levels)
    return Foresight(cost_eur, levels, float(case.fleet.e_kwh.sum()))


def worth_after(case: Case, step: int) -> StoredValue:
    """What a kWh more or less than the starting charge is worth at the start of `step`, knowing the week that follows it (as
    far as the series goes): the mean over the charge up to full, and down to empty."""
    battery, e_kwh, levels = case.scenario.battery, float(case.fleet.e_kwh.sum()), _levels(case)
    if e_kwh <= 0.0 or levels[-1] <= levels[0]:
        return StoredValue(0.0, 0.0)
    last = min(step + STEPS_PER_WEEK, case.clock.steps)
    cost_eur = _cost_to_go(case, step, last, levels)[0]
    # A charge that starts at an end of its window is taken half a level inside, so that both sides have a width.
    inside = 0.5 * (levels[1] - levels[0])
    start = min(max(battery.soc_start, levels[0] + inside), levels[-1] - inside)
    here = np.interp(start, levels, cost_eur)
    surplus = max(0.0, float((here - cost_eur[-1]) / ((levels[-1] - start) * e_kwh)))
    shortfall = float((cost_eur[0] - here) / ((start - levels[0]) * e_kwh))
    return StoredValue(shortfall_eur_per_kwh=max(shortfall, surplus), surplus_eur_per_kwh=surplus)


def _levels(case: Case) -> Floats:
    low, high = case.fleet.soc_window
    return np.linspace(low, high, GRID)


def _cost_to_go(case: Case, first: int, last: int, levels: Floats) -> Floats:
    """(steps + 1, GRID) of the steps `[first, last)`; at the end stored energy is worth what the last week's mean prices say."""
    prices, fleet, series = case.prices, case.fleet, case.series
    surplus_kw = series.load_p_kw.sum(axis=1) + series.pv_p_kw.sum(axis=1)
    e_kwh = float(fleet.e_kwh.sum())
    rated_kw = case.feeder.trafo_kva.sum() * case.scenario.limits.trafo_percent / 100.0
    one = np.array([float(fleet.p_kw.sum()), e_kwh, *fleet.efficiency, fleet.keep, fleet.dt_h, rated_kw or np.inf])
    cost_eur = np.zeros((last - first + 1, GRID))
    week = max(0, last - STEPS_PER_WEEK)
    worth = mean_price_value(prices, fleet, week, last - week)
    cost_eur[-1] = [worth.cost_eur((level - case.scenario.battery.soc_start) * e_kwh) for level in levels]
    _backward(prices, surplus_kw, one, levels, cost_eur, first)
    return cost_eur


def _training_runs(case: Case) -> list[tuple[int, int]]:
    """Unbroken runs of training weeks as half-open spans of steps."""
    runs: list[tuple[int, int]] = []
    for week in range(case.clock.weeks):
        span = (week * STEPS_PER_WEEK, (week + 1) * STEPS_PER_WEEK)
        if split_of(week) != "training":
            continue
        if runs and runs[-1][1] == span[0]:
            runs[-1] = (runs[-1][0], span[1])
        else:
            runs.append(span)
    return runs


@kernel
def _backward(prices: Prices, surplus_kw: Floats, one: Floats, soc: Floats, cost_eur: Floats, first: int) -> None:
    """Fills `cost_eur` of the steps from `first` on, backward from its last row; `one`: power, capacity, efficiencies, keep,
    dt, connection rating."""
    p_kw, e_kwh, eta_c, eta_d, keep, dt_h, rated = one[0], one[1], one[2], one[3], one[4], one[5], one[6]
    spacing = soc[1] - soc[0]
    top = soc.shape[0] - 1
    for k in range(cost_eur.shape[0] - 2, -1, -1):
        t = first + k
        buy = prices.import_eur_per_kwh[t] + prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[t]
        sell = prices.export_eur_per_kwh[t]
        for g in range(soc.shape[0]):
            kept = soc[g] * keep
            lowest = -min(p_kw, max(0.0, soc[top] - kept) * e_kwh / (eta_c * dt_h))
            highest = min(p_kw, max(0.0, kept - soc[0]) * e_kwh * eta_d / dt_h)
            best = np.inf
            for candidate in range(_BETWEEN + 3):
                if candidate == 0:
                    power = 0.0
                elif candidate == 1:
                    power = min(max(-surplus_kw[t], lowest), highest)
                elif candidate == 2:
                    power = min(max(rated - surplus_kw[t], lowest), highest)
                else:
                    power = lowest + (highest - lowest) * (candidate - 3) / (_BETWEEN - 1)
                after = kept - (power / eta_d if power > 0.0 else power * eta_c) * dt_h / e_kwh
                place = min(max((after - soc[0]) / spacing, 0.0), top - 1e-9)
                below = int(place)
                later = cost_eur[k + 1, below] * (1.0 - place + below) + cost_eur[k + 1, below + 1] * (place - below)
                net = surplus_kw[t] + power
                export = min(max(net, 0.0), rated) if sell > 0.0 else 0.0
                now = (max(-net, 0.0) * buy - export * sell + abs(power) * prices.wear_eur_per_kwh) * dt_h
                best = min(best, now + later)
            cost_eur[k, g] = best
