"""How voltages, loadings and the slack power answer to device power: derivatives of the AC power flow, in batches.

At a solved operating point `Y v + Y_s v_slack = conj(s / v)` a small change `ds` of the injections moves the voltages
by

    Y dv + C conj(dv) = conj(ds) / conj(v),    C = diag(conj(s) / conj(v)^2)

which is linear in the real and imaginary parts of `dv` and is solved once per operating point for all devices together.
Everything else is the chain rule: magnitudes, branch currents and the power that the slack bus gives.

Source: Christakou, Le Boudec, Paolone, Tomozei, "Efficient computation of sensitivity coefficients of node voltages and
line currents in unbalanced radial electrical distribution networks", IEEE Trans. Smart Grid 4(2), 2013: their equations
of power, divided by the conjugate voltages, are those of current above.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import PowerFlowDiverged
from gridnet.feeder import BASE_KVA, SolvedModel
from gridnet.powerflow import PowerFlow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]

_CHUNK_BYTES = 16e6
"""Size of the largest working array, which bounds memory beyond the answer itself whatever the number of steps."""


class Sensitivity(NamedTuple):
    """Operating points and their derivatives; `branches` are lines, then transformers. `controls` are the devices' active
    powers and, from `linearise_pq`, after them their reactive powers: derivatives are per kW and per kvar injected.

    At a branch the worse of the two ends counts; where both are equally loaded the derivative is that of the from end.
    Dead buses hold NaN volts and zero derivatives; a device there moves nothing. A device at the slack bus moves only
    `slack_p_kw`, by -1 kW per kW, and by nothing per kvar.
    """

    vm_pu: Floats
    """(steps, buses)"""
    loading_percent: Floats
    """(steps, branches)"""
    slack_p_kw: Floats
    """(steps,) > 0: the upstream grid feeds the feeder."""
    d_vm: Floats
    """(steps, buses, controls) pu per kW or kvar"""
    d_loading: Floats
    """(steps, branches, controls) percent per kW or kvar"""
    d_slack_p: Floats
    """(steps, controls) kW per kW or kvar"""
    d_turn: Floats
    """(steps, branches, controls) percent per kW or kvar of the current at right angles to what flows: with `d_loading` it says
    how the current's phasor moves, which is nearly linear where its magnitude is not."""


def linearise(power_flow: PowerFlow, model: SolvedModel, p_kw: Floats, q_kvar: Floats, device_bus: Ints) -> Sensitivity:
    """Derivatives by the active power of the devices at `device_bus` (devices,), around injections at buses.

    `p_kw`, `q_kvar`: (steps, buses), devices included, p > 0 injects; `model` is what `power_flow` was compiled from.
    Raises `PowerFlowDiverged` with the first step whose power flow has no solution.
    """
    return _linearise(_Equations(power_flow, model, device_bus, False), p_kw, q_kvar)


def linearise_pq(power_flow: PowerFlow, model: SolvedModel, p_kw: Floats, q_kvar: Floats, device_bus: Ints) -> Sensitivity:
    """As `linearise`, and by the reactive power of the devices: twice as many controls."""
    return _linearise(_Equations(power_flow, model, device_bus, True), p_kw, q_kvar)


def _linearise(equations: _Equations, p_kw: Floats, q_kvar: Floats) -> Sensitivity:
    steps, buses, branches, controls = len(p_kw), equations.power_flow.buses, len(equations.ends), equations.controls
    shapes = [(buses,), (branches,), (), (buses, controls), (branches, controls), (controls,), (branches, controls)]
    whole = Sensitivity(*(np.empty((steps, *shape)) for shape in shapes))
    for first in range(0, steps, equations.chunk):
        part = slice(first, first + equations.chunk)
        solved = equations.at(np.ascontiguousarray(p_kw[part]), np.ascontiguousarray(q_kvar[part]), first)
        for target, values in zip(whole, solved, strict=True):
            target[part] = values
    return whole


