"""Cases and tasks that the tests of the bound share: meshes, shunts, odd prices."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from gridnet.case import Case, load_case
from gridnet.powerflow import compile_power_flow
from gridnet.simulate import State, step
from gridnet.tariff import mean_price_value
from gridnet_policies.bound.relaxation import Relaxation
from gridnet_policies.bound.step_problems import Network
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]


def meshed_case() -> Case:
    """`ieee33` with its five tie lines closed, which makes five meshes, a capacitor at a node and a reactance between two
    that no line stands for."""
    case = load_case("ieee33")
    model = case.feeder.model
    admittance, ends, branch = model.admittance.copy(), model.branch_node.copy(), model.branch_admittance.copy()
    ties = np.flatnonzero(ends[:, 0] < 0)
    assert len(ties) == 5
    for tie, pair in zip(ties, ((20, 7), (8, 14), (11, 21), (17, 32), (24, 28)), strict=True):
        series = 1 / (0.02 + 0.02j)
        ends[tie], branch[tie] = pair, (series + 0.001j, -series, -series, series + 0.001j)
        admittance[np.ix_(pair, pair)] += branch[tie].reshape(2, 2)
    admittance[np.ix_((5, 9), (5, 9))] += np.array([[1, -1], [-1, 1]]) / (0.05 + 0.1j)
    admittance[12, 12] += 0.002 + 0.05j
    model = model._replace(admittance=admittance, branch_node=ends, branch_admittance=branch)
    power_flow = compile_power_flow(model)
    params = case.params._replace(network=power_flow.network)
    return replace(case, feeder=replace(case.feeder, model=model), power_flow=power_flow, params=params)


def priced(task: Task, import_eur_per_kwh: Floats, export_eur_per_kwh: Floats) -> Task:
    """The task at other prices (steps,), its stored energy valued anew."""
    prices = task.prices._replace(
        import_eur_per_kwh=task.prices.import_eur_per_kwh.copy(), export_eur_per_kwh=task.prices.export_eur_per_kwh.copy()
    )
    prices.import_eur_per_kwh[task.run] = import_eur_per_kwh
    prices.export_eur_per_kwh[task.run] = export_eur_per_kwh
    return replace(task, prices=prices, stored=mean_price_value(prices, task.params.fleet, task.start, task.steps))


def with_devices(task: Task, batteries: int, plants: int) -> Task:
    """`tiny` with few devices: batteries that are empty, plants that give 4 kW."""
    fleet = task.params.fleet
    few = fleet._replace(p_kw=fleet.p_kw[:batteries], e_kwh=fleet.e_kwh[:batteries], s_kva=np.full(batteries + plants, 11.0))
    sun = np.full((task.start + task.steps, plants), 4.0)
    params = task.params._replace(fleet=few, device_bus=np.full(batteries + plants, 2), pv_p_kw=sun)
    return replace(task, params=params, soc=np.zeros(batteries))


def one_node_values(task: Task) -> Floats:
    """(steps, batteries) values of stored energy by a small programme of its own: no network, all batteries as one."""
    fleet, steps, dt = task.params.fleet, task.steps, task.params.fleet.dt_h
    eye, zero = np.eye(steps), np.zeros((steps, steps))
    blank = np.zeros((steps, 2))
    kept = eye - fleet.keep * np.eye(steps, k=-1)
    # Columns: charge, discharge, stored, PV, import, export, gained, missing.
    stored = np.hstack([-dt * fleet.efficiency[0] * eye, dt / fleet.efficiency[1] * eye, kept, zero, zero, zero, blank])
    power = np.hstack([-eye, eye, zero, eye, eye, -eye, blank])
    last = np.hstack([np.zeros(2 * steps), eye[-1], np.zeros(3 * steps), -1.0, 1.0])
    start = float(task.soc @ fleet.e_kwh)
    first = np.zeros(steps)
    first[0] = fleet.keep * start
    load = -task.params.load_p_kw[task.run].sum(axis=1)
    ones = np.ones(steps)
    rated, window = fleet.p_kw.sum() * ones, np.multiply.outer(fleet.soc_window, fleet.e_kwh.sum() * ones)
    wear = dt * task.prices.wear_eur_per_kwh * ones
    trade = [dt * task.import_eur_per_kwh, -dt * task.export_eur_per_kwh]
    end = [-task.stored.surplus_eur_per_kwh, task.stored.shortfall_eur_per_kwh]
    high = np.concatenate([rated, rated, window[1], task.pv_available_kw.sum(axis=1), np.full(2 * steps + 2, 1e6)])
    low = np.zeros_like(high)
    low[2 * steps : 3 * steps] = 0.9 * window[0]
    solved = linprog(
        np.concatenate([wear, wear, 0 * ones, 0 * ones, *trade, end]),
        A_eq=np.vstack([stored, power, last]),
        b_eq=np.concatenate([first, load, [start]]),
        bounds=np.stack([low, high], axis=1),
    )
    assert solved.success
    return np.repeat(-solved.eqlin.marginals[:steps, None], fleet.batteries, axis=1)


def played(task: Task, asked: Floats) -> tuple[float, bool, Floats]:
    """What a schedule (steps, 2, devices) costs by the simulator, whether it keeps the limits, and the powers done."""
    state = State(np.array([task.start]), task.soc[None].copy())
    slack, done, kept = [], [], True
    for setpoint in asked:
        state, moved = step(state, setpoint[None], task.params)
        kept &= bool(moved.converged.all()) and not task.limits.broken(moved.vm_pu, moved.loading_percent).any()
        slack.append(moved.slack_p_kw[0])
        done.append(moved.done[0])
    powers = np.array(done)
    return task.cost_eur(np.array(slack), powers[:, 0], state.soc[0]), kept, powers


def point_of(network: Network, relaxation: Relaxation, p: Floats, q: Floats) -> Floats:
    """(columns, steps) the AC power flow with devices at `p`, `q` (steps, devices), in the relaxation's columns."""
    task, grid, columns, fleet = network.task, network.grid, relaxation.columns, network.task.params.fleet
    p_bus, q_bus = task.injections(p, q)
    volts = np.empty((grid.nodes, task.steps), dtype=np.complex128)
    volts[task.case.power_flow.order] = task.case.power_flow.voltages(p_bus, q_bus).T
    start, end = grid.ends.T
    current = grid.admittance[:, :1] * volts[start] + grid.admittance[:, 1:2] * volts[end]
    power = volts[start] * current.conj() / relaxation.current[:, None]
    slack = task.case.power_flow.solve(p_bus, q_bus)
    x = np.zeros((columns.width, task.steps))
    x[columns.u], x[columns.p], x[columns.q] = np.abs(volts) ** 2, power.real, power.imag
    x[columns.square] = np.abs(current / relaxation.current[:, None]) ** 2
    x[columns.into], x[columns.out] = (
        np.maximum(slack.slack_p_kw, 0) / network.base_kva,
        np.maximum(-slack.slack_p_kw, 0) / network.base_kva,
    )
    x[columns.slack_q] = slack.slack_q_kvar / network.base_kva
    batteries = fleet.batteries
    x[columns.charge] = (np.maximum(-p[:, :batteries], 0) / fleet.p_kw).T
    x[columns.discharge] = (np.maximum(p[:, :batteries], 0) / fleet.p_kw).T
    x[columns.battery_q] = (q[:, :batteries] / fleet.s_kva[:batteries]).T
    x[columns.pv] = (p[:, batteries:] / fleet.s_kva[batteries:]).T
    x[columns.pv_q] = (q[:, batteries:] / fleet.s_kva[batteries:]).T
    return x
