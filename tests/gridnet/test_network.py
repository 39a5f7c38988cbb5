"""Reading a network: what is refused and how it is said, what is repaired, and what arrives in the feeder's tables."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pandas as pd
import pytest

from gridnet.errors import InputError
from gridnet.feeder import Feeder
from gridnet.network import build_feeder, reference_flow
from gridnet.powerflow import compile_power_flow
from gridnet.scenario import NetworkSource, Prosumers, Scenario, load_scenario

MODELLED = {"bus", "line", "trafo", "ext_grid", "load", "sgen", "storage", "switch", "shunt"}
WITHOUT_EFFECT = {"bus_dc", "measurement", "pwl_cost", "poly_cost", "group"}
"""Tables that don't inject or conduct anything themselves."""
ELEMENT_TABLES = {
    name for name, table in pp.create_empty_network().items() if not name.startswith(("_", "res_")) and hasattr(table, "columns")
}


def small_net() -> Any:
    net = pp.create_empty_network()
    for index in (4, 9, 1):
        pp.create_bus(net, vn_kv=0.4, index=index)
    pp.create_ext_grid(net, 4)
    for start, end in ((4, 9), (9, 1)):
        pp.create_line_from_parameters(net, start, end, 0.1, 0.3, 0.1, 0.0, 0.2)
    pp.create_load(net, 1, p_mw=0.01, q_mvar=0.002, name="home")
    return net


def scenario_of(net: Any, folder: Path, **more: Any) -> Scenario:
    pp.to_json(net, str(folder / "net.json"))
    return Scenario(name="own", title="a user's network", network=NetworkSource(file=folder / "net.json"), **more)


def feeder_of(net: Any, folder: Path, **more: Any) -> Feeder:
    return build_feeder(scenario_of(net, folder, **more))


