"""Pretraining: the policy first learns to name the value of stored energy that perfect foresight would have named.

What it is shown is only what it will see at work, so it learns the expected value given that; the future enters as the
target alone. Steps come from training weeks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO

from gridnet.clock import STEPS_PER_WEEK, split_of
from gridnet_envs.core import Core, actions_of_values
from gridnet_policies.rl.foresight import Foresight
from gridnet_policies.rl.recipe import Recipe

Float32s = NDArray[np.float32]


def pretrain(recipe: Recipe, ppo: PPO, cores: Sequence[Core], teachers: Sequence[Foresight]) -> None:
    """Fits the mean action of `ppo`'s policy to perfect-foresight values, by Adam on the squared error."""
    if recipe.pretrain_batches == 0:
        return
    rng = np.random.default_rng(recipe.seed)
    policy = ppo.policy
    weights = [*policy.mlp_extractor.policy_net.parameters(), *policy.action_net.parameters()]
    optimiser = torch.optim.Adam(weights, lr=recipe.pretrain_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.pretrain_batches)
    share = max(1, recipe.minibatch // len(cores))
    for _ in range(recipe.pretrain_batches):
        lessons = [_lesson(core, teacher, rng, share) for core, teacher in zip(cores, teachers, strict=True)]
        seen, wanted = (torch.from_numpy(np.concatenate(part)) for part in zip(*lessons, strict=True))
        named = policy.action_net(policy.mlp_extractor.policy_net(seen))[:, 0]
        loss = torch.nn.functional.mse_loss(named, wanted)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()


def _lesson(core: Core, teacher: Foresight, rng: np.random.Generator, count: int) -> tuple[Float32s, Float32s]:
    """Random situations of training weeks: observations (count, width) and the actions (count,) that foresight would take."""
    weeks = np.array([week for week in range(core.case.clock.weeks) if split_of(week) == "training"])
    step = rng.choice(weeks, count) * STEPS_PER_WEEK + rng.integers(STEPS_PER_WEEK, size=count)
    low, high = core.case.fleet.soc_window
    soc = rng.uniform(low, high, size=count)
    action = np.empty(count)
    actions_of_values(core.world, step, teacher.value_at(step, soc), action)
    seen = np.concatenate([core.world.features[step], soc[:, None].astype(np.float32)], axis=1)
    return seen, action.astype(np.float32)
