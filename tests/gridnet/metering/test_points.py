"""Meters stand where something is connected, and together they see all that flows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridnet.case import Case, load_case
from gridnet.errors import InputError, PowerFlowDiverged
from gridnet.metering.points import PHASE_V, PointTruth, head_point, meter_points, point_truth
from gridnet.simulate import State, Transition, step

STEPS = np.arange(1200, 1296)


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("tiny")


@pytest.fixture(scope="module")
def run(case: Case) -> tuple[State, Transition]:
    asked = np.zeros((len(STEPS), 2, case.fleet.devices))
    asked[:, 0], asked[:, 1] = 3.0, 0.5
    asked[:48, 0, 0] = -2.0
    return step(State(STEPS, np.full((len(STEPS), case.fleet.batteries), 0.5)), asked, case.params)


def test_there_is_a_home_for_each_connected_bus_and_a_meter_for_each_device(case: Case) -> None:
    points = meter_points(case)
    assert [point.name for point in points] == ["home-002", "home-003", "home-004", "bat-00", "pv-00"]
    assert [point.bus for point in points] == [2, 3, 4, 2, 2]
    assert [point.device for point in points] == [None, None, None, 0, 1]
    assert [point.capacity_w for point in points[3:]] == [round(1000 * kva) for kva in case.fleet.s_kva]


def test_a_fuse_carries_what_is_behind_it_and_has_a_rated_current(case: Case) -> None:
    params = case.params
    for point in meter_points(case)[:3]:
        loads, devices = params.load_bus == point.bus, params.device_bus == point.bus
        most_kw = np.abs(params.load_p_kw[:, loads]).sum(axis=1).max(initial=0.0) + params.fleet.s_kva[devices].sum()
        assert most_kw * 1000 <= point.capacity_w
        assert point.capacity_w / (3 * PHASE_V) in (25.0, 40.0, 63.0)


def test_homes_and_losses_add_up_to_what_the_head_sees(case: Case, run: tuple[State, Transition]) -> None:
    after, transition = run
    truth = point_truth(case.params, STEPS, transition, after.soc)
    np.testing.assert_allclose(truth.head_p_kw, transition.loss_kw - truth.p_kw[:, :3].sum(axis=1), atol=1e-9)
    assert np.array_equal(truth.p_kw[:, 3:], transition.done[:, 0])
    assert np.array_equal(truth.q_kvar[:, 3:], transition.done[:, 1])
    home = truth.p_kw[:, 0] - truth.p_kw[:, 3] - truth.p_kw[:, 4]
    np.testing.assert_allclose(home, case.params.load_p_kw[STEPS][:, case.params.load_bus == 2].sum(axis=1), atol=1e-12)
    np.testing.assert_allclose(truth.vm_pu[:, 3], transition.vm_pu[:, 2])
    np.testing.assert_allclose(truth.head_vm_pu, transition.vm_pu[:, case.feeder.slack_bus])
    assert np.array_equal(truth.soc, after.soc)


def test_the_head_has_the_transformers_rating_or_the_homes(case: Case) -> None:
    head = head_point(case)
    assert (head.name, head.kind, head.bus, head.device) == ("head", "head", case.feeder.slack_bus, None)
    assert head.capacity_w == sum(point.capacity_w for point in meter_points(case)[:3]), "this feeder has no transformer"
    with_one = replace(case, feeder=replace(case.feeder, trafo_kva=np.array([250.0])))
    assert head_point(with_one).capacity_w == 250_000


def test_truth_in_parts_is_the_truth(case: Case, run: tuple[State, Transition]) -> None:
    truth = point_truth(case.params, STEPS, run[1], run[0].soc)
    again = PointTruth.joined([truth.rows(0, 40), truth.rows(40, 96)])
    assert all(np.array_equal(getattr(again, name), getattr(truth, name)) for name in truth.__dataclass_fields__)
    assert np.array_equal(truth.rows(40, 50).step, STEPS[40:50])


def test_nothing_flows_at_a_dead_bus(case: Case, run: tuple[State, Transition]) -> None:
    flow = run[1].flow.copy()
    flow[:, 4] = np.nan
    truth = point_truth(case.params, STEPS, run[1]._replace(flow=flow), run[0].soc)
    assert not truth.p_kw[:, 2].any()
    assert not truth.q_kvar[:, 2].any()
    assert truth.p_kw[:, :2].any(axis=0).all()


def test_a_step_without_a_power_flow_is_named(case: Case, run: tuple[State, Transition]) -> None:
    flow = run[1].flow.copy()
    flow[7, -1] = 0.0
    with pytest.raises(PowerFlowDiverged, match="step 1207"):
        point_truth(case.params, STEPS, run[1]._replace(flow=flow), run[0].soc)


def test_shapes_that_do_not_agree_are_refused(case: Case, run: tuple[State, Transition]) -> None:
    with pytest.raises(InputError, match="don't agree"):
        point_truth(case.params, STEPS[:-1], run[1], run[0].soc)
