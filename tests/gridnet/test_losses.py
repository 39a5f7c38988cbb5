"""Losses without a power flow, held against AC power flows: slopes, the least-loss reactive power, and a fleet's own losses."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import lsq_linear, minimize

from gridnet import simulate
from gridnet.case import Case, load_case
from gridnet.losses import Losses, compile_losses, descend, fleet_losses, least_loss_kvar

Floats = NDArray[np.float64]
FEEDERS = ["tiny", "cigre_lv", "ieee33", "rural1"]


@cache
def compiled(name: str) -> tuple[Case, Losses]:
    case = load_case(name)
    return case, compile_losses(case.power_flow, case.feeder, case.params.device_bus)


def situation(case: Case, seed: int) -> tuple[int, Floats]:
    """A step and active powers (devices,) of inverters that keep some room, batteries at any power."""
    rng = np.random.default_rng(seed)
    step, fleet = int(rng.integers(case.clock.steps)), case.fleet
    return step, np.concatenate([rng.uniform(-1, 1, fleet.batteries) * fleet.p_kw, case.params.pv_p_kw[step]])


def room_of(case: Case, p_kw: Floats) -> Floats:
    return np.asarray(np.sqrt(np.maximum(case.fleet.s_kva**2 - p_kw**2, 0.0)))


def ac_loss_kw(case: Case, step: int, p_kw: Floats, q_kvar: Floats) -> Floats:
    """Losses (rows,) by AC power flow with devices at `p_kw` (devices,) and `q_kvar` (rows, devices)."""
    rows = len(q_kvar)
    done = np.stack([np.tile(p_kw, (rows, 1)), q_kvar], axis=1)
    params = case.params
    flow = np.empty((rows, params.buses + len(params.network.branch_node) + 4))
    simulate.solve_flow(params, np.full(rows, step), np.ascontiguousarray(done), flow)
    assert (flow[:, -1] == 1.0).all()
    return np.asarray(flow[:, -4])


def ac_slope(case: Case, step: int, p_kw: Floats, q_kvar: Floats) -> tuple[float, Floats]:
    """AC losses and their derivative by each device's kvar, by central differences."""
    nudge = 0.01 * np.eye(len(q_kvar))
    loss_kw = ac_loss_kw(case, step, p_kw, np.vstack([q_kvar, q_kvar + nudge, q_kvar - nudge]))
    up, down = np.split(loss_kw[1:], 2)
    return float(loss_kw[0]), (up - down) / 0.02


def least_loss(name: str, step: int, p_kw: Floats) -> Floats:
    case, losses = compiled(name)
    q_kvar = np.full(len(p_kw), np.nan)
    least_loss_kvar(losses, case.params.load_q_kvar[step], room_of(case, p_kw), q_kvar)
    return q_kvar


@pytest.mark.parametrize("name", FEEDERS)
def test_slopes_are_those_of_the_ac_power_flow(name: str) -> None:
    """Around nothing: what a device's kvar adds beside small loads and beside a small kvar of another."""
    case, losses = compiled(name)
    loads, devices = len(case.params.load_bus), case.fleet.devices
    rng = np.random.default_rng(1)
    base_kvar = case.params.load_q_kvar.mean(axis=0).sum() / loads * 0.1
    load_q, q_kvar = base_kvar * rng.uniform(0.5, 1.5, loads), 0.5 * base_kvar * rng.uniform(-1, 1, devices)
    quiet = case.params._replace(load_p_kw=np.zeros((1, loads)), load_q_kvar=load_q[None])
    still = Case(case.scenario, case.feeder, case.series, case.power_flow, quiet)

    told = losses.reactive_slope + 2 * losses.by_load @ load_q + 2 * losses.by_device @ q_kvar

    _, solved = ac_slope(still, 0, np.zeros(devices), q_kvar)
    assert np.abs(solved).max() > 0
    np.testing.assert_allclose(told, solved, rtol=0, atol=0.03 * np.abs(solved).max())


@pytest.mark.parametrize("name", FEEDERS)
def test_what_devices_do_to_each_other_is_mutual_and_costs(name: str) -> None:
    _, losses = compiled(name)
    scale = losses.by_device.max()
    np.testing.assert_allclose(losses.by_device, losses.by_device.T, rtol=0, atol=0.02 * scale)
    assert np.linalg.eigvalsh(losses.by_device + losses.by_device.T).min() > -0.01 * scale


