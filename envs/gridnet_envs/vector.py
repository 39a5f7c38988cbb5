"""Many feeders of one scenario as a Gymnasium vector environment, batched down to the power flow."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet.scenario import Scenario
from gridnet_envs.core import Core
from gridnet_envs.options import parse_options
from gridnet_envs.reward import TERMS
from gridnet_envs.slots import BOUND

Float32s = NDArray[np.float32]


class DispatchVectorEnv(VectorEnv[Float32s, Float32s, NDArray[Any]]):
    """`num_envs` copies of `gridnet_envs.dispatch_env.DispatchEnv` that step together; spaces, reward and arguments as there.

    Autoreset is same-step: where an episode ends, the returned observation is the first of the next one, and
    `info["final_obs"]` with the mask `info["_final_obs"]` holds the last of the ended one. `info["terms"]` holds each reward
    term as an array (num_envs,).
    """

    metadata = {"autoreset_mode": AutoresetMode.SAME_STEP, "render_modes": []}  # noqa: RUF012  (Gymnasium declares it as an instance variable)

    def __init__(self, num_envs: int = 1, scenario: str | Path | Scenario = "rural1", **options: Any) -> None:
        self.core = Core(load_case(scenario), parse_options(options), batch=num_envs)
        self.num_envs = num_envs
        self.single_observation_space = spaces.Box(-BOUND, BOUND, (self.core.observation.shape[1],), np.float32)
        self.single_action_space = spaces.Box(-1.0, 1.0, (self.core.actions,), np.float32)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Float32s, dict[str, Any]]:
        """Starts an episode in every row. One seed drives all rows, so the batch is reproducible as a whole."""
        if options:
            raise InputError(f"a batch is reset as a whole and takes no options; got {', '.join(sorted(options))}")
        super().reset(seed=seed)
        self.core.reset(np.arange(self.num_envs), self.np_random)
        return self.core.observation.copy(), {}

    def step(self, actions: Float32s) -> tuple[Float32s, NDArray[Any], NDArray[Any], NDArray[Any], dict[str, Any]]:
        """One step of every row."""
        core = self.core
        terminated, truncated = core.step(actions)
        info: dict[str, Any] = {"terms": {name: core.terms[:, k].copy() for k, name in enumerate(TERMS)}}
        ended = terminated | truncated
        if ended.any():
            info |= {"final_obs": core.observation.copy(), "_final_obs": ended}
            core.reset(np.flatnonzero(ended), self.np_random)
        return core.observation.copy(), core.reward.copy(), terminated, truncated, info
