"""The one transition: setpoints in, physics done, next state out. Training, benchmark, replay and verification all use it.

`step` is pure: state and parameters come in, a new state and what happened come out. All arrays carry a leading batch of
independent feeders (the same network, each at its own time step).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet import acflow
from gridnet.devices import Fleet, battery_soc, clip
from gridnet.dispatch import checked
from gridnet.errors import InputError
from gridnet.kernels import kernel
from gridnet.powerflow import Flow

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class State(NamedTuple):
    """What changes: `step` (batch,) index into the series, `soc` (batch, batteries) state of charge 0-1."""

    step: Ints
    soc: Floats


class Params(NamedTuple):
    """What does not change: the compiled network, the fleet, where devices sit, and the series."""

    network: acflow.Network
    fleet: Fleet
    device_bus: Ints
    """(devices,) batteries then PV."""
    load_bus: Ints
    load_p_kw: Floats
    """(steps, loads), consumption negative."""
    load_q_kvar: Floats
    pv_p_kw: Floats
    """(steps, pvs) what the sun gives."""
    buses: int
    lines: int

    @property
    def trafos(self) -> int:
        """How many transformers the network has."""
        return len(self.network.branch_node) - self.lines


class Transition(NamedTuple):
    """What one step did. Powers are step means in kW."""

    asked: Floats
    """(batch, 2, devices) p and q as asked."""
    done: Floats
    """(batch, 2, devices) p and q as done: `asked` cut to what the devices can do."""
    flow: Floats
    """(batch, buses + lines + trafos + 4): vm_pu, loading percent, loss kW, slack p kW, slack q kvar, 1 = converged."""
    params: Params

    @property
    def solved(self) -> Flow:
        """The power flow with its quantities by name."""
        return Flow(self.flow, self.params.buses, len(self.params.network.branch_node), self.params.lines)

    @property
    def vm_pu(self) -> Floats:
        """(batch, buses)"""
        return self.solved.vm_pu

    @property
    def loading_percent(self) -> Floats:
        """(batch, lines + trafos)"""
        return self.solved.branch_percent

    @property
    def loss_kw(self) -> Floats:
        """(batch,)"""
        return self.solved.loss_kw

    @property
    def slack_p_kw(self) -> Floats:
        """(batch,) > 0: the upstream grid feeds the feeder."""
        return self.solved.slack_p_kw

    @property
    def converged(self) -> NDArray[np.bool_]:
        """(batch,)"""
        return self.solved.converged


def step(state: State, asked: Floats, params: Params) -> tuple[State, Transition]:
    """One step of `dt_h` hours.

    `asked`: (batch, 2, devices) p kW and q kvar; PV p is a ceiling. Raises `InputError` for a malformed state or setpoint. Rows
    whose power flow has no solution are marked in `converged`, their flow is NaN, and the other rows are not touched.
    """
    batch, devices = len(state.step), params.fleet.devices
    _check_state(state, params)
    asked = checked(asked, batch, devices)
    done = np.empty((batch, 2, devices))
    soc = np.empty_like(state.soc)
    flow = np.empty((batch, params.buses + len(params.network.branch_node) + acflow.BALANCE))
    advance(params, state.step, state.soc, asked, done, soc, flow)
    return State(state.step + 1, soc), Transition(asked, done, flow, params)


def _check_state(state: State, params: Params) -> None:
    steps, batch, batteries = len(params.load_p_kw), len(state.step), params.fleet.batteries
    if batch and not (state.step.min() >= 0 and state.step.max() < steps):
        raise InputError(f"steps {state.step.min()} to {state.step.max()} leave the series, which has steps [0, {steps})")
    if state.soc.shape != (batch, batteries):
        raise InputError(f"the state of charge has shape {state.soc.shape}, expected {(batch, batteries)}: batch, batteries")
    if np.isnan(state.soc).any():
        raise InputError("a state of charge is NaN; give numbers from 0 to 1")


@kernel
def advance(params: Params, step_: Ints, soc: Floats, asked: Floats, done: Floats, soc_after: Floats, flow: Floats) -> None:
    """The kernel of `step`: fills `done`, `soc_after` and `flow`, shapes as in `Transition`."""
    for i in range(step_.shape[0]):
        clip(params.fleet, soc[i], params.pv_p_kw[step_[i]], asked[i], done[i])
        for b in range(soc.shape[1]):
            soc_after[i, b] = battery_soc(params.fleet, b, soc[i, b], done[i, 0, b])
    solve_flow(params, step_, done, flow)


@kernel
def solve_flow(params: Params, step_: Ints, done: Floats, flow: Floats) -> None:
    """AC power flow of every row with devices at `done` and loads at their series; fills `flow`."""
    batch = step_.shape[0]
    p_kw = np.zeros((batch, params.buses))
    q_kvar = np.zeros((batch, params.buses))
    for i in range(batch):
        t = step_[i]
        for k in range(params.load_bus.shape[0]):
            p_kw[i, params.load_bus[k]] += params.load_p_kw[t, k]
            q_kvar[i, params.load_bus[k]] += params.load_q_kvar[t, k]
        for d in range(params.device_bus.shape[0]):
            p_kw[i, params.device_bus[d]] += done[i, 0, d]
            q_kvar[i, params.device_bus[d]] += done[i, 1, d]
    if batch < acflow.LANES:
        acflow.solve_one_lane(params.network, p_kw, q_kvar, flow)
    else:
        acflow.solve_lanes(params.network, p_kw, q_kvar, flow)
