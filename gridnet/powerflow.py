"""Batched AC power flow, compiled once from pandapower's own solved model.

Method: the fixed point of the implicit Z-bus equation, `v = Y^-1 (conj(s / v) - Y_s v_slack)`, where `Y^-1` is applied
through a sparse LDU factorisation of the bus admittance matrix ordered by minimum degree. On a radial feeder that order
walks from the leaves to the slack without fill-in, which makes one iteration a backward/forward sweep; a meshed network
only adds its fill-in entries, so one kernel serves both. Taps, phase shift, magnetising branch, line charging, shunts,
open switches and fused buses arrive inside pandapower's admittances (`gridnet.network`).

Failure to converge is the sign of voltage collapse and is reported per row. Rows never influence one another: a row's
result is the same bits alone and in any batch.

Source of the iteration: Chen, Chen, Hwang, Kotas, Chebli, "Distribution system power flow analysis - a rigid approach",
IEEE Trans. Power Delivery 6(3), 1991.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet import acflow
from gridnet.errors import InputError, ModelError
from gridnet.feeder import SolvedModel

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Flow(NamedTuple):
    """Solved operating points; the leading axis is the batch, absent where a single point was asked. A row that did not
    converge holds NaN."""

    solved: Floats
    """(batch, buses + lines + trafos + 4): what the properties cut out."""
    buses: int
    branches: int
    lines: int

    @property
    def vm_pu(self) -> Floats:
        """(batch, buses) voltage magnitude, NaN at dead buses."""
        return self.solved[..., : self.buses]

    @property
    def line_percent(self) -> Floats:
        """(batch, lines) of rated current."""
        return self.solved[..., self.buses : self.buses + self.lines]

    @property
    def trafo_percent(self) -> Floats:
        """(batch, trafos) of rated current."""
        return self.solved[..., self.buses + self.lines : self.buses + self.branches]

    @property
    def branch_percent(self) -> Floats:
        """(batch, lines + trafos)"""
        return self.solved[..., self.buses : self.buses + self.branches]

    @property
    def loss_kw(self) -> Floats:
        """(batch,)"""
        return np.asarray(self.solved[..., -4])

    @property
    def slack_p_kw(self) -> Floats:
        """(batch,) > 0: the upstream grid feeds the feeder."""
        return np.asarray(self.solved[..., -3])

    @property
    def slack_q_kvar(self) -> Floats:
        """(batch,)"""
        return np.asarray(self.solved[..., -2])

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(batch,)"""
        return np.asarray(self.solved[..., -1] == 1.0)


@dataclass(frozen=True)
class PowerFlow:
    """A compiled network: `solve` operating points, or hand `network` to a numba kernel."""

    network: acflow.Network
    buses: int
    lines: int
    trafos: int
    order: Ints
    """(nodes,) the model's node at each elimination position, the slack last."""

    def solve(self, p_kw: Floats, q_kvar: Floats) -> Flow:
        """Solves injections at buses.

        `p_kw`, `q_kvar`: (batch, buses) or (buses,), p > 0 injects. Injections at the slack bus only shift `slack_*`; those
        at dead buses are ignored, as pandapower does.
        """
        if p_kw.shape != q_kvar.shape or p_kw.ndim not in (1, 2) or p_kw.shape[-1] != self.buses:
            raise InputError(
                f"injections have shapes {p_kw.shape} and {q_kvar.shape}; both must be (batch, {self.buses}) or ({self.buses},)"
            )
        single = p_kw.ndim == 1
        p_rows = np.ascontiguousarray(p_kw, dtype=np.float64).reshape(-1, self.buses)
        q_rows = np.ascontiguousarray(q_kvar, dtype=np.float64).reshape(-1, self.buses)
        out = np.empty((len(p_rows), self.buses + self.lines + self.trafos + acflow.BALANCE))
        if len(p_rows) < acflow.LANES:
            acflow.solve_one_lane(self.network, p_rows, q_rows, out)
        else:
            acflow.solve_lanes(self.network, p_rows, q_rows, out)
        return Flow(out[0] if single else out, self.buses, self.lines + self.trafos, self.lines)

    def voltages(self, p_kw: Floats, q_kvar: Floats) -> NDArray[np.complex128]:
        """Complex node voltages (batch, nodes) in elimination order, slack last; NaN where a row does not converge."""
        nodes = self.network.node.shape[0]
        real, imag = np.empty((p_kw.shape[0], nodes + 1)), np.empty((p_kw.shape[0], nodes + 1))
        acflow.solve_voltages(self.network, p_kw, q_kvar, real, imag)
        return real + 1j * imag