# --- refusals ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", sorted(ELEMENT_TABLES - MODELLED - WITHOUT_EFFECT))
def test_every_element_of_pandapower_that_is_not_modelled_is_refused(table: str, tmp_path: Path) -> None:
    scenario = scenario_of(small_net(), tmp_path)
    net = small_net()
    live = {"in_service": [True]} if "in_service" in net[table] else {}
    net[table] = pd.DataFrame(live or {"object": [None]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pp, "from_json", lambda _: net)
        with pytest.raises(InputError, match=rf"network\.{table}: got 1 "):
            build_feeder(scenario)


def test_all_unsupported_elements_are_named_at_once(tmp_path: Path) -> None:
    net = small_net()
    pp.create_gen(net, 9, p_mw=0.01)
    pp.create_ward(net, 9, ps_mw=0, qs_mvar=0, pz_mw=0.01, qz_mvar=0)
    pp.create_impedance(net, 9, 1, rft_pu=0.1, xft_pu=0.1, sn_mva=1.0)
    pp.create_motor(net, 1, pn_mech_mw=0.01, cos_phi=0.9)
    for _ in range(2):
        pp.create_asymmetric_load(net, 1, p_a_mw=0.01)
    pp.create_ext_grid(net, 9)
    pp.create_load(net, 1, p_mw=0.01, const_z_p_percent=50.0)
    pp.create_storage(net, 1, p_mw=0.0, max_e_mwh=0.0)
    pp.create_sgen(net, 1, p_mw=-0.01)

    with pytest.raises(InputError) as refused:
        feeder_of(net, tmp_path)

    where = [fault.where for fault in refused.value.faults]
    named = ("gen", "ward", "impedance", "motor", "asymmetric_load", "ext_grid", "load[1]", "storage[0]", "sgen[0]")
    assert all(any(f"network.{name}" in place for place in where) for name in named), where
    assert "network.asymmetric_load: got 2 in service" in str(refused.value)
    assert len(where) == 9


def test_unsupported_elements_out_of_service_do_no_harm(tmp_path: Path) -> None:
    net = small_net()
    pp.create_gen(net, 9, p_mw=0.01, in_service=False)
    pp.create_impedance(net, 9, 1, rft_pu=0.1, xft_pu=0.1, sn_mva=1.0, in_service=False)
    pp.create_load(net, 9, p_mw=0.01, const_i_p_percent=20.0, in_service=False)
    assert feeder_of(net, tmp_path).load.name == ("home",)


@pytest.mark.parametrize("quantity", [f"const_{kind}_{power}_percent" for kind in "zi" for power in "pq"])
def test_loads_that_follow_the_voltage_are_refused(quantity: str, tmp_path: Path) -> None:
    net = small_net()
    net.load[quantity] = 30.0
    with pytest.raises(InputError, match="constant power"):
        feeder_of(net, tmp_path)


@pytest.mark.parametrize("in_service", [(), (True, True)])
def test_a_network_needs_exactly_one_connection_point(in_service: tuple[bool, ...], tmp_path: Path) -> None:
    net = small_net()
    net.ext_grid = net.ext_grid.iloc[:0]
    for bus, live in zip((4, 1), in_service, strict=False):
        pp.create_ext_grid(net, bus, in_service=live)
    with pytest.raises(InputError, match="exactly one connection point"):
        feeder_of(net, tmp_path)


def test_a_device_at_a_bus_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    net = small_net()
    net.load["bus"] = 77
    with pytest.raises(InputError, match=r"network\.load\[0\]\.bus: got 77, expected a bus of the network"):
        feeder_of(net, tmp_path)


def test_a_network_that_has_no_solution_at_rest_is_refused(tmp_path: Path) -> None:
    net = small_net()
    pp.create_shunt(net, 1, p_mw=1000.0, q_mvar=0.0)
    with pytest.raises(InputError, match="no AC solution at rest"):
        feeder_of(net, tmp_path)


def _no_slack(net: Any) -> None:
    net.bus.loc[4, "in_service"] = False


def _no_resistance(net: Any) -> None:
    net.line["r_ohm_per_km"] = net.line["x_ohm_per_km"] = 0.0


def _unknown_resistance(net: Any) -> None:
    net.line["r_ohm_per_km"] = np.nan


def _unknown_load(net: Any) -> None:
    net.load["p_mw"] = np.nan


def _unknown_pv(net: Any) -> None:
    pp.create_sgen(net, 1, p_mw=np.nan)


def _unknown_rating(net: Any) -> None:
    net.line["max_i_ka"] = np.nan


def _no_rating(net: Any) -> None:
    net.line["max_i_ka"] = 0.0


def _battery_of_negative_power(net: Any) -> None:
    pp.create_storage(net, 1, p_mw=0.0, max_e_mwh=0.1, sn_mva=-0.1)


@pytest.mark.parametrize(
    "spoil",
    [
        _no_slack,
        _no_resistance,
        _unknown_resistance,
        _unknown_load,
        _unknown_pv,
        _unknown_rating,
        _no_rating,
        _battery_of_negative_power,
    ],
    ids=lambda spoil: spoil.__name__[1:],
)
def test_impossible_numbers_are_refused_as_faults_of_the_input(spoil: Any, tmp_path: Path) -> None:
    net = small_net()
    spoil(net)
    with pytest.raises(InputError):
        feeder_of(net, tmp_path)


@pytest.mark.parametrize("text", ["", "{}", "[1, 2]", "no json", '"x"', "null"])
def test_a_file_that_holds_no_network_is_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "net.json"
    path.write_text(text)
    with pytest.raises(InputError, match="not a pandapower network"):
        build_feeder(Scenario(name="own", title="t", network=NetworkSource(file=path)))


def test_a_file_that_asks_to_run_code_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "net.json"
    path.write_text(json.dumps({"_module": "builtins", "_class": "print", "_object": "was run"}))
    with pytest.raises(InputError):
        build_feeder(Scenario(name="own", title="t", network=NetworkSource(file=path)))
    assert "was run" not in capsys.readouterr().out


def test_an_unknown_simbench_code_is_refused() -> None:
    with pytest.raises(InputError, match="1-LV-rural1--2-sw"):
        build_feeder(Scenario(name="own", title="t", network=NetworkSource(simbench="1-LV-rural9--2-sw")))


# --- tables --------------------------------------------------------------------------------------------------------


def test_tables_hold_what_is_in_service_in_kilowatts_at_bus_positions(tmp_path: Path) -> None:
    net = small_net()
    pp.create_load(net, 9, p_mw=0.5, in_service=False)
    pp.create_load(net, 9, p_mw=0.02, q_mvar=0.01, scaling=0.5)
    pp.create_sgen(net, 9, p_mw=0.008, name="roof", scaling=0.5)
    pp.create_storage(net, 1, p_mw=0.0, sn_mva=0.005, max_e_mwh=0.012, name="cellar")
    pp.create_storage(net, 9, p_mw=-0.004, max_e_mwh=0.01)

    feeder = feeder_of(net, tmp_path)

    assert feeder.load.name == ("home", "load 2")
    np.testing.assert_allclose(feeder.load.p_rated_kw, [10.0, 10.0])
    np.testing.assert_allclose(feeder.load.q_rated_kvar, [2.0, 5.0])
    np.testing.assert_array_equal(feeder.load_bus, [2, 1])
    assert feeder.pv.name == ("roof",)
    np.testing.assert_allclose(feeder.pv.p_rated_kw, [4.0])
    np.testing.assert_array_equal(feeder.pv_bus, [1])
    assert feeder.battery.name[0] == "cellar"
    np.testing.assert_allclose(feeder.battery.p_kw, [5.0, 4.0])
    np.testing.assert_allclose(feeder.battery.e_kwh, [12.0, 10.0])
    np.testing.assert_array_equal(feeder.battery_bus, [2, 1])
    np.testing.assert_array_equal(feeder.line_bus, [[0, 1], [1, 2]])
    assert feeder.slack_bus == 0


def test_building_a_feeder_leaves_no_injection_in_the_model(tmp_path: Path) -> None:
    """The network's own loads must not be solved in: the power flow at rest has no loss."""
    net = small_net()
    power_flow = compile_power_flow(feeder_of(net, tmp_path).model)
    flow = power_flow.solve(np.zeros(3), np.zeros(3))
    np.testing.assert_allclose(flow.vm_pu, 1.0, atol=1e-12)
    assert abs(flow.loss_kw) < 1e-9


def test_prosumers_are_the_shares_asked_for_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    net = small_net()
    for number in range(9):
        pp.create_load(net, 9, p_mw=0.002 * (number + 1), name=f"h{number}")
    wanted = {"pv_share": 0.6, "pv_per_load": 1.5, "battery_share": 0.5, "battery_per_pv": 0.4, "battery_hours": 3.0}

    feeder, again, other = (feeder_of(net, tmp_path, prosumers=Prosumers(**wanted, seed=seed)) for seed in (1, 1, 2))

    assert (len(feeder.pv.name), len(feeder.battery.name)) == (6, 3)
    assert feeder.pv.name == again.pv.name
    np.testing.assert_array_equal(feeder.battery.p_kw, again.battery.p_kw)
    assert feeder.pv.name != other.pv.name
    rated = dict(zip(feeder.load.name, feeder.load.p_rated_kw, strict=True))
    for name, p_kw in zip(feeder.pv.name, feeder.pv.p_rated_kw, strict=True):
        assert p_kw == pytest.approx(1.5 * rated[name.removeprefix("PV ")])
    for name, p_kw, e_kwh in zip(feeder.battery.name, feeder.battery.p_kw, feeder.battery.e_kwh, strict=True):
        assert p_kw == pytest.approx(0.4 * 1.5 * rated[name.removeprefix("Battery ")])
        assert e_kwh == pytest.approx(3.0 * p_kw)
    hosts = {name.removeprefix("PV ") for name in feeder.pv.name}
    assert {name.removeprefix("Battery ") for name in feeder.battery.name} <= hosts


@pytest.mark.parametrize("tap_changer", [None, "Ratio"])
def test_a_tap_position_counts_even_where_the_tap_changer_has_no_type(tap_changer: str | None, tmp_path: Path) -> None:
    """One step of 2.5 % down on the high-voltage side lifts the low side to 1 / 0.975."""
    net = small_net()
    high = pp.create_bus(net, vn_kv=20.0)
    net.ext_grid["bus"] = high
    pp.create_transformer_from_parameters(
        net, high, 4, 0.4, 20.0, 0.4, 1.0, 4.0, 0.0, 0.0,
        tap_side="hv", tap_neutral=0, tap_min=-2, tap_max=2, tap_step_percent=2.5, tap_pos=-1, tap_changer_type="Ratio",
    )  # fmt: skip
    net.trafo["tap_changer_type"] = pd.Series([tap_changer], dtype=object, index=net.trafo.index)

    flow = compile_power_flow(feeder_of(net, tmp_path).model).solve(np.zeros(4), np.zeros(4))

    np.testing.assert_allclose(flow.vm_pu, [1 / 0.975, 1 / 0.975, 1 / 0.975, 1.0], atol=1e-9)


def test_the_reference_answers_row_by_row_and_with_the_tables_of_the_network() -> None:
    scenario = load_scenario("ieee33")
    p_kw = np.zeros((2, 33))
    p_kw[1, 17] = -100.0
    answer = reference_flow(scenario, p_kw, np.zeros_like(p_kw))
    assert {key: values.shape for key, values in answer.items()} == {
        "vm_pu": (2, 33),
        "line_percent": (2, 37),
        "trafo_percent": (2, 0),
        "slack_p_kw": (2, 1),
        "slack_q_kvar": (2, 1),
    }
    np.testing.assert_allclose(answer["vm_pu"][0], 1.0, atol=1e-12)
    assert 100.0 < answer["slack_p_kw"][1, 0] < 105.0
