"""A week at a finer truth: physics and settlement in steps of minutes, decisions each quarter-hour.

A policy is prepared on the quarter-hour case and decides what it decides there, seeing what it sees there: the quarter-hour's
means of load and PV count as known at its start, which is generous to a policy that can't follow its meter. Its setpoints are
held for the quarter-hour, PV ceilings and reactive power too. A `Feedback` policy answers every finer step instead. The shield
and the one transition act at every finer step.
"""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.bench.evaluate import WeekAccount, WeekRun, account
from gridnet.app.play import played
from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.errors import PowerFlowDiverged
from gridnet.foresight import worth_after
from gridnet.limits import make_limits
from gridnet.series.subinterval import Truth, refine, what_stands_behind
from gridnet_envs.shield import protect
from gridnet_policies.policy import Feedback, Policy

Floats = NDArray[np.float64]


def finer_case(case: Case, week: int, truth: Truth) -> Case:
    """The case over `week` alone, its loads and PV in finer steps, its fleet's energy and self-discharge by the finer step.

    Raises `InputError` for a week that the series does not have.
    """
    fleet, feeder = case.fleet, case.feeder
    behind = what_stands_behind(case.series, feeder.load, feeder.pv, fleet.s_kva[fleet.batteries :], truth.homes)
    series = refine(case.series, behind, week, truth)
    dt_h = series.clock.dt_h
    params = case.params._replace(
        fleet=fleet._replace(dt_h=dt_h, keep=fleet.keep ** (dt_h / fleet.dt_h)),
        load_p_kw=series.load_p_kw,
        load_q_kvar=series.load_q_kvar,
        pv_p_kw=series.pv_p_kw,
    )
    return replace(case, series=series, params=params)


def run_week_finer(case: Case, finer: Case, policy: Policy, week: int) -> WeekRun:
    """Runs `policy` over `week` of `case` in the steps of `finer`, the `finer_case` of that week.

    The run's `start` is 0, the first step of `finer`; its decision time is per quarter-hour. Raises `PowerFlowDiverged` where
    a step has no AC solution.
    """
    start, steps = week * STEPS_PER_WEEK, finer.clock.steps
    per, limits = steps // STEPS_PER_WEEK, make_limits(case.scenario, case.feeder)
    state, flows = finer.start(0), []
    params = played(policy, finer.params)
    done, soc = np.empty((steps, 2, finer.fleet.devices)), np.empty((steps + 1, finer.fleet.batteries))
    soc[0] = state.soc[0]
    follows = policy if isinstance(policy, Feedback) else None
    began = time.perf_counter()
    policy.prepare(case, start, STEPS_PER_WEEK)
    thinking = time.perf_counter() - began
    for fine_step in range(steps):
        step, began = start + fine_step // per, time.perf_counter()
        if follows is not None:
            asked = follows.decide_within(step, soc[fine_step], finer.params, fine_step)
        elif fine_step % per == 0:
            asked = policy.decide(step, soc[fine_step])
        thinking += time.perf_counter() - began
        state, transition = simulate.step(state, protect(state, asked[None], params, limits), params)
        if transition.flow[0, -1] != 1.0:
            raise PowerFlowDiverged(
                f"policy {policy.name} leaves step {step} of {case.scenario.name} without an AC solution at the finer truth",
                step=step,
            )
        done[fine_step], soc[fine_step + 1] = transition.done[0], state.soc[0]
        flows.append(transition.flow)
    return _run(policy, week, simulate.Transition(done, done, np.concatenate(flows), finer.params), soc, thinking)


def account_finer(case: Case, finer: Case, run: WeekRun) -> WeekAccount:
    """The account of a run at the finer truth: that of `account` on its steps, energy and wear settled step by step.

    Only a charge on the peak is by the quarter-hour's mean import, as meters register it; `peak_kw` is the finer step's.
    """
    worth = worth_after(case, (run.week + 1) * STEPS_PER_WEEK)
    by_step, peak_eur_per_kw = account(finer, run, worth), finer.scenario.tariff.peak_eur_per_kw
    imported_kw = np.maximum(run.slack_p_kw, 0.0)
    over_kw = float(imported_kw.max() - imported_kw.reshape(STEPS_PER_WEEK, -1).mean(axis=1).max())
    return replace(by_step, cost_eur=by_step.cost_eur - peak_eur_per_kw * over_kw)


def _run(policy: Policy, week: int, whole: simulate.Transition, soc: Floats, thinking_s: float) -> WeekRun:
    """`whole` is the week as one batch of transitions."""
    return WeekRun(
        policy=policy.name,
        week=week,
        start=0,
        done=whole.done,
        soc=soc,
        vm_pu=whole.vm_pu,
        loading_percent=whole.loading_percent,
        slack_p_kw=whole.slack_p_kw,
        loss_kw=whole.loss_kw,
        decision_ms=1e3 * thinking_s / STEPS_PER_WEEK,
    )
