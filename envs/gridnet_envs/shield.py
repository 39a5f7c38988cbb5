"""Feed-in management: any policy's setpoints are cut back, just enough, before they would break a network limit.

Where the AC power flow of the clipped setpoints stays within limits (almost always), nothing changes. Where it does not, one
group of devices after the other is scaled back by a common factor, the largest that an AC power flow confirms:

1. Limits broken by injection (an overvoltage, or an overload while the feeder exports): battery discharge first, which loses
   nothing, then PV.
2. Limits broken by demand: battery charging.

What inflexible loads alone break stays broken and is reported. The factor is common to a group, so the shield is simple and
even-handed rather than cheapest; an optimiser that places its curtailment does better and is meant to.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from gridnet import acflow
from gridnet.devices import clip
from gridnet.dispatch import checked
from gridnet.limits import NetworkLimits
from gridnet.simulate import Params, State, solve_flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DISCHARGE, _PV, _CHARGE = 0, 1, 2
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


@njit(cache=True, error_model="numpy")
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


@njit(cache=True, error_model="numpy")
def worst_excess(limits: NetworkLimits, flow: Floats) -> float:
    """How far the most binding limit is exceeded, as a share of it (voltage: of 0.1 pu); negative when all hold.

    A flow without a solution counts as far beyond.
    """
    if flow[-1] != 1.0:
        return 10.0
    buses = limits.vm_min_pu.shape[0]
    worst = -1.0
    for b in range(buses):
        worst = max(worst, 10.0 * (flow[b] - limits.vm_max_pu[b]), 10.0 * (limits.vm_min_pu[b] - flow[b]))
    for e in range(limits.percent.shape[0]):
        worst = max(worst, flow[buses + e] / limits.percent[e] - 1.0)
    return worst


@njit(cache=True, error_model="numpy")
def _by_injection(limits: NetworkLimits, flow: Floats) -> bool:
    """Whether a broken limit comes from injection rather than demand."""
    for b in range(limits.vm_max_pu.shape[0]):
        if flow[b] > limits.vm_max_pu[b]:
            return True
    return bool(flow[-3] < 0.0)


@njit(cache=True, error_model="numpy")
def _cut_back(params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats) -> None:
    """Scales one row of `safe` (1, 2, devices) back, group by group, until its limits hold."""
    if _by_injection(limits, flow[0]):
        if not _scale_group(params, limits, step_, flow, safe, _DISCHARGE):
            _scale_group(params, limits, step_, flow, safe, _PV)
    else:
        _scale_group(params, limits, step_, flow, safe, _CHARGE)


@njit(cache=True, error_model="numpy")
def _scale_group(params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats, group: int) -> bool:
    """Scales one group by the largest factor that holds the limits, or to zero; says whether they hold.

    The excess is nearly linear in the factor, so regula falsi (Illinois variant) finds it in a few power flows.
    """
    full = safe.copy()
    high, low = 1.0, 0.0
    at_high, at_low = worst_excess(limits, flow[0]), _excess_at(params, limits, step_, flow, safe, full, group, 0.0)
    if at_low > 0.0:
        return False
    weight_low, weight_high = at_low, at_high
    for _ in range(_SEARCH_STEPS):
        if at_low > -_TIGHT:
            break
        factor = low - weight_low * (high - low) / (weight_high - weight_low)
        excess = _excess_at(params, limits, step_, flow, safe, full, group, factor)
        if excess > 0.0:
            high, weight_high = factor, excess
            weight_low *= 0.5
        else:
            low, at_low, weight_low = factor, excess, excess
            weight_high *= 0.5
    _excess_at(params, limits, step_, flow, safe, full, group, low)
    return True


@njit(cache=True, error_model="numpy")
def _excess_at(
    params: Params, limits: NetworkLimits, step_: Ints, flow: Floats, safe: Floats, full: Floats, group: int, factor: float
) -> float:
    """Sets `safe` to `full` with one group scaled by `factor`, and gives the excess of its power flow."""
    batteries = params.fleet.p_kw.shape[0]
    for d in range(full.shape[2]):
        p_kw = full[0, 0, d]
        if d < batteries:  # noqa: SIM108  (a nested conditional expression reads worse)
            member = (group == _DISCHARGE and p_kw > 0.0) or (group == _CHARGE and p_kw < 0.0)
        else:
            member = group == _PV
        safe[0, 0, d] = p_kw * factor if member else p_kw
    solve_flow(params, step_, safe, flow)
    return worst_excess(limits, flow[0])
