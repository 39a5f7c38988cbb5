"""The vector environment: each row is the single environment, bit for bit; episodes end and begin as Gymnasium says."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode
from gymnasium.wrappers.vector import RecordEpisodeStatistics

from gridnet.errors import InputError
from gridnet_envs.dispatch_env import DispatchEnv
from gridnet_envs.reward import TERMS
from gridnet_envs.vector import DispatchVectorEnv

VARIANTS: list[dict[str, Any]] = [
    {},
    {"curtailment": True, "reactive": True, "shield": True},
    {"action": "value", "reactive": True},
]


@pytest.mark.parametrize("num_envs", [2, 11])
@pytest.mark.parametrize("given", VARIANTS, ids=range(len(VARIANTS)))
def test_each_row_is_the_single_environment_bit_for_bit(given: dict[str, Any], num_envs: int) -> None:
    vector = DispatchVectorEnv(num_envs, **given)
    vector.reset(seed=1)
    singles = [DispatchEnv(**given) for _ in range(num_envs)]
    for row, env in enumerate(singles):
        start, soc = 96 * 20 * row + 13 * row, 0.1 + 0.07 * row
        vector.core.reset_at(row, start, soc)
        first, _ = env.reset(options={"step": start, "soc": soc})
        assert first.tobytes() == vector.core.observation[row].tobytes()
    vector.action_space.seed(2)

    for _ in range(95):
        actions = vector.action_space.sample()
        observations, rewards, terminated, truncated, infos = vector.step(actions)
        for row, env in enumerate(singles):
            observation, reward, end, cut, info = env.step(actions[row])
            assert observations[row].tobytes() == observation.tobytes()
            assert rewards[row] == reward
            assert (terminated[row], truncated[row]) == (end, cut) == (False, False)
            assert {name: infos["terms"][name][row] for name in TERMS} == info["terms"]


def test_an_ended_row_gives_its_last_observation_and_starts_anew_in_the_same_step() -> None:
    vector = DispatchVectorEnv(3)
    vector.reset(seed=4)
    starts = (0, 960, 1920)
    for row, start in enumerate(starts):
        vector.core.reset_at(row, start + (10 if row == 1 else 0), 0.5)
        vector.core.end[row] = start + 96  # row 1 ends ten steps before the others
    single = DispatchEnv()
    single.reset(options={"step": 970, "soc": 0.5})
    action = np.full((3, 5), 0.3, dtype=np.float32)

    for _ in range(86):
        observations, _, terminated, truncated, info = vector.step(action)
        last, *_ = single.step(action[1])

    assert truncated.tolist() == [False, True, False]
    assert not terminated.any()
    assert info["_final_obs"].tolist() == [False, True, False]
    assert info["final_obs"][1].tobytes() == last.tobytes()
    assert observations[1].tobytes() != last.tobytes()
    new = vector.core.step_index[1]
    first, _ = single.reset(options={"step": int(new)})
    assert observations[1].tobytes() == first.tobytes()
    assert vector.core.step_index[[0, 2]].tolist() == [86, 1920 + 86]


def test_one_seed_makes_the_batch_reproducible() -> None:
    one, other = DispatchVectorEnv(4, random_soc=True), DispatchVectorEnv(4, random_soc=True)
    first = one.reset(seed=5)[0]
    assert other.reset(seed=5)[0].tobytes() == first.tobytes()
    assert one.reset(seed=6)[0].tobytes() != first.tobytes()
    assert len(np.unique(first, axis=0)) > 1, "rows start at different days"


def test_gymnasium_makes_it_and_its_wrappers_count_episodes() -> None:
    made = gymnasium.make_vec("gridnet_envs:gridnet/Dispatch-v0", num_envs=3, vectorization_mode="vector_entry_point")
    assert isinstance(made.unwrapped, DispatchVectorEnv)
    assert made.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    assert made.observation_space.shape == (3, *made.single_observation_space.shape)
    env = RecordEpisodeStatistics(made)
    observations, _ = env.reset(seed=1)
    assert env.observation_space.contains(observations)
    total = np.zeros(3)
    for _ in range(96):
        observations, rewards, _, truncated, info = env.step(np.zeros((3, 5), dtype=np.float32))
        assert env.observation_space.contains(observations)
        total += rewards
    assert truncated.all()
    np.testing.assert_allclose(info["episode"]["r"], total, rtol=1e-5)
    assert info["episode"]["l"].tolist() == [96, 96, 96]
    env.close()


def test_an_option_of_reset_is_obeyed_or_refused() -> None:
    vector = DispatchVectorEnv(2)
    try:
        vector.reset(seed=1, options={"step": 1234, "soc": 0.3})
    except InputError:
        return
    assert vector.core.step_index.tolist() == [1234, 1234]


def test_a_transposed_batch_of_actions_is_refused() -> None:
    vector = DispatchVectorEnv(3)
    vector.reset(seed=1)
    with pytest.raises(InputError):
        vector.step(np.zeros((5, 3), dtype=np.float32))