@pytest.mark.parametrize("name", FEEDERS)
def test_least_loss_power_never_loses_more_in_ac_and_is_close_to_the_optimum(name: str) -> None:
    case, _ = compiled(name)
    for seed in range(8):
        step, p_kw = situation(case, seed)
        room = room_of(case, p_kw)
        q_kvar = least_loss(name, step, p_kw)

        nothing, got = ac_loss_kw(case, step, p_kw, np.stack([np.zeros_like(q_kvar), q_kvar]))
        optimum = minimize(
            lambda q, step=step, p_kw=p_kw: ac_slope(case, step, p_kw, q),
            np.zeros_like(q_kvar),
            jac=True,
            bounds=np.stack([-room, room], axis=1),
            method="L-BFGS-B",
        ).fun

        assert got <= nothing + 1e-9
        assert got <= 1.03 * optimum
        assert nothing - got >= 0.7 * (nothing - optimum)


@pytest.mark.parametrize("name", ["tiny", "cigre_lv"])
def test_no_single_inverter_could_do_much_better_by_itself(name: str) -> None:
    """Brute force, device by device, on AC losses."""
    case, _ = compiled(name)
    step, p_kw = situation(case, 3)
    q_kvar, room = least_loss(name, step, p_kw), room_of(case, p_kw)
    (got,) = ac_loss_kw(case, step, p_kw, q_kvar[None])
    (nothing,) = ac_loss_kw(case, step, p_kw, np.zeros((1, len(q_kvar))))
    for d in range(len(q_kvar)):
        tried = np.tile(q_kvar, (41, 1))
        tried[:, d] = np.linspace(-room[d], room[d], 41)
        assert got - ac_loss_kw(case, step, p_kw, tried).min() <= 0.05 * (nothing - got)


@given(name=st.sampled_from(["rural1", "cigre_lv"]), seed=st.integers(0, 9999), share=st.floats(0.0, 1.0))
def test_it_keeps_to_the_room_and_uses_none_where_there_is_none(name: str, seed: int, share: float) -> None:
    case, losses = compiled(name)
    rng = np.random.default_rng(seed)
    room = case.fleet.s_kva * share * rng.integers(0, 2, case.fleet.devices)
    q_kvar = rng.uniform(-9, 9, case.fleet.devices)

    least_loss_kvar(losses, case.params.load_q_kvar[rng.integers(case.clock.steps)], room, q_kvar)

    assert (np.abs(q_kvar) <= room).all()


def test_it_tells_the_same_whatever_it_finds_and_leaves_what_it_reads() -> None:
    case, losses = compiled("rural1")
    kept = losses.reactive_slope.copy()
    load_q, room = case.params.load_q_kvar[40], case.fleet.s_kva
    first, second = np.zeros(case.fleet.devices), np.full(case.fleet.devices, 1e3)
    least_loss_kvar(losses, load_q, room, first)
    least_loss_kvar(losses, load_q, room, second)
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(losses.reactive_slope, kept)
    assert np.abs(first).max() > 0.1


def some_losses(rng: np.random.Generator, devices: int) -> tuple[Floats, Floats, Floats]:
    """Resistances as of a network (symmetric, positive), slopes and room."""
    mixing = rng.uniform(0.0, 1.0, (devices, 2 * devices))
    by_device = mixing @ mixing.T / 100 + 0.02 * np.eye(devices)
    return by_device, rng.normal(0, 0.3, devices), rng.uniform(0.0, 8.0, devices)


def added_loss(by_device: Floats, slope: Floats, q_kvar: Floats) -> float:
    return float(slope @ q_kvar + q_kvar @ by_device @ q_kvar)


@given(seed=st.integers(0, 9999), devices=st.integers(1, 8))
def test_descending_never_adds_losses_and_slopes_follow(seed: int, devices: int) -> None:
    rng = np.random.default_rng(seed)
    by_device, slope, room = some_losses(rng, devices)
    q_kvar = rng.uniform(-room, room)
    start, moving = q_kvar.copy(), slope + 2 * by_device @ q_kvar

    descend(by_device, moving, room, q_kvar)

    assert added_loss(by_device, slope, q_kvar) <= added_loss(by_device, slope, start) + 1e-12
    np.testing.assert_allclose(moving, slope + 2 * by_device @ q_kvar, atol=1e-9)
    assert (np.abs(q_kvar) <= room).all()


