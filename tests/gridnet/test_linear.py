"""Sensitivities against finite differences of the AC power flow they are derivatives of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandapower as pp
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet import linear
from gridnet.errors import PowerFlowDiverged
from gridnet.feeder import Feeder
from gridnet.linear import Sensitivity, linearise, linearise_pq
from gridnet.network import build_feeder
from gridnet.powerflow import Flow, PowerFlow, compile_power_flow
from gridnet.scenario import NetworkSource, Scenario

Floats = NDArray[np.float64]
Network = tuple[Feeder, PowerFlow]

H_KW = 0.1
"""Half the step of the central differences: small against the curvature, large against the solver's 1e-9 pu."""

SLACK, DEAD = 0, 7


def meshed_net() -> Any:
    """Medium voltage, a Dyn5 transformer with a tap, a ring of lines, a fused bus, a dead bus, an unrated line."""
    net = pp.create_empty_network()
    for kv in (20.0, 20.0, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4):
        pp.create_bus(net, vn_kv=kv)
    pp.create_ext_grid(net, 0, vm_pu=1.01)
    pp.create_line_from_parameters(net, 0, 1, 2.0, 0.3, 0.12, 200.0, 0.2)
    pp.create_transformer_from_parameters(
        net, 1, 2, 0.25, 20.0, 0.4, vkr_percent=1.4, vk_percent=4.0, pfe_kw=0.6, i0_percent=0.3, shift_degree=150,
        tap_side="hv", tap_neutral=0, tap_pos=-1, tap_step_percent=2.5, tap_changer_type="Ratio",
    )  # fmt: skip
    for start, end, km, ka in ((2, 3, 0.3, 0.25), (3, 4, 0.2, 0.2), (4, 5, 0.25, 99999.0), (5, 2, 0.15, 0.25)):
        pp.create_line_from_parameters(net, start, end, km, 0.2, 0.08, 250.0, ka)
    pp.create_switch(net, 5, 6, et="b")
    pp.create_line_from_parameters(net, 4, DEAD, 0.1, 0.2, 0.08, 0.0, 0.2, in_service=False)
    return net


@pytest.fixture(scope="module")
def meshed(tmp_path_factory: pytest.TempPathFactory) -> Network:
    path = tmp_path_factory.mktemp("networks") / "meshed.json"
    pp.to_json(meshed_net(), str(path))
    return network(NetworkSource(file=Path(path)))


def network(source: NetworkSource) -> Network:
    feeder = build_feeder(Scenario(name="own", title="a network", network=source))
    return feeder, compile_power_flow(feeder.model)


def operating_points(feeder: Feeder, steps: int, kw: float) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(3)
    shape = (steps, len(feeder.bus_name))
    return rng.uniform(-kw, 0.6 * kw, shape), rng.uniform(-0.4 * kw, 0.1 * kw, shape)


def loading_of(flow: Flow) -> Floats:
    return np.hstack([flow.line_percent, flow.trafo_percent])


