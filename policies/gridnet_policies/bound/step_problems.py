"""The right-hand sides, prices and ranges of every step of a task, for the one matrix of `relaxation`."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.limits import NetworkLimits
from gridnet_policies.bound.grid import Grid, make_grid
from gridnet_policies.bound.ranges import Ranges, make_ranges
from gridnet_policies.bound.relaxation import Relaxation, Sizes, make_relaxation
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_AJAR = 1e-6
"""Added to a box that may have closed, in units of its column, so that the solver finds an inside."""


class Problems(NamedTuple):
    """`minimise cost @ x, A x + s = right, s in K` for some steps; what is feasible lies in `[low, high]` besides."""

    right: Floats
    """(rows, problems)"""
    low: Floats
    """(columns, problems)"""
    high: Floats

    def of(self, some: Ints) -> Problems:
        """Some of the problems."""
        return Problems(*(part[:, some] for part in self))


class Network:
    """A task's network and devices in per unit of their own size."""

    def __init__(self, task: Task) -> None:
        self.task = task
        fleet, params = task.params.fleet, task.params
        load_kva = np.hypot(params.load_p_kw[task.run], params.load_q_kvar[task.run]).sum(axis=1).max(initial=0.0)
        self.base_kva = float(fleet.s_kva.sum() + load_kva) or 1.0
        self.grid: Grid = make_grid(task.case.feeder.model, self.base_kva)
        self.device_node = self.grid.bus_node[params.device_bus]
        self.load_p = self._at_nodes(params.load_p_kw[task.run])
        self.load_q = self._at_nodes(params.load_q_kvar[task.run])
        most = np.hypot(self.load_p, self.load_q)
        live = self.device_node >= 0
        np.add.at(most, self.device_node[live], fleet.s_kva[live, None] / self.base_kva)
        self.injected = most
        """(nodes, steps) the largest apparent power of loads and devices."""

    def _at_nodes(self, load: Floats) -> Floats:
        """(nodes, steps) pu of (steps, loads) kW or kvar."""
        node = self.grid.bus_node[self.task.params.load_bus]
        live = node >= 0
        total = np.zeros((self.grid.nodes, self.task.steps))
        np.add.at(total, node[live], load.T[live] / self.base_kva)
        return total

    def ranges(self, limits: NetworkLimits | None, steps: Ints) -> Ranges:
        """What the given steps may reach."""
        return make_ranges(self.grid, limits, self.injected[:, steps])

    def relaxation(self, ranges: Ranges) -> Relaxation:
        """The matrix, scaled for `ranges`."""
        fleet = self.task.params.fleet
        return make_relaxation(
            self.grid,
            Sizes(
                current=ranges.current.max(axis=2, initial=0.0),
                vm_max_pu=ranges.vm_max_pu,
                device_node=self.device_node,
                battery_p=fleet.p_kw / self.base_kva,
                device_s=fleet.s_kva / self.base_kva,
                reactive=self.task.reactive,
            ),
        )

    def problems(self, relaxation: Relaxation, ranges: Ranges, steps: Ints) -> Problems:
        """Right-hand sides and ranges of the given steps."""
        low, high = self._box(relaxation, ranges, steps)
        rows, columns = relaxation.rows, relaxation.columns
        right = np.zeros((relaxation.matrix.shape[0], len(steps)))
        right[rows.balance_p], right[rows.balance_q] = self.load_p[:, steps], self.load_q[:, steps]
        right[rows.slack_u] = self.grid.slack_vm_pu**2
        right[rows.u_max], right[rows.u_min] = high[columns.u], -low[columns.u]
        # The slack's voltage is given, its box only has to stand off.
        right[rows.u_max[self.grid.slack_node]] += 1.0
        right[rows.u_min[self.grid.slack_node]] += 1.0
        right[rows.square_max] = high[columns.square] + _AJAR
        right[rows.to_max] = ranges.current[1, relaxation.to_end] ** 2 + _AJAR
        right[rows.slack_max] = high[np.concatenate([columns.into, columns.out])] + _AJAR
        right[rows.direction] = 1.0
        right[rows.pv_max] = high[columns.pv] + _AJAR
        right[rows.circle[::3]] = 1.0
        return Problems(right, low, high)

    def _box(self, relaxation: Relaxation, ranges: Ranges, steps: Ints) -> tuple[Floats, Floats]:
        """(columns, problems) each: ranges of all columns, of what happens in one direction at a time."""
        columns, fleet = relaxation.columns, self.task.params.fleet
        low, high = np.zeros((columns.width, len(steps))), np.ones((columns.width, len(steps)))
        low[columns.u], high[columns.u] = ranges.vm_min_pu[:, None] ** 2, ranges.vm_max_pu[:, None] ** 2
        share = ranges.current[0] / relaxation.current[:, None]
        high[columns.square] = share**2
        high[columns.p] = high[columns.q] = ranges.vm_max_pu[self.grid.ends[:, 0], None] * share
        exchanged = self._exchanged(ranges, steps)
        high[columns.into] = high[columns.out] = high[columns.slack_q] = exchanged
        for column in (columns.p, columns.q, columns.slack_q, columns.battery_q, columns.pv_q):
            low[column] = -high[column]
        pv_s = fleet.s_kva[fleet.batteries :, None]
        high[columns.pv] = np.divide(
            self.task.pv_available_kw.T[:, steps], pv_s, out=np.zeros((len(pv_s), len(steps))), where=pv_s > 0
        )
        return low, high

    def _exchanged(self, ranges: Ranges, steps: Ints) -> Floats:
        """(steps,) pu: the largest apparent power at the slack bus."""
        slack, grid = self.grid.slack_node, self.grid
        current = sum(ranges.current[side, grid.ends[:, side] == slack].sum(axis=0) for side in (0, 1))
        own = self.injected[slack, steps] + abs(grid.shunt[slack]) * grid.slack_vm_pu**2
        return np.asarray(grid.slack_vm_pu * current + own)
