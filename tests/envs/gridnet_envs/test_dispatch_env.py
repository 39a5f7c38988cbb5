"""The Gymnasium environment, as Gymnasium's and stable-baselines3's own checkers and its users see it."""

from __future__ import annotations

import warnings
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from stable_baselines3.common.env_checker import check_env as check_env_sb3

from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, split_of
from gridnet.errors import InputError
from gridnet_envs.dispatch_env import DispatchEnv

VARIANTS: list[dict[str, Any]] = [
    {},
    {"curtailment": True, "reactive": True, "random_soc": True},
    {"action": "value", "reactive": True, "shield": True, "against_idle": True, "weeks": "all"},
    {"scenario": "ieee33", "days": 7, "weeks": "held-out"},
]


@pytest.mark.parametrize("given", VARIANTS, ids=range(len(VARIANTS)))
def test_it_passes_the_checks_of_gymnasium_and_stable_baselines3_without_a_warning(given: dict[str, Any]) -> None:
    env = gymnasium.make("gridnet_envs:gridnet/Dispatch-v0", **given)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)
        check_env_sb3(env.unwrapped)


@pytest.mark.parametrize("given", VARIANTS, ids=range(len(VARIANTS)))
def test_random_play_stays_in_the_observation_space_and_terms_add_up(given: dict[str, Any]) -> None:
    env = DispatchEnv(**given)
    env.action_space.seed(1)
    for episode in range(4):
        observation, _ = env.reset(seed=episode)
        assert env.observation_space.contains(observation)
        for _ in range(STEPS_PER_DAY):
            observation, reward, terminated, _, info = env.step(env.action_space.sample())
            assert env.observation_space.contains(observation)
            assert not terminated
            if not env.options.against_idle:
                assert reward == pytest.approx(sum(info["terms"].values()), abs=1e-12)


@pytest.mark.parametrize("days", [1, 2, 7])
def test_it_is_truncated_after_its_days_and_never_terminated_by_time(days: int) -> None:
    env = DispatchEnv(days=days)
    _, first = env.reset(seed=3)
    for k in range(days * STEPS_PER_DAY):
        _, _, terminated, truncated, info = env.step(np.zeros(5, dtype=np.float32))
        assert not terminated
        assert truncated == (k == days * STEPS_PER_DAY - 1)
        assert info["step"] == first["step"] + k + 1


