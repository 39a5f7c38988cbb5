"""What the rest of the year will cost from every state of charge, knowing it all: a teacher for training, never for play.

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
from gridnet.tariff import Prices, make_prices, stored_value

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

    def value_at(self, step: NDArray[np.int64], soc: Floats) -> Floats:
        """Marginal value of a kWh in store, EUR (batch,): what one more would save from the end of `step` on."""
        width = 2.0 * (self.soc[1] - self.soc[0])
        low = np.clip(soc - width / 2, self.soc[0], self.soc[-1] - width)
        return np.asarray((self.cost_at(step + 1, low) - self.cost_at(step + 1, low + width)) / (width * self.e_kwh))


def foresee(case: Case, training_only: bool = False) -> Foresight:
    """Solves the whole series of a case, or, with `training_only`, each unbroken run of training weeks by itself, so that
    nothing of another split's weeks reaches a value; steps of other weeks then hold zeros."""
    prices = make_prices(case.scenario, case.series)
    surplus_kw = case.series.load_p_kw.sum(axis=1) + case.series.pv_p_kw.sum(axis=1)
    fleet = case.fleet
    e_kwh, p_kw = float(fleet.e_kwh.sum()), float(fleet.p_kw.sum())
    soc = np.linspace(fleet.soc_window[0], fleet.soc_window[1], GRID)
    steps = len(surplus_kw)
    cost_eur = np.zeros((steps + 1, GRID))
    rated = case.feeder.trafo_kva.sum() * case.scenario.limits.trafo_percent / 100.0
    one = np.array([p_kw, e_kwh, *fleet.efficiency, fleet.keep, fleet.dt_h, rated or np.inf])
    for first, last in _training_runs(case) if training_only else [(0, steps)]:
        # At its end the stored energy is worth what the account of its last week says.
        week = max(first, last - STEPS_PER_WEEK)
        worth = stored_value(prices, fleet, week, last - week)
        cost_eur[last] = [worth.cost_eur((level - case.scenario.battery.soc_start) * e_kwh) for level in soc]
        _backward(prices, surplus_kw, one, soc, cost_eur[first : last + 1], first)
    return Foresight(cost_eur, soc, e_kwh)


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
