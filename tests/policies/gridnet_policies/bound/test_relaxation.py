"""Every AC power flow is a point of the relaxation: held against the power flow itself, row by row."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.limits import PERCENT_TOLERANCE, VM_TOLERANCE_PU
from gridnet_policies.bound.grid import make_grid
from gridnet_policies.bound.ranges import WIDE_VM_PU
from gridnet_policies.bound.step_problems import Network
from gridnet_policies.bound.storage import reachable_kwh
from gridnet_policies.lp.task import Task, make_task
from tests.policies.gridnet_policies.bound.networks import meshed_case, played, point_of

Floats = NDArray[np.float64]

STEPS = 6
NOON = 48 + 96 * 30


def random_task(case: Case, size: float) -> tuple[Task, Floats, Floats]:
    """Steps around noon, and device powers p and q (steps, devices) anywhere in the devices' ranges, scaled by `size`."""
    task, fleet, rng = make_task(case, NOON, STEPS), case.fleet, np.random.default_rng(7)
    p = np.hstack(
        [size * rng.uniform(-1, 1, (STEPS, fleet.batteries)) * fleet.p_kw, size * rng.uniform(0, 1) * task.pv_available_kw]
    )
    q = size * rng.uniform(-1, 1, p.shape) * np.sqrt(fleet.s_kva**2 - p**2)
    return task, p, q


@pytest.mark.parametrize("name", ["tiny", "rural1", "semiurb4", "cigre_lv", "ieee33", "meshed"])
@pytest.mark.parametrize("limited", [True, False])
def test_an_ac_power_flow_is_feasible_and_on_the_surface_of_every_cone(name: str, limited: bool) -> None:
    case = meshed_case() if name == "meshed" else load_case(name)
    task, p, q = random_task(case, 0.3)
    network, every = Network(task), np.arange(STEPS)
    ranges = network.ranges(task.limits if limited else None, every)
    relaxation = network.relaxation(ranges)
    problems = network.problems(relaxation, ranges, every)
    assert played(task, np.stack([p, q], axis=1))[1]

    x = point_of(network, relaxation, p, q)
    slack = problems.right - relaxation.matrix @ x

    rows = relaxation.rows
    equal = np.concatenate([rows.balance_p, rows.balance_q, rows.ohm, rows.slack_u])
    assert np.abs(slack[equal]).max() < 1e-7
    branch = slack[rows.branch_cone].reshape(-1, 4, STEPS)
    assert branch[:, 0] == pytest.approx(np.sqrt((branch[:, 1:] ** 2).sum(axis=1)), abs=1e-9)
    circle = slack[rows.circle].reshape(-1, 3, STEPS)
    assert (circle[:, 0] >= np.hypot(circle[:, 1], circle[:, 2]) - 1e-9).all()
    others = np.setdiff1d(np.arange(len(slack)), np.concatenate([equal, rows.branch_cone, rows.circle]))
    assert slack[others].min() > -1e-9
    assert (x >= problems.low - 1e-9).all()
    assert (x <= problems.high + 1e-9).all()


@pytest.mark.parametrize("narrow", [{"vm_max_pu": 1.021}, {"vm_min_pu": 0.999}, {"trafo_percent": 20.0}, {"line_percent": 12.0}])
def test_a_point_is_outside_where_the_power_flow_breaks_a_limit_and_only_there(narrow: dict[str, float]) -> None:
    case = load_case("rural1")
    limits = case.scenario.limits.model_copy(update=narrow)
    case = replace(case, scenario=case.scenario.model_copy(update={"limits": limits}))
    broken, outside = [], []
    for size in (0.05, 0.3, 0.6, 0.9):
        task, p, q = random_task(case, size)
        network, every = Network(task), np.arange(STEPS)
        ranges = network.ranges(task.limits, every)
        relaxation = network.relaxation(ranges)
        x = point_of(network, relaxation, p, q)
        slack = network.problems(relaxation, ranges, every).right - relaxation.matrix @ x
        rows = relaxation.rows
        boxes = np.concatenate([rows.u_max, rows.u_min, rows.square_max, rows.to_max])
        outside += (slack[boxes].min(axis=0) < -1e-9).tolist()
        broken += [not played(replace(task, start=task.start + t, steps=1), np.stack([p, q], axis=1)[t : t + 1])[1] for t in every]
    assert outside == broken
    assert 0 < sum(broken) < len(broken)


