"""The agents as rows of a stable-baselines3 environment, against the PettingZoo environment; the page's example."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gridnet.case import Case, load_case
from gridnet_envs.agents import Reward, Team
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.parallel import parallel_env
from gridnet_envs.parallel_sb3 import AgentVecEnv

PAGE = Path(__file__).parents[3] / "docs" / "multi_agent.md"


def rows_of(case: Case, batch: int, reward: Reward = "shared", stored: float = 0.0, **options: Any) -> AgentVecEnv:
    return AgentVecEnv(Team(Core(case, Options(**options), batch), reward), seed=1, stored_eur_per_kwh=stored)


@pytest.mark.parametrize("reward", ["shared", "own"])
def test_each_row_is_an_agent_of_the_parallel_environment_with_a_scaled_reward(reward: Reward) -> None:
    case, starts = load_case("cigre_lv"), (0, 960)
    env = rows_of(case, 2, reward, curtailment=True)
    singles = [parallel_env("cigre_lv", reward, curtailment=True) for _ in starts]
    env.reset()
    for row, start in enumerate(starts):
        env.team.core.reset_at(row, start, 0.4)
        singles[row].reset(options={"step": start, "soc": 0.4})
    agents, rng, returns = env.team.agents, np.random.default_rng(2), np.zeros(18)
    assert env.num_envs == 2 * agents == 18
    assert env.scale == pytest.approx(9 * 10 / case.fleet.e_kwh.sum())

    for k in range(96):
        actions = rng.uniform(-1, 1, (18, 2)).astype(np.float32)
        observations, rewards, dones, infos = env.step(actions)
        returns += rewards
        for row, single in enumerate(singles):
            mine = slice(row * agents, (row + 1) * agents)
            expected, earned, *_ = single.step(dict(zip(single.agents, actions[mine], strict=True)))
            np.testing.assert_allclose(rewards[mine], env.scale * np.array(list(earned.values())), rtol=1e-5, atol=1e-7)
            seen = [info["terminal_observation"] for info in infos[mine]] if k == 95 else np.array(observations)[mine]
            np.testing.assert_array_equal(seen, list(expected.values()))
        assert dones.tolist() == [k == 95] * 18

    for row, info in enumerate(infos):
        assert info["TimeLimit.truncated"] is True
        assert info["episode"]["l"] == 96
        assert info["episode"]["r"] == pytest.approx(returns[row], rel=1e-4, abs=1e-6)
    np.testing.assert_array_equal(observations, env.team.observe().reshape(18, -1))
    _, first, _, infos = env.step(np.zeros((18, 2), dtype=np.float32))
    assert infos == [{}] * 18
    env.team.core.end[:] = env.team.core.step_index + 1
    _, second, _, infos = env.step(np.zeros((18, 2), dtype=np.float32))
    assert [info["episode"]["l"] for info in infos] == [2] * 18
    np.testing.assert_allclose([info["episode"]["r"] for info in infos], first + second, rtol=1e-4, atol=1e-6)


def test_a_price_of_stored_energy_adds_the_rise_of_what_the_own_battery_holds() -> None:
    case, earned, charge = load_case("rural1"), {}, np.zeros((5, 1), dtype=np.float32)
    charge[2] = -0.5
    for stored in (0.0, 0.1):
        env = rows_of(case, 1, "own", stored)
        env.reset()
        env.team.core.reset_at(0, 960, 0.4)
        earned[stored] = env.step(charge)[1]
    gained_kwh = (env.team.core.soc[0] - 0.4) * case.fleet.e_kwh
    assert gained_kwh[2] > 1.0
    np.testing.assert_allclose(earned[0.1] - earned[0.0], env.scale * 0.1 * gained_kwh, rtol=1e-4, atol=1e-6)


def test_a_collapse_ends_the_rows_of_its_feeder_and_is_no_time_limit() -> None:
    case = load_case("rural1")
    load = case.series.load_p_kw.copy()
    load[962] = -1e4
    env = rows_of(dataclasses.replace(case, params=case.params._replace(load_p_kw=load)), 2)
    env.reset()
    env.team.core.reset_at(0, 960, 0.5)
    env.team.core.reset_at(1, 1920, 0.5)
    for _ in range(3):
        observations, _, dones, infos = env.step(np.zeros((10, 1), dtype=np.float32))
    assert dones.tolist() == [True] * 5 + [False] * 5
    assert [info["TimeLimit.truncated"] for info in infos[:5]] == [False] * 5
    assert [info["episode"]["l"] for info in infos[:5]] == [3] * 5
    assert infos[5:] == [{}] * 5
    assert np.isfinite(observations).all()
    assert env.team.core.step_index[1] == 1923


def test_seeding_makes_the_next_reset_reproducible() -> None:
    env = rows_of(load_case("rural1"), 3, random_soc=True)
    env.seed(3)
    first, second = np.array(env.reset()), np.array(env.reset())
    env.seed(3)
    assert np.array(env.reset()).tobytes() == first.tobytes()
    assert np.array(env.reset()).tobytes() == second.tobytes() != first.tobytes()


def test_the_page_s_example_trains_and_evaluates_as_printed() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    # Not "__main__": what follows that line runs for minutes.
    names: dict[str, Any] = {"__name__": "example"}
    exec(compile(example, str(PAGE), "exec"), names)
    assert 'if __name__ == "__main__":' in example

    model = names["train"](agent_steps=20_000)
    assert model.num_timesteps == 64 * 64 * 5
    assert torch.isfinite(model.policy.action_net.weight).all()
    assert model.policy.log_std.item() != -2.5, "PPO has not moved the noise it starts with"
    saved = names["saved_eur"](model, week=4)
    assert np.isfinite(saved)
    assert names["saved_eur"](model, week=4) == saved
