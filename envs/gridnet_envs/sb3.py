"""Many feeders of one scenario as a stable-baselines3 `VecEnv`, without a Python loop over environments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from gridnet.case import Case
from gridnet.errors import InputError
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.slots import BOUND

Potential = Callable[[np.ndarray[Any, Any], np.ndarray[Any, Any]], np.ndarray[Any, Any]]
"""Potential in EUR (batch,) of a step (batch,) and the fleet's state of charge (batch,)."""


class BatchVecEnv(VecEnv):
    """What a `VecEnv` owes stable-baselines3 where its rows are one batch: nothing is held per row, nothing is wrapped."""

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: VecEnvIndices = None) -> list[Any]:
        """The same value for every row."""
        return [getattr(self, attr_name)] * len(list(self._get_indices(indices)))

    def set_attr(self, attr_name: str, value: Any, indices: VecEnvIndices = None) -> None:
        """Sets an attribute of the whole batch."""
        setattr(self, attr_name, value)

    def env_method(self, method_name: str, *method_args: Any, indices: VecEnvIndices = None, **method_kwargs: Any) -> list[Any]:
        """Calls a method of the whole batch once per row asked for."""
        return [getattr(self, method_name)(*method_args, **method_kwargs) for _ in self._get_indices(indices)]

    def env_is_wrapped(self, wrapper_class: type[Any], indices: VecEnvIndices = None) -> list[bool]:
        """No row is wrapped."""
        return [False] * len(list(self._get_indices(indices)))

    def seed(self, seed: int | None = None) -> Sequence[int | None]:
        """Seeds the next reset: one seed drives the whole batch."""
        return super().seed(seed)


class DispatchVecEnv(BatchVecEnv):
    """`batch` feeders, split evenly over one or several cases that are observed alike.

    An ended episode restarts at once and its last observation is in `infos[row]["terminal_observation"]`, with
    `TimeLimit.truncated` where only its time was up; its return is in `infos[row]["episode"]`, as `Monitor` gives it.
    Rewards are in EUR per 10 kWh of the feeder's battery capacity, so that large and small feeders weigh alike. Where
    `potentials` are given, one per case, each step's reward gains the rise of the potential over the step (potential-based
    shaping without discount: Ng, Harada, Russell 1999).
    """

    def __init__(
        self, cases: Sequence[Case], options: Options, batch: int, seed: int = 0, potentials: Sequence[Potential] | None = None
    ) -> None:
        shares = [len(part) for part in np.array_split(np.arange(batch), len(cases))]
        self.cores = [Core(case, options, share) for case, share in zip(cases, shares, strict=True)]
        self.slots = self.cores[0].slots
        if any(core.slots != self.slots or core.actions != self.cores[0].actions for core in self.cores):
            raise InputError("feeders that train together must be observed alike; use action='value'")
        self._rows = [slice(end - share, end) for share, end in zip(shares, np.cumsum(shares), strict=True)]
        self._scale = np.concatenate([np.full(core.batch, 10.0 / max(core.case.fleet.e_kwh.sum(), 1e-9)) for core in self.cores])
        self._potentials = potentials
        self._rng = np.random.default_rng(seed)
        self._actions = np.zeros((batch, self.cores[0].actions))
        self._returns = np.zeros(batch)
        self._lengths = np.zeros(batch, dtype=np.int64)
        self._quiet: list[dict[str, Any]] = [{} for _ in range(batch)]
        self.render_mode = None
        super().__init__(
            batch,
            spaces.Box(-BOUND, BOUND, (self.cores[0].observation.shape[1],), np.float32),
            spaces.Box(-1.0, 1.0, (self.cores[0].actions,), np.float32),
        )

    def reset(self) -> VecEnvObs:
        """Starts an episode in every row."""
        if self._seeds[0] is not None:
            self._rng = np.random.default_rng(self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        for core in self.cores:
            core.reset(np.arange(core.batch), self._rng)
        self._returns[:], self._lengths[:] = 0.0, 0
        return self._observations()

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Takes the actions; `step_wait` acts."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One step of every row."""
        before = self._potential()
        ends = [core.step(self._actions[rows]) for core, rows in zip(self.cores, self._rows, strict=True)]
        terminated = np.concatenate([end[0] for end in ends])
        ended = terminated | np.concatenate([end[1] for end in ends])
        reward = np.concatenate([core.reward for core in self.cores])
        reward = (reward + self._potential() - before) * self._scale
        self._returns += reward
        self._lengths += 1
        infos = self._quiet
        if ended.any():
            infos = self._ended_infos(ended, terminated)
            for core, rows in zip(self.cores, self._rows, strict=True):
                core.reset(np.flatnonzero(ended[rows]), self._rng)
            self._returns[ended], self._lengths[ended] = 0.0, 0
        return self._observations(), reward.astype(np.float32), ended, infos

    def _potential(self) -> np.ndarray[Any, Any]:
        if self._potentials is None:
            return np.zeros(self.num_envs)
        socs = [core.soc @ core.case.fleet.e_kwh / core.case.fleet.e_kwh.sum() for core in self.cores]
        parts = zip(self._potentials, self.cores, socs, strict=True)
        return np.concatenate([potential(core.step_index, soc) for potential, core, soc in parts])

    def _observations(self) -> np.ndarray[Any, Any]:
        return np.concatenate([core.observation for core in self.cores])

    def _ended_infos(self, ended: np.ndarray[Any, Any], terminated: np.ndarray[Any, Any]) -> list[dict[str, Any]]:
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        last = self._observations()
        for row in np.flatnonzero(ended):
            infos[row] = {
                "terminal_observation": last[row],
                "TimeLimit.truncated": not terminated[row],
                "episode": {"r": float(self._returns[row]), "l": int(self._lengths[row]), "t": 0.0},
            }
        return infos
