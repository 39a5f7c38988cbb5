"""The compiled power flow against pandapower: every shipped scenario, and networks with every supported element."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest
from numpy.typing import NDArray
from pandapower.powerflow import LoadflowNotConverged

from gridnet.case import Case, load_case
from gridnet.errors import InputError, ModelError
from gridnet.network import build_feeder, reference_flow
from gridnet.powerflow import Flow, PowerFlow, compile_power_flow
from gridnet.scenario import NetworkSource, Scenario, load_scenario, shipped_scenarios

QUANTITIES = ("vm_pu", "line_percent", "trafo_percent", "loss_kw", "slack_p_kw", "slack_q_kvar", "converged")

Floats = NDArray[np.float64]

VM_PU, PERCENT, KW = 1e-6, 1e-3, 1e-3


def rated_demand(case: Case) -> Floats:
    """(buses,) kW: every load at its rated power, drawing."""
    p_kw = np.zeros(case.power_flow.buses)
    np.subtract.at(p_kw, case.feeder.load_bus, case.feeder.load.p_rated_kw)
    return p_kw


def furthest_scale(power_flow: PowerFlow, p_kw: Floats, q_kvar: Floats) -> float:
    """The largest multiple of an operating point that still has a solution."""
    low, high = 1e-3, 1e4
    for _ in range(50):
        middle = np.sqrt(low * high)
        low, high = (middle, high) if power_flow.solve(middle * p_kw, middle * q_kvar).converged else (low, middle)
    return float(low)


def operating_points(case: Case) -> tuple[Floats, Floats]:
    """(points, buses) kW, kvar: nothing, heavy demand and export to near collapse, single buses, reactive, random."""
    buses = case.power_flow.buses
    rng = np.random.default_rng(20)
    demand = rated_demand(case)
    none = np.zeros(buses)
    total = -demand.sum()
    collapse = furthest_scale(case.power_flow, demand, 0.3 * demand)
    far_bus, some_bus = np.eye(buses)[buses - 1], np.eye(buses)[buses // 2]
    mixed = rng.uniform(-1, 1, (3, buses)) * total / buses * 2
    points = [
        (none, none),
        (demand, 0.3 * demand),
        (0.98 * collapse * demand, 0.98 * collapse * 0.3 * demand),
        (-3 * demand, none),
        (-2 * demand, 0.5 * demand),
        (0.02 * total * far_bus, none),
        (-0.02 * total * some_bus, 0.02 * total * far_bus),
        (none, -0.4 * demand),
        (none, 0.4 * demand),
        *zip(mixed, rng.permutation(mixed), strict=True),
    ]
    return np.array([p for p, _ in points]), np.array([q for _, q in points])


def assert_agrees(flow: Flow, expected: dict[str, Floats], p_kw: Floats) -> None:
    assert flow.converged.all()
    dead = np.isnan(expected["vm_pu"])
    np.testing.assert_array_equal(np.isnan(flow.vm_pu), dead)
    np.testing.assert_allclose(flow.vm_pu, expected["vm_pu"], rtol=0, atol=VM_PU)
    np.testing.assert_allclose(flow.line_percent, expected["line_percent"], rtol=0, atol=PERCENT)
    np.testing.assert_allclose(flow.trafo_percent, expected["trafo_percent"], rtol=0, atol=PERCENT)
    np.testing.assert_allclose(flow.slack_p_kw, expected["slack_p_kw"].ravel(), rtol=0, atol=KW)
    np.testing.assert_allclose(flow.slack_q_kvar, expected["slack_q_kvar"].ravel(), rtol=0, atol=KW)
    loss_kw = expected["slack_p_kw"].ravel() + np.where(dead, 0, p_kw).sum(axis=1)
    np.testing.assert_allclose(flow.loss_kw, loss_kw, rtol=0, atol=KW)


@pytest.mark.parametrize("name", shipped_scenarios())
def test_every_shipped_scenario_agrees_with_pandapower_from_zero_to_near_collapse(name: str) -> None:
    case = load_case(name)
    p_kw, q_kvar = operating_points(case)

    expected = reference_flow(load_scenario(name), p_kw, q_kvar)

    assert np.nanmin(expected["vm_pu"]) < 0.6, "one of the points must be near collapse"
    assert_agrees(case.power_flow.solve(p_kw, q_kvar), expected, p_kw)


# --- networks built here, answered by pandapower called from here -------------------------------------------------


def pandapower_answer(net: Any, p_kw: Floats, q_kvar: Floats) -> dict[str, Floats]:
    """runpp for injections at buses in table order, without any of gridnet's reading or repairing."""
    net = copy.deepcopy(net)
    for table in ("load", "sgen", "storage"):
        net[table] = net[table].iloc[:0]
    for position, bus in enumerate(net.bus.index):
        pp.create_sgen(net, bus, p_mw=p_kw[position] / 1e3, q_mvar=q_kvar[position] / 1e3)
    pp.runpp(net, init="dc", lightsim2grid=False, numba=False, tolerance_mva=1e-10)
    return {
        "vm_pu": net.res_bus.vm_pu.to_numpy()[None],
        # A branch that is switched off or lies at dead buses has no current: NaN there, 0 here.
        "line_percent": np.nan_to_num(net.res_line.loading_percent.to_numpy())[None],
        "trafo_percent": np.nan_to_num(net.res_trafo.loading_percent.to_numpy())[None],
        "slack_p_kw": net.res_ext_grid.p_mw.to_numpy() * 1e3,
        "slack_q_kvar": net.res_ext_grid.q_mvar.to_numpy() * 1e3,
    }


