"""The stable-baselines3 environment against SB3's own DummyVecEnv over the single environment."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from gridnet.case import Case, load_case
from gridnet.errors import InputError
from gridnet_envs.dispatch_env import DispatchEnv
from gridnet_envs.options import Options
from gridnet_envs.sb3 import DispatchVecEnv


def collapsing_case(step: int) -> Case:
    case = load_case("rural1")
    load = case.series.load_p_kw.copy()
    load[step] = -1e4
    return dataclasses.replace(
        case,
        series=dataclasses.replace(case.series, load_p_kw=load),
        params=case.params._replace(load_p_kw=load),
    )


def acted(env: VecEnv, actions: np.ndarray) -> tuple[Any, Any, Any, list[dict[str, Any]]]:
    observations, rewards, dones, infos = env.step(actions)
    return np.array(observations), rewards, dones, infos


def test_it_is_the_dummy_vec_env_of_single_environments_with_scaled_rewards() -> None:
    case, starts = load_case("rural1"), (0, 960, 20_000)
    env = DispatchVecEnv([case], Options(random_soc=True), batch=3, seed=1)
    dummy = DummyVecEnv([lambda: DispatchEnv(random_soc=True)] * 3)
    env.reset()
    dummy.reset()
    for row, start in enumerate(starts):
        env.cores[0].reset_at(row, start, 0.4)
        dummy.envs[row].reset(options={"step": start, "soc": 0.4})
    returns = np.zeros(3)
    rng = np.random.default_rng(2)

    for k in range(96):
        actions = rng.uniform(-1, 1, (3, 5)).astype(np.float32)
        observations, rewards, dones, infos = acted(env, actions)
        expected = acted(dummy, actions)
        returns += rewards
        np.testing.assert_allclose(rewards, expected[1] * 10 / case.fleet.e_kwh.sum(), rtol=1e-5)
        assert dones.tolist() == expected[2].tolist() == [k == 95] * 3
        if k < 95:
            assert observations.tobytes() == expected[0].tobytes()

    for row, info in enumerate(infos):
        assert info["terminal_observation"].tobytes() == expected[3][row]["terminal_observation"].tobytes()
        assert info["TimeLimit.truncated"] is expected[3][row]["TimeLimit.truncated"] is True
        assert info["episode"]["l"] == 96
        assert info["episode"]["r"] == pytest.approx(returns[row], rel=1e-5)
        assert observations[row].tobytes() != info["terminal_observation"].tobytes()


@pytest.mark.parametrize("last", [False, True], ids=["early", "in the last step"])
def test_a_collapse_is_an_end_and_no_time_limit(last: bool) -> None:
    start = 960
    env = DispatchVecEnv([collapsing_case(start + (95 if last else 20))], Options(), batch=2)
    env.reset()
    env.cores[0].reset_at(0, start, 0.5)
    env.cores[0].reset_at(1, 5 * 960, 0.5)
    actions = np.zeros((2, 5), dtype=np.float32)

    for _ in range(96 if last else 21):
        observations, _, dones, infos = env.step(actions)

    assert dones.tolist() == [True, last]
    assert infos[0]["TimeLimit.truncated"] is False
    assert np.isfinite(infos[0]["terminal_observation"]).all()
    assert infos[0]["episode"]["l"] == (96 if last else 21)
    assert ("terminal_observation" in infos[1]) == last
    assert np.isfinite(observations).all()


def test_statistics_begin_anew_with_each_episode() -> None:
    env = DispatchVecEnv([load_case("rural1")], Options(), batch=1)
    env.reset()
    lengths, returns, total = [], [], 0.0
    for _ in range(3 * 96):
        _, reward, done, infos = env.step(np.zeros((1, 5), dtype=np.float32))
        total += float(reward[0])
        if done[0]:
            lengths.append(infos[0]["episode"]["l"])
            returns.append(infos[0]["episode"]["r"])
    assert lengths == [96, 96, 96]
    assert sum(returns) == pytest.approx(total, rel=1e-5)


def test_seeding_makes_the_next_reset_reproducible() -> None:
    env = DispatchVecEnv([load_case("rural1")], Options(random_soc=True), batch=4, seed=0)
    env.seed(3)
    first = np.array(env.reset())
    second = np.array(env.reset())
    env.seed(3)
    assert np.array(env.reset()).tobytes() == first.tobytes()
    assert np.array(env.reset()).tobytes() == second.tobytes() != first.tobytes()


def test_several_feeders_train_together_only_where_they_are_observed_alike() -> None:
    cases = [load_case("rural1"), load_case("cigre_lv")]
    with pytest.raises(InputError, match="action='value'"):
        DispatchVecEnv(cases, Options(), batch=4)
    env = DispatchVecEnv(cases, Options(action="value"), batch=5, seed=1)
    observations = env.reset()
    assert [core.batch for core in env.cores] == [3, 2]
    assert observations.shape == (5, env.observation_space.shape[0])
    _, rewards, _, _ = env.step(np.linspace(-1, 1, 30).reshape(5, 6).astype(np.float32))
    in_eur = np.concatenate([core.reward for core in env.cores])
    scale = np.repeat([10 / case.fleet.e_kwh.sum() for case in cases], [3, 2])
    np.testing.assert_allclose(rewards, in_eur * scale, rtol=1e-6)
