"""The projection: its rows are derivatives, its programme is solved, and it prefers what costs least."""

from __future__ import annotations

import itertools
from typing import cast

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize

from gridnet.case import Case, load_case
from gridnet.devices import make_fleet
from gridnet.feeder import SolvedModel
from gridnet.limits import NetworkLimits, make_limits
from gridnet.linear import linearise_pq
from gridnet.powerflow import compile_power_flow
from gridnet.scenario import NetworkSource, Scenario
from gridnet.simulate import Params, State, step
from gridnet_envs.binding import Binding, linearise, no_rows, total_excess, worst_excess
from gridnet_envs.projection import WEIGHT_BATTERY, WEIGHT_PV, WEIGHT_Q, Reach, distance, nearest, reach_of
from gridnet_envs.shield import protect

Floats = NDArray[np.float64]

NOON = 16_000 // 96 * 96 + 46


def injections(case: Case, at: int, setpoint: Floats) -> tuple[Floats, Floats]:
    params = case.params
    p_kw, q_kvar = np.zeros((1, params.buses)), np.zeros((1, params.buses))
    np.add.at(p_kw[0], params.load_bus, params.load_p_kw[at])
    np.add.at(q_kvar[0], params.load_bus, params.load_q_kvar[at])
    np.add.at(p_kw[0], params.device_bus, setpoint[0])
    np.add.at(q_kvar[0], params.device_bus, setpoint[1])
    return p_kw, q_kvar


@pytest.mark.parametrize("scenario", ["rural1", "cigre_lv", "ieee33"])
def test_rows_are_the_derivatives_of_voltages_and_loadings(scenario: str) -> None:
    case = load_case(scenario)
    params, devices = case.params, case.fleet.devices
    rng = np.random.default_rng(3)
    state = case.start(NOON)
    asked = rng.uniform(-0.6, 0.6, (1, 2, devices)) * case.fleet.s_kva
    _, did = step(state, asked, params)
    shipped = make_limits(case.scenario, case.feeder)
    tight = shipped._replace(vm_max_pu=np.full(params.buses, 0.9), percent=np.full_like(shipped.percent, 1.0))
    rows = no_rows(devices)

    linearise(params, tight, state.step, did.done, did.flow, rows)

    exact = linearise_pq(case.power_flow, case.feeder.model, *injections(case, NOON, did.done[0]), params.device_bus)
    assert rows.used[0] >= (1 if scenario == "ieee33" else 4), "of which the lines have no rating"
    for r in range(rows.used[0]):
        kind, which = rows.limit[r]
        wanted = 10 * exact.d_vm[0, which] if kind == 0 else exact.d_loading[0, which] / tight.percent[which]
        excess = 10 * (did.vm_pu[0, which] - 0.9) if kind == 0 else did.loading_percent[0, which] / tight.percent[which] - 1
        assert rows.excess[r] == pytest.approx(excess, abs=1e-6)
        np.testing.assert_allclose(rows.slope[r].ravel(), wanted, rtol=1e-3, atol=1e-3 * np.abs(wanted).max())


def test_a_branch_that_stays_beyond_its_limit_gets_another_direction_and_a_bus_does_not() -> None:
    case = load_case("rural1")
    state, limits = case.start(NOON), make_limits(case.scenario, case.feeder)
    tight = limits._replace(vm_max_pu=np.full(case.params.buses, 0.9), percent=np.full_like(limits.percent, 1.0))
    rows = no_rows(case.fleet.devices)
    for share in (0.2, 0.4, -0.5):
        asked = np.tile(case.fleet.s_kva * share, (1, 2, 1))
        _, did = step(state, asked, case.params)
        linearise(case.params, tight, state.step, did.done, did.flow, rows)
    used = [tuple(limit) for limit in rows.limit[: rows.used[0]]]
    volts = [limit for limit in used if limit[0] < 2]
    assert len(volts) == len(set(volts))
    assert len(used) > len(set(used))


def shifting_case() -> tuple[Params, NetworkLimits]:
    """Slack - A - B with a phase shifter between A and B, so that the admittance matrix is not symmetric; a battery at each."""
    near, far, turn = 1 / (0.02 + 0.01j), 1 / (0.03 + 0.03j), np.exp(0.4j)
    model = SolvedModel(
        bus_node=np.array([0, 1, 2, 3]),
        slack_node=0,
        slack_voltage=1 + 0j,
        admittance=np.array(
            [
                [near, -near, 0, 0],
                [-near, near + 2 * far, -far * turn, -far],
                [0, -far / turn, 2 * far, -far],
                [0, -far, -far, 2 * far],
            ]
        ),
        branch_node=np.array([[0, 1], [1, 2], [2, 3], [3, 1]]),
        branch_admittance=np.array(
            [[near, -near, -near, near], [far, -far * turn, -far / turn, far], *[[far, -far, -far, far]] * 2], dtype=complex
        ),
        branch_percent=np.full((4, 2), 100.0),
        lines=4,
    )
    scenario = Scenario(name="own", title="t", network=NetworkSource(builtin="ieee33"))
    params = Params(
        network=compile_power_flow(model).network,
        fleet=make_fleet(scenario, np.full(3, 400.0), np.full(3, 4e3), np.zeros(0), 0.25),
        device_bus=np.array([1, 2, 3]),
        load_bus=np.array([2]),
        load_p_kw=np.array([[-300.0]]),
        load_q_kvar=np.array([[-50.0]]),
        pv_p_kw=np.zeros((1, 0)),
        buses=4,
        lines=4,
    )
    return params, NetworkLimits(np.full(4, 0.5), np.full(4, 1.5), np.full(4, 500.0))