class _Equations:
    """What does not depend on the operating point: nodes in elimination order, the slack last."""

    def __init__(self, power_flow: PowerFlow, model: SolvedModel, device_bus: Ints, reactive: bool) -> None:
        self.power_flow = power_flow
        self.kinds = 2 if reactive else 1
        self.controls = self.kinds * len(device_bus)
        self.bus_node = power_flow.network.bus_node
        self.admittance: Complexes = model.admittance[np.ix_(power_flow.order, power_flow.order)]
        self.nodes = len(power_flow.order) - 1
        self.ends = power_flow.network.branch_node
        self.branch_admittance: Complexes = model.branch_admittance.T
        self.percent = np.where((self.ends >= 0).all(axis=1, keepdims=True), model.branch_percent, 0.0)
        device_node = self.bus_node[device_bus]
        self.at_slack = device_node == self.nodes
        self.moves = (device_node >= 0) & ~self.at_slack
        # Devices that share a node share their column; most batteries stand beside a PV plant.
        self.source_node, self.source = np.unique(device_node[self.moves], return_inverse=True)
        self.chunk = max(1, int(_CHUNK_BYTES / (8 * max(1, 2 * self.nodes) ** 2)))

    def at(self, p_kw: Floats, q_kvar: Floats, first: int) -> Sensitivity:
        """The derivatives at a few operating points; `first` is the number of the first, for the error message."""
        volts = self.power_flow.voltages(p_kw, q_kvar)
        lost = np.flatnonzero(np.isnan(volts).any(axis=1))
        if len(lost):
            step = first + int(lost[0])
            raise PowerFlowDiverged(f"the power flow of step {step} has no solution; lessen its power", step=step)
        power = self._node_power(p_kw, q_kvar)
        dv = self._voltage_change(volts, power[:, :-1])
        loading, d_current = self._loading(volts, dv)
        slack_current = volts @ self.admittance[-1]
        slack_p = (volts[:, -1] * slack_current.conj() - power[:, -1]).real * BASE_KVA
        slack_dv = (volts[:, -1:] * (self.admittance[-1] @ dv).conj()).real * BASE_KVA
        d_vm = (volts.conj()[..., None] * dv).real / np.abs(volts)[..., None]
        known = self.bus_node >= 0
        return Sensitivity(
            np.where(known, np.abs(volts)[:, self.bus_node], np.nan),
            loading,
            slack_p,
            self._by_device(np.where(known[:, None], d_vm[:, self.bus_node], 0.0)),
            self._by_device(d_current.real),
            self._by_device(slack_dv) - np.pad(self.at_slack, (0, self.controls - len(self.at_slack))),
            self._by_device(d_current.imag),
        )

    def _node_power(self, p_kw: Floats, q_kvar: Floats) -> Complexes:
        """(steps, nodes + 1) injections in pu; buses that are fused into one node add up."""
        known = np.flatnonzero(self.bus_node >= 0)
        power = np.zeros((self.nodes + 1, len(p_kw)), dtype=np.complex128)
        np.add.at(power, self.bus_node[known], (p_kw[:, known] + 1j * q_kvar[:, known]).T / BASE_KVA)
        return power.T

    def _voltage_change(self, volts: Complexes, power: Complexes) -> Complexes:
        """(steps, nodes + 1, kinds * sources) change of the complex node voltages in pu per kW at each source node, then, with
        two kinds of control, per kvar."""
        n, sources = self.nodes, np.arange(len(self.source_node))
        inner = volts[:, :n].conj()
        c = power.conj() / inner**2
        y = self.admittance[:n, :n]
        system = np.empty((len(volts), 2 * n, 2 * n))
        system[:] = np.block([[y.real, -y.imag], [y.imag, y.real]])
        diagonal = np.arange(n)
        system[:, diagonal, diagonal] += c.real
        system[:, diagonal, diagonal + n] += c.imag
        system[:, diagonal + n, diagonal] += c.imag
        system[:, diagonal + n, diagonal + n] -= c.real
        pushed = 1 / (BASE_KVA * inner[:, self.source_node])
        right = np.zeros((len(volts), 2 * n, self.kinds * len(sources)))
        for kind, push in enumerate((pushed, -1j * pushed)[: self.kinds]):
            right[:, self.source_node, sources + kind * len(sources)] = push.real
            right[:, self.source_node + n, sources + kind * len(sources)] = push.imag
        moved = np.linalg.solve(system, right)
        dv = np.zeros((len(volts), n + 1, self.kinds * len(sources)), dtype=np.complex128)
        dv[:, :n] = moved[:, :n] + 1j * moved[:, n:]
        return dv

    def _loading(self, volts: Complexes, dv: Complexes) -> tuple[Floats, Complexes]:
        """Loading of every branch (steps, branches) in percent, and the change of its current (steps, branches, sources) along
        the current (real part) and at right angles to it."""
        from_node, to_node = self.ends.T
        yff, yft, ytf, ytt = self.branch_admittance
        at_from = yff * volts[:, from_node] + yft * volts[:, to_node]
        at_to = ytf * volts[:, from_node] + ytt * volts[:, to_node]
        load_from, load_to = np.abs(at_from) * self.percent[:, 0], np.abs(at_to) * self.percent[:, 1]
        worse_to = load_to > load_from
        current = np.where(worse_to, at_to, at_from)
        own, other = np.where(worse_to, ytf, yff), np.where(worse_to, ytt, yft)
        scale = np.where(worse_to, self.percent[:, 1], self.percent[:, 0])
        size = np.abs(current)
        # Without current its direction has no meaning: the loading can only grow from there, and 0 is a subgradient.
        toward = np.divide(scale * current.conj(), size, out=np.zeros_like(current), where=size > 0)
        d_current = own[..., None] * dv[:, from_node] + other[..., None] * dv[:, to_node]
        return np.maximum(load_from, load_to), toward[..., None] * d_current

    def _by_device(self, by_source: Floats) -> Floats:
        """Spreads the last axis from source nodes to controls; devices that move nothing get zeros."""
        spread = np.zeros((*by_source.shape[:-1], self.controls))
        moves = np.tile(self.moves, self.kinds)
        sources = [self.source + kind * len(self.source_node) for kind in range(self.kinds)]
        spread[..., moves] = by_source[..., np.concatenate(sources)]
        return spread
