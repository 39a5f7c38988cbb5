"""Pretraining: the policy first learns the beliefs that bring the outlook nearest to what perfect foresight would have said.

What it is shown is only what it will see at work, so it learns the expected value given that; the future enters as the
target alone. Steps come from training weeks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3 import PPO

from gridnet.clock import STEPS_PER_WEEK, split_of
from gridnet.foresight import Foresight
from gridnet_envs.actions import believe
from gridnet_envs.core import Core
from gridnet_envs.outlook import AS_FORECAST, SEGMENTS, VIEWS
from gridnet_policies.rl.recipe import Recipe

Floats = NDArray[np.float64]
Float32s = NDArray[np.float32]

_UNIT = 0.15
"""EUR/kWh: brings values near 1."""

_NOTES = 100
"""How often the error is told, about."""

Note = Callable[[int, float], None]
"""Is told the batch, from 1, and its squared error."""


def pretrain(recipe: Recipe, ppo: PPO, cores: Sequence[Core], teachers: Sequence[Foresight], note: Note) -> None:
    """Fits the mean action of `ppo`'s policy to perfect-foresight values, by Adam on the squared error, which `note` is told
    now and then."""
    if recipe.pretrain_batches == 0:
        return
    rng = np.random.default_rng(recipe.seed)
    seen, effect, wanted = (torch.from_numpy(part) for part in _lessons(cores, teachers, rng, recipe.pretrain_lessons))
    policy = ppo.policy
    weights = [*policy.mlp_extractor.policy_net.parameters(), *policy.action_net.parameters()]
    optimiser = torch.optim.Adam(weights, lr=recipe.pretrain_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, recipe.pretrain_batches)
    apart = max(1, recipe.pretrain_batches // _NOTES)
    for batch in range(1, recipe.pretrain_batches + 1):
        some = torch.from_numpy(rng.integers(len(seen), size=recipe.minibatch))
        action = policy.action_net(policy.mlp_extractor.policy_net(seen[some]))
        changed = torch.einsum("ra,ras->rs", action, effect[some])
        loss = torch.nn.functional.mse_loss(changed, wanted[some])
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
        if batch % apart == 0 or batch in {1, recipe.pretrain_batches}:
            note(batch, loss.item())


def _lessons(
    cores: Sequence[Core], teachers: Sequence[Foresight], rng: np.random.Generator, count: int
) -> tuple[Float32s, Float32s, Float32s]:
    """`count` random situations of training weeks, the same number from every feeder: observations (rows, width), what each
    number of an action adds to the values (rows, actions, SEGMENTS), and what foresight adds (rows, SEGMENTS), by `_UNIT`."""
    parts = []
    for core, teacher in zip(cores, teachers, strict=True):
        weeks = np.array([week for week in range(core.case.clock.weeks) if split_of(week) == "training"])
        share = max(1, count // len(cores))
        step = rng.choice(weeks, share) * STEPS_PER_WEEK + rng.integers(STEPS_PER_WEEK, size=share)
        low, high = core.case.fleet.soc_window
        seen, outlook = core.look(step, rng.uniform(low, high, size=share))
        wanted = teacher.values_after(step, SEGMENTS) - outlook[:, AS_FORECAST]
        effects = _effects(outlook, core.actions)
        parts.append((seen, effects / np.float32(_UNIT), (wanted / _UNIT).astype(np.float32)))
    views, moves, targets = zip(*parts, strict=True)
    return np.concatenate(views), np.concatenate(moves), np.concatenate(targets)


def _effects(outlook: Float32s, actions: int) -> Float32s:
    """(rows, actions, SEGMENTS): what each number of an action adds to the values of `outlook` (rows, VIEWS, SEGMENTS)."""
    spread: Float32s = np.zeros((actions, VIEWS, SEGMENTS), dtype=np.float32)
    # The belief is linear in the outlook's views: what it makes of unit views are its coefficients.
    for number, action in enumerate(np.eye(actions)):
        for view in range(VIEWS):
            unit: Float32s = np.zeros((VIEWS, SEGMENTS), dtype=np.float32)
            value = np.zeros(SEGMENTS)
            unit[view] = 1.0
            believe(action, unit, value)
            spread[number, view] = value - unit[AS_FORECAST]
    return np.asarray(np.einsum("avs,rvs->ras", spread, outlook), dtype=np.float32)