@pytest.mark.parametrize("bound", ["low", "high", "loading"])
def test_rows_are_derivatives_where_the_admittance_is_not_symmetric(bound: str) -> None:
    params, loose = shifting_case()
    limits = {
        "low": loose._replace(vm_min_pu=np.array([-np.inf, 1.5, 1.5, 1.5])),
        "high": loose._replace(vm_max_pu=np.array([np.inf, 0.5, 0.5, 0.5])),
        "loading": loose._replace(percent=np.full(4, 1.0)),
    }[bound]
    state = State(np.array([0]), np.full((1, 3), 0.5))
    asked = np.array([[[60.0, -40.0, 30.0], [20.0, 30.0, -50.0]]])
    _, did = step(state, asked, params)
    rows = no_rows(3)

    linearise(params, limits, state.step, did.done, did.flow, rows)

    assert rows.used[0] > 0
    for r in range(rows.used[0]):
        kind, which = rows.limit[r]
        for quantity, device in itertools.product((0, 1), (0, 1, 2)):
            at = []
            for moved in (-0.1, 0.1):
                other = asked.copy()
                other[0, quantity, device] += moved
                flow = step(state, other, params)[1]
                volt, loading = flow.vm_pu[0, which], flow.loading_percent[0, which] / limits.percent[which]
                at.append({0: 10 * volt, 1: -10 * volt}.get(int(kind), loading))
            assert rows.slope[r, quantity, device] == pytest.approx((at[1] - at[0]) / 0.2, rel=2e-3, abs=1e-6)


def programme(seed: int) -> tuple[Reach, Floats, Binding, Floats]:
    """Four devices and three rows that a point of the devices' reach holds."""
    rng = np.random.default_rng(seed)
    s_kva = rng.uniform(1, 20, 4)
    low, high = -rng.uniform(0, 0.9, 4) * s_kva, rng.uniform(0, 0.9, 4) * s_kva
    weight = np.stack([rng.choice([WEIGHT_BATTERY, WEIGHT_PV], 4), np.full(4, WEIGHT_Q)]) / s_kva
    reach = Reach(low, high, s_kva, weight)
    inside = np.stack([rng.uniform(low, high), rng.uniform(-0.3, 0.3, 4) * s_kva])
    rows = no_rows(4)
    rows.used[0] = 3
    rows.slope[:3] = rng.normal(size=(3, 2, 4)) / s_kva
    bound = np.zeros(len(rows.price))
    bound[:3] = np.einsum("rkd,kd->r", rows.slope[:3], inside) + rng.uniform(0, 0.1, 3)
    angle, share = rng.uniform(0, 2 * np.pi, 4), np.sqrt(rng.uniform(0, 1, 4)) * s_kva
    p_kw = np.clip(share * np.cos(angle), low, high)
    return reach, np.stack([p_kw, share * np.sin(angle)]), rows, bound


@given(seed=st.integers(0, 10_000))
@settings(max_examples=40)
def test_the_programme_is_solved_to_the_optimum_that_a_general_solver_finds(seed: int) -> None:
    reach, asked, rows, bound = programme(seed)
    setpoint = np.empty((2, 4))

    nearest(reach, asked, rows, bound, setpoint)

    room = bound[:3] - np.einsum("rkd,kd->r", rows.slope[:3], setpoint)
    assert room.min() > -1e-5
    assert (np.hypot(*setpoint) <= reach.s_kva * (1 + 1e-9)).all()
    assert ((reach.lowest_kw <= setpoint[0]) & (setpoint[0] <= reach.highest_kw)).all()
    scale = np.tile(reach.s_kva, 2)
    other = minimize(
        lambda x: 1e3 * distance(reach, asked, (x * scale).reshape(2, 4)),
        (setpoint * 0.9).ravel() / scale,
        method="SLSQP",
        bounds=[*zip(reach.lowest_kw / reach.s_kva, reach.highest_kw / reach.s_kva, strict=True), *[(-1, 1)] * 4],
        constraints=[
            {"type": "ineq", "fun": lambda x: bound[:3] - rows.slope[:3].reshape(3, 8) @ (x * scale)},
            {"type": "ineq", "fun": lambda x: 1 - x[:4] ** 2 - x[4:] ** 2},
        ],
        options={"maxiter": 500, "ftol": 1e-10},
    )
    if other.success:
        assert distance(reach, asked, setpoint) <= cast(float, other.fun) / 1e3 * (1 + 1e-4) + 1e-7


