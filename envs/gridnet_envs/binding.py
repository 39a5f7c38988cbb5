"""The limits that bind at an operating point, as rows that are linear in the setpoints: found by the AC power flow, linearised
by one adjoint solve each.

A row is a bus voltage above or below its limit, or the current at one end of a branch along a fixed direction of its phasor.
The magnitude of a current bends with reactive power, its phasor hardly does: a branch that stays beyond its limit gets a
further direction, and the rows of one branch close in on the circle that its rating is.

At a solved point `Y dv + C conj(dv) = conj(ds) / conj(v)` with `C = diag(conj(s) / conj(v)^2)` (see `gridnet.linear`). The change
of a quantity is `Re(c dv)`, and `z` with `Y^T z + conj(C z) = c` gives it for every device at once as `Re(z conj(ds) / conj(v))`.
`Y^T` is solved by the factors that the power flow holds, the other term by a fixed point.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet import acflow
from gridnet.kernels import kernel
from gridnet.limits import NetworkLimits
from gridnet.simulate import Params

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROWS = 24
"""Most rows kept at a time."""
NEW_ROWS = 8
"""Most rows found at one operating point."""
NO_SOLUTION = 10.0
"""The excess of a flow without a solution: far beyond any limit that a flow with one is compared by."""
_PER_PU = 10.0
"""Voltages are measured in tenths of a pu, so that they compare with shares of a rated current."""
_SAME_DIRECTION = 1e-5
_TURNS = 12
_SETTLED = 1e-5
_ABOVE, _BELOW, _FROM, _TO = 0, 1, 2, 3


class Binding(NamedTuple):
    """The rows; those from `used` on are free."""

    used: Ints
    """(1,)"""
    limit: Ints
    """(ROWS, 2) 0 above and 1 below with the bus, 2 from end and 3 to end with the branch."""
    toward: Floats
    """(ROWS, 2) unit phasor along which a current counts."""
    excess: Floats
    """(ROWS,) at the point of linearisation, as in `worst_excess`."""
    slope: Floats
    """(ROWS, 2, devices) its change per kW and per kvar."""
    price: Floats
    """(ROWS,) the multiplier that the projection gave it last."""


@kernel
def no_rows(devices: int) -> Binding:
    """An empty set of rows."""
    return Binding(
        np.zeros(1, np.int64),
        np.zeros((ROWS, 2), np.int64),
        np.zeros((ROWS, 2)),
        np.zeros(ROWS),
        np.zeros((ROWS, 2, devices)),
        np.zeros(ROWS),
    )


@kernel
def worst_excess(limits: NetworkLimits, flow: Floats) -> float:
    """How far the most binding limit is exceeded, as a share of it (voltage: of 0.1 pu); negative when all hold.

    A flow without a solution counts as far beyond.
    """
    if flow[-1] != 1.0:
        return NO_SOLUTION
    buses = limits.vm_min_pu.shape[0]
    worst = -1.0
    for b in range(buses):
        worst = max(worst, _PER_PU * (flow[b] - limits.vm_max_pu[b]), _PER_PU * (limits.vm_min_pu[b] - flow[b]))
    for e in range(limits.percent.shape[0]):
        worst = max(worst, flow[buses + e] / limits.percent[e] - 1.0)
    return worst


@kernel
def total_excess(limits: NetworkLimits, flow: Floats) -> float:
    """The sum over all limits of how far each is exceeded, in the measure of `worst_excess`; 0 where all hold."""
    buses, branches = limits.vm_min_pu.shape[0], limits.percent.shape[0]
    if flow[-1] != 1.0:
        return float(NO_SOLUTION * (buses + branches))
    total = 0.0
    for b in range(buses):
        total += max(0.0, _PER_PU * (flow[b] - limits.vm_max_pu[b]), _PER_PU * (limits.vm_min_pu[b] - flow[b]))
    for e in range(branches):
        total += max(0.0, flow[buses + e] / limits.percent[e] - 1.0)
    return total


@kernel
def linearise(params: Params, limits: NetworkLimits, step_: Ints, setpoint: Floats, flow: Floats, rows: Binding) -> None:
    """Adds the limits that `flow`, the solved flow (1, ..) of `setpoint` (1, 2, devices), breaks, and linearises all rows there."""
    net = params.network
    p_kw, q_kvar = np.zeros((1, params.buses)), np.zeros((1, params.buses))
    _injections(params, step_[0], setpoint[0], p_kw[0], q_kvar[0])
    nodes = net.node.shape[0]
    vr, vi = np.empty((1, nodes + 1)), np.empty((1, nodes + 1))
    acflow.solve_voltages(net, p_kw, q_kvar, vr, vi)
    volts = vr[0] + 1j * vi[0]
    bend = np.zeros(nodes, np.complex128)
    for b in range(params.buses):
        n = net.bus_node[b]
        if 0 <= n < nodes:
            bend[n] += complex(p_kw[0, b], -q_kvar[0, b]) / acflow.KVA_PER_PU
    for n in range(nodes):
        bend[n] /= np.conj(volts[n]) ** 2
    _find(net, limits, flow[0], volts, rows)
    pull, adjoint = np.empty(nodes + 1, np.complex128), np.empty(nodes, np.complex128)
    for r in range(rows.used[0]):
        rows.excess[r] = _quantity(net, limits, volts, rows.limit[r], rows.toward[r], pull)
        _solve_adjoint(net, bend, pull[:nodes], adjoint)
        for d in range(params.device_bus.shape[0]):
            n = net.bus_node[params.device_bus[d]]
            rows.slope[r, :, d] = 0.0
            if 0 <= n < nodes:
                effect = adjoint[n] / (np.conj(volts[n]) * acflow.KVA_PER_PU)
                rows.slope[r, 0, d] = effect.real
                rows.slope[r, 1, d] = effect.imag


@kernel
def _injections(params: Params, step_: int, setpoint: Floats, p_kw: Floats, q_kvar: Floats) -> None:
    """Adds loads and devices up at their buses (buses,)."""
    for k in range(params.load_bus.shape[0]):
        p_kw[params.load_bus[k]] += params.load_p_kw[step_, k]
        q_kvar[params.load_bus[k]] += params.load_q_kvar[step_, k]
    for d in range(params.device_bus.shape[0]):
        p_kw[params.device_bus[d]] += setpoint[0, d]
        q_kvar[params.device_bus[d]] += setpoint[1, d]


@kernel
def _find(net: acflow.Network, limits: NetworkLimits, flow: Floats, volts: NDArray[np.complex128], rows: Binding) -> None:
    """Adds rows for the worst broken limits; of neighbouring buses only the worse, since what helps it helps both."""
    buses, branches = limits.vm_min_pu.shape[0], limits.percent.shape[0]
    over = np.zeros(buses + branches)
    at_node = np.zeros(net.node.shape[0] + 1)
    for b in range(buses):
        n = net.bus_node[b]
        beyond = _PER_PU * max(flow[b] - limits.vm_max_pu[b], limits.vm_min_pu[b] - flow[b])
        if n >= 0 and beyond > at_node[n]:
            over[b] = at_node[n] = beyond
    for e in range(branches):
        over[buses + e] = max(0.0, flow[buses + e] / limits.percent[e] - 1.0)
    for b in range(buses):
        if over[b] > 0.0 and _has_worse_neighbour(net, at_node, net.bus_node[b]):
            over[b] = 0.0
    for _ in range(NEW_ROWS):
        worst = int(np.argmax(over))
        if over[worst] <= 0.0:
            break
        over[worst] = 0.0
        if worst < buses:
            _add(rows, _ABOVE if flow[worst] > limits.vm_max_pu[worst] else _BELOW, worst, 1.0 + 0.0j)
        else:
            e = worst - buses
            at_from, at_to = _current(net, volts, e, _FROM), _current(net, volts, e, _TO)
            if abs(at_from) * net.branch[e, 8] >= abs(at_to) * net.branch[e, 9]:
                _add(rows, _FROM, e, at_from / abs(at_from))
            else:
                _add(rows, _TO, e, at_to / abs(at_to))


@kernel
def _has_worse_neighbour(net: acflow.Network, at_node: Floats, node: int) -> bool:
    """Whether a branch leads from `node` to one that is further beyond its limits."""
    for e in range(net.branch_node.shape[0]):
        f, t = net.branch_node[e, 0], net.branch_node[e, 1]
        if f >= 0 and t >= 0 and ((f == node and at_node[t] > at_node[node]) or (t == node and at_node[f] > at_node[node])):
            return True
    return False


@kernel
def _add(rows: Binding, kind: int, which: int, toward: complex) -> None:
    """Adds a row that is not there yet; where all are taken it replaces the one that binds least, of those without a price."""
    place = rows.used[0]
    for r in range(rows.used[0]):
        same = rows.toward[r, 0] * toward.real + rows.toward[r, 1] * toward.imag > 1.0 - _SAME_DIRECTION
        if rows.limit[r, 0] == kind and rows.limit[r, 1] == which and same:
            return
    if place == ROWS:
        slackest = 0.0
        for r in range(ROWS):
            if rows.price[r] == 0.0 and rows.excess[r] < slackest:
                place, slackest = r, rows.excess[r]
        if place == ROWS:
            return
    else:
        rows.used[0] += 1
    rows.limit[place, 0], rows.limit[place, 1] = kind, which
    rows.toward[place, 0], rows.toward[place, 1] = toward.real, toward.imag
    rows.price[place] = 0.0


@kernel
def _current(net: acflow.Network, volts: NDArray[np.complex128], e: int, end: int) -> complex:
    """The current phasor at one end of a branch."""
    y, f, t = net.branch[e], net.branch_node[e, 0], net.branch_node[e, 1]
    first = 0 if end == _FROM else 4
    at_from, at_to = complex(y[first], y[first + 1]), complex(y[first + 2], y[first + 3])
    return complex(at_from * volts[f] + at_to * volts[t])


@kernel
def _quantity(
    net: acflow.Network,
    limits: NetworkLimits,
    volts: NDArray[np.complex128],
    limit: Ints,
    toward: Floats,
    pull: NDArray[np.complex128],
) -> float:
    """The excess of a row, and into `pull` (nodes + 1,) what the node voltages do to it: its change is `Re(pull dv)`."""
    pull[:] = 0.0
    kind, which = limit[0], limit[1]
    if kind in (_ABOVE, _BELOW):
        n = net.bus_node[which]
        size = abs(volts[n])
        sign = _PER_PU if kind == _ABOVE else -_PER_PU
        pull[n] = sign * np.conj(volts[n]) / size
        return float(sign * (size - (limits.vm_max_pu[which] if kind == _ABOVE else limits.vm_min_pu[which])))
    y, first = net.branch[which], 0 if kind == _FROM else 4
    along = complex(toward[0], -toward[1]) * (y[8] if kind == _FROM else y[9]) / limits.percent[which]
    pull[net.branch_node[which, 0]] += along * complex(y[first], y[first + 1])
    pull[net.branch_node[which, 1]] += along * complex(y[first + 2], y[first + 3])
    return float((along * _current(net, volts, which, kind)).real - 1.0)


@kernel
def _solve_adjoint(
    net: acflow.Network, bend: NDArray[np.complex128], pull: NDArray[np.complex128], adjoint: NDArray[np.complex128]
) -> None:
    """Fills `adjoint` (nodes,) with the `z` of the module's text; `bend` is the diagonal of `C`."""
    nodes = net.node.shape[0]
    turned = np.empty(nodes, np.complex128)
    adjoint[:] = 0.0
    for _ in range(_TURNS):
        for n in range(nodes):
            turned[n] = pull[n] - np.conj(bend[n] * adjoint[n])
        for n in range(nodes):
            for k in range(net.entry_start[n], net.entry_start[n + 1]):
                turned[net.entry_node[k]] -= complex(net.entry[k, 2], net.entry[k, 3]) * turned[n]
        moved, size = 0.0, 0.0
        for n in range(nodes - 1, -1, -1):
            turned[n] *= complex(net.node[n, 0], net.node[n, 1])
            for k in range(net.entry_start[n], net.entry_start[n + 1]):
                turned[n] -= complex(net.entry[k, 0], net.entry[k, 1]) * turned[net.entry_node[k]]
            moved = max(moved, abs(turned[n] - adjoint[n]))
            size = max(size, abs(turned[n]))
            adjoint[n] = turned[n]
        if moved <= _SETTLED * size:
            break