@pytest.mark.parametrize("weeks", ["training", "validation", "held-out"])
def test_resets_draw_starts_from_their_own_split_only(weeks: Any) -> None:
    env = DispatchEnv(weeks=weeks, days=2)
    starts = {env.reset(seed=seed)[1]["step"] for seed in range(60)}
    assert len(starts) > 10
    assert {split_of(start // STEPS_PER_WEEK) for start in starts} == {weeks}


def rollout(env: DispatchEnv, seed: int | None) -> list[Any]:
    observation, info = env.reset(seed=seed)
    seen: list[Any] = [info["step"], observation.tobytes(), env.core.soc.tobytes()]
    for k in range(5):
        observation, reward, *_ = env.step(np.full(5, np.sin(k), dtype=np.float32))
        seen += [observation.tobytes(), reward]
    return seen


def test_a_seed_makes_an_episode_reproducible_and_seeds_differ() -> None:
    env, again = DispatchEnv(random_soc=True), DispatchEnv(random_soc=True)
    first, second = rollout(env, 7), rollout(env, None)
    assert rollout(again, 7) == first
    assert rollout(again, None) == second, "the second episode follows from the first one's seed"
    assert rollout(env, 7) == first
    assert len({tuple(rollout(env, seed)) for seed in range(8)}) == 8


def test_an_episode_can_start_at_a_given_step_and_charge() -> None:
    env = DispatchEnv()
    _, info = env.reset(options={"step": 1234, "soc": 0.25})
    assert info["step"] == 1234
    np.testing.assert_array_equal(env.core.soc, 0.25)
    with pytest.raises(InputError, match="takes step and soc"):
        env.reset(options={"start": 3})


def test_a_charge_given_without_a_step_counts() -> None:
    env = DispatchEnv()
    env.reset(seed=1, options={"soc": 0.25})
    np.testing.assert_array_equal(env.core.soc, 0.25)


def test_what_was_asked_and_what_was_done_are_both_told() -> None:
    env = DispatchEnv(curtailment=True, reactive=True)
    env.reset(options={"step": 48, "soc": 0.95})  # full: charging is cut
    action = np.full(26, -1.0, dtype=np.float32)
    *_, info = env.step(action)
    fleet = env.core.case.fleet
    np.testing.assert_allclose(info["asked"][0, :5], -fleet.p_kw)
    assert (info["done"][0, :5] > -fleet.p_kw).all()
    np.testing.assert_array_equal(info["done"][0, 5:], 0.0)  # curtailed to nothing
    np.testing.assert_allclose(info["asked"][1], -fleet.s_kva)
    assert (info["done"][1] >= -fleet.s_kva - 1e-9).all()
    assert info["vm_pu"].shape == (15,)
    assert info["loading_percent"].shape == (14,)
    load = env.core.case.series.load_p_kw[48].sum()
    assert info["slack_p_kw"] == pytest.approx(info["loss_kw"] - load - info["done"][0].sum(), abs=1e-9)


def test_returned_arrays_are_the_caller_s_to_keep() -> None:
    env = DispatchEnv()
    first, _ = env.reset(seed=1)
    kept = first.copy()
    second, _, _, _, info = env.step(np.ones(5, dtype=np.float32))
    after = {name: info[name].copy() for name in ("asked", "done", "vm_pu", "loading_percent")}
    np.testing.assert_array_equal(first, kept)
    second[:] = 9.0
    env.step(-np.ones(5, dtype=np.float32))
    for name, value in after.items():
        np.testing.assert_array_equal(info[name], value)


def test_with_the_shield_what_is_done_keeps_the_limits_that_can_be_kept() -> None:
    """Noon of midsummer, all batteries discharging at full power into 266 kW of sun behind 160 kVA."""
    noon = 24 * STEPS_PER_WEEK + 12 * 4
    loading = {}
    for shield in (False, True):
        env = DispatchEnv(shield=shield, weeks="all")
        env.reset(options={"step": noon, "soc": 0.9})
        *_, info = env.step(np.ones(5, dtype=np.float32))
        loading[shield] = info["loading_percent"][-1]
        np.testing.assert_allclose(info["asked"][0, :5], env.core.case.fleet.p_kw)
    assert loading[False] > 110
    assert loading[True] <= 100


@pytest.mark.parametrize("numbers", [0, 4, 6])
def test_an_action_of_another_width_is_refused(numbers: int) -> None:
    env = DispatchEnv()
    env.reset(seed=1)
    with pytest.raises(InputError):
        env.step(np.zeros(numbers, dtype=np.float32))


def test_a_render_mode_is_refused() -> None:
    with pytest.raises(InputError, match="draws nothing"):
        DispatchEnv(render_mode="human")  # type: ignore[arg-type]


def test_with_reactive_power_a_value_leaves_fewer_losses_and_the_same_power() -> None:
    losses, powers = {}, {}
    for reactive in (False, True):
        env = DispatchEnv(action="value", reactive=reactive, weeks="all")
        env.reset(options={"step": 1234, "soc": 0.5})
        *_, info = env.step(np.zeros(6, dtype=np.float32))
        losses[reactive], powers[reactive] = info["loss_kw"], info["done"][0].copy()
        assert (np.abs(info["done"][1]).max() > 0) == reactive
        np.testing.assert_allclose(info["done"][1], info["asked"][1])
    assert losses[True] < losses[False]
    np.testing.assert_array_equal(powers[True], powers[False])
