"""An oracle for the optimiser: the same task as a nonlinear programme in complex voltages, solved by Ipopt.

Written from the power-flow equations and the account, and from nothing of the optimiser's: no sensitivities, no cuts, no rounds.
It finds a local optimum, which on these tasks is as good as anything known (`gridnet_policies.bound` says how good).

    minimise   dt (import price * into - export price * out + wear (charge + discharge))
               + shortfall price * missing - surplus price * gained + peak price * highest into
    subject to V conj(Y V) = devices - loads + slack,   every step and node
               |V| and the currents at both ends of every branch within limits
               stored' = keep stored + dt (eta_c charge - discharge / eta_d),   0 <= PV <= sun,   p^2 + q^2 <= s^2
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import casadi as ca
import numpy as np
from numpy.typing import NDArray

from gridnet.feeder import BASE_KVA
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Dispatch:
    """What Ipopt found."""

    p_kw: Floats
    """(steps, devices) batteries, then PV."""
    q_kvar: Floats
    objective_eur: float
    status: str
    """Ipopt's own word; `Solve_Succeeded` is what one hopes for."""


def solve_nlp(task: Task, reactive: bool, start_p_kw: Floats | None = None, start_q_kvar: Floats | None = None) -> Dispatch:
    """The best dispatch near `start_p_kw`, `start_q_kvar` (steps, devices); near rest where left out."""
    programme = _Programme(task)
    p = task.idle_p_kw if start_p_kw is None else start_p_kw
    q = np.zeros_like(p) if start_q_kvar is None or not reactive else start_q_kvar
    programme.network()
    programme.devices(reactive, p, q)
    programme.limits()
    return programme.solve()


