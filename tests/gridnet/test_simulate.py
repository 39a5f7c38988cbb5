"""The one transition on a feeder small enough to check by hand. Properties stand in tests/properties."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import load_case
from gridnet.devices import make_fleet
from gridnet.dispatch import idle
from gridnet.errors import InputError
from gridnet.feeder import SolvedModel
from gridnet.powerflow import compile_power_flow
from gridnet.scenario import BatteryModel, NetworkSource, Scenario
from gridnet.simulate import Params, State, step


def two_bus_params() -> Params:
    """Slack and one bus behind r = 0.01 pu, with a load, a battery (50 kW, 100 kWh) and PV (80 kW) there; two steps."""
    y = 1 / 0.01
    model = SolvedModel(
        bus_node=np.array([0, 1]),
        slack_node=0,
        slack_voltage=1 + 0j,
        admittance=np.array([[y, -y], [-y, y]], dtype=complex),
        branch_node=np.array([[0, 1]]),
        branch_admittance=np.array([[y, -y, -y, y]], dtype=complex),
        branch_percent=np.array([[500.0, 500.0]]),  # rated 0.2 pu
        lines=1,
    )
    battery = BatteryModel(efficiency_charge=0.9, efficiency_discharge=0.9, self_discharge_per_day=0.0)
    scenario = Scenario(name="own", title="t", network=NetworkSource(builtin="ieee33"), battery=battery)
    return Params(
        network=compile_power_flow(model).network,
        fleet=make_fleet(scenario, np.array([50.0]), np.array([100.0]), np.array([80.0]), dt_h=0.25),
        device_bus=np.array([1, 1]),
        load_bus=np.array([1]),
        load_p_kw=np.array([[-100.0], [0.0]]),
        load_q_kvar=np.zeros((2, 1)),
        pv_p_kw=np.array([[30.0], [70.0]]),
        buses=2,
        lines=1,
    )


def test_one_step_by_hand() -> None:
    # Load 100, PV 30, battery gives 20: the bus draws 50 kW = 0.05 pu over r = 0.01.
    # v^2 - v + 0.0005 = 0 gives v = (1 + sqrt(0.998)) / 2; the current is 0.05 / v, the loss its square times 0.01.
    state, asked = State(np.array([0]), np.array([[0.5]])), np.array([[[20.0, np.inf], [0.0, 0.0]]])
    v = (1 + np.sqrt(0.998)) / 2

    after, did = step(state, asked, two_bus_params())

    np.testing.assert_array_equal(after.step, [1])
    np.testing.assert_allclose(after.soc, [[0.5 - 20 * 0.25 / 0.9 / 100]], rtol=0, atol=1e-15)
    np.testing.assert_array_equal(did.done, [[[20.0, 30.0], [0.0, 0.0]]])
    np.testing.assert_allclose(did.vm_pu, [[1.0, v]], rtol=0, atol=1e-9)
    np.testing.assert_allclose(did.loading_percent, [[0.05 / v * 500]], rtol=0, atol=1e-6)
    np.testing.assert_allclose(did.loss_kw, [(0.05 / v) ** 2 * 0.01 * 1e3], rtol=0, atol=1e-6)
    np.testing.assert_allclose(did.slack_p_kw, [50.0 + did.loss_kw[0]], rtol=0, atol=1e-6)
    assert did.converged.all()


def test_export_is_negative_at_the_slack_and_still_loses() -> None:
    state = State(np.array([1]), np.array([[0.5]]))
    _, did = step(state, idle(1, 1, 2), two_bus_params())
    assert did.slack_p_kw[0] == pytest.approx(-70.0 + did.loss_kw[0])
    assert did.loss_kw[0] > 0.04
    assert did.vm_pu[0, 1] > 1.0


def test_each_row_stands_at_its_own_step_and_charge() -> None:
    state = State(np.array([1, 0]), np.array([[0.2], [0.9]]))
    after, did = step(state, idle(2, 1, 2), two_bus_params())
    np.testing.assert_allclose(did.done[:, 0, 1], [70.0, 30.0])
    np.testing.assert_array_equal(after.soc, state.soc)
    np.testing.assert_array_equal(after.step, [2, 1])


def test_an_infeasible_setpoint_is_cut_and_both_are_on_record() -> None:
    state, asked = State(np.array([0]), np.array([[0.06]])), np.array([[[1e6, -5.0], [-1e6, 1e6]]])

    after, did = step(state, asked, two_bus_params())

    np.testing.assert_array_equal(did.asked, asked)
    p_kw = (0.06 - 0.05) * 100 * 0.9 / 0.25
    room = np.sqrt(55.0**2 - p_kw**2)
    np.testing.assert_allclose(did.done, [[[p_kw, 0.0], [-room, 88.0]]], rtol=0, atol=1e-9)
    np.testing.assert_allclose(after.soc, [[0.05]], rtol=0, atol=1e-12)


def test_collapse_marks_its_row_moves_the_battery_and_harms_no_other() -> None:
    params = two_bus_params()
    collapsing = params._replace(load_p_kw=np.array([[-1e5], [0.0]]))
    state = State(np.array([0, 1]), np.array([[0.5], [0.5]]))

    after, did = step(state, idle(2, 1, 2), collapsing)
    _, alone = step(State(state.step[1:], state.soc[1:]), idle(1, 1, 2), params)

    np.testing.assert_array_equal(did.converged, [False, True])
    assert np.isnan(did.flow[0, 2:-1]).all()
    assert did.flow[1].tobytes() == alone.flow[0].tobytes()
    np.testing.assert_array_equal(after.step, [1, 2])


@pytest.mark.parametrize("value", [np.nan])
@pytest.mark.parametrize("quantity", [0, 1])
def test_a_nan_is_refused(value: float, quantity: int) -> None:
    asked = idle(1, 1, 2)
    asked[0, quantity, 0] = value
    with pytest.raises(InputError, match="NaN"):
        step(State(np.array([0]), np.array([[0.5]])), asked, two_bus_params())


@pytest.mark.parametrize("shape", [(2, 2, 2), (1, 2, 3), (2, 2)])
def test_a_setpoint_of_another_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="shape"):
        step(State(np.array([0]), np.array([[0.5]])), np.zeros(shape), two_bus_params())


@pytest.mark.parametrize("index", [2, -3])
def test_a_step_outside_the_series_is_refused(index: int) -> None:
    with pytest.raises(InputError):
        step(State(np.array([index]), np.array([[0.5]])), idle(1, 1, 2), two_bus_params())


@pytest.mark.parametrize("soc", [np.array([[np.nan]]), np.zeros((1, 0)), np.zeros((2, 1))])
def test_a_malformed_state_is_refused(soc: np.ndarray) -> None:
    with pytest.raises(InputError):
        step(State(np.array([0]), soc), idle(1, 1, 2), two_bus_params())


def test_a_year_of_resting_steps_is_the_series_themselves() -> None:
    """Every step of the year with idle devices: nothing but loads and sun, and only self-discharge in store."""
    case = load_case("rural1")
    batch = case.clock.steps
    state = case.start(0, batch)._replace(step=np.arange(batch))

    after, did = step(state, idle(batch, case.fleet.batteries, case.fleet.devices), case.params)

    assert did.converged.all()
    net_kw = case.series.load_p_kw.sum(axis=1) + case.series.pv_p_kw.sum(axis=1)
    np.testing.assert_allclose(did.slack_p_kw, did.loss_kw - net_kw, rtol=0, atol=1e-9)
    kept = 0.5 * (1 - case.scenario.battery.self_discharge_per_day) ** (1 / 96)
    np.testing.assert_allclose(after.soc, kept, rtol=0, atol=1e-15)