@given(seed=st.integers(0, 10_000))
@settings(max_examples=25)
def test_no_small_step_within_reach_and_rows_comes_nearer(seed: int) -> None:
    """The optimum against random feasible points, on the way to which a convex objective could only rise."""
    reach, asked, rows, bound = programme(seed)
    setpoint = np.empty((2, 4))
    nearest(reach, asked, rows, bound, setpoint)
    best = distance(reach, asked, setpoint)
    rng = np.random.default_rng(seed)
    for _ in range(200):
        point = setpoint + rng.normal(size=(2, 4)) * reach.s_kva * rng.choice([0.3, 0.03, 0.003])
        holds = (np.einsum("rkd,kd->r", rows.slope[:3], point) <= bound[:3]).all() and (np.hypot(*point) <= reach.s_kva).all()
        if holds and ((reach.lowest_kw <= point[0]) & (point[0] <= reach.highest_kw)).all():
            assert distance(reach, asked, point) >= best - 1e-6


def test_limits_that_can_not_be_held_keep_the_least_excess() -> None:
    """A row that asks for 30 kW of two devices that have 10 each gets all 20, and one that costs nothing more is held too."""
    reach = Reach(np.full(2, -10.0), np.full(2, 10.0), np.full(2, 20.0), np.full((2, 2), WEIGHT_BATTERY / 20))
    rows = no_rows(2)
    rows.used[0] = 2
    rows.slope[0, 0], rows.slope[1, 1, 0] = -0.1, 0.1
    bound = np.zeros(len(rows.price))
    bound[:2] = -3.0, -0.5
    setpoint = np.empty((2, 2))
    nearest(reach, np.zeros((2, 2)), rows, bound, setpoint)
    np.testing.assert_allclose(setpoint, [[10.0, 10.0], [-5.0, 0.0]], atol=1e-3)


def test_batteries_move_before_pv_and_reactive_power_before_both() -> None:
    case = load_case("rural1")
    limits = make_limits(case.scenario, case.feeder)
    noons = np.arange(96 * 120 + 40, 96 * 200, 96)
    state = State(noons, np.full((len(noons), case.fleet.batteries), 0.2))
    asked = np.zeros((len(noons), 2, case.fleet.devices))
    asked[:, 0, case.fleet.batteries :] = np.inf
    clipped = step(state, asked, case.params)[1]
    safe = protect(state, asked, case.params, limits)
    binding = np.array([worst_excess(limits, flow) > 0 for flow in clipped.flow])
    cut_kw = (clipped.done - safe)[binding, 0, case.fleet.batteries :].sum(axis=1)
    charge_kw = -safe[binding, 0, : case.fleet.batteries].sum(axis=1)
    assert binding.sum() > 20
    assert (cut_kw <= 0.06 * charge_kw + 0.1).all(), "batteries had room for all that could not flow"
    assert (charge_kw > 0.5).all()


def test_the_sum_of_excesses_and_the_worst_agree_on_whether_there_is_any() -> None:
    case = load_case("cigre_lv")
    limits = make_limits(case.scenario, case.feeder)
    rng = np.random.default_rng(0)
    state = State(rng.integers(0, case.clock.steps, 200), np.full((200, case.fleet.batteries), 0.5))
    asked = rng.uniform(-3, 3, (200, 2, case.fleet.devices)) * case.fleet.s_kva
    _, did = step(state, asked, case.params)
    worst = np.array([worst_excess(limits, flow) for flow in did.flow])
    total = np.array([total_excess(limits, flow) for flow in did.flow])
    np.testing.assert_array_equal(worst > 0, total > 0)
    assert (total >= np.maximum(worst, 0)).all()
    assert 0 < (worst > 0).sum() < 200


def test_reach_is_what_charge_and_sun_allow() -> None:
    case = load_case("rural1")
    sun = case.params.pv_p_kw[NOON]
    reach = reach_of(case.fleet, np.full(case.fleet.batteries, case.fleet.soc_window[0]), sun)
    batteries = case.fleet.batteries
    np.testing.assert_allclose(reach.highest_kw[:batteries], 0.0, atol=1e-9)
    np.testing.assert_allclose(reach.lowest_kw[:batteries], -case.fleet.p_kw)
    np.testing.assert_array_equal(reach.lowest_kw[batteries:], 0.0)
    np.testing.assert_array_equal(reach.highest_kw[batteries:], np.minimum(sun, case.fleet.s_kva[batteries:]))