@pytest.mark.parametrize("within", [True, False])
def test_the_tolerance_of_a_limit_belongs_to_it(within: bool) -> None:
    # Limits just below what the power flow does: by less than the tolerance, then by more.
    case = load_case("rural1")
    task, p, q = random_task(case, 0.5)
    flow = case.power_flow.solve(*task.injections(p, q))
    short = 0.95 if within else 1.05
    reached = {
        "vm_max_pu": np.delete(flow.vm_pu, case.feeder.slack_bus, axis=1).max() - short * VM_TOLERANCE_PU,
        "trafo_percent": flow.trafo_percent.max() - short * PERCENT_TOLERANCE,
        "line_percent": flow.line_percent.max() - short * PERCENT_TOLERANCE,
    }
    for name, limit in reached.items():
        limits = case.scenario.limits.model_copy(update={name: float(limit)})
        near = replace(task, case=replace(case, scenario=case.scenario.model_copy(update={"limits": limits})))
        network, every = Network(near), np.arange(STEPS)
        ranges = network.ranges(near.limits, every)
        relaxation = network.relaxation(ranges)
        x = point_of(network, relaxation, p, q)
        slack = network.problems(relaxation, ranges, every).right - relaxation.matrix @ x
        rows = relaxation.rows
        assert (slack[np.concatenate([rows.u_max, rows.square_max, rows.to_max])].min() >= 0) == within


def test_both_voltage_limits_are_wider_by_the_tolerance_and_nodes_without_one_have_a_range() -> None:
    task = make_task(load_case("rural1"), NOON, 1)
    network = Network(task)
    bus = np.delete(np.arange(task.params.buses), task.case.feeder.slack_bus)
    for limits, low, high in ((task.limits, 0.9 - VM_TOLERANCE_PU, 1.1 + VM_TOLERANCE_PU), (None, *WIDE_VM_PU)):
        ranges = network.ranges(limits, np.zeros(1, dtype=np.int64))
        assert ranges.vm_min_pu[network.grid.bus_node[bus]] == pytest.approx(low)
        assert ranges.vm_max_pu[network.grid.bus_node[bus]] == pytest.approx(high)
        assert ranges.vm_min_pu[network.grid.slack_node] == ranges.vm_max_pu[network.grid.slack_node] == network.grid.slack_vm_pu


def test_the_grid_holds_all_of_the_admittance_matrix() -> None:
    model = meshed_case().feeder.model
    grid = make_grid(model, 500.0)
    matrix = np.diag(grid.shunt)
    for (start, end), values in zip(grid.ends, grid.admittance, strict=True):
        matrix[np.ix_((start, end), (start, end))] += values.reshape(2, 2)
    assert matrix == pytest.approx(model.admittance * 2, abs=1e-9)
    assert (grid.limited < 0).sum() == 1


def test_no_battery_leaves_the_range_of_its_store() -> None:
    case = load_case("rural1")
    fleet = case.fleet
    for soc in (0.05, 0.5, 0.99):
        params = case.params._replace(fleet=fleet._replace(keep=0.98))
        task = replace(make_task(case, NOON, 40), params=params, soc=np.full(fleet.batteries, soc))
        low, high = reachable_kwh(task)
        for power in (-1e3, 0.0, 1e3):
            asked = np.full((40, 2, fleet.devices), 0.0)
            asked[:, 0, : fleet.batteries] = power
            held = soc * fleet.e_kwh
            for t, p in enumerate(played(task, asked)[2][:, 0, : fleet.batteries]):
                held = 0.98 * held - 0.25 * np.where(p > 0, p / fleet.efficiency[1], p * fleet.efficiency[0])
                assert (held >= low[t] - 1e-9).all()
                assert (held <= high[t] + 1e-9).all()
            if power:
                assert held == pytest.approx(low[-1] if power > 0 else high[-1], abs=1e-6)
