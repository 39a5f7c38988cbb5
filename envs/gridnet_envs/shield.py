"""The shield: any policy's setpoints are made feasible before they act.

1. Every setpoint is cut to what its device can do, in closed form: charge, power, inverter circle (`gridnet.devices.clip`).
2. Where the AC power flow of that holds every limit (almost always), nothing changes.
3. Where it does not, the setpoints nearest to the asked ones that hold the limits are sought (`gridnet_envs.projection`) and
   confirmed by the AC power flow. Reactive power moves first, then batteries, asked or not, then PV.
4. Where that finds none, one group of devices after the other is scaled back by a common factor, the largest that an AC power
   flow confirms; where that comes nearer to the limits without holding them, the projection is tried once more from there.
5. Where nothing holds every limit (loads alone break one), the setpoints with the least sum of excesses act, and the power
   flow reports what is left. Setpoints that gain nothing stay as asked.

What the shield gives, it leaves alone when asked for it again.
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
from gridnet_envs.binding import NO_SOLUTION, total_excess, worst_excess
from gridnet_envs.projection import project

__all__ = ["protect", "shield_rows", "worst_excess"]

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_REACTIVE, _DISCHARGE, _PV, _CHARGE = 0, 1, 2, 3
GROUPS = 4
_HELPS = 1e-9
_GAIN = 1e-3
"""Setpoints that can't hold every limit are changed only where the sum of excesses falls by at least this share of a limit."""
_ATTEMPTS = 6
_SEARCH_STEPS = 12
_TIGHT = 2e-4
"""The search stops once the binding limit is used to within this share of it."""


def protect(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> Floats:
    """Setpoints (batch, 2, devices) that devices can do and the network can carry, nearest to `asked` in the sense above.

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
            _make_feasible(params, limits, step_[i : i + 1], soc[i : i + 1], flow[i : i + 1], safe[i : i + 1])


@kernel
def _make_feasible(params: Params, limits: NetworkLimits, step_: Ints, soc: Floats, flow: Floats, safe: Floats) -> None:
    """Changes one row of `safe` (1, 2, devices) until its limits hold or nothing brings it nearer to them.

    The last attempt, which gained nothing, is what the same setpoints would meet again: they are given as they are.
    """
    left = total_excess(limits, flow[0])
    for _ in range(_ATTEMPTS):
        asked = safe.copy()
        before = left
        left = _attempt(params, limits, step_, soc, asked, flow, safe)
        if left <= 0.0:
            break
        if left > before - _GAIN:
            safe[:] = asked
            break


@kernel
def _attempt(params: Params, limits: NetworkLimits, step_: Ints, soc: Floats, asked: Floats, flow: Floats, safe: Floats) -> float:
    """The projection where it holds every limit, else scaling where that does, else the projection from whichever of the two breaks
    them less; into `safe` and `flow`. Gives the total excess."""
    left = project(params, limits, step_, soc, asked, safe, flow)
    if left <= 0.0:
        return left
    best = safe.copy()
    safe[:] = asked
    solve_flow(params, step_, safe, flow)
    scale_back(params, limits, step_, flow, safe)
    scaled = total_excess(limits, flow[0])
    if scaled <= 0.0:
        return scaled
    if scaled < left:
        return project(params, limits, step_, soc, asked, safe, flow)
    safe[:] = best
    solve_flow(params, step_, safe, flow)
    return left


@kernel
def _by_injection(limits: NetworkLimits, flow: Floats) -> bool:
    """Whether a broken limit comes from injection rather than demand."""
    for b in range(limits.vm_max_pu.shape[0]):
        if flow[b] > limits.vm_max_pu[b]:
            return True
    return bool(flow[-3] < 0.0)


@kernel
def scale_back(params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats) -> None:
    """Scales one row of `safe` (1, 2, devices) back, group by group, until its limits hold, then gives back what it can.

    Reactive power first, which costs nothing; then, where injection breaks the limit, discharge, PV and charging; where demand
    does, charging, discharge and PV. A group whose absence does not help keeps its setpoints.
    """
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
    elif excess >= NO_SOLUTION:
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
