"""Running a policy over one week, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.app.play import play
from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.foresight import worth_after
from gridnet.limits import make_limits
from gridnet.tariff import StoredValue, running_cost_eur
from gridnet_policies.policy import Policy

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class WeekRun:
    """One policy over one week of a case. Powers are step means in kW."""

    policy: str
    week: int
    start: int
    done: Floats
    """(steps, 2, devices) p and q as done, batteries then PV."""
    soc: Floats
    """(steps + 1, batteries)"""
    vm_pu: Floats
    """(steps, buses)"""
    loading_percent: Floats
    """(steps, lines + trafos)"""
    slack_p_kw: Floats
    """(steps,) > 0 imports"""
    loss_kw: Floats
    """(steps,)"""
    decision_ms: float
    """Time spent on deciding, preparation included, per step."""


@dataclass(frozen=True)
class WeekAccount:
    """What a week cost, in money and otherwise."""

    cost_eur: float
    """Energy, wear, carbon, a charge on the peak, and the value of what the batteries hold more or less than at the start."""
    violation_steps: int
    worst_voltage_pu: float
    """The bus voltage that is farthest from 1 pu."""
    worst_loading_percent: float
    loss_kwh: float
    co2_kg: float
    """Net import times the grid's average carbon intensity."""
    peak_kw: float
    """Largest power through the connection point, either way."""


def run_week(case: Case, policy: Policy, week: int) -> WeekRun:
    """Runs `policy` over `week`, each setpoint through the shield and the one transition.

    Raises `PowerFlowDiverged` where a step has no AC solution.
    """
    start, steps = week * STEPS_PER_WEEK, STEPS_PER_WEEK
    plays = list(play(case, policy, start, steps))
    transitions = [one.transition for one in plays]
    return WeekRun(
        policy=policy.name,
        week=week,
        start=start,
        done=np.concatenate([transition.done for transition in transitions]),
        soc=np.array([case.start(start).soc[0], *(one.after.soc[0] for one in plays)]),
        vm_pu=np.concatenate([transition.vm_pu for transition in transitions]),
        loading_percent=np.concatenate([transition.loading_percent for transition in transitions]),
        slack_p_kw=np.concatenate([transition.slack_p_kw for transition in transitions]),
        loss_kw=np.concatenate([transition.loss_kw for transition in transitions]),
        decision_ms=1e3 * sum(one.thinking_s for one in plays) / steps,
    )


def account(case: Case, run: WeekRun, worth: StoredValue | None = None) -> WeekAccount:
    """The account of a run, by the definitions of `gridnet.tariff` and `gridnet.limits`; what the batteries gained is worth
    `worth`, or what the case says of the step after the run."""
    steps, fleet = len(run.slack_p_kw), case.fleet
    prices, limits = case.prices, make_limits(case.scenario, case.feeder)
    gained_kwh = float((run.soc[-1] - run.soc[0]) @ fleet.e_kwh)
    stored_eur = (worth or worth_after(case, run.start + steps)).cost_eur(gained_kwh)
    running_eur = running_cost_eur(prices, fleet.dt_h, run.start, run.slack_p_kw, run.done[:, 0, : fleet.batteries])
    broken = limits.broken(run.vm_pu, run.loading_percent)
    voltages = run.vm_pu[:, np.isfinite(limits.vm_max_pu)]
    return WeekAccount(
        cost_eur=running_eur + stored_eur,
        violation_steps=int(broken.sum()),
        worst_voltage_pu=float(voltages.flat[np.argmax(np.abs(voltages - 1.0))]) if voltages.size else 1.0,
        worst_loading_percent=float(run.loading_percent.max(initial=0.0)),
        loss_kwh=float(run.loss_kw.sum() * fleet.dt_h),
        co2_kg=float(run.slack_p_kw @ prices.carbon_kg_per_kwh[run.start : run.start + steps]) * fleet.dt_h,
        peak_kw=float(np.abs(run.slack_p_kw).max()),
    )
