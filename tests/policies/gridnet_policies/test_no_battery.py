"""The reference moves nothing."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet import simulate
from gridnet.case import load_case
from gridnet_policies.no_battery import NoBattery


@pytest.mark.parametrize("name", ["tiny", "rural1"])
def test_batteries_rest_and_the_sun_is_taken_whole(name: str) -> None:
    case = load_case(name)
    policy = NoBattery()
    policy.prepare(case, 0, 96)
    batteries = case.fleet.batteries
    state = case.start(48)
    asked = policy.decide(48, state.soc[0])
    assert (asked[0, :batteries] == 0).all()
    assert (asked[1] == 0).all()
    after, moved = simulate.step(state, asked[None], case.params)
    assert (moved.done[0, 0, :batteries] == 0).all()
    np.testing.assert_allclose(moved.done[0, 0, batteries:], case.series.pv_p_kw[48])
    assert (after.soc <= state.soc).all(), "self-discharge at most"


def test_it_does_the_same_at_every_step_and_charge() -> None:
    case = load_case("tiny")
    policy = NoBattery()
    policy.prepare(case, 0, 96)
    first = policy.decide(0, np.array([0.0]))
    np.testing.assert_array_equal(policy.decide(75, np.array([1.0])), first)