def differences(power_flow: PowerFlow, p_kw: Floats, q_kvar: Floats, control: int) -> tuple[Floats, Floats, Floats]:
    """Central differences of voltages, loadings and slack power by one control: the active power at a bus, or, counted on from
    there, the reactive."""
    push = np.zeros((2, *p_kw.shape))
    push[control // power_flow.buses, :, control % power_flow.buses] = H_KW
    up, down = power_flow.solve(p_kw + push[0], q_kvar + push[1]), power_flow.solve(p_kw - push[0], q_kvar - push[1])
    return (
        (up.vm_pu - down.vm_pu) / (2 * H_KW),
        (loading_of(up) - loading_of(down)) / (2 * H_KW),
        (up.slack_p_kw - down.slack_p_kw) / (2 * H_KW),
    )


def assert_derivatives(found: Sensitivity, power_flow: PowerFlow, p_kw: Floats, q_kvar: Floats) -> None:
    for control in range(2 * power_flow.buses):
        d_vm, d_loading, d_slack_p = differences(power_flow, p_kw, q_kvar, control)
        assert found.d_vm[..., control] == pytest.approx(np.nan_to_num(d_vm), abs=5e-10)
        # Beside the kink where the worse end changes or the current vanishes, differences straddle two branches.
        smooth = found.loading_percent > 3.0
        assert found.d_loading[..., control][smooth] == pytest.approx(d_loading[smooth], abs=2e-5)
        assert found.d_slack_p[:, control] == pytest.approx(d_slack_p, abs=5e-7)


def test_derivatives_are_those_of_the_power_flow_on_a_meshed_network(meshed: Network) -> None:
    feeder, power_flow = meshed
    p_kw, q_kvar = operating_points(feeder, 12, 40.0)
    found = linearise_pq(power_flow, feeder.model, p_kw, q_kvar, np.arange(power_flow.buses))
    assert np.abs(found.d_vm).max() > 1e-4
    assert np.abs(found.d_loading).max() > 0.1
    assert_derivatives(found, power_flow, p_kw, q_kvar)


@pytest.mark.parametrize("builtin", ["cigre_lv", "ieee33"])
def test_derivatives_are_those_of_the_power_flow_on_benchmark_networks(builtin: Any) -> None:
    feeder, power_flow = network(NetworkSource(builtin=builtin))
    p_kw, q_kvar = operating_points(feeder, 4, 4.0)
    found = linearise_pq(power_flow, feeder.model, p_kw, q_kvar, np.arange(power_flow.buses))
    assert_derivatives(found, power_flow, p_kw, q_kvar)


def test_the_operating_point_is_that_of_the_power_flow(meshed: Network) -> None:
    feeder, power_flow = meshed
    p_kw, q_kvar = operating_points(feeder, 20, 40.0)
    found, flow = linearise(power_flow, feeder.model, p_kw, q_kvar, np.array([4])), power_flow.solve(p_kw, q_kvar)
    np.testing.assert_allclose(found.vm_pu, flow.vm_pu, atol=1e-12)
    np.testing.assert_allclose(found.loading_percent, loading_of(flow), atol=1e-8)
    np.testing.assert_allclose(found.slack_p_kw, flow.slack_p_kw, atol=1e-8)


def test_a_device_at_the_slack_bus_moves_only_the_slack(meshed: Network) -> None:
    feeder, power_flow = meshed
    found = linearise_pq(power_flow, feeder.model, *operating_points(feeder, 3, 20.0), np.array([SLACK]))
    assert not found.d_vm.any()
    assert not found.d_loading.any()
    assert (found.d_slack_p == [-1.0, 0.0]).all()


def test_a_device_at_a_dead_bus_moves_nothing(meshed: Network) -> None:
    feeder, power_flow = meshed
    found = linearise(power_flow, feeder.model, *operating_points(feeder, 3, 20.0), np.array([DEAD, 4]))
    assert np.isnan(found.vm_pu[:, DEAD]).all()
    assert not found.d_vm[..., 0].any()
    assert not found.d_vm[:, DEAD].any()
    assert not found.d_slack_p[:, 0].any()
    assert found.d_slack_p[:, 1].all()


def test_devices_on_one_node_answer_alike_in_the_order_given(meshed: Network) -> None:
    feeder, power_flow = meshed
    points = operating_points(feeder, 3, 20.0)
    found = linearise_pq(power_flow, feeder.model, *points, np.array([6, 3, 5, 3]))
    alone = linearise(power_flow, feeder.model, *points, np.array([3]))
    np.testing.assert_array_equal(found.d_vm[..., 0], found.d_vm[..., 2])
    np.testing.assert_array_equal(found.d_loading[..., 1], found.d_loading[..., 3])
    np.testing.assert_array_equal(found.d_vm[..., 4], found.d_vm[..., 6])
    np.testing.assert_allclose(found.d_vm[..., 1], alone.d_vm[..., 0], rtol=1e-9)


def test_without_devices_the_operating_point_is_left(meshed: Network) -> None:
    feeder, power_flow = meshed
    found = linearise(power_flow, feeder.model, *operating_points(feeder, 3, 20.0), np.zeros(0, dtype=np.int64))
    assert found.d_vm.shape == (3, power_flow.buses, 0)
    assert np.isfinite(found.slack_p_kw).all()


def test_chunks_do_not_change_the_answer(meshed: Network, monkeypatch: pytest.MonkeyPatch) -> None:
    feeder, power_flow = meshed
    points = operating_points(feeder, 11, 20.0)
    whole = linearise(power_flow, feeder.model, *points, np.array([3, 4]))
    monkeypatch.setattr(linear, "_CHUNK_BYTES", 4 * 8 * (2 * 6) ** 2)
    for one, other in zip(whole, linearise(power_flow, feeder.model, *points, np.array([3, 4])), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_a_step_without_a_solution_is_named(meshed: Network) -> None:
    feeder, power_flow = meshed
    p_kw, q_kvar = operating_points(feeder, 5, 20.0)
    p_kw[3, 4] = -50_000.0
    with pytest.raises(PowerFlowDiverged, match="step 3") as caught:
        linearise(power_flow, feeder.model, p_kw, q_kvar, np.array([4]))
    assert caught.value.step == 3


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.floats(1.0, 60.0))
def test_the_slack_power_lies_above_its_tangents(meshed: Network, seed: int, kw: float) -> None:
    # What the optimiser relies on where it adds tangents up: losses are convex in power, active and reactive.
    feeder, power_flow = meshed
    bus, rng = np.arange(2, 7), np.random.default_rng(seed)
    p_kw, q_kvar = operating_points(feeder, 1, 5.0)
    moved = rng.uniform(-kw, kw, 2 * len(bus))
    there = np.stack([p_kw, q_kvar])
    there[:, 0, bus] += moved.reshape(2, -1)
    around = linearise_pq(power_flow, feeder.model, p_kw, q_kvar, bus)
    tangent = around.slack_p_kw[0] + around.d_slack_p[0] @ moved
    assert power_flow.solve(*there).slack_p_kw[0] >= tangent - 1e-6


def test_the_phasor_tells_the_loading_far_from_the_operating_point(meshed: Network) -> None:
    # Reactive power at right angles to the current: the tangent of the magnitude says that nothing happens.
    feeder, power_flow = meshed
    p_kw, q_kvar = np.zeros((2, 1, power_flow.buses))
    p_kw[0, 5] = 40.0
    around = linearise_pq(power_flow, feeder.model, p_kw, q_kvar, np.array([5]))
    there = q_kvar.copy()
    there[0, 5] = 40.0
    moved = np.array([0.0, 40.0])
    true = loading_of(power_flow.solve(p_kw, there))[0]
    along, across = around.loading_percent[0] + around.d_loading[0] @ moved, around.d_turn[0] @ moved
    loaded = true > 10.0
    assert loaded.any()
    assert np.hypot(along, across)[loaded] == pytest.approx(true[loaded], rel=0.02)
    assert (np.abs(along[loaded] - true[loaded]) > 0.1 * true[loaded]).any()
