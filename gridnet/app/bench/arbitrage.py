"""`gridnet bench --arbitrage`: what batteries earn by price alone, each day for itself, as RL-ADN's task counts it.

Every test day the batteries start at the scenario's charge, what they hold at its end is worth nothing, and only the spot price
counts. A linear programme plans each battery's day twice: with the day's own prices, and with the mean of the last seven days',
which needs no forecast and no learning: what is learned on this task has to beat it. Both plans are played through the AC power
flow without the shield. They don't know the network, and what they break is counted.

Test days are those of RL-ADN: the last quarter of each calendar month, here where seven days lie before.

Reward of a step, as in RL-ADN: price, scaled to 0..1 by its extremes in the series, times the import saved in MW, less 100 for
each pu that a battery's bus lies beyond 5 % from 1 pu.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.optimize import linprog

from gridnet import simulate
from gridnet.app.bench.table import aligned
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.case import Case, load_case
from gridnet.clock import Clock
from gridnet.devices import Fleet
from gridnet.dispatch import UNCURTAILED_KW
from gridnet.errors import InputError, PowerFlowDiverged
from gridnet.limits import make_limits
from gridnet.series.days import local_dates, steps_per_day
from gridnet.simulate import State

Floats = NDArray[np.float64]

PROFILE_DAYS = 7
IDLE, PROFILE, PERFECT = "no battery", f"mean of last {PROFILE_DAYS} days", "perfect prices"


@dataclass(frozen=True)
class DayScores:
    """One way to plan, day by day, all (days,)."""

    saved_eur: Floats
    """Spot price of the import saved against batteries at rest, losses included."""
    reward: Floats
    """As RL-ADN counts it, penalty included."""
    penalty: Floats
    violation_steps: NDArray[np.int64]


def bench_arbitrage(arguments: argparse.Namespace) -> None:
    """Scores the scenario that the arguments name and prints a table. Raises `InputError` with every fault of the arguments."""
    faults = file_faults("--json", arguments.json)
    if faults:
        raise InputError("the arbitrage can't be scored:", faults)
    case = load_case(arguments.scenario)
    days = evaluation_days(case.clock)
    scores = arbitrage(case, days)
    write_json({"scenario": case.scenario.name, "days": days, "arbitrage": _as_json(scores)}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(f"{case.scenario.name}: {case.scenario.title}")
        print(f"{len(days)} test days, each from {case.scenario.battery.soc_start:.0%} charge, at spot prices, AC power flow\n")
        print(_table(scores))


def evaluation_days(clock: Clock) -> list[int]:
    """Numbers of the days that RL-ADN tests on: of each calendar month's days in the series the last quarter, rounded up.

    Days without seven days before them are left out. Raises `InputError` where none is left.
    """
    chosen: list[int] = []
    for _, month in groupby(enumerate(local_dates(clock)), key=lambda day: (day[1].year, day[1].month)):
        days = [number for number, _ in month]
        chosen += days[int(0.75 * len(days)) :]
    chosen = [day for day in chosen if day >= PROFILE_DAYS]
    if not chosen:
        raise InputError(f"the series ends before a test day that has {PROFILE_DAYS} days before it; give a longer one")
    return chosen


def arbitrage(case: Case, days: Sequence[int]) -> dict[str, DayScores]:
    """Scores of batteries at rest, of plans by the mean of the last days' prices, and of plans by the days' own prices.

    `days` counts days from the start of the series, seven or more. Raises `InputError` for a scenario without batteries,
    `PowerFlowDiverged` where a step has no AC solution.
    """
    if not case.fleet.batteries:
        raise InputError(f"scenario {case.scenario.name} has no battery, so nothing to earn by price; add one")
    price = case.series.price_eur_per_mwh.reshape(-1, steps_per_day(case.clock))
    planned = {PROFILE: [price[day - PROFILE_DAYS : day].mean(axis=0) for day in days], PERFECT: [price[day] for day in days]}
    plans = {name: np.array([_plan(case, expected) for expected in prices]) for name, prices in planned.items()}
    idle = np.zeros_like(plans[PERFECT])
    before = _slack_kw_and_flow(case, days, idle)[0]
    return {name: _score(case, days, plan, before) for name, plan in {IDLE: idle, **plans}.items()}


def _plan(case: Case, price: Floats) -> Floats:
    """(steps, batteries) kW; batteries alike in hours are planned once."""
    fleet = case.fleet
    per_kwh, which = np.unique(fleet.p_kw / fleet.e_kwh, return_inverse=True)
    schedules = [day_schedule(price, fleet, float(share), case.scenario.battery.soc_start) for share in per_kwh]
    return np.stack([schedules[kind] * e_kwh for kind, e_kwh in zip(which, fleet.e_kwh, strict=True)], axis=1)


def day_schedule(price: Floats, fleet: Fleet, kw_per_kwh: float, soc_start: float) -> Floats:
    """Dearest discharge less cheapest charge, (steps,) kW for each kWh of capacity, discharging above 0.

    `price` (steps,) in any unit. Efficiencies, self-discharge and window are the fleet's, `kw_per_kwh` the power limit.
    """
    steps, (charging, discharging) = len(price), fleet.efficiency
    one = sparse.identity(steps, format="csr")
    stored = one - fleet.keep * sparse.eye(steps, k=-1, format="csr")
    balance = sparse.hstack([stored, -fleet.dt_h * charging * one, fleet.dt_h / discharging * one], format="csr")
    at_start = np.zeros(steps)
    at_start[0] = fleet.keep * soc_start
    lowest, highest = fleet.soc_window
    # Self-discharge may take a battery that rests below its window: no fault of the plan.
    window = [(min(lowest, at_start[0] * fleet.keep**step), highest) for step in range(steps)]
    bounds = window + [(0.0, kw_per_kwh)] * (2 * steps)
    earned = np.concatenate([np.zeros(steps), -price, price])
    solved = linprog(-earned, A_eq=balance, b_eq=at_start, bounds=bounds, method="highs")
    _, charge, discharge = solved.x.reshape(3, steps)
    schedule: Floats = discharge - charge
    return schedule


def _score(case: Case, days: Sequence[int], plan: Floats, before: Floats) -> DayScores:
    slack_kw, vm_pu, loading_percent = _slack_kw_and_flow(case, days, plan)
    every = case.series.price_eur_per_mwh
    price = every.reshape(-1, plan.shape[1])[list(days)]
    saved_mw = (before - slack_kw) / 1e3
    scaled = (price - every.min()) / max(float(np.ptp(every)), np.finfo(np.float64).tiny)
    beyond = np.abs(vm_pu[:, :, case.feeder.battery_bus] - 1.0) - 0.05
    penalty = 100.0 * np.maximum(beyond, 0.0).sum(axis=(1, 2))
    limits = make_limits(case.scenario, case.feeder)
    return DayScores(
        saved_eur=(price * saved_mw).sum(axis=1) * case.clock.dt_h,
        reward=(scaled * saved_mw).sum(axis=1) - penalty,
        penalty=penalty,
        violation_steps=np.array([limits.broken(*day).sum() for day in zip(vm_pu, loading_percent, strict=True)]),
    )


def _slack_kw_and_flow(case: Case, days: Sequence[int], plan: Floats) -> tuple[Floats, Floats, Floats]:
    """All days at once through the one transition: slack (days, steps), voltages and loadings (days, steps, ..)."""
    batch, steps, batteries = plan.shape
    state = State(np.array(days, dtype=np.int64) * steps, np.full((batch, batteries), case.scenario.battery.soc_start))
    asked = np.zeros((batch, 2, case.fleet.devices))
    asked[:, 0, batteries:] = UNCURTAILED_KW
    rows = []
    for step in range(steps):
        asked[:, 0, :batteries] = plan[:, step]
        state, transition = simulate.step(state, asked, case.params)
        if not transition.converged.all():
            day = days[int(np.argmin(transition.converged))]
            raise PowerFlowDiverged(f"day {day}, step {step} of {case.scenario.name} has no AC solution", step=day * steps + step)
        rows.append((transition.slack_p_kw, transition.vm_pu, transition.loading_percent))
    slack_kw, vm_pu, loading_percent = (np.stack(row, axis=1) for row in zip(*rows, strict=True))
    return slack_kw, vm_pu, loading_percent


def _as_json(scores: Mapping[str, DayScores]) -> dict[str, object]:
    return {name: {key: column.tolist() for key, column in vars(one).items()} for name, one in scores.items()}


def _table(scores: Mapping[str, DayScores]) -> str:
    best = scores[PERFECT].saved_eur.sum()
    rows = [["plan", "saved", "captured", "reward", "penalty", "violations"], ["", "EUR", "%", "", "", "steps"]]
    columns: Sequence[Callable[[DayScores], str]] = (
        lambda one: f"{one.saved_eur.sum():.2f}",
        lambda one: f"{100 * one.saved_eur.sum() / best:.2f}" if best > 0 else "-",
        lambda one: f"{one.reward.sum():.2f}",
        lambda one: f"{one.penalty.sum():.2f}",
        lambda one: f"{one.violation_steps.sum()}",
    )
    rows.extend([name, *(column(one) for column in columns)] for name, one in scores.items())
    return aligned(rows)
