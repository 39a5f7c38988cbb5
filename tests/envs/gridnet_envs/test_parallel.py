"""The PettingZoo environment, by PettingZoo's own checks and against the Gymnasium environment."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import api_test, parallel_api_test, parallel_seed_test
from pettingzoo.utils.conversions import parallel_to_aec

import gridnet_envs.dispatch_env
from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet_envs.agents import AGENT_SLOTS
from gridnet_envs.dispatch_env import DispatchEnv
from gridnet_envs.parallel import ParallelDispatchEnv, parallel_env
from gridnet_envs.slots import table

PAGE = Path(__file__).parents[3] / "docs" / "multi_agent.md"
VARIANTS: list[dict[str, Any]] = [
    {"scenario": "tiny", "weeks": "all"},
    {"scenario": "rural1", "random_soc": True, "days": 2},
    {"scenario": "cigre_lv", "curtailment": True, "reactive": True, "shield": True, "reward": "own"},
    {"scenario": "rural3", "curtailment": True, "weeks": "validation"},
    {"scenario": "ieee33", "reactive": True, "against_idle": True, "reward": "own", "weeks": "held-out"},
]
variants = pytest.mark.parametrize("given", VARIANTS, ids=[each["scenario"] for each in VARIANTS])


def sampled(env: ParallelDispatchEnv) -> dict[str, Any]:
    return {name: env.action_space(name).sample() for name in env.agents}


def idle(env: ParallelDispatchEnv) -> dict[str, Any]:
    return {name: np.zeros(env.team.numbers, dtype=np.float32) for name in env.possible_agents}


@variants
def test_it_passes_pettingzoo_s_tests_without_a_warning(given: dict[str, Any]) -> None:
    parallel_api_test(parallel_env(**given), num_cycles=120)
    parallel_seed_test(lambda: parallel_env(**given))


# PettingZoo recommends names such as player_0; the agents bear the feeder's own.
@pytest.mark.filterwarnings("ignore:We recommend agents to be named")
def test_it_can_be_played_turn_by_turn() -> None:
    api_test(parallel_to_aec(parallel_env("rural1", curtailment=True)), num_cycles=50)


@variants
def test_it_is_the_gymnasium_environment_with_the_action_and_the_reward_divided(given: dict[str, Any]) -> None:
    env = parallel_env(**given)
    whole = DispatchEnv(**{key: value for key, value in given.items() if key != "reward"})
    _, infos = env.reset(seed=7)
    first, info = whole.reset(seed=7)
    assert {each["step"] for each in infos.values()} == {info["step"]}
    assert env.state().tobytes() == first.tobytes()
    rng, owned = np.random.default_rng(1), env.team.roster.devices
    batteries = whole.core.case.fleet.batteries

    while env.agents:
        power, ceiling, reactive = rng.uniform(-1, 1, (3, env.max_num_agents)).astype(np.float32)
        options = whole.options
        numbers = [power] + [ceiling] * options.curtailment + [reactive] * options.reactive
        actions = dict(zip(env.agents, np.stack(numbers, axis=1), strict=True))
        columns = [power[:batteries]]
        columns += [(ceiling @ owned)[batteries:]] * options.curtailment + [reactive @ owned] * options.reactive
        observations, rewards, terminated, truncated, infos = env.step(actions)
        expected, reward, end, cut, info = whole.step(np.concatenate(columns).astype(np.float32))

        assert sum(rewards.values()) == pytest.approx(reward, abs=1e-9)
        assert env.state().tobytes() == expected.tobytes()
        np.testing.assert_array_equal(env.team.core.flow, whole.core.flow)
        assert (set(terminated.values()), set(truncated.values())) == ({end}, {cut})
        for name, own in zip(env.possible_agents, owned, strict=True):
            assert env.observation_space(name).contains(observations[name])
            assert infos[name]["terms"] == info["terms"]
            assert infos[name]["step"] == info["step"]
            np.testing.assert_array_equal(infos[name]["asked"], info["asked"][:, own])
            np.testing.assert_array_equal(infos[name]["done"], info["done"][:, own])
    assert cut


def test_each_agent_steers_its_own_devices_alone() -> None:
    env = parallel_env("cigre_lv", curtailment=True, reactive=True)
    alone, noon = "PV Load R11", 24 * 672 + 48
    for mover in ("Battery Load I2", alone):
        env.reset(options={"step": noon, "soc": 0.5})
        actions = {name: np.array([0.0, 1.0, 0.0], dtype=np.float32) for name in env.agents}
        actions[mover] = np.array([-0.5, -1.0, 0.25], dtype=np.float32)
        *_, infos = env.step(actions)
        fleet = env.team.core.case.fleet
        for name, own in zip(env.possible_agents, env.team.roster.devices, strict=True):
            p_kw, q_kvar = infos[name]["done"]
            if name == mover:
                assert p_kw[-1] == 0.0
                np.testing.assert_allclose(q_kvar, 0.25 * fleet.s_kva[own], rtol=1e-6)
                if mover != alone:
                    assert p_kw[0] == pytest.approx(-0.5 * fleet.p_kw[own[: fleet.batteries]].item())
            else:
                np.testing.assert_array_equal(q_kvar, 0.0)
                assert p_kw[-1] > 0.0


@pytest.mark.parametrize("reward", ["shared", "own"])
def test_a_seed_makes_whole_episodes_reproducible_and_seeds_differ(reward: Any) -> None:
    def played(env: ParallelDispatchEnv, seed: int | None) -> list[Any]:
        observations, infos = env.reset(seed=seed)
        seen: list[Any] = [infos[env.agents[0]]["step"], *(each.tobytes() for each in observations.values())]
        for k in range(4):
            actions = {name: np.array([np.sin(k + j)], dtype=np.float32) for j, name in enumerate(env.agents)}
            observations, rewards, *_ = env.step(actions)
            seen += [each.tobytes() for each in observations.values()] + list(rewards.values())
        return seen

    env, again = (parallel_env("rural1", reward, random_soc=True) for _ in range(2))
    first, second = played(env, 3), played(env, None)
    assert played(again, 3) == first
    assert played(again, None) == second != first
    assert played(env, 4) != first


def test_agents_leave_together_and_come_back_with_the_next_episode() -> None:
    env = parallel_env("rural1")
    with pytest.raises(InputError, match="call reset"):
        env.step(idle(env))
    for _ in range(2):
        env.reset(seed=1)
        assert env.agents == env.possible_agents
        for k in range(96):
            *_, terminated, truncated, _ = env.step(idle(env))
            assert set(terminated) == set(truncated) == set(env.possible_agents)
            assert not any(terminated.values())
            assert set(truncated.values()) == {k == 95}
        assert env.agents == []
        with pytest.raises(InputError, match="call reset"):
            env.step(idle(env))


def test_a_collapse_terminates_every_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    case = load_case("rural1")
    load = case.series.load_p_kw.copy()
    load[963] = -1e4
    broken = dataclasses.replace(case, params=case.params._replace(load_p_kw=load))
    monkeypatch.setattr(gridnet_envs.dispatch_env, "load_case", lambda _: broken)
    env = parallel_env("rural1", "own")
    env.reset(options={"step": 960})
    for _ in range(4):
        observations, rewards, terminated, truncated, _ = env.step(idle(env))
    assert set(terminated.values()) == {True}
    assert set(truncated.values()) == {False}
    assert set(rewards.values()) == {-20.0}
    assert all(env.observation_space(name).contains(each) for name, each in observations.items())
    assert env.agents == []


def test_an_episode_starts_at_a_given_step_and_charge_and_other_keys_are_passed_over() -> None:
    env = parallel_env("rural1")
    _, infos = env.reset(options={"step": 1234, "soc": 0.25, "other": 1})
    assert {each["step"] for each in infos.values()} == {1234}
    np.testing.assert_array_equal(env.team.core.soc, 0.25)
    with pytest.raises(InputError, match="can't start"):
        env.reset(options={"step": -1})


def test_all_faults_of_the_actions_are_named_at_once() -> None:
    env = parallel_env("rural1")
    env.reset(seed=1)
    actions = sampled(env)
    one, two, three = env.agents[:3]
    del actions[one]
    actions |= {two: np.zeros(2, dtype=np.float32), three: np.array([np.nan], dtype=np.float32), "nobody": np.zeros(1)}
    before = env.team.core.step_index.copy()
    with pytest.raises(InputError) as refused:
        env.step(actions)
    assert {fault.where for fault in refused.value.faults} == {f"action of {name}" for name in (one, two, three, "nobody")}
    np.testing.assert_array_equal(env.team.core.step_index, before)


def test_all_faults_of_the_options_are_named_at_once() -> None:
    with pytest.raises(InputError) as refused:
        parallel_env("rural1", "mine", days=9, colour="red")  # type: ignore[arg-type]
    assert {fault.where for fault in refused.value.faults} == {"days", "colour", "reward"}
    with pytest.raises(InputError, match="each agent sets its own devices"):
        parallel_env("rural1", action="value")


def test_returned_arrays_are_the_caller_s_to_keep() -> None:
    env = parallel_env("rural1", curtailment=True)
    first, _ = env.reset(seed=1)
    second, *_, infos = env.step(sampled(env))
    state = env.state()
    held = [*first.values(), *second.values(), *(infos[name]["done"] for name in env.agents), state]
    kept = [each.copy() for each in held]
    env.step(sampled(env))
    for each, before in zip(held, kept, strict=True):
        np.testing.assert_array_equal(each, before)


def test_the_page_shows_the_slots_as_they_are() -> None:
    assert table(AGENT_SLOTS) in PAGE.read_text(encoding="utf-8")