def compile_power_flow(model: SolvedModel) -> PowerFlow:
    """Compiles a solved model. Raises `ModelError` where a live node has no path to the slack."""
    live = [node for node in range(model.admittance.shape[0]) if node != model.slack_node]
    order, lower, upper, pivots = _eliminate(model.admittance, live)
    position = np.full(model.admittance.shape[0] + 1, -1, dtype=np.int64)
    position[order] = np.arange(len(order))
    position[model.slack_node] = len(order)
    to_slack = model.admittance[order, model.slack_node]
    from_slack = model.admittance[model.slack_node, order]
    own = model.admittance[model.slack_node, model.slack_node]
    start = _no_load(model, order, to_slack)
    network = acflow.Network(
        bus_node=position[model.bus_node],
        entry_start=np.cumsum([0, *(len(row) for row in lower)]).astype(np.int64),
        entry_node=position[np.array([node for row in lower for node in row], dtype=np.int64)],
        entry=_pairs([value for row in lower for value in row.values()], [value for row in upper for value in row.values()]),
        node=_pairs(1 / np.asarray(pivots, dtype=np.complex128), -to_slack * model.slack_voltage, start, from_slack),
        slack=_pairs([model.slack_voltage], [own])[0],
        branch_node=position[model.branch_node],
        branch=np.hstack([_pairs(*model.branch_admittance.T), model.branch_percent]),
    )
    trafos = len(model.branch_node) - model.lines
    return PowerFlow(network, len(model.bus_node), model.lines, trafos, np.array([*order, model.slack_node], dtype=np.int64))


def _pairs(*columns: Sequence[complex] | NDArray[np.complex128]) -> Floats:
    """Complex columns (n,) as one real array (n, 2 * columns): real and imaginary part side by side."""
    stacked = np.stack([np.asarray(column, dtype=np.complex128) for column in columns], axis=1)
    return np.ascontiguousarray(stacked).view(np.float64)


def _no_load(model: SolvedModel, order: list[int], to_slack: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Voltages with nothing injected: the start of every iteration."""
    inner = model.admittance[np.ix_(order, order)]
    try:
        return np.asarray(np.linalg.solve(inner, -to_slack * model.slack_voltage), dtype=np.complex128)
    except np.linalg.LinAlgError as error:
        raise ModelError("the network has live buses without a path to the slack bus; connect or switch them off") from error


_Row = dict[int, complex]


def _eliminate(admittance: NDArray[np.complex128], live: list[int]) -> tuple[list[int], list[_Row], list[_Row], list[complex]]:
    """LDU factors by minimum degree.

    Returns the elimination order, and per eliminated node the entries `l[j]` (subtract `l[j] * b[node]` from `b[j]`) and
    `u[j]` (`x[node] = b[node] / pivot - sum u[j] x[j]`), keyed by the nodes `j` eliminated later, and the pivots.
    """
    rows: dict[int, _Row] = {
        node: {other: complex(admittance[node, other]) for other in live if admittance[node, other] != 0} for node in live
    }
    order, lower, upper, pivots = [], [], [], []
    while rows:
        node = min(rows, key=lambda candidate: (len(rows[candidate]), candidate))
        row = rows.pop(node)
        pivot = row.pop(node, 0j)
        if abs(pivot) < 1e-12:
            raise ModelError("the network has an isolated live bus; connect it or switch it off")
        factors = {}
        for other in row:
            factors[other] = rows[other].pop(node, 0j) / pivot
            for third, value in row.items():
                rows[other][third] = rows[other].get(third, 0j) - factors[other] * value
        order.append(node)
        lower.append(factors)
        upper.append({other: value / pivot for other, value in row.items()})
        pivots.append(pivot)
    return order, lower, upper, pivots
