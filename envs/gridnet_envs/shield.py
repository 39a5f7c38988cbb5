"""Feed-in management: any policy's setpoints are cut back, just enough, before they would break a network limit.

Where the AC power flow of the clipped setpoints stays within limits (almost always), nothing changes. Where it does not, one
group of devices after the other is scaled back by a common factor, the largest that an AC power flow confirms: reactive power
first, which costs nothing; then, where the limit is broken by injection (an overvoltage, or an overload while the feeder
exports), battery discharge, which loses nothing, PV, and charging; where it is broken by demand, charging, discharge, PV. A
group whose absence does not help keeps its setpoints; one that was cut before another turned out to be the cause gets back
what the limits allow.

What inflexible loads alone break stays broken and is reported. The factor is common to a group, so the shield is simple and
even-handed rather than cheapest; an optimiser that places its curtailment does better and is meant to.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet import acflow
from gridnet.devices import clip
from gridnet.dispatch import checked
from gridnet.kernels import kernel
from gridnet.limits import NetworkLimits
from gridnet.simulate import Params, State, solve_flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_REACTIVE, _DISCHARGE, _PV, _CHARGE = 0, 1, 2, 3
GROUPS = 4
_NO_SOLUTION = 10.0
_HELPS = 1e-9
_SEARCH_STEPS = 12
_TIGHT = 2e-4
"""The search stops once the binding limit is used to within this share of it."""


def protect(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> Floats:
    """Setpoints (batch, 2, devices) that the network can carry, nearest to `asked` in the sense above.

    Raises `InputError` for a malformed setpoint.
    """
    asked = checked(asked, len(state.step), params.fleet.devices)
    safe = np.empty_like(asked)
    shield_rows(params, limits, state.step, state.soc, asked, safe)
    return safe


@kernel
def shield_rows(params: Params, limits: NetworkLimits, step_: Ints, soc: Floats, asked: Floats, safe: Floats) -> None:
    """The kernel of `protect`: fills `safe`."""
    batch = step_.shape[0]
    for i in range(batch):
        clip(params.fleet, soc[i], params.pv_p_kw[step_[i]], asked[i], safe[i])
    flow = np.empty((batch, params.buses + params.network.branch_node.shape[0] + acflow.BALANCE))
    solve_flow(params, step_, safe, flow)
    for i in range(batch):
        if worst_excess(limits, flow[i]) > 0.0:
            _cut_back(params, limits, step_[i : i + 1], flow[i : i + 1], safe[i : i + 1])


@kernel
def worst_excess(limits: NetworkLimits, flow: Floats) -> float:
    """How far the most binding limit is exceeded, as a share of it (voltage: of 0.1 pu); negative when all hold.

    A flow without a solution counts as far beyond.
    """
    if flow[-1] != 1.0:
        return _NO_SOLUTION
    buses = limits.vm_min_pu.shape[0]
    worst = -1.0
    for b in range(buses):
        worst = max(worst, 10.0 * (flow[b] - limits.vm_max_pu[b]), 10.0 * (limits.vm_min_pu[b] - flow[b]))
    for e in range(limits.percent.shape[0]):
        worst = max(worst, flow[buses + e] / limits.percent[e] - 1.0)
    return worst


@kernel
def _by_injection(limits: NetworkLimits, flow: Floats) -> bool:
    """Whether a broken limit comes from injection rather than demand."""
    for b in range(limits.vm_max_pu.shape[0]):
        if flow[b] > limits.vm_max_pu[b]:
            return True
    return bool(flow[-3] < 0.0)


@kernel
def _cut_back(params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats) -> None:
    """Cuts one row of `safe` (1, 2, devices) back, group by group, until its limits hold, then gives back what it can."""
    asked = safe.copy()
    order = np.array([_REACTIVE, _DISCHARGE, _PV, _CHARGE])
    if not _by_injection(limits, flow[0]):
        order = np.array([_REACTIVE, _CHARGE, _DISCHARGE, _PV])
    share = np.ones(GROUPS)
    excess = worst_excess(limits, flow[0])
    for group in order:
        if excess <= 0.0 or not _has_members(params, asked, group):
            continue
        share[group] = 0.0
        without = _excess_at(params, limits, step_, flow, safe, asked, share)
        if without <= 0.0:
            share[group] = _largest_share(params, limits, step_, flow, safe, asked, share, group)
            excess = 0.0
        elif without < excess - _HELPS:
            excess = without
        else:
            share[group] = 1.0
    if excess <= 0.0:
        for group in order:
            if share[group] == 0.0:
                share[group] = _largest_share(params, limits, step_, flow, safe, asked, share, group)
    elif excess >= _NO_SOLUTION:
        share[:] = 0.0
    _excess_at(params, limits, step_, flow, safe, asked, share)


@kernel
def _largest_share(
    params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats, asked: Floats, share: Floats, group: int
) -> float:
    """The largest share of one group's setpoints, the other groups at `share`, that holds the limits; they hold at 0.

    The excess is nearly linear in the share, so regula falsi (Illinois variant) finds it in a few power flows. What it gives
    has been confirmed by one.
    """
    tried = share.copy()
    tried[group] = 1.0
    at_high = _excess_at(params, limits, step_, flow, safe, asked, tried)
    if at_high <= 0.0:
        return 1.0
    tried[group] = 0.0
    at_low = _excess_at(params, limits, step_, flow, safe, asked, tried)
    low, high, weight_low, weight_high = 0.0, 1.0, at_low, at_high
    for _ in range(_SEARCH_STEPS):
        if at_low > -_TIGHT:
            break
        tried[group] = low - weight_low * (high - low) / (weight_high - weight_low)
        excess = _excess_at(params, limits, step_, flow, safe, asked, tried)
        if excess > 0.0:
            high, weight_high = tried[group], excess
            weight_low *= 0.5
        else:
            low, at_low, weight_low = tried[group], excess, excess
            weight_high *= 0.5
    return low


@kernel
def _has_members(params: Params, asked: Floats, group: int) -> bool:
    """Whether any device of the group is asked to do anything."""
    for d in range(asked.shape[2]):
        if group == _REACTIVE:
            if asked[0, 1, d] != 0.0:
                return True
        elif asked[0, 0, d] != 0.0 and _group_of(params, d, asked[0, 0, d]) == group:
            return True
    return False


@kernel
def _group_of(params: Params, device: int, p_kw: float) -> int:
    """The group that a device's active power belongs to."""
    if device >= params.fleet.p_kw.shape[0]:
        return _PV
    return _DISCHARGE if p_kw > 0.0 else _CHARGE


@kernel
def _excess_at(
    params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats, asked: Floats, share: Floats
) -> float:
    """Sets `safe` to `asked` with each group scaled by its share, and gives the excess of its power flow."""
    for d in range(asked.shape[2]):
        safe[0, 0, d] = asked[0, 0, d] * share[_group_of(params, d, asked[0, 0, d])]
        safe[0, 1, d] = asked[0, 1, d] * share[_REACTIVE]
    solve_flow(params, step_, safe, flow)
    return worst_excess(limits, flow[0])
