"""The policies by name."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet_policies.registry import POLICIES, make_policies


def test_the_promised_policies_are_there_with_the_yardstick_last() -> None:
    assert {"no_battery", "rule", "rl", "lp"} <= set(POLICIES)
    assert (POLICIES[0], POLICIES[-1]) == ("no_battery", "lp")


@pytest.mark.parametrize("name", ["no_battery", "rule", "lp"])
def test_a_policy_without_training_comes_once_whatever_the_seeds(name: str) -> None:
    [policy] = make_policies(name, 3)
    assert policy.name == name


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(InputError) as caught:
        make_policies("rules", 1)
    assert all(name in str(caught.value) for name in POLICIES)


@pytest.mark.parametrize("seeds", [1, 3])
def test_the_learned_policy_ships_from_three_training_seeds(seeds: int) -> None:
    policies = make_policies("rl", seeds)
    assert [policy.name for policy in policies] == ["rl"] * seeds
    assert len({id(policy) for policy in policies}) == seeds


def test_more_training_seeds_than_ship_is_refused() -> None:
    with pytest.raises(InputError, match="not 99"):
        make_policies("rl", 99)


@pytest.mark.parametrize("name", ["tiny", "rural1", "cigre_lv"])
def test_one_learned_policy_runs_on_any_feeder(name: str) -> None:
    case = load_case(name)
    [policy] = make_policies("rl", 1)
    policy.prepare(case, 0, 96)
    soc = np.full(case.fleet.batteries, 0.5)
    for step in range(0, 96, 8):
        asked = policy.decide(step, soc)
        assert asked.shape == (2, case.fleet.devices)
        assert not np.isnan(asked).any()
        assert (np.abs(asked[0, : case.fleet.batteries]) <= case.fleet.p_kw + 1e-9).all()
