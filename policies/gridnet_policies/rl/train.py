"""Training: an algorithm of stable-baselines3 on the batched environment, taught, validated as it goes, the best policy kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import numpy as np
import torch
from stable_baselines3 import PPO
from threadpoolctl import threadpool_limits

from gridnet.case import Case, load_case
from gridnet.foresight import Foresight, foresee
from gridnet_envs.options import Options
from gridnet_envs.sb3 import DispatchVecEnv, Potential
from gridnet_policies.rl.algorithms import SILENT, make_learner, warm_up
from gridnet_policies.rl.keeper import Keeper, Progress
from gridnet_policies.rl.pretrain import pretrain
from gridnet_policies.rl.pulse import Feel, unfelt
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import begin, is_done
from gridnet_policies.rl.variety import varied


@dataclass(frozen=True)
class Lessons:
    """What a run learns from."""

    cases: Sequence[Case]
    """The recipe's feeders, on whose validation weeks policies are compared."""
    lessons: Sequence[Case]
    """The cases to train on: the feeders and their variations."""
    teachers: Sequence[Foresight]
    """What perfect foresight knows of each lesson."""


def train(recipe: Recipe, out: Path, report: Callable[[Progress], None], resume: bool = False, feel: Feel = unfelt) -> Path:
    """Trains by `recipe` into the folder `out`, whose files `gridnet_policies.rl.run_folder` lists. The same recipe gives the
    same weights on the same kind of machine and package versions, whether or not the run was killed and resumed.

    With `resume` a run that was begun in `out` goes on from its last checkpoint, from the start where it had none yet, and is
    left as it is where it is done. `report` is told of each validation, `feel` many times on the way to it. Raises `InputError`
    where `out` holds anything else.
    """
    begin(out, recipe, resume)
    if is_done(out):
        return out
    torch.manual_seed(recipe.seed)
    # One thread: more are no faster on networks this small, and sums then always run in the same order.
    torch.set_num_threads(1)
    with threadpool_limits(1):
        known = make_lessons(recipe)
        options = Options(action="value", shield=True, days=recipe.days, random_soc=True)
        potentials = [_regret_potential(teacher) for teacher in known.teachers] if recipe.reward == "regret" else None
        env = DispatchVecEnv(known.lessons, options, recipe.batch, recipe.seed, potentials)
        learner = make_learner(recipe, env)
        keeper = Keeper(recipe, known.cases, out, report, feel)
        resumed = resume and keeper.resume(learner)
        if not resumed:
            # What is taught is the layers of the mean action, which the policies of all algorithms name alike.
            pretrain(recipe, cast(PPO, learner), env.cores, known.teachers, keeper.note_teaching)
            keeper.end_teaching()
            warm_up(recipe, learner)
        left = recipe.steps - (learner.num_timesteps if resumed else 0)
        learner.learn(left, callback=keeper, log_interval=SILENT, reset_num_timesteps=not resumed)
        keeper.finish(env.slots)
    return out


def make_lessons(recipe: Recipe) -> Lessons:
    """The recipe's feeders, their variations, and a teacher for each; the same for the same recipe."""
    cases = [load_case(name) for name in recipe.scenarios]
    rng = np.random.default_rng(recipe.seed)
    lessons = [lesson for case in cases for lesson in (case, *(varied(case, rng) for _ in range(recipe.variations)))]
    return Lessons(cases, lessons, [foresee(lesson, training_only=True) for lesson in lessons])


def _regret_potential(teacher: Foresight) -> Potential:
    """Minus the cost to go: with it, a step's reward is what it loses against perfect foresight."""
    return lambda step, soc: -teacher.cost_at(step, soc)