def compiled(net: Any, folder: Path) -> PowerFlow:
    pp.to_json(net, str(folder / "net.json"))
    scenario = Scenario(name="built", title="built in a test", network=NetworkSource(file=folder / "net.json"))
    return compile_power_flow(build_feeder(scenario).model)


def line(net: Any, start: int, end: int, km: float = 0.2, **more: Any) -> int:
    given = {"r_ohm_per_km": 0.2, "x_ohm_per_km": 0.08, "c_nf_per_km": 0.0, "max_i_ka": 0.25, **more}
    return int(pp.create_line_from_parameters(net, start, end, length_km=km, **given))


def trafo(net: Any, hv: int, lv: int, **more: Any) -> int:
    given = {
        "sn_mva": 0.4,
        "vn_hv_kv": 20.0,
        "vn_lv_kv": 0.41,  # off the bus's nominal voltage on purpose
        "vk_percent": 4.0,
        "vkr_percent": 1.2,
        "pfe_kw": 0.0,
        "i0_percent": 0.0,
        **more,
    }
    return int(pp.create_transformer_from_parameters(net, hv, lv, **given))


def radial_net() -> tuple[Any, list[int]]:
    """20 kV slack, transformer, four low-voltage buses in a row; table order is not electrical order."""
    net = pp.create_empty_network()
    far = int(pp.create_bus(net, vn_kv=0.4, index=70))
    slack = int(pp.create_bus(net, vn_kv=20.0, index=31))
    near = [int(pp.create_bus(net, vn_kv=0.4, index=index)) for index in (5, 90, 2)]
    pp.create_ext_grid(net, slack, vm_pu=1.02, va_degree=3.0)
    trafo(net, slack, near[0], name="T")
    line(net, near[0], near[1])
    line(net, near[2], near[1])  # against the flow
    line(net, near[2], far)
    pp.create_load(net, near[0], p_mw=0.03, q_mvar=0.01)
    return net, [slack, *near, far]


def meshed(net: Any, bus: list[int]) -> None:
    line(net, bus[1], bus[4], km=0.15)
    line(net, bus[2], bus[4], km=0.4)


def line_open_at_its_far_end(net: Any, bus: list[int]) -> None:
    cable = line(net, bus[2], bus[4], km=3.0, c_nf_per_km=900.0)
    pp.create_switch(net, bus[4], cable, et="l", closed=False)


def line_open_at_its_near_end(net: Any, bus: list[int]) -> None:
    cable = line(net, bus[2], bus[4], km=3.0, c_nf_per_km=900.0)
    pp.create_switch(net, bus[2], cable, et="l", closed=False)


def line_open_at_both_ends(net: Any, bus: list[int]) -> None:
    cable = line(net, bus[2], bus[4], c_nf_per_km=900.0)
    pp.create_switch(net, bus[2], cable, et="l", closed=False)
    pp.create_switch(net, bus[4], cable, et="l", closed=False)


def open_switch_that_cuts_the_end_off(net: Any, bus: list[int]) -> None:
    pp.create_switch(net, bus[3], int(net.line.index[-1]), et="l", closed=False)


def ratio_tap(net: Any, bus: list[int]) -> None:
    taps = {"tap_side": "hv", "tap_neutral": 0, "tap_min": -2, "tap_max": 2, "tap_step_percent": 2.5, "tap_pos": -2}
    trafo(net, bus[0], bus[2], **taps, tap_changer_type="Ratio")


def symmetrical_tap_and_shift(net: Any, bus: list[int]) -> None:
    extra = int(pp.create_bus(net, vn_kv=0.4))
    taps = {"tap_side": "lv", "tap_neutral": 0, "tap_min": -9, "tap_max": 9, "tap_step_percent": 1.5, "tap_pos": 3}
    trafo(net, bus[0], extra, shift_degree=150, tap_step_degree=90.0, **taps, tap_changer_type="Symmetrical")
    line(net, extra, int(pp.create_bus(net, vn_kv=0.4)))


