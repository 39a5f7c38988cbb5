"""Ranges that every admissible operating point of a step lies in: of node voltages and of branch currents.

They start from the network's limits, tolerance included, and are narrowed by Kirchhoff: a branch carries no more at one
end than everything else at that node together, and what enters a branch leaves it by its chain matrix. On a radial feeder
that gives every branch a finite current, rated or not.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.limits import PERCENT_TOLERANCE, VM_TOLERANCE_PU, NetworkLimits
from gridnet_policies.bound.grid import Grid

Floats = NDArray[np.float64]

WIDE_VM_PU = (0.5, 1.5)
"""Voltages of nodes without limits, and of all nodes in a step whose limits can't be kept. The fixed point of
`gridnet.powerflow` follows the operating branch that begins at no load; far below half of nominal voltage there is none."""

NARROWINGS = 200
"""Walks over the network at most; one walk carries a bound one branch further."""


class Ranges(NamedTuple):
    """What a step may reach."""

    vm_min_pu: Floats
    """(nodes,)"""
    vm_max_pu: Floats
    current: Floats
    """(2, branches, steps) pu, at the from and at the to end, at most."""

    def of(self, steps: slice) -> Ranges:
        """The same of some steps."""
        return self._replace(current=self.current[:, :, steps])


def make_ranges(grid: Grid, limits: NetworkLimits | None, injected: Floats) -> Ranges:
    """The ranges under `limits`, or under none but `WIDE_VM_PU`; `injected` (nodes, steps) pu is the largest apparent power of
    loads and devices at each node."""
    low, high = np.full(grid.nodes, WIDE_VM_PU[0]), np.full(grid.nodes, WIDE_VM_PU[1])
    rating = np.full((2, len(grid.ends)), np.inf)
    if limits is not None:
        low, high = _voltages(grid, limits)
        rating = _ratings(grid, limits)
    low[grid.slack_node] = high[grid.slack_node] = grid.slack_vm_pu
    return Ranges(low, high, _currents(grid, rating, high, injected / low[:, None]))


def _voltages(grid: Grid, limits: NetworkLimits) -> tuple[Floats, Floats]:
    """(nodes,) the narrowest limits of each node's buses."""
    low, high = np.full(grid.nodes, -np.inf), np.full(grid.nodes, np.inf)
    live = grid.bus_node >= 0
    np.maximum.at(low, grid.bus_node[live], limits.vm_min_pu[live] - VM_TOLERANCE_PU)
    np.minimum.at(high, grid.bus_node[live], limits.vm_max_pu[live] + VM_TOLERANCE_PU)
    return np.where(np.isfinite(low), low, WIDE_VM_PU[0]), np.where(np.isfinite(high), high, WIDE_VM_PU[1])


def _ratings(grid: Grid, limits: NetworkLimits) -> Floats:
    """(2, branches) the current that the limits allow at both ends; infinite where unrated."""
    allowed = np.where(grid.limited >= 0, limits.percent[grid.limited] + PERCENT_TOLERANCE, np.inf)
    rating = np.full((2, len(grid.ends)), np.inf)
    np.divide(allowed, grid.percent.T, out=rating, where=grid.percent.T > 0)
    return rating


def _currents(grid: Grid, rating: Floats, vm_max_pu: Floats, drawn: Floats) -> Floats:
    """(2, branches, steps); `drawn` (nodes, steps) is the largest current of loads and devices."""
    (start, end), (yff, yft, ytf, ytt) = grid.ends.T, grid.admittance.T
    inner = np.arange(grid.nodes) != grid.slack_node
    drawn = drawn + (np.abs(grid.shunt) * vm_max_pu)[:, None]
    ohmic = [
        np.abs(yff) * vm_max_pu[start] + np.abs(yft) * vm_max_pu[end],
        np.abs(ytf) * vm_max_pu[start] + np.abs(ytt) * vm_max_pu[end],
    ]
    current = np.repeat(np.minimum(rating, ohmic)[:, :, None], drawn.shape[1], axis=2)
    # What a branch itself takes up (capacitance, magnetising) at the voltage of its near end, and how current crosses it.
    taken = np.abs(yft - yff * ytt / ytf) * vm_max_pu[end], np.abs(ytf - ytt * yff / yft) * vm_max_pu[start]
    crossed = np.abs(yff / ytf), np.abs(ytt / yft)
    for _ in range(NARROWINGS):
        before = current.copy()
        around = drawn.copy()
        for side, node in enumerate((start, end)):
            np.add.at(around, node, current[side])
        for side, node in enumerate((start, end)):
            bounded = inner[node]
            others = around[node] - current[side]
            current[side][bounded] = np.minimum(current[side], others)[bounded]
        for near in (0, 1):
            current[near] = np.minimum(current[near], taken[near][:, None] + crossed[near][:, None] * current[1 - near])
        if np.all(before - current <= 1e-6 * before):
            break
    return current
