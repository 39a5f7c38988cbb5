"""How fast the physics of one scenario is here and now: the compiled power flow beside pandapower, in a few seconds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.bench.figures import median_s
from gridnet.case import Case
from gridnet.dispatch import idle
from gridnet.network import reference_solver

Floats = NDArray[np.float64]

_REFERENCE_TIMES, _SINGLE_TIMES, _BATCH_TIMES, _BATCH = 7, 1001, 7, 1024


@dataclass(frozen=True)
class Pace:
    """Medians on one thread, microseconds."""

    buses: int
    reference_us: float
    """`pandapower.runpp`, one operating point."""
    single_us: float
    """The compiled flow, one operating point."""
    batched_us: float
    """The same, of an operating point in a batch of 1,024."""
    step_us: float
    """The whole transition that a policy meets: setpoints cut, power flow, state of charge."""


def measure_pace(case: Case) -> Pace:
    """Measures on the scenario's own loads and sun, at steps spread over its series. Each is called once before its clock
    starts; building pandapower's network is left out."""
    steps = np.linspace(0, case.clock.steps - 1, _BATCH).astype(np.int64)
    p_kw, q_kvar = _injections(case, steps)
    reference = reference_solver(case.scenario)
    # A point that has a solution: what nobody controls may be more than the network carries.
    solved = np.flatnonzero(case.power_flow.solve(p_kw, q_kvar).converged)
    middle = solved[len(solved) // 2]
    state, asked = case.start(0), idle(1, case.fleet.batteries, case.fleet.devices)
    return Pace(
        buses=case.params.buses,
        reference_us=1e6 * median_s(lambda: reference(p_kw[middle], q_kvar[middle]), _REFERENCE_TIMES),
        single_us=1e6 * median_s(lambda: case.power_flow.solve(p_kw[middle], q_kvar[middle]), _SINGLE_TIMES),
        batched_us=1e6 * median_s(lambda: case.power_flow.solve(p_kw, q_kvar), _BATCH_TIMES) / _BATCH,
        step_us=1e6 * median_s(lambda: simulate.step(state, asked, case.params), _SINGLE_TIMES),
    )


def _injections(case: Case, steps: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """(steps, buses) kW and kvar of loads and PV at their buses, with idle batteries."""
    params, shape = case.params, (len(steps), case.params.buses)
    p_kw, q_kvar = np.zeros(shape), np.zeros(shape)
    rows = np.arange(len(steps))[:, None]
    np.add.at(p_kw, (rows, params.load_bus[None]), params.load_p_kw[steps])
    np.add.at(q_kvar, (rows, params.load_bus[None]), params.load_q_kvar[steps])
    np.add.at(p_kw, (rows, params.device_bus[None, case.fleet.batteries :]), params.pv_p_kw[steps])
    return p_kw, q_kvar