def magnetising_branch(net: Any, bus: list[int]) -> None:
    trafo(net, bus[0], bus[3], pfe_kw=1.4, i0_percent=0.6, sn_mva=0.25)


def parallel_and_derated(net: Any, bus: list[int]) -> None:
    line(net, bus[1], bus[3], parallel=3, df=0.8, c_nf_per_km=300.0)
    trafo(net, bus[0], bus[2], parallel=2, df=0.9, pfe_kw=0.5, i0_percent=0.3)


def charging_of_a_medium_voltage_cable(net: Any, bus: list[int]) -> None:
    end = int(pp.create_bus(net, vn_kv=20.0))
    line(net, bus[0], end, km=12.0, c_nf_per_km=250.0, g_us_per_km=2.0)
    trafo(net, end, bus[4])


def shunts(net: Any, bus: list[int]) -> None:
    pp.create_shunt(net, bus[4], q_mvar=-0.05, p_mw=0.001)
    pp.create_shunt(net, bus[2], q_mvar=0.02, vn_kv=0.38, step=2, max_step=3)
    pp.create_shunt(net, bus[3], q_mvar=-9.0, in_service=False)


def out_of_service(net: Any, bus: list[int]) -> None:
    dead = int(pp.create_bus(net, vn_kv=0.4, in_service=False))
    line(net, bus[3], dead)
    line(net, bus[1], bus[4], km=0.1, in_service=False)
    trafo(net, bus[0], bus[2], in_service=False)
    line(net, bus[2], bus[4], km=0.3)


def fused_buses(net: Any, bus: list[int]) -> None:
    twin, other = int(pp.create_bus(net, vn_kv=0.4, index=1)), int(pp.create_bus(net, vn_kv=0.4))
    pp.create_switch(net, bus[3], twin, et="b", closed=True)
    pp.create_switch(net, bus[4], other, et="b", closed=False)
    line(net, twin, other, km=0.3)
    busbar = int(pp.create_bus(net, vn_kv=20.0))
    pp.create_switch(net, bus[0], busbar, et="b", closed=True)


def switch_with_impedance(net: Any, bus: list[int]) -> None:
    beyond = int(pp.create_bus(net, vn_kv=0.4))
    pp.create_switch(net, bus[3], beyond, et="b", closed=True, z_ohm=0.05)


def open_transformer_switch(net: Any, bus: list[int]) -> None:
    idle = trafo(net, bus[0], bus[3], pfe_kw=1.0, i0_percent=1.0)
    pp.create_switch(net, bus[3], idle, et="t", closed=False)


def everything_at_once(net: Any, bus: list[int]) -> None:
    for element in ELEMENTS:
        if element not in (everything_at_once, open_switch_that_cuts_the_end_off):
            element(net, bus)


ELEMENTS = [
    meshed,
    line_open_at_its_far_end,
    line_open_at_its_near_end,
    line_open_at_both_ends,
    open_switch_that_cuts_the_end_off,
    ratio_tap,
    symmetrical_tap_and_shift,
    magnetising_branch,
    parallel_and_derated,
    charging_of_a_medium_voltage_cable,
    shunts,
    out_of_service,
    fused_buses,
    switch_with_impedance,
    open_transformer_switch,
    everything_at_once,
]


@pytest.mark.parametrize("element", ELEMENTS, ids=lambda element: element.__name__)
def test_every_supported_element_agrees_with_pandapower(element: Any, tmp_path: Path) -> None:
    net, bus = radial_net()
    element(net, bus)
    rng = np.random.default_rng(3)
    points = rng.normal(0.0, 25.0, (3, 2, len(net.bus)))
    points[0] = 0.0

    power_flow = compiled(net, tmp_path)

    for p_kw, q_kvar in points:
        flow = power_flow.solve(p_kw[None], q_kvar[None])
        assert_agrees(flow, pandapower_answer(net, p_kw, q_kvar), p_kw[None])


def test_a_network_of_another_power_base_and_frequency_agrees(tmp_path: Path) -> None:
    net, bus = radial_net()
    net.sn_mva, net.f_hz = 100.0, 60.0
    charging_of_a_medium_voltage_cable(net, bus)
    p_kw = np.linspace(-40.0, 30.0, len(net.bus))

    flow = compiled(net, tmp_path).solve(p_kw[None], 0.2 * p_kw[None])

    assert_agrees(flow, pandapower_answer(net, p_kw, 0.2 * p_kw), p_kw[None])


def test_an_unrated_line_has_no_loading(tmp_path: Path) -> None:
    net, _ = radial_net()
    net.line.loc[net.line.index[0], "max_i_ka"] = 99999.0

    flow = compiled(net, tmp_path).solve(np.full(5, -20.0), np.zeros(5))

    assert flow.line_percent[0] == 0.0
    assert (flow.line_percent[1:] > 1.0).all()