class _Programme:
    """Variables with bounds and a start each, constraints with bounds, and a cost; time runs along columns."""

    def __init__(self, task: Task) -> None:
        self.task, self.fleet, self.model = task, task.params.fleet, task.case.feeder.model
        assert (task.import_eur_per_kwh >= task.export_eur_per_kwh).all(), "import and export would both pay at once"
        self.kva = float(self.fleet.s_kva.sum()) + float(np.abs(task.params.load_p_kw[task.run]).sum(axis=1).max())
        self.variables: list[tuple[Any, Floats, Floats, Floats]] = []
        self.constraints: list[tuple[Any, Floats, Floats]] = []
        self.cost: Any = 0.0

    def variable(self, name: str, rows: int, box: tuple[Any, Any], start: Any) -> Any:
        """(rows, steps) unknowns within `box`."""
        shape = (rows, self.task.steps)
        symbol = ca.SX.sym(name, *shape)
        low, high, at = (np.broadcast_to(np.asarray(each, dtype=np.float64), shape) for each in (*box, start))
        self.variables.append((symbol, low, high, np.clip(at, low, high)))
        return symbol

    def within(self, low: Any, body: Any, high: Any) -> None:
        """Requires `low <= body <= high`, entry by entry."""
        self.constraints.append((body, *(np.broadcast_to(np.asarray(each, dtype=np.float64), body.shape) for each in (low, high))))

    def network(self) -> None:
        """Voltages, and what every node takes in from its branches, in units of `kva`."""
        nodes = len(self.model.admittance)
        fixed = np.arange(nodes) == self.model.slack_node
        own = self.model.slack_voltage
        reach = [np.where(fixed, part, limit)[:, None] for part in (own.real, own.imag) for limit in (-2.0, 2.0)]
        start = np.linalg.solve(
            self.model.admittance[np.ix_(~fixed, ~fixed)], -self.model.admittance[np.ix_(~fixed, fixed)] @ np.array([[own]])
        )
        volts = np.full((nodes, 1), own, dtype=np.complex128)
        volts[~fixed] = start
        self.re = self.variable("re", nodes, (reach[0], reach[1]), volts.real)
        self.im = self.variable("im", nodes, (reach[2], reach[3]), volts.imag)
        current = self._current(self.model.admittance * (BASE_KVA / self.kva))
        self.p_in = self.re * current[0] + self.im * current[1]
        self.q_in = self.im * current[0] - self.re * current[1]

    def _current(self, admittance: Any) -> tuple[Any, Any]:
        g, b = (ca.sparsify(ca.DM(part)) for part in (admittance.real, admittance.imag))
        return g @ self.re - b @ self.im, g @ self.im + b @ self.re

    def devices(self, reactive: bool, p_kw: Floats, q_kvar: Floats) -> None:
        """Batteries, PV, slack: what they may do, what they put into the nodes, what they cost."""
        task, fleet, kva, dt = self.task, self.fleet, self.kva, self.fleet.dt_h
        batteries = fleet.batteries
        rated, s = fleet.p_kw[:, None] / kva, fleet.s_kva[:, None] / kva
        p, q = p_kw.T / kva, q_kvar.T / kva
        charge = self.variable("charge", batteries, (0.0, rated), np.maximum(-p[:batteries], 0.0) + 1e-3 * rated)
        discharge = self.variable("discharge", batteries, (0.0, rated), np.maximum(p[:batteries], 0.0) + 1e-3 * rated)
        pv = self.variable("pv", fleet.devices - batteries, (0.0, task.pv_available_kw.T / kva), p[batteries:])
        reach = s if reactive else 0.0 * s
        q = self.variable("q", fleet.devices, (-reach, reach), q)
        p = ca.vertcat(discharge - charge, pv)
        if reactive:
            self.within(0.0, s**2 - p**2 - q**2, np.inf)
        into, out = (self.variable(name, 1, (0.0, np.inf), 0.1) for name in ("into", "out"))
        slack_q = self.variable("slack_q", 1, (-np.inf, np.inf), 0.0)
        here = _placement(task)
        slack = ca.DM(np.eye(len(self.model.admittance))[:, [self.model.slack_node]])
        load = [_at_loads(task, each) / kva for each in (task.params.load_p_kw, task.params.load_q_kvar)]
        self.within(0.0, self.p_in - here @ p - slack @ (into - out) - load[0], 0.0)
        self.within(0.0, self.q_in - here @ q - slack @ slack_q - load[1], 0.0)
        self.p, self.q = p, q
        trade = ca.DM(task.import_eur_per_kwh[None]) * into - ca.DM(task.export_eur_per_kwh[None]) * out
        moved = task.prices.wear_eur_per_kwh * (charge + discharge)
        self.cost += dt * kva * (ca.sum(ca.vec(trade)) + ca.sum(ca.vec(moved)))
        self._peak(into)
        if batteries:
            self._stores(charge, discharge)

    def _peak(self, into: Any) -> None:
        if self.task.prices.peak_eur_per_kw > 0:
            peak = self.variable("peak", 1, (self.task.reached_kw / self.kva, np.inf), 1.0)
            self.within(0.0, peak - into, np.inf)
            self.within(0.0, peak[1:] - peak[:-1], 0.0)
            self.cost += self.task.prices.peak_eur_per_kw * self.kva * peak[0]

    def _stores(self, charge: Any, discharge: Any) -> None:
        """In hours of `kva`."""
        task, fleet = self.task, self.fleet
        batteries, size = fleet.batteries, fleet.e_kwh[:, None] / self.kva
        first = task.soc[:, None] * size
        # Self-discharge may lead below the window where a battery starts at its floor.
        floor = np.minimum(fleet.soc_window[0] * size, first * fleet.keep ** np.arange(1, task.steps + 1))
        stored = self.variable("stored", batteries, (floor, fleet.soc_window[1] * size), first)
        before = ca.horzcat(ca.DM(first), stored[:, :-1])
        gain = fleet.dt_h * (fleet.efficiency[0] * charge - discharge / fleet.efficiency[1])
        self.within(0.0, stored - fleet.keep * before - gain, 0.0)
        gained, missing = (self.variable(name, 1, (0.0, np.inf), 0.01) for name in ("gained", "missing"))
        self.within(0.0, gained[1:], 0.0)
        self.within(0.0, missing[1:], 0.0)
        self.within(0.0, ca.sum(ca.vec(stored[:, -1])) - float(first.sum()) - gained[0] + missing[0], 0.0)
        self.cost += self.kva * (task.stored.shortfall_eur_per_kwh * missing[0] - task.stored.surplus_eur_per_kwh * gained[0])

    def limits(self) -> None:
        """Voltages at buses, currents at both ends of every rated branch."""
        limits, model = self.task.limits, self.model
        bounded = np.flatnonzero(np.isfinite(limits.vm_max_pu) & (model.bus_node >= 0))
        node = model.bus_node[bounded].tolist()
        square = self.re[node, :] ** 2 + self.im[node, :] ** 2
        self.within(limits.vm_min_pu[bounded, None] ** 2, square, limits.vm_max_pu[bounded, None] ** 2)
        for k, (start, end) in enumerate(model.branch_node.tolist()):
            yff, yft, ytf, ytt = model.branch_admittance[k]
            for percent, own, other in ((model.branch_percent[k, 0], yff, yft), (model.branch_percent[k, 1], ytf, ytt)):
                if start < 0 or percent == 0:
                    continue
                row = np.zeros((1, len(model.admittance)), dtype=np.complex128)
                row[0, start], row[0, end] = own, other
                re, im = self._current(row * percent / limits.percent[k])
                self.within(-np.inf, re**2 + im**2, 1.0)

    def solve(self) -> Dispatch:
        """Runs Ipopt."""
        flat = lambda part: np.concatenate([np.ravel(each, order="F") for each in part])  # noqa: E731
        x = ca.vertcat(*(ca.vec(symbol) for symbol, *_ in self.variables))
        g = ca.vertcat(*(ca.vec(body) for body, *_ in self.constraints))
        quiet = {"print_level": 0, "sb": "yes", "max_iter": 500, "tol": 1e-8, "mu_strategy": "adaptive"}
        solver = ca.nlpsol("dispatch", "ipopt", {"x": x, "f": self.cost, "g": g}, {"print_time": False, "ipopt": quiet})
        found = solver(
            x0=flat(each[3] for each in self.variables),
            lbx=flat(each[1] for each in self.variables),
            ubx=flat(each[2] for each in self.variables),
            lbg=flat(each[1] for each in self.constraints),
            ubg=flat(each[2] for each in self.constraints),
        )
        read = ca.Function("read", [x], [self.p, self.q])
        p, q = (np.array(each).T.reshape(self.task.steps, -1) * self.kva for each in read(found["x"]))
        return Dispatch(p, q, float(found["f"]), str(solver.stats()["return_status"]))


def _placement(task: Task) -> Any:
    """(nodes, devices) one where a device stands; devices at dead buses stand nowhere."""
    node = task.case.feeder.model.bus_node[task.params.device_bus]
    return ca.sparsify(ca.DM((np.arange(len(task.case.feeder.model.admittance))[:, None] == node).astype(np.float64)))


def _at_loads(task: Task, series: Floats) -> Floats:
    """(nodes, steps) of (steps, loads)."""
    node = task.case.feeder.model.bus_node[task.params.load_bus]
    return np.array([series[task.run][:, node == each].sum(axis=1) for each in range(len(task.case.feeder.model.admittance))])
