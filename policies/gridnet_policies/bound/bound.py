"""A proven lower bound on the cost of every schedule of a task, by Lagrangian decomposition over time.

Only the batteries' stores tie the steps together. Put a price on each battery's storage balance, and the problem falls
apart: what holding energy costs is linear in the store (`storage`), and each step is dispatch over one interval, where a kWh
charged earns its price and one discharged costs it. Each step's AC power flow is relaxed to a conic programme (`relaxation`)
whose dual solution proves a bound (`conic`). By weak duality the sum bounds the whole from below at any prices; at the
optimiser's own duals it is tight.

Source: Lemarechal, "Lagrangian relaxation", in Computational Combinatorial Optimization, LNCS 2241, 2001.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import InputError
from gridnet.limits import NetworkLimits
from gridnet_policies.bound.columns import Columns
from gridnet_policies.bound.conic import ConicSolver, Solved
from gridnet_policies.bound.step_problems import Network, Problems
from gridnet_policies.bound.storage import storage_eur
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Booleans = NDArray[np.bool_]

_STEEP = 10.0
"""Times the largest price: the price of the direction that a step is not meant to take, where each is tried by itself."""

BATCH = 1024
"""Problems held in memory at once."""


@dataclass(frozen=True)
class Bound:
    """No schedule costs less that obeys the device model, has an AC power flow in every step, and keeps the network's limits
    within the tolerances of `gridnet.limits` in every step that is not `widened`."""

    cost_eur: float
    """On the account of `Task.cost_eur`: the sum of the parts."""
    step_eur: Floats
    """(steps,) of the connection point, wear and the energy that batteries move, at the given values."""
    store_eur: Floats
    """(steps,) of holding energy; the last holds the worth of the charge at the end."""
    start_eur: float
    """Of the charge at the start."""
    peak_eur: float
    """Of the peak charge that no step bears, on an import reached before the start."""
    widened: Booleans
    """(steps,) steps in which nothing keeps the limits: there the bound asks only for voltages within
    `gridnet_policies.bound.ranges.WIDE_VM_PU`."""
    moved_kwh: Floats
    """(steps, batteries) what the steps' least-cost points put in store (negative: take out); less what the least-cost stores
    ask for, it is the direction in which other values would raise the bound."""


class _Multipliers(NamedTuple):
    """The prices on what ties steps together."""

    value: Floats
    """(steps, batteries) EUR/kWh"""
    share: Floats
    """(steps,) EUR/kW"""


class _Parts(NamedTuple):
    """Of some steps."""

    eur: Floats
    infeasible: Booleans
    moved_kwh: Floats


def lower_bound(task: Task, value_eur_per_kwh: Floats, peak_share: Floats | None = None) -> Bound:
    """The bound at `value_eur_per_kwh` (steps, batteries), what a kWh in store after each step is worth.

    `peak_share` (steps,) EUR/kW, not below zero and at most the tariff's peak charge together: which steps' imports bear it;
    none where left out. Any values give a true bound, the duals of a good schedule's storage balance a tight one. Raises
    `InputError` for multipliers of a wrong shape, not finite, or a share that the peak charge does not cover.
    """
    multipliers = _checked(task, value_eur_per_kwh, peak_share)
    network, every = Network(task), np.arange(task.steps)
    kept = _dispatch(network, task.limits, every, multipliers)
    eur, moved = kept.eur, kept.moved_kwh
    beyond = np.flatnonzero(kept.infeasible)
    if len(beyond):
        free = _dispatch(network, None, beyond, multipliers)
        eur[beyond], moved[beyond] = free.eur, free.moved_kwh
    stores, start = storage_eur(task, multipliers.value)
    peak = max(0.0, task.prices.peak_eur_per_kw - float(multipliers.share.sum())) * task.reached_kw
    return Bound(
        cost_eur=float(eur.sum() + stores.sum()) + start + peak,
        step_eur=eur,
        store_eur=stores,
        start_eur=start,
        peak_eur=peak,
        widened=kept.infeasible,
        moved_kwh=moved,
    )


def _checked(task: Task, value: Floats, share: Floats | None) -> _Multipliers:
    value = np.asarray(value, dtype=np.float64)
    share = np.zeros(task.steps) if share is None else np.asarray(share, dtype=np.float64)
    wanted, most = (task.steps, task.params.fleet.batteries), task.prices.peak_eur_per_kw
    if value.shape != wanted or not np.isfinite(value).all():
        raise InputError(
            f"the values of stored energy must be {wanted} finite numbers, steps by batteries; got shape {value.shape}"
        )
    if share.shape != (task.steps,) or not (share >= 0).all() or not share.sum() <= most * (1 + 1e-9):
        raise InputError(f"the shares of the peak charge must be {task.steps} numbers from 0 that add up to {most} EUR/kW at most")
    # What rounding added to the sum is taken back: the bound must not charge more than the tariff.
    return _Multipliers(value, share * min(1.0, most / share.sum()) if share.any() else share)


def _dispatch(network: Network, limits: NetworkLimits | None, steps: Ints, multipliers: _Multipliers) -> _Parts:
    """The bounds of the given steps, each by itself."""
    ranges = network.ranges(limits, steps)
    relaxation = network.relaxation(ranges)
    solver, columns, fleet = ConicSolver(relaxation), relaxation.columns, network.task.params.fleet
    parts = []
    for first in range(0, len(steps), BATCH):
        here = slice(first, first + BATCH)
        problems = network.problems(relaxation, ranges.of(here), steps[here])
        eur, infeasible, x = _least(solver, problems, _cost(network, columns, steps[here], multipliers), columns)
        stored = fleet.efficiency[0] * x[columns.charge] - x[columns.discharge] / fleet.efficiency[1]
        parts.append(_Parts(eur, infeasible, (stored * fleet.p_kw[:, None] * fleet.dt_h).T))
    return _Parts(*(np.concatenate(part) for part in zip(*parts, strict=True)))


def _least(solver: ConicSolver, problems: Problems, cost: Floats, columns: Columns) -> Solved:
    """Solves the problems at `cost` (columns, problems).

    Where a kWh is dearer to sell than to buy, cost is not convex in the slack's power: import and export are then tried by
    themselves, the other one at a price that keeps it away, and the cheaper counts.
    """
    into, out = columns.into[0], columns.out[0]
    buy, sell = cost[into].copy(), -cost[out]
    keep_away = _STEEP * np.maximum(np.abs(buy), np.abs(sell)) + 1.0
    turned = np.flatnonzero(buy < sell)
    cost[out, turned] = (keep_away - buy)[turned]
    imports = solver.solve(problems, cost)
    if not len(turned):
        return imports
    cost[into, turned], cost[out, turned] = (keep_away + sell)[turned], -sell[turned]
    exports = solver.solve(problems.of(turned), cost[:, turned])
    cheaper = turned[exports.bound_eur < imports.bound_eur[turned]]
    imports.x[:, cheaper] = exports.x[:, np.isin(turned, cheaper)]
    imports.bound_eur[turned] = np.minimum(imports.bound_eur[turned], exports.bound_eur)
    # Both ask for the same network: what one finds infeasible is so for the other.
    imports.infeasible[turned] |= exports.infeasible
    return imports


def _cost(network: Network, columns: Columns, steps: Ints, multipliers: _Multipliers) -> Floats:
    """(columns, steps) EUR per unit of each column."""
    task, fleet = network.task, network.task.params.fleet
    dt, wear, value = fleet.dt_h, task.prices.wear_eur_per_kwh, multipliers.value[steps].T
    cost = np.zeros((columns.width, len(steps)))
    cost[columns.into] = network.base_kva * (dt * task.import_eur_per_kwh[steps] + multipliers.share[steps])
    cost[columns.out] = -network.base_kva * dt * task.export_eur_per_kwh[steps]
    cost[columns.charge] = fleet.p_kw[:, None] * dt * (wear - value * fleet.efficiency[0])
    cost[columns.discharge] = fleet.p_kw[:, None] * dt * (wear + value / fleet.efficiency[1])
    return cost