@given(seed=st.integers(0, 9999), devices=st.integers(1, 6))
def test_descending_reaches_the_bounded_least_squares_optimum(seed: int, devices: int) -> None:
    rng = np.random.default_rng(seed)
    by_device, slope, room = some_losses(rng, devices)
    room += 0.01
    root = np.linalg.cholesky(by_device)
    exact = lsq_linear(root.T, -0.5 * np.linalg.solve(root, slope), (-room, room)).x
    q_kvar = np.zeros(devices)

    descend(by_device, slope.copy(), room, q_kvar)

    best = added_loss(by_device, slope, exact)
    assert added_loss(by_device, slope, q_kvar) <= best + 0.05 * abs(best) + 1e-9


def test_a_device_that_moves_nothing_is_left_alone() -> None:
    by_device, q_kvar = np.diag([0.0, 0.1]), np.zeros(2)
    descend(by_device, np.array([-1.0, -1.0]), np.full(2, 9.0), q_kvar)
    assert q_kvar[0] == 0.0
    assert q_kvar[1] == pytest.approx(5.0, rel=0.01)  # where 2 * 0.1 * q = 1


def test_devices_at_one_bus_share_the_work() -> None:
    q_kvar = np.zeros(2)
    descend(np.full((2, 2), 0.1), np.full(2, -1.0), np.full(2, 9.0), q_kvar)
    assert q_kvar.sum() == pytest.approx(5.0, rel=0.02)
    assert 0.0 < q_kvar[0] < 5.0


@pytest.mark.parametrize("name", FEEDERS)
def test_what_a_fleet_loses_is_what_the_ac_power_flow_loses(name: str) -> None:
    """Power shared by rating, half of the surplus in the loads, half in the PV: `own * p**2 + beside * p * surplus`."""
    case, losses = compiled(name)
    fleet, params = case.fleet, case.params
    loads, plants = len(params.load_bus), fleet.devices - fleet.batteries
    rng = np.random.default_rng(2)
    size_kw, sun_kw = rng.uniform(1, 3, loads), rng.uniform(1, 3, plants)
    told = fleet_losses(losses, fleet.p_kw, size_kw, sun_kw)
    power, surplus = 0.1 * fleet.p_kw.sum(), 0.1 * fleet.p_kw.sum()

    def lost(power_kw: float, surplus_kw: float) -> float:
        load_kw = 0.5 * surplus_kw * size_kw / size_kw.sum()
        quiet = params._replace(load_p_kw=load_kw[None], load_q_kvar=np.zeros((1, loads)))
        p_kw = np.concatenate([power_kw * fleet.p_kw / fleet.p_kw.sum(), 0.5 * surplus_kw * sun_kw / sun_kw.sum()])
        still = Case(case.scenario, case.feeder, case.series, case.power_flow, quiet)
        return float(ac_loss_kw(still, 0, p_kw, np.zeros((1, fleet.devices)))[0])

    at_rest = lost(0, 0)
    own = 0.5 * (lost(power, 0) + lost(-power, 0)) - at_rest
    beside = lost(power, surplus) - lost(power, 0) - lost(0, surplus) + at_rest
    assert own > 0 < beside
    assert told.own * power**2 == pytest.approx(own, rel=0.06)
    assert told.beside * power * surplus == pytest.approx(beside, rel=0.1)


def test_a_fleet_s_losses_do_not_depend_on_the_unit_of_sizes_and_no_fleet_loses_nothing() -> None:
    case, losses = compiled("rural1")
    fleet = case.fleet
    load_kw, sun_kw = np.arange(1.0, len(case.params.load_bus) + 1), np.arange(1.0, fleet.devices - fleet.batteries + 1)
    once = fleet_losses(losses, fleet.p_kw, load_kw, sun_kw)
    np.testing.assert_allclose(fleet_losses(losses, fleet.p_kw, 7 * load_kw, 3 * sun_kw), once, rtol=1e-12)
    assert fleet_losses(losses, np.zeros(fleet.batteries), load_kw, sun_kw) == (0.0, 0.0)


def test_a_network_without_devices_has_nothing_to_give() -> None:
    case, _ = compiled("rural1")
    none = compile_losses(case.power_flow, case.feeder, np.zeros(0, dtype=np.int64))
    q_kvar = np.zeros(0)
    least_loss_kvar(none, case.params.load_q_kvar[0], np.zeros(0), q_kvar)
    assert none.by_device.shape == (0, 0)
    assert fleet_losses(none, np.zeros(0), np.ones(len(case.params.load_bus)), np.zeros(0)) == (0.0, 0.0)
