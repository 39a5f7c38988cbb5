"""What any multipliers prove is true of every AC power flow, whoever made them up."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet.case import load_case
from gridnet_policies.bound.conic import ConicSolver
from gridnet_policies.bound.step_problems import Network
from gridnet_policies.lp.task import make_task
from tests.policies.gridnet_policies.bound.networks import point_of

Floats = NDArray[np.float64]

STEPS = 8


class Seen(ConicSolver):
    """Remembers the multipliers of the last solve."""

    z: Floats

    def proven(self, problems, cost, z):  # type: ignore[no-untyped-def]
        self.z = z.copy()
        return super().proven(problems, cost, z)


@pytest.mark.parametrize("price", [0.3, -0.3])
def test_any_multipliers_prove_something_true(price: float) -> None:
    rng = np.random.default_rng(1)
    task = make_task(load_case("rural1"), 96 * 100 + 40, STEPS)
    network, every = Network(task), np.arange(STEPS)
    ranges = network.ranges(task.limits, every)
    relaxation = network.relaxation(ranges)
    problems, columns = network.problems(relaxation, ranges, every), relaxation.columns
    solver = Seen(relaxation)
    cost = np.zeros((columns.width, STEPS))
    cost[columns.into], cost[columns.out] = price * network.base_kva, -price * network.base_kva
    cost[columns.charge] = cost[columns.discharge] = 1e3  # so that batteries rest, as they do in the power flows below
    best = solver.solve(problems, cost).bound_eur
    optimal, free = solver.z, np.arange(len(solver.z)) <= relaxation.rows.slack_u[0]
    headless = optimal.copy()
    headless[relaxation.rows.branch_cone[::4]] = headless[relaxation.rows.circle[::3]] = 0.0

    idle = task.idle_p_kw
    real = np.array([(cost * point_of(network, relaxation, size * idle, 0 * idle)).sum(axis=0) for size in (0.0, 0.5, 1.0)]).min(
        axis=0
    )
    alone = np.minimum(cost * problems.low, cost * problems.high).sum(axis=0)
    forged = [headless, -optimal, 2 * optimal, 0 * optimal, np.where(free[:, None], optimal, 0.0)]
    for size in 10.0 ** np.arange(-6.0, 4.0):
        forged += [optimal + size * rng.normal(size=optimal.shape), optimal - size * problems.right]
        forged += [
            optimal - size * np.where(free[:, None], problems.right, 0.0),
            optimal - size * np.where(free[:, None], 0.0, 1.0),
        ]
        below = optimal.copy()
        below[relaxation.rows.u_min] -= size
        forged.append(below)
    for z in forged:
        proven = solver.proven(problems, cost, z)
        assert (proven <= real + 1e-6).all()
        assert (proven >= alone).all()
    if price > 0:
        assert best == pytest.approx(real, abs=0.02 * np.abs(real).max())
    assert (best > alone).all()
