"""The network of the relaxation: every branch as the exact linear map from its from end to its to end.

With the admittances `I_f = yff V_f + yft V_t` and `I_t = ytf V_f + ytt V_t` a branch gives

    V_t = a V_f + b I_f,    I_t = c V_f + d I_f,    a = -yff / yft,  b = 1 / yft,  c = ytf + ytt a,  d = ytt b

whatever its taps, phase shift, magnetising branch and capacitance. The squares and powers at the to end are then linear
in `u_f = |V_f|^2`, `S_f = V_f conj(I_f)` and `l = |I_f|^2`, and nothing is a small difference of large numbers, as it is
in the admittance form, where a short line has 1e4 per unit and more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.feeder import BASE_KVA, SolvedModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True)
class Grid:
    """Nodes and branches in per unit of `base_kva`."""

    base_kva: float
    slack_node: int
    slack_vm_pu: float
    bus_node: Ints
    """(buses,) -1 where the bus is dead."""
    shunt: Complexes
    """(nodes,) admittance to ground that no branch accounts for."""
    ends: Ints
    """(branches, 2) from and to node."""
    admittance: Complexes
    """(branches, 4) yff, yft, ytf, ytt."""
    limited: Ints
    """(branches,) column of the branch in the table of limits, -1 where it has none."""
    percent: Floats
    """(branches, 2) loading for 1 pu of current at either end; 0 = unrated."""

    @property
    def nodes(self) -> int:
        """How many nodes there are, the slack included."""
        return len(self.shunt)

    @property
    def chain(self) -> Complexes:
        """(4, branches) a, b, c, d: what stands at the to end by what stands at the from end."""
        yff, yft, ytf, ytt = self.admittance.T
        return np.stack([-yff / yft, 1 / yft, ytf - ytt * yff / yft, ytt / yft])


def make_grid(model: SolvedModel, base_kva: float) -> Grid:
    """The live part of a solved model. What the admittance matrix holds beyond its lines and transformers becomes unrated
    branches and shunts, so that the matrix is always met exactly."""
    scale = BASE_KVA / base_kva
    linked = (model.branch_node >= 0).all(axis=1) & (model.branch_admittance[:, 1:3] != 0).all(axis=1)
    ends, admittance = model.branch_node[linked], model.branch_admittance[linked] * scale
    rest = model.admittance * scale - _stamped(len(model.admittance), ends, admittance)
    # What is left by rounding is no branch: entries are sums of a few admittances of the size of the diagonal.
    noise = 1e-10 * np.abs(np.diag(model.admittance * scale))
    between = np.triu(np.maximum(np.abs(rest), np.abs(rest.T)) > np.minimum.outer(noise, noise), k=1)
    extra = np.argwhere(between)
    to_from, from_to = rest[extra[:, 1], extra[:, 0]], rest[extra[:, 0], extra[:, 1]]
    more = np.stack([-from_to, from_to, to_from, -to_from], axis=1)
    shunt = np.diag(rest) - np.diag(_stamped(len(rest), extra, more))
    return Grid(
        base_kva=base_kva,
        slack_node=model.slack_node,
        slack_vm_pu=abs(model.slack_voltage),
        bus_node=model.bus_node,
        shunt=np.where(np.abs(shunt) > noise, shunt, 0.0),
        ends=np.vstack([ends, extra]),
        admittance=np.vstack([admittance, more]),
        limited=np.concatenate([np.flatnonzero(linked), np.full(len(extra), -1)]),
        percent=np.vstack([model.branch_percent[linked] / scale, np.zeros((len(extra), 2))]),
    )


def _stamped(nodes: int, ends: Ints, admittance: Complexes) -> Complexes:
    """(nodes, nodes) the admittance matrix of the branches alone."""
    matrix = np.zeros((nodes, nodes), dtype=np.complex128)
    for side, other, own, mutual in ((0, 1, 0, 1), (1, 0, 3, 2)):
        np.add.at(matrix, (ends[:, side], ends[:, side]), admittance[:, own])
        np.add.at(matrix, (ends[:, side], ends[:, other]), admittance[:, mutual])
    return matrix
