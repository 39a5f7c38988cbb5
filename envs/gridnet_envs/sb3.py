"""Many feeders of one scenario as a stable-baselines3 `VecEnv`, without a Python loop over environments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium import spaces
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvIndices, VecEnvObs, VecEnvStepReturn

from gridnet.case import Case
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.slots import BOUND


class DispatchVecEnv(VecEnv):
    """`batch` feeders of a case; an ended episode restarts at once and its last observation is in
    `infos[row]["terminal_observation"]`, with `TimeLimit.truncated` where only its time was up. A finished episode's return
    is in `infos[row]["episode"]`, as stable-baselines3's `Monitor` gives it."""

    def __init__(self, case: Case, options: Options, batch: int, seed: int = 0) -> None:
        self.core = Core(case, options, batch)
        self._rng = np.random.default_rng(seed)
        self._actions = np.zeros((batch, self.core.actions))
        self._returns = np.zeros(batch)
        self._lengths = np.zeros(batch, dtype=np.int64)
        self._quiet: list[dict[str, Any]] = [{} for _ in range(batch)]
        self.render_mode = None
        super().__init__(
            batch,
            spaces.Box(-BOUND, BOUND, (self.core.observation.shape[1],), np.float32),
            spaces.Box(-1.0, 1.0, (self.core.actions,), np.float32),
        )

    def reset(self) -> VecEnvObs:
        """Starts an episode in every row."""
        if self._seeds[0] is not None:
            self._rng = np.random.default_rng(self._seeds[0])
        self._reset_seeds()
        self._reset_options()
        self.core.reset(np.arange(self.num_envs), self._rng)
        self._returns[:], self._lengths[:] = 0.0, 0
        return self.core.observation.copy()

    def step_async(self, actions: np.ndarray[Any, Any]) -> None:
        """Takes the actions; `step_wait` acts."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One step of every row."""
        core = self.core
        terminated, truncated = core.step(self._actions)
        self._returns += core.reward
        self._lengths += 1
        ended = terminated | truncated
        infos = self._quiet
        if ended.any():
            infos = [{} for _ in range(self.num_envs)]
            rows = np.flatnonzero(ended)
            for row in rows:
                infos[row] = {
                    "terminal_observation": core.observation[row].copy(),
                    "TimeLimit.truncated": bool(truncated[row] and not terminated[row]),
                    "episode": {"r": float(self._returns[row]), "l": int(self._lengths[row]), "t": 0.0},
                }
            self._returns[rows], self._lengths[rows] = 0.0, 0
            core.reset(rows, self._rng)
        return core.observation.copy(), core.reward.astype(np.float32), ended, infos

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
