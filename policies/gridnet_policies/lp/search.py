"""The cheapest schedule on the way from one to another: a new solution of the programme sits in a corner, where true losses
are dear; on the way there they are not. Any blend of two schedules is one: it keeps charge, power and, nearly, the network's
limits."""

from __future__ import annotations

import numpy as np

from gridnet_policies.lp.engine import Solution
from gridnet_policies.lp.plan import Checked, check
from gridnet_policies.lp.task import Task

_GOLDEN = (np.sqrt(5.0) - 1.0) / 2.0
_TRIALS = 6


def blended(task: Task, one: Solution, other: Solution, share: float) -> Solution:
    """Stored energy, PV and reactive power of `one`, moved by `share` towards `other`; the batteries' power follows from what
    is stored, and is no more than the blend of both powers."""
    fleet = task.params.fleet
    stored = (1 - share) * one.stored_kwh + share * other.stored_kwh
    before = np.vstack([task.soc * fleet.e_kwh, stored[:-1]])
    gained_kw = (stored - fleet.keep * before) / fleet.dt_h
    battery = np.where(gained_kw > 0, -gained_kw / fleet.efficiency[0], -gained_kw * fleet.efficiency[1])
    pv = (1 - share) * one.p_kw[:, fleet.batteries :] + share * other.p_kw[:, fleet.batteries :]
    return Solution(np.hstack([battery, pv]), (1 - share) * one.q_kvar + share * other.q_kvar, stored, np.nan)


def cheapest_between(task: Task, one: Solution, other: Solution) -> tuple[Solution, Checked]:
    """The cheapest blend by the AC power flow, excess priced, `other` itself among them: golden section search."""
    tried = [(other, check(task, other))]

    def cost(share: float) -> float:
        blend = blended(task, one, other, share)
        tried.append((blend, check(task, blend)))
        return tried[-1][1].priced_eur

    low, high = 0.0, 1.0
    left, right = 1.0 - _GOLDEN, _GOLDEN
    at_left, at_right = cost(left), cost(right)
    for _ in range(_TRIALS - 2):
        if at_left < at_right:
            high, right, at_right = right, left, at_left
            left = high - _GOLDEN * (high - low)
            at_left = cost(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + _GOLDEN * (high - low)
            at_right = cost(right)
    return min(tried, key=lambda each: each[1].priced_eur)