# --- what has no solution ------------------------------------------------------------------------------------------


def test_collapse_is_found_where_pandapower_finds_it() -> None:
    case = load_case("ieee33")
    demand = rated_demand(case)
    furthest = furthest_scale(case.power_flow, demand, 0.3 * demand)

    last = reference_flow(case.scenario, 0.999 * furthest * demand[None], 0.3 * 0.999 * furthest * demand[None])
    with pytest.raises(LoadflowNotConverged):
        reference_flow(case.scenario, 1.005 * furthest * demand[None], 0.3 * 1.005 * furthest * demand[None])

    assert last["vm_pu"].min() < 0.45
    assert not case.power_flow.solve(1.005 * furthest * demand, 0.3 * 1.005 * furthest * demand).converged


@pytest.mark.parametrize("batch", [3, 21])
def test_a_row_without_a_solution_is_marked_and_harms_no_other(batch: int) -> None:
    case = load_case("cigre_lv")
    demand = np.tile(rated_demand(case), (batch, 1)) * np.linspace(0.2, 1.0, batch)[:, None]
    broken = np.arange(batch) % 3 == 1
    whole = case.power_flow.solve(demand, 0.2 * demand)

    flow = case.power_flow.solve(np.where(broken[:, None], 50 * demand, demand), 0.2 * demand)

    np.testing.assert_array_equal(flow.converged, ~broken)
    for field in QUANTITIES:
        np.testing.assert_array_equal(getattr(flow, field)[~broken], getattr(whole, field)[~broken])
    loaded = case.feeder.model.bus_node[None] != case.feeder.model.slack_node
    assert np.isnan(flow.vm_pu[broken][:, loaded[0]]).all()
    assert np.isnan(flow.line_percent[broken]).all()
    assert np.isnan(np.stack([flow.slack_p_kw, flow.slack_q_kvar, flow.loss_kw])[:, broken]).all()


def test_a_row_without_a_solution_holds_nan_at_every_bus() -> None:
    case = load_case("ieee33")
    flow = case.power_flow.solve(100 * rated_demand(case), np.zeros(33))
    assert not flow.converged
    assert np.isnan(flow.vm_pu).all()


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_injection_that_is_no_number_never_converges(value: float) -> None:
    case = load_case("cigre_lv")  # three transformers at the slack: what one feeds does not touch the others
    p_kw = np.zeros(case.power_flow.buses)
    p_kw[5] = value

    flow = case.power_flow.solve(p_kw, np.zeros_like(p_kw))

    assert not flow.converged


def test_injections_of_a_wrong_shape_are_refused() -> None:
    case = load_case("ieee33")
    with pytest.raises(InputError, match="shape"):
        case.power_flow.solve(np.zeros((33, 4)), np.zeros((33, 4)))


def test_active_and_reactive_power_of_different_shapes_are_refused() -> None:
    case = load_case("ieee33")
    with pytest.raises(InputError, match="shape"):
        case.power_flow.solve(np.zeros((4, 33)), np.zeros((1, 33)))


def test_voltages_are_those_of_solve_and_nan_without_a_solution() -> None:
    case = load_case("rural1")
    demand = rated_demand(case)
    p_kw = np.stack([demand, 50 * demand, -demand])

    volts = case.power_flow.voltages(p_kw, 0.1 * p_kw)
    flow = case.power_flow.solve(p_kw, 0.1 * p_kw)

    node_of_bus = case.power_flow.network.bus_node
    np.testing.assert_allclose(np.abs(volts[::2][:, node_of_bus]), flow.vm_pu[::2], rtol=0, atol=1e-15)
    assert np.isnan(volts[1]).all()
    assert sorted(case.power_flow.order) == list(range(volts.shape[1]))
    assert case.power_flow.order[-1] == case.feeder.model.slack_node


def test_a_single_point_gives_the_row_of_a_batch_without_its_axis() -> None:
    case = load_case("rural1")
    demand = rated_demand(case)
    one, batch = case.power_flow.solve(demand, 0.1 * demand), case.power_flow.solve(demand[None], 0.1 * demand[None])
    for field in QUANTITIES:
        single, row = getattr(one, field), getattr(batch, field)
        assert np.shape(single) == row.shape[1:]
        np.testing.assert_array_equal(single, row[0])


def test_a_live_bus_without_a_path_to_the_slack_is_refused() -> None:
    model = build_feeder(load_scenario("ieee33")).model
    cut_off = model.admittance.copy()
    cut_off[-1, :] = cut_off[:, -1] = 0.0
    with pytest.raises(ModelError, match="connect"):
        compile_power_flow(model._replace(admittance=cut_off))
