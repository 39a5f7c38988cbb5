"""The shield: it holds limits that devices can hold, moves no more than that takes, and is otherwise not there."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.devices import make_fleet
from gridnet.dispatch import idle
from gridnet.errors import InputError
from gridnet.feeder import SolvedModel
from gridnet.limits import NetworkLimits, make_limits
from gridnet.powerflow import compile_power_flow
from gridnet.scenario import NetworkSource, Scenario
from gridnet.simulate import Params, State, step
from gridnet_envs.projection import distance, reach_of
from gridnet_envs.shield import protect, scale_back, worst_excess

Floats = NDArray[np.float64]

SCENARIOS = st.sampled_from(["rural1", "semiurb4"])


def situation(case: Case, seed: int, batch: int) -> tuple[State, Floats]:
    """Random steps and charges; some rows all charge, some all discharge, some mix; PV free or with a ceiling."""
    rng = np.random.default_rng(seed)
    fleet = case.fleet
    state = State(rng.integers(0, case.clock.steps, batch), rng.uniform(0.05, 0.95, (batch, fleet.batteries)))
    asked = np.zeros((batch, 2, fleet.devices))
    share = rng.uniform(-1, 1, (batch, fleet.batteries))
    mode = rng.integers(0, 3, (batch, 1))
    asked[:, 0, : fleet.batteries] = np.choose(mode, [share, np.abs(share), -np.abs(share)]) * 1.2 * fleet.p_kw
    sun = np.where(rng.random((batch, 1)) < 0.7, np.inf, rng.uniform(0, 1, (batch, 1)) * fleet.s_kva[fleet.batteries :])
    asked[:, 0, fleet.batteries :] = sun
    return state, asked


def broken(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> NDArray[np.bool_]:
    _, did = step(state, asked, params)
    return limits.broken(did.vm_pu, did.loading_percent) | ~did.converged


def avoidable(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> NDArray[np.bool_]:
    """Rows in which switching off some of discharge, charge and PV, each as a whole, leaves no limit broken."""
    batteries = params.fleet.batteries
    done = step(state, asked, params)[1].done
    found = np.zeros(len(asked), dtype=bool)
    for discharge, charge, sun in itertools.product((0.0, 1.0), repeat=3):
        cut = done.copy()
        power = cut[:, 0, :batteries]
        cut[:, 0, :batteries] = np.where(power > 0, power * discharge, power * charge)
        cut[:, 0, batteries:] *= sun
        found |= ~broken(state, cut, params, limits)
    return found


@given(scenario=SCENARIOS, seed=st.integers(0, 10_000))
def test_it_holds_every_limit_that_cutting_back_can_hold_and_touches_nothing_else(scenario: str, seed: int) -> None:
    case = load_case(scenario)
    limits = make_limits(case.scenario, case.feeder)
    state, asked = situation(case, seed, 64)
    clipped = step(state, asked, case.params)[1].done
    was_broken = broken(state, asked, case.params, limits)

    safe = protect(state, asked, case.params, limits)

    still_broken = broken(state, safe, case.params, limits)
    assert not (still_broken & avoidable(state, asked, case.params, limits)).any()
    assert (was_broken <= (safe != clipped).any(axis=(1, 2)) | still_broken).all()
    _, did = step(state, clipped, case.params)
    over = np.maximum(did.vm_pu - limits.vm_max_pu, limits.vm_min_pu - did.vm_pu).max(axis=1)
    within = (over <= 0) & (did.loading_percent <= limits.percent).all(axis=1)
    np.testing.assert_array_equal(safe[within], clipped[within])


def test_what_binds_is_used_to_the_limit_and_pv_is_cut_only_when_batteries_are_full() -> None:
    case = load_case("rural1")
    limits = make_limits(case.scenario, case.feeder)
    state, asked = situation(case, 5, 3000)
    batteries = case.fleet.batteries
    full = np.arange(3000) % 2 == 0
    state.soc[full] = case.fleet.soc_window[1]
    clipped = step(state, asked, case.params)[1].done

    safe = protect(state, asked, case.params, limits)

    moved = (safe != clipped).any(axis=(1, 2))
    _, did = step(state, safe, case.params)
    helped = moved & ~broken(state, safe, case.params, limits)
    volts_left = np.minimum(limits.vm_max_pu - did.vm_pu, did.vm_pu - limits.vm_min_pu).min(axis=1)
    used = np.maximum((did.loading_percent / limits.percent).max(axis=1), 1 - 10 * volts_left)
    assert helped.sum() > 200
    assert np.mean(used[helped] > 0.999) > 0.9
    assert used[helped].min() > 0.95
    cut_share = (clipped - safe)[:, 0, batteries:] / case.fleet.s_kva[batteries:]
    cut = cut_share.max(axis=1) > 0.05
    assert 10 < cut.sum() < helped.sum()
    assert full[cut].all(), "PV was cut while batteries had room"
    assert (safe[cut, 0, :batteries] < 0.02 * case.fleet.p_kw).all(), "PV was cut while a battery still discharged"


def test_what_the_shield_moves_is_less_than_scaling_whole_groups_moves() -> None:
    case = load_case("rural1")
    limits, params = make_limits(case.scenario, case.feeder), case.params
    state, asked = situation(case, 8, 300)
    clipped = step(state, asked, params)[1]
    safe = protect(state, asked, params, limits)
    nearer = []
    for row in np.flatnonzero(limits.broken(clipped.vm_pu, clipped.loading_percent)):
        here = slice(row, row + 1)
        scaled, flow = clipped.done[here].copy(), clipped.flow[here].copy()
        scale_back(params, limits, state.step[here], flow, scaled)
        assert worst_excess(limits, flow[0]) <= 0.0
        reach = reach_of(params.fleet, state.soc[row], params.pv_p_kw[state.step[row]])
        by_scaling = distance(reach, clipped.done[row], scaled[0])
        nearer.append(distance(reach, clipped.done[row], safe[row]) <= by_scaling * (1 + 1e-6))
    assert len(nearer) > 30
    assert np.mean(nearer) > 0.9


@given(scenario=SCENARIOS, seed=st.integers(0, 10_000), batch=st.integers(2, 20))
def test_it_works_in_a_batch_as_alone(scenario: str, seed: int, batch: int) -> None:
    case = load_case(scenario)
    limits = make_limits(case.scenario, case.feeder)
    state, asked = situation(case, seed, batch)
    safe = protect(state, asked, case.params, limits)
    for row in range(batch):
        one = slice(row, row + 1)
        alone = protect(State(state.step[one], state.soc[one]), asked[one], case.params, limits)
        assert alone.tobytes() == safe[one].tobytes()


def test_it_leaves_its_inputs_alone_and_refuses_a_nan() -> None:
    case = load_case("rural1")
    limits = make_limits(case.scenario, case.feeder)
    state, asked = situation(case, 1, 40)
    before = asked.copy()
    protect(state, asked, case.params, limits)
    np.testing.assert_array_equal(asked, before)
    asked[3, 0, 0] = np.nan
    with pytest.raises(InputError, match="NaN"):
        protect(state, asked, case.params, limits)


# --- a feeder in which export and a local overload by demand meet, and the other way round -------------------------


def branching_params(load_kw: tuple[float, float], sun_kw: float) -> tuple[Params, NetworkLimits]:
    """Slack - A - B. PV and a load at A, a battery (60 kW) and a load at B; the line A - B carries 30 kVA."""
    near, far = 1 / 0.01, 1 / 0.02
    model = SolvedModel(
        bus_node=np.array([0, 1, 2]),
        slack_node=0,
        slack_voltage=1 + 0j,
        admittance=np.array([[near, -near, 0], [-near, near + far, -far], [0, -far, far]], dtype=complex),
        branch_node=np.array([[0, 1], [1, 2]]),
        branch_admittance=np.array([[near, -near, -near, near], [far, -far, -far, far]], dtype=complex),
        branch_percent=np.array([[100.0, 100.0], [100 / 0.03, 100 / 0.03]]),
        lines=2,
    )
    scenario = Scenario(name="own", title="t", network=NetworkSource(builtin="ieee33"))
    params = Params(
        network=compile_power_flow(model).network,
        fleet=make_fleet(scenario, np.array([60.0]), np.array([240.0]), np.array([200.0]), 0.25),
        device_bus=np.array([2, 1]),
        load_bus=np.array([1, 2]),
        load_p_kw=-np.array([load_kw]),
        load_q_kvar=np.zeros((1, 2)),
        pv_p_kw=np.array([[sun_kw]]),
        buses=3,
        lines=2,
    )
    return params, NetworkLimits(np.full(3, 0.9), np.full(3, 1.1), np.array([100.0, 100.0]))


def start(soc: float = 0.5) -> State:
    return State(np.array([0]), np.array([[soc]]))


EMPTY = 0.05


def test_a_local_overload_by_charging_is_cut_while_the_feeder_imports() -> None:
    params, limits = branching_params(load_kw=(50.0, 0.0), sun_kw=0.0)
    safe = protect(start(), np.array([[[-60.0, np.inf], [0.0, 0.0]]]), params, limits)
    assert -30.1 < safe[0, 0, 0] < -29.0


def test_a_local_overload_by_charging_is_cut_while_the_feeder_exports() -> None:
    params, limits = branching_params(load_kw=(0.0, 0.0), sun_kw=150.0)
    asked = np.array([[[-60.0, np.inf], [0.0, 0.0]]])
    assert avoidable(start(), asked, params, limits).all()

    safe = protect(start(), asked, params, limits)

    assert not broken(start(), safe, params, limits)[0]
    assert safe[0, 0, 1] == 150.0, "the sun did not cause it"


def test_a_local_overload_by_discharge_is_cut_while_the_feeder_imports() -> None:
    params, limits = branching_params(load_kw=(100.0, 0.0), sun_kw=0.0)
    asked = np.array([[[60.0, np.inf], [0.0, 0.0]]])
    assert avoidable(start(), asked, params, limits).all()

    safe = protect(start(), asked, params, limits)

    assert not broken(start(), safe, params, limits)[0]


def test_a_battery_at_rest_discharges_where_only_that_holds_the_limit() -> None:
    params, limits = branching_params(load_kw=(0.0, 50.0), sun_kw=20.0)
    safe = protect(start(), idle(1, 1, 2), params, limits)
    assert not broken(start(), safe, params, limits)[0]
    assert 18.0 < safe[0, 0, 0] < 22.0
    assert safe[0, 0, 1] == pytest.approx(20.0, abs=0.1), "the sun did not cause it"


@pytest.mark.parametrize("sun_kw", [20.0, 150.0])
def test_pv_that_can_not_help_is_left_alone(sun_kw: float) -> None:
    """An overload by an inflexible load alone stays, and is no reason to switch anything off."""
    params, limits = branching_params(load_kw=(0.0, 50.0), sun_kw=sun_kw)
    safe = protect(start(EMPTY), idle(1, 1, 2), params, limits)
    assert broken(start(EMPTY), safe, params, limits)[0]
    assert safe[0, 0, 1] == sun_kw


def test_what_can_not_be_held_is_brought_as_near_as_devices_can_and_not_moved_again() -> None:
    params, limits = branching_params(load_kw=(0.0, 120.0), sun_kw=20.0)
    safe = protect(start(), idle(1, 1, 2), params, limits)
    assert safe[0, 0, 0] == pytest.approx(60.0, abs=0.1), "all that the battery has"
    np.testing.assert_array_equal(protect(start(), safe, params, limits), safe)


def test_an_overload_that_can_be_avoided_is_avoided_beside_one_that_can_not() -> None:
    params, limits = branching_params(load_kw=(0.0, 50.0), sun_kw=150.0)
    tight = limits._replace(percent=np.array([8.0, 100.0]))
    _, did = step(start(EMPTY), idle(1, 1, 2), params)
    assert (did.loading_percent[0] > tight.percent).all()

    safe = protect(start(EMPTY), idle(1, 1, 2), params, tight)

    _, did = step(start(EMPTY), safe, params)
    assert did.loading_percent[0, 0] <= 8.01
    assert did.loading_percent[0, 1] > 150.0


def test_reactive_power_that_breaks_a_limit_is_cut() -> None:
    params, limits = branching_params(load_kw=(0.0, 0.0), sun_kw=0.0)
    asked = np.array([[[0.0, 0.0], [50.0, 0.0]]])
    assert not broken(start(), np.zeros_like(asked), params, limits)[0]

    safe = protect(start(), asked, params, limits)

    assert not broken(start(), safe, params, limits)[0]


def test_a_collapse_by_discharge_is_avoided() -> None:
    params, limits = branching_params(load_kw=(0.0, 0.0), sun_kw=0.0)
    huge = params.fleet._replace(p_kw=np.array([5e6]), e_kwh=np.array([1e8]), s_kva=np.array([5e6, 1.0]))
    big = params._replace(fleet=huge)
    asked = np.array([[[5e6, 0.0], [0.0, 0.0]]])
    assert broken(start(), asked, big, limits)[0]

    safe = protect(start(), asked, big, limits)

    assert not broken(start(), safe, big, limits)[0]
