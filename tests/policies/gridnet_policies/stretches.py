"""Stretches of shipped feeders and of streets that the tests of the optimiser and of the controller share."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.bench.evaluate import WeekAccount, WeekRun, account
from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.limits import make_limits
from gridnet.tariff import mean_price_value
from gridnet_envs.shield import protect
from gridnet_policies.lp.plan import Plan
from gridnet_policies.lp.task import Task
from gridnet_policies.policy import Policy

Floats = NDArray[np.float64]

NOON = 26 * STEPS_PER_WEEK + 36
"""Of `rural1` a sunny morning in summer: without control its transformer is overloaded from here to early afternoon."""

WINTER = 2 * STEPS_PER_WEEK + 60


def changed(case: Case, limits: dict[str, float] | None = None, tariff: dict[str, float | None] | None = None) -> Case:
    """The case with other limits or another tariff."""
    scenario = case.scenario
    update = {
        "limits": scenario.limits.model_copy(update=limits or {}),
        "tariff": scenario.tariff.model_copy(update=tariff or {}),
    }
    return replace(case, scenario=scenario.model_copy(update=update))


def at_the_slack(case: Case) -> Case:
    """The case with all loads and devices moved to the slack bus: nothing is lost, and no limit can be broken."""
    model = case.feeder.model
    slack = int(np.flatnonzero(model.bus_node == model.slack_node)[0])
    load_bus, device_bus = np.full_like(case.params.load_bus, slack), np.full_like(case.params.device_bus, slack)
    return replace(case, params=case.params._replace(load_bus=load_bus, device_bus=device_bus))


def repriced(task: Task, import_eur_per_kwh: Floats, export_eur_per_kwh: Floats) -> Task:
    """The task at other prices (steps,), stored energy valued by them."""
    imports, exports = task.prices.import_eur_per_kwh.copy(), task.prices.export_eur_per_kwh.copy()
    imports[task.run], exports[task.run] = import_eur_per_kwh, export_eur_per_kwh
    prices = task.prices._replace(import_eur_per_kwh=imports, export_eur_per_kwh=exports)
    return replace(task, prices=prices, stored=mean_price_value(prices, task.params.fleet, task.start, task.steps))


def by_mean_prices(task: Task) -> Task:
    """The task with stored energy valued by its own run's mean prices: what a stretch trades stays within it."""
    return replace(task, stored=mean_price_value(task.prices, task.params.fleet, task.start, task.steps))


def with_load(task: Task, bus: int, k: int, drawn_kw: float) -> Task:
    """The task with `drawn_kw` more drawn at `bus` in step `k` of the plan."""
    params = task.params
    more = np.zeros((len(params.load_p_kw), 1))
    more[task.start + k] = -drawn_kw
    return replace(
        task,
        params=params._replace(
            load_bus=np.append(params.load_bus, bus),
            load_p_kw=np.hstack([params.load_p_kw, more]),
            load_q_kvar=np.hstack([params.load_q_kvar, np.zeros_like(more)]),
        ),
    )


def flow_of(task: Task, plan: Plan) -> simulate.Transition:
    """What the simulator makes of every step of a plan."""
    asked = np.stack([plan.p_kw, plan.q_kvar], axis=1)
    state = simulate.State(np.arange(task.start, task.start + task.steps), np.ascontiguousarray(plan.soc[:-1]))
    return simulate.step(state, asked, task.params)[1]


def run_of(case: Case, policy: Policy, start: int, steps: int, shield: bool = True) -> WeekRun:
    """`gridnet.app.bench.evaluate.run_week` over any stretch."""
    limits, state = make_limits(case.scenario, case.feeder), case.start(start)
    policy.prepare(case, start, steps)
    moved, soc = [], [state.soc[0]]
    for t in range(start, start + steps):
        asked = policy.decide(t, state.soc[0])[None]
        state, transition = simulate.step(state, protect(state, asked, case.params, limits) if shield else asked, case.params)
        assert transition.converged.all()
        moved.append(transition)
        soc.append(state.soc[0])
    return WeekRun(
        policy=policy.name,
        week=start // STEPS_PER_WEEK,
        start=start,
        done=np.concatenate([each.done for each in moved]),
        soc=np.array(soc),
        vm_pu=np.concatenate([each.vm_pu for each in moved]),
        loading_percent=np.concatenate([each.loading_percent for each in moved]),
        slack_p_kw=np.concatenate([each.slack_p_kw for each in moved]),
        loss_kw=np.concatenate([each.loss_kw for each in moved]),
        decision_ms=0.0,
    )


def account_of(case: Case, policy: Policy, start: int, steps: int) -> WeekAccount:
    """The account of a run through the shield."""
    return account(case, run_of(case, policy, start, steps))
