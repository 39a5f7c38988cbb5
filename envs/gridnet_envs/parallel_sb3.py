"""The agents of many feeders as a stable-baselines3 `VecEnv`: each agent is a row, so that one network learns for all."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env.base_vec_env import VecEnvObs, VecEnvStepReturn

from gridnet_envs.agents import AGENT_SLOTS, Team
from gridnet_envs.sb3 import BatchVecEnv
from gridnet_envs.slots import BOUND, width


class AgentVecEnv(BatchVecEnv):
    """The agents of all feeders of a team; row `feeder * agents + agent` is one agent of one feeder.

    Spaces and rewards are those of `gridnet_envs.parallel.ParallelDispatchEnv`, rewards multiplied by `scale`: the number of
    agents, and EUR per 10 kWh of the feeder's battery capacity where it has any, so that feeders of all sizes weigh alike. With
    `stored_eur_per_kwh` each reward also gains the rise of what the agent's own battery holds, at that price: charging is then
    told at once what it will be good for later (potential-based shaping without discount: Ng, Harada, Russell 1999).

    The rows of a feeder end together and restart at once; the last observation is in `infos[row]["terminal_observation"]`, with
    `TimeLimit.truncated` where only the time was up, the row's return in `infos[row]["episode"]`.
    """

    def __init__(self, team: Team, seed: int = 0, stored_eur_per_kwh: float = 0.0) -> None:
        self.team, self._stored_eur_per_kwh = team, stored_eur_per_kwh
        fleet = team.core.case.fleet
        capacity_kwh = float(fleet.e_kwh.sum())
        self.scale = team.agents * (10.0 / capacity_kwh if capacity_kwh > 0.0 else 1.0)
        self._own_kwh = team.roster.devices[:, : fleet.batteries] * fleet.e_kwh
        self._rng = np.random.default_rng(seed)
        rows = team.core.batch * team.agents
        self._actions = np.zeros((rows, team.numbers))
        self._returns = np.zeros(rows)
        self._lengths = np.zeros(rows, dtype=np.int64)
        self._quiet: list[dict[str, Any]] = [{} for _ in range(rows)]
        self.render_mode = None
        super().__init__(
            rows,
            spaces.Box(-BOUND, BOUND, (width(AGENT_SLOTS),), np.float32),
            spaces.Box(-1.0, 1.0, (team.numbers,), np.float32),
        )

    def reset(self) -> VecEnvObs:
        """Starts an episode in every feeder."""
        if self._seeds[0] is not None:
            self._rng = np.random.default_rng(self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        self.team.core.reset(np.arange(self.team.core.batch), self._rng)
        self._returns[:], self._lengths[:] = 0.0, 0
        return self._observations()

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Takes the actions; `step_wait` acts."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One step of every feeder."""
        team, before = self.team, self._stored_kwh()
        terminated, truncated = team.core.step(team.setpoints(self._actions.reshape(-1, team.agents, team.numbers)))
        reward = self.scale * (team.rewards() + self._stored_eur_per_kwh * (self._stored_kwh() - before)).ravel()
        self._returns += reward
        self._lengths += 1
        ended, infos = terminated | truncated, self._quiet
        if ended.any():
            infos = self._ended_infos(ended, terminated)
            team.core.reset(np.flatnonzero(ended), self._rng)
            rows = np.repeat(ended, team.agents)
            self._returns[rows], self._lengths[rows] = 0.0, 0
        return self._observations(), reward.astype(np.float32), np.repeat(ended, team.agents), infos

    def _stored_kwh(self) -> np.ndarray[Any, Any]:
        """What each agent's battery holds, (batch, agents)."""
        return self.team.core.soc @ self._own_kwh.T

    def _observations(self) -> np.ndarray[Any, Any]:
        return self.team.observe().reshape(self.num_envs, -1)

    def _ended_infos(self, ended: np.ndarray[Any, Any], terminated: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last, agents = self._observations(), self.team.agents
        for row in np.flatnonzero(np.repeat(ended, agents)):
            infos[row] = {
                "terminal_observation": last[row],
                "TimeLimit.truncated": not terminated[row // agents],
                "episode": {"r": float(self._returns[row]), "l": int(self._lengths[row]), "t": 0.0},
            }
        return infos
