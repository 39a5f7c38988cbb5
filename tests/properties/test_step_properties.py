"""Properties of the one transition: energy is accounted for, nothing exceeds what it can do, the rest is untouched."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.devices import Fleet
from gridnet.simulate import Params, State, step

Floats = NDArray[np.float64]

setpoints = st.sampled_from(["idle", "moderate", "wild", "infinite", "tiny"])
FLEETS = st.fixed_dictionaries(
    {
        "charge": st.floats(0.5, 1.0),
        "discharge": st.floats(0.5, 1.0),
        "keep": st.floats(0.9, 1.0),
        "low": st.floats(0.0, 0.4),
        "high": st.floats(0.6, 1.0),
        "dt_h": st.sampled_from([0.25, 0.5, 1.0]),
    }
)


def params_with(case: Case, given_fleet: dict[str, float]) -> Params:
    fleet: Fleet = case.fleet._replace(
        efficiency=np.array([given_fleet["charge"], given_fleet["discharge"]]),
        keep=given_fleet["keep"],
        soc_window=np.array([given_fleet["low"], given_fleet["high"]]),
        dt_h=given_fleet["dt_h"],
    )
    return case.params._replace(fleet=fleet)


def drawn_setpoints(kind: str, rng: np.random.Generator, fleet: Fleet, batch: int) -> Floats:
    asked = rng.uniform(-1, 1, (batch, 2, fleet.devices)) * fleet.s_kva
    if kind == "idle":
        asked[:] = 0.0
    if kind == "wild":
        asked *= 50.0
    if kind == "tiny":
        asked *= 1e-12
    if kind == "infinite":
        asked = np.where(rng.random(asked.shape) < 0.5, np.sign(asked) * np.inf, asked)
    return asked


@given(seed=st.integers(0, 10_000), batch=st.integers(1, 12), kind=setpoints, fleet=FLEETS)
def test_a_step_closes_its_energy_balance_within_every_limit(seed: int, batch: int, kind: str, fleet: dict[str, float]) -> None:
    case = load_case("rural1")
    params = params_with(case, fleet)
    batteries, dt_h = params.fleet.batteries, fleet["dt_h"]
    rng = np.random.default_rng(seed)
    state = State(rng.integers(0, 35_136, batch), rng.uniform(fleet["low"], fleet["high"], (batch, batteries)))
    asked = drawn_setpoints(kind, rng, params.fleet, batch)
    inputs = [state.step.copy(), state.soc.copy(), asked.copy()]

    after, did = step(state, asked, params)

    p_kw, q_kvar = did.done[:, 0], did.done[:, 1]
    battery_kw, pv_kw = p_kw[:, :batteries], p_kw[:, batteries:]

    # The store: what leaves it is what arrives outside plus the losses of the way, each way once.
    gained_kwh = (after.soc - state.soc) * params.fleet.e_kwh
    into_store_kwh = np.where(battery_kw < 0, -battery_kw * fleet["charge"], -battery_kw / fleet["discharge"]) * dt_h
    lost_at_rest_kwh = state.soc * params.fleet.e_kwh * (1 - fleet["keep"])
    np.testing.assert_allclose(gained_kwh, into_store_kwh - lost_at_rest_kwh, rtol=0, atol=1e-9)
    conversion_kwh = -battery_kw * dt_h - into_store_kwh
    assert (conversion_kwh >= -1e-12).all(), "a battery made energy"

    # The network: what the slack gives and the devices inject, less the loads, is lost in it.
    load_kw = params.load_p_kw[state.step].sum(axis=1)
    np.testing.assert_allclose(did.slack_p_kw + p_kw.sum(axis=1) + load_kw, did.loss_kw, rtol=0, atol=1e-9)
    assert did.converged.all()
    assert (did.loss_kw >= 0).all()

    # Limits.
    kept = state.soc * fleet["keep"]
    assert (after.soc <= np.maximum(fleet["high"], kept) + 1e-12).all()
    assert (after.soc >= np.minimum(fleet["low"], kept) - 1e-12).all()
    assert (np.abs(battery_kw) <= params.fleet.p_kw).all()
    assert (pv_kw >= 0).all()
    assert (pv_kw <= params.pv_p_kw[state.step]).all()
    assert (np.hypot(p_kw, q_kvar) <= np.maximum(params.fleet.s_kva, np.abs(p_kw)) * (1 + 1e-12)).all()

    # The record, and purity.
    np.testing.assert_array_equal(did.asked, inputs[2])
    np.testing.assert_array_equal(after.step, inputs[0] + 1)
    for now, before in zip((state.step, state.soc, asked), inputs, strict=True):
        np.testing.assert_array_equal(now, before)
    again, did_again = step(state, asked, params)
    assert again.soc.tobytes() == after.soc.tobytes()
    assert did_again.flow.tobytes() == did.flow.tobytes()


@given(seed=st.integers(0, 10_000), kind=setpoints, fleet=FLEETS)
def test_what_can_be_done_is_done_and_nothing_less(seed: int, kind: str, fleet: dict[str, float]) -> None:
    """A setpoint is cut only where a limit binds: power, the energy in store or its room, the sun, the circle."""
    case = load_case("rural1")
    params = params_with(case, fleet)
    batteries = params.fleet.batteries
    rng = np.random.default_rng(seed)
    state = State(rng.integers(0, 35_136, 4), rng.uniform(fleet["low"], fleet["high"], (4, batteries)))
    asked = drawn_setpoints(kind, rng, params.fleet, 4)

    after, did = step(state, asked, params)

    p_asked, p_done = asked[:, 0, :batteries], did.done[:, 0, :batteries]
    less, more = p_done > p_asked, p_done < p_asked
    at_power = np.abs(np.abs(p_done) - params.fleet.p_kw) < 1e-9
    full = after.soc >= np.minimum(fleet["high"], state.soc * fleet["keep"]) - 1e-9
    empty = after.soc <= np.maximum(fleet["low"], state.soc * fleet["keep"]) + 1e-9
    assert (at_power | full)[less].all()
    assert (at_power | empty)[more].all()
    pv_expected = np.clip(asked[:, 0, batteries:], 0.0, params.pv_p_kw[state.step])
    np.testing.assert_array_equal(did.done[:, 0, batteries:], pv_expected)
    room = np.sqrt(np.maximum(0.0, params.fleet.s_kva**2 - did.done[:, 0] ** 2))
    np.testing.assert_allclose(did.done[:, 1], np.clip(asked[:, 1], -room, room), rtol=0, atol=1e-12)


@given(seed=st.integers(0, 10_000), batch=st.integers(1, 20))
def test_a_feeder_steps_the_same_alone_and_in_any_batch(seed: int, batch: int) -> None:
    case = load_case("rural1")
    rng = np.random.default_rng(seed)
    state = State(rng.integers(0, 35_136, batch), rng.uniform(0.05, 0.95, (batch, case.fleet.batteries)))
    asked = drawn_setpoints("moderate", rng, case.fleet, batch) * 2

    after, did = step(state, asked, case.params)

    for row in range(batch):
        one = slice(row, row + 1)
        alone, did_alone = step(State(state.step[one], state.soc[one]), asked[one], case.params)
        assert alone.soc.tobytes() == after.soc[one].tobytes()
        assert did_alone.done.tobytes() == did.done[one].tobytes()
        assert did_alone.flow.tobytes() == did.flow[one].tobytes()
