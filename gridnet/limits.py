"""Operating limits of a network, and what it means to break them: one definition for reports, rewards, shield, optimiser."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.feeder import Feeder
from gridnet.kernels import kernel
from gridnet.scenario import Scenario

Floats = NDArray[np.float64]

VM_TOLERANCE_PU = 1e-4
PERCENT_TOLERANCE = 0.1
"""A voltage or loading beyond its limit by less than this is not a violation: it lies within what a schedule can promise."""


class NetworkLimits(NamedTuple):
    """Limits of each bus and branch (lines, then transformers); infinite where there is none (the slack bus, dead buses)."""

    vm_min_pu: Floats
    vm_max_pu: Floats
    percent: Floats

    def broken(self, vm_pu: Floats, loading_percent: Floats) -> NDArray[np.bool_]:
        """Which steps break a limit by more than the tolerance: (steps,) from (steps, buses) and (steps, branches)."""
        high = (vm_pu > self.vm_max_pu + VM_TOLERANCE_PU).any(axis=1)
        low = (vm_pu < self.vm_min_pu - VM_TOLERANCE_PU).any(axis=1)
        over = (loading_percent > self.percent + PERCENT_TOLERANCE).any(axis=1)
        return np.asarray(high | low | over)


def make_limits(scenario: Scenario, feeder: Feeder) -> NetworkLimits:
    """The scenario's limits on the feeder's buses and branches."""
    live = feeder.model.bus_node >= 0
    live &= feeder.model.bus_node != feeder.model.slack_node
    lines, trafos = len(feeder.line_name), len(feeder.trafo_name)
    return NetworkLimits(
        vm_min_pu=np.where(live, scenario.limits.vm_min_pu, -np.inf),
        vm_max_pu=np.where(live, scenario.limits.vm_max_pu, np.inf),
        percent=np.concatenate([np.full(lines, scenario.limits.line_percent), np.full(trafos, scenario.limits.trafo_percent)]),
    )


@kernel
def voltage_excess_pu(limits: NetworkLimits, flow: Floats) -> float:
    """Sum over buses of how far the voltage is beyond its limits, tolerance allowed; `flow` is one row of a solved flow."""
    total = 0.0
    for b in range(limits.vm_min_pu.shape[0]):
        over = max(flow[b] - limits.vm_max_pu[b], limits.vm_min_pu[b] - flow[b])
        if over > VM_TOLERANCE_PU:
            total += over
    return total


@kernel
def loading_excess_percent(limits: NetworkLimits, flow: Floats) -> float:
    """Sum over branches of how far the loading is beyond its limit, tolerance allowed; `flow` as above."""
    total = 0.0
    buses = limits.vm_min_pu.shape[0]
    for e in range(limits.percent.shape[0]):
        over = flow[buses + e] - limits.percent[e]
        if over > PERCENT_TOLERANCE:
            total += over
    return total
