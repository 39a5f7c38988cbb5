"""One feeder as a PettingZoo `ParallelEnv`: each battery, and each PV plant that has something to decide, is an agent."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo import ParallelEnv

from gridnet.errors import Fault, InputError
from gridnet.scenario import Scenario
from gridnet_envs.agents import AGENT_SLOTS, Reward, Team, option_faults
from gridnet_envs.dispatch_env import DispatchEnv
from gridnet_envs.options import parse_options
from gridnet_envs.slots import BOUND, width

Float32s = NDArray[np.float32]
Infos = dict[str, dict[str, Any]]
Each = TypeVar("Each")


class ParallelDispatchEnv(ParallelEnv[str, Float32s, Float32s]):
    """Dispatch one distribution feeder by its prosumers, with AC power flow in every step. Make one with `parallel_env`.

    ## Agents
    One per battery, with the PV plants at its bus; with `curtailment` or `reactive` also one per PV plant at a bus without a
    battery. They bear the feeder's names and are the same in every episode; all leave together when it ends.

    ## Action space
    `Box(-1, 1, (numbers,))`, the same for every agent: power of its battery (share of its rated power, positive discharges);
    with `curtailment=True` a ceiling on its PV plants (-1 off, 1 their full rating); with `reactive=True` reactive power of its
    devices (share of their apparent rating). A number that an agent has no device for does nothing.

    ## Observation space
    `Box(-4, 4, (width,))`, the same for every agent: `gridnet_envs.agents.AGENT_SLOTS`, those of the feeder that depend on the
    step alone, then the agent's own. `state()` gives what `gridnet_envs.dispatch_env.DispatchEnv` shows of the whole feeder, for
    a central critic.

    ## Reward
    EUR per step; the agents' rewards sum to `DispatchEnv`'s. `reward="shared"` divides it equally; `reward="own"` gives each
    agent the bill of its own devices and loads and divides the rest equally (`gridnet_envs.agents.Team`).

    ## Start and end
    As in `DispatchEnv`: the same seed draws the same episode. `reset(options={"step": k, "soc": s})` starts at a given step and
    charge; other keys are passed over, as PettingZoo's own test asks.

    ## Info
    Of each agent `asked` and `done` (2, its devices) in kW and kvar, battery before PV (asked p of PV is a ceiling, inf where
    uncurtailed); `step` (index into the series) and the feeder's `terms` (name to EUR).

    ## Arguments
    `scenario`: a shipped name, a path to a TOML file, or a `Scenario`; `reward`; every field of `gridnet_envs.options.Options`
    but `action`, which is `"setpoints"`.
    """

    metadata: dict[str, Any] = {"name": "gridnet_dispatch_v0", "render_modes": [], "is_parallelizable": True}  # noqa: RUF012  (PettingZoo declares it as an instance variable)

    def __init__(self, feeder: DispatchEnv, reward: Reward = "shared") -> None:
        self._feeder, self.team = feeder, Team(feeder.core, reward)
        self._devices = [np.flatnonzero(own) for own in self.team.roster.devices]
        self.possible_agents = list(self.team.roster.names)
        self.agents: list[str] = []
        self.render_mode = None
        self.observation_spaces = {
            name: spaces.Box(-BOUND, BOUND, (width(AGENT_SLOTS),), np.float32) for name in self.possible_agents
        }
        self.action_spaces = {name: spaces.Box(-1.0, 1.0, (self.team.numbers,), np.float32) for name in self.possible_agents}
        self.state_space = feeder.observation_space

    def observation_space(self, agent: str) -> spaces.Space[Float32s]:
        """The observation space of `agent`: always the same object."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Float32s]:
        """The action space of `agent`: always the same object."""
        return self.action_spaces[agent]

    def reset(self, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[dict[str, Float32s], Infos]:
        """Starts an episode; see the class. Raises `InputError` for a start outside the series or the charge's window."""
        known = {key: value for key, value in (options or {}).items() if key in {"step", "soc"}}
        _, info = self._feeder.reset(seed=seed, options=known)
        self.agents = self.possible_agents[:]
        return self._named(self.team.observe()[0]), {name: {"step": info["step"]} for name in self.agents}

    def step(
        self, actions: dict[str, Float32s]
    ) -> tuple[dict[str, Float32s], dict[str, float], dict[str, bool], dict[str, bool], Infos]:
        """One step of 15 minutes; see the class. Raises `InputError` where an agent's action is missing, misshapen or NaN, is of no
        agent, or where no episode is running."""
        action = self._stacked(actions)
        _, _, terminated, truncated, info = self._feeder.step(self.team.setpoints(action[None])[0])
        infos = [
            {"asked": info["asked"][:, own], "done": info["done"][:, own], "step": info["step"], "terms": dict(info["terms"])}
            for own in self._devices
        ]
        rewards = self._named(self.team.rewards()[0].tolist())
        names = self.agents
        if terminated or truncated:
            self.agents = []
        return (
            self._named(self.team.observe()[0]),
            rewards,
            dict.fromkeys(names, terminated),
            dict.fromkeys(names, truncated),
            self._named(infos),
        )

    def state(self) -> Float32s:
        """The whole feeder as `DispatchEnv` shows it, in `state_space`."""
        return np.array(self._feeder.core.observation[0])

    def _named(self, values: Iterable[Each]) -> dict[str, Each]:
        return dict(zip(self.possible_agents, values, strict=True))

    def _stacked(self, actions: dict[str, Float32s]) -> Float32s:
        """The actions as one array (agents, numbers), in the agents' order."""
        if not self.agents:
            raise InputError("no episode is running; call reset")
        expected = f"{self.team.numbers} numbers from -1 to 1"
        faults = [Fault(f"action of {name}", "nothing", expected) for name in self.agents if name not in actions]
        for name, action in actions.items():
            if name not in self.action_spaces:
                faults.append(Fault(f"action of {name}", "an action", "no agent of this name"))
            elif np.shape(action) != (self.team.numbers,):
                faults.append(Fault(f"action of {name}", f"shape {np.shape(action)}", expected))
            elif np.isnan(action).any():
                faults.append(Fault(f"action of {name}", "NaN", expected))
        if faults:
            raise InputError("actions can't be used:", faults)
        return np.array([actions[name] for name in self.agents])


def parallel_env(scenario: str | Path | Scenario = "rural1", reward: Reward = "shared", **options: Any) -> ParallelDispatchEnv:
    """The environment of `scenario`; see the class. Raises `InputError` listing every option that is unknown or impossible, and
    where the scenario has no agent."""
    try:
        faults = option_faults(reward, parse_options(options))
    except InputError as error:
        raise InputError("environment options can't be used:", [*error.faults, *option_faults(reward, None)]) from error
    if faults:
        raise InputError("environment options can't be used:", faults)
    return ParallelDispatchEnv(DispatchEnv(scenario, **options), reward)
