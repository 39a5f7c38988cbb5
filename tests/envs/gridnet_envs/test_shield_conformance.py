"""Random actions behind the shield leave no violation that a known dispatch could have avoided."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.devices import inverter_q
from gridnet.limits import NetworkLimits, make_limits
from gridnet.simulate import Params, State, step
from gridnet_envs.binding import worst_excess
from gridnet_envs.projection import reach_of
from gridnet_envs.shield import protect

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

SHIPPED = ["tiny", "rural1", "rural3", "semiurb4", "urban6", "cigre_lv", "ieee33"]
CHUNK = 10_000


def stressed(case: Case, sun: float, load: float) -> Params:
    """The case's parameters with PV and load series scaled up."""
    given = case.params
    return given._replace(pv_p_kw=given.pv_p_kw * sun, load_p_kw=given.load_p_kw * load, load_q_kvar=given.load_q_kvar * load)


def draw(case: Case, rng: np.random.Generator, batch: int) -> tuple[State, Floats]:
    """Random steps, charges and setpoints: a quarter of the rows each of batteries that mix, discharge, charge, and rest; PV free
    or with a ceiling; reactive power in half of the rows; some beyond what devices can do."""
    fleet = case.fleet
    batteries = fleet.batteries
    state = State(rng.integers(0, case.clock.steps, batch), rng.uniform(*fleet.soc_window, (batch, batteries)))
    asked = rng.uniform(-1.2, 1.2, (batch, 2, fleet.devices)) * fleet.s_kva
    power = asked[:, 0, :batteries]
    asked[:, 0, :batteries] = np.choose(rng.integers(0, 4, (batch, 1)), [power, np.abs(power), -np.abs(power), 0 * power])
    free = rng.random((batch, 1)) < 0.7
    asked[:, 0, batteries:] = np.where(free, np.inf, np.abs(asked[:, 0, batteries:]))
    asked[:, 1] *= rng.random((batch, 1)) < 0.5
    return state, asked


def broken(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> Bools:
    _, did = step(state, asked, params)
    return limits.broken(did.vm_pu, did.loading_percent) | ~did.converged


def avoidable(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> Bools:
    """Rows for which one of the witnesses holds every limit: the setpoints themselves or idle batteries, all charging, all
    discharging, each with PV on and off, with reactive power none, all given and all taken; and the shield's answer to each."""
    batteries, devices = params.fleet.batteries, params.fleet.devices
    found = np.zeros(len(asked), dtype=bool)
    for sun, power, reactive in itertools.product((0.0, np.inf), (0.0, -np.inf, np.inf), (0.0, -np.inf, np.inf)):
        witness = np.zeros((len(asked), 2, devices))
        witness[:, 0, :batteries], witness[:, 0, batteries:], witness[:, 1] = power, sun, reactive
        found |= ~broken(state, witness, params, limits)
        found |= ~broken(state, protect(state, witness, params, limits), params, limits)
    return found


def rows(state: State, chosen: Bools) -> State:
    return State(state.step[chosen], state.soc[chosen])


def assert_nothing_avoidable_is_left(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> int:
    """How many rows were broken as asked."""
    safe = protect(state, asked, params, limits)
    left = broken(state, safe, params, limits)
    missed = avoidable(rows(state, left), asked[left], params, limits) if left.any() else np.zeros(0, dtype=bool)
    assert not missed.any(), f"steps {state.step[left][missed][:5]}: a limit that a known dispatch holds stays broken"
    return int(broken(state, asked, params, limits).sum())


def assert_setpoints_are_sound(state: State, asked: Floats, params: Params, limits: NetworkLimits) -> None:
    """Within what each device can do, untouched where nothing binds, and given again when asked for again."""
    safe = protect(state, asked, params, limits)
    _, did = step(state, safe, params)
    np.testing.assert_array_equal(did.done, safe)
    for row in range(len(asked)):
        reach = reach_of(params.fleet, state.soc[row], params.pv_p_kw[state.step[row]])
        assert (reach.lowest_kw <= safe[row, 0]).all()
        assert (safe[row, 0] <= reach.highest_kw).all()
        kept = [inverter_q(*point) for point in zip(params.fleet.s_kva, safe[row, 0], safe[row, 1], strict=True)]
        np.testing.assert_array_equal(kept, safe[row, 1])
    clipped = step(state, asked, params)[1]
    within = np.array([worst_excess(limits, flow) <= 0.0 for flow in clipped.flow])
    np.testing.assert_array_equal(safe[within], clipped.done[within])
    np.testing.assert_allclose(protect(state, safe, params, limits), safe, rtol=0, atol=1e-9)


@pytest.mark.parametrize("scenario", ["tiny", "rural1", "cigre_lv", "ieee33"])
@given(seed=st.integers(0, 10_000), sun=st.floats(0, 4), load=st.floats(0, 4))
def test_setpoints_are_sound_and_leave_nothing_avoidable(scenario: str, seed: int, sun: float, load: float) -> None:
    case = load_case(scenario)
    params, limits = stressed(case, sun, load), make_limits(case.scenario, case.feeder)
    state, asked = draw(case, np.random.default_rng(seed), 12)
    assert_setpoints_are_sound(state, asked, params, limits)
    assert_nothing_avoidable_is_left(state, asked, params, limits)


def run_random_actions(actions: int, seed: int) -> int:
    """Runs about `actions` random actions over all shipped scenarios; gives how many broke a limit as asked."""
    rng, were_broken = np.random.default_rng(seed), 0
    for scenario in SHIPPED:
        case = load_case(scenario)
        limits = make_limits(case.scenario, case.feeder)
        for first in range(0, actions // len(SHIPPED) + 1, CHUNK):
            state, asked = draw(case, rng, min(CHUNK, actions // len(SHIPPED) + 1 - first))
            were_broken += assert_nothing_avoidable_is_left(state, asked, case.params, limits)
    return were_broken


def test_twenty_thousand_random_actions_leave_no_violation_that_was_avoidable() -> None:
    assert run_random_actions(20_000, seed=1) > 500


@pytest.mark.conformance
def test_a_million_random_actions_leave_no_violation_that_was_avoidable() -> None:
    assert run_random_actions(1_000_000, seed=2) > 25_000
