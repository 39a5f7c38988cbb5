"""Training: PPO from stable-baselines3 on the batched environment, validated as it goes, the best checkpoint kept."""

from __future__ import annotations

import csv
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.tariff import make_prices, stored_value
from gridnet_envs.core import Core, episode_starts
from gridnet_envs.options import Options
from gridnet_envs.sb3 import DispatchVecEnv, Potential
from gridnet_policies.rl.actor import Actor, save_actor
from gridnet_policies.rl.foresight import Foresight, foresee
from gridnet_policies.rl.pretrain import pretrain
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.variety import varied


@dataclass(frozen=True)
class Progress:
    """Where a training run stands."""

    steps: int
    total: int
    seconds: float
    validation_eur: float
    """Saving against idle batteries over the validation weeks, all feeders together, of the policy as it is now."""
    best_eur: float


def train(recipe: Recipe, out: Path, report: Callable[[Progress], None]) -> Path:
    """Trains by `recipe` into the folder `out`: weights, card, and the learning curve as CSV. The same recipe gives the same
    weights on the same machine and package versions."""
    torch.manual_seed(recipe.seed)
    # One thread: more are no faster on networks this small, and sums then always run in the same order.
    torch.set_num_threads(1)
    cases = [load_case(name) for name in recipe.scenarios]
    options = Options(action="value", shield=True, days=recipe.days, random_soc=True)
    rng = np.random.default_rng(recipe.seed)
    lessons = [lesson for case in cases for lesson in (case, *(varied(case, rng) for _ in range(recipe.variations)))]
    teachers = [foresee(lesson, training_only=True) for lesson in lessons]
    env = DispatchVecEnv(lessons, options, recipe.batch, recipe.seed, [_regret_potential(teacher) for teacher in teachers])
    ppo = _make_ppo(recipe, env)
    pretrain(recipe, ppo, env.cores, teachers)
    keeper = _Keeper(recipe, cases, out, report)
    _warm_up(recipe, ppo)
    ppo.learn(recipe.steps, callback=keeper)
    keeper.finish()
    return out


def _regret_potential(teacher: Foresight) -> Potential:
    """Minus the cost to go: with it, a step's reward is what it loses against perfect foresight."""
    return lambda step, soc: -teacher.cost_at(step, soc)


def _make_ppo(recipe: Recipe, env: DispatchVecEnv) -> PPO:
    ppo = PPO(
        "MlpPolicy",
        env,
        n_steps=recipe.n_steps,
        batch_size=recipe.minibatch,
        n_epochs=recipe.epochs,
        gamma=recipe.gamma,
        gae_lambda=recipe.gae_lambda,
        clip_range=recipe.clip,
        ent_coef=recipe.entropy,
        learning_rate=lambda left: recipe.learning_rate * 0.5 * (1 - math.cos(math.pi * left)),
        policy_kwargs={"net_arch": list(recipe.hidden), "activation_fn": torch.nn.SiLU, "log_std_init": recipe.log_std},
        seed=recipe.seed,
        device="cpu",
    )
    # A quiet start: the last layer near zero makes the first policy the greedy rule, which is a good place to learn from.
    with torch.no_grad():
        last = ppo.policy.action_net
        assert isinstance(last, torch.nn.Linear)
        last.weight.mul_(0.1)
    return ppo


def _warm_up(recipe: Recipe, ppo: PPO) -> None:
    """Lets the value network learn what the pretrained policy is worth, with the policy frozen."""
    if recipe.warm_up == 0:
        return
    policy = ppo.policy
    frozen = [*policy.mlp_extractor.policy_net.parameters(), *policy.action_net.parameters(), policy.log_std]
    for parameter in frozen:
        parameter.requires_grad_(False)
    ppo.learn(recipe.warm_up * recipe.batch * recipe.n_steps)
    for parameter in frozen:
        parameter.requires_grad_(True)


def actor_of(ppo: PPO) -> Actor:
    """The actor of a stable-baselines3 policy as plain arrays."""
    linear = [layer for layer in ppo.policy.mlp_extractor.policy_net if isinstance(layer, torch.nn.Linear)]
    last = ppo.policy.action_net
    assert isinstance(last, torch.nn.Linear)
    linear.append(last)
    return Actor(
        tuple(layer.weight.detach().cpu().numpy().copy() for layer in linear),
        tuple(layer.bias.detach().cpu().numpy().copy() for layer in linear),
    )


def validate(actor: Actor, case: Case, options: Options) -> float:
    """Saving against idle batteries, EUR over all validation weeks of the case, every week from the starting charge."""
    options = options.model_copy(update={"weeks": "validation", "days": 7, "random_soc": False, "against_idle": True})
    starts = episode_starts(case, options)
    core = Core(case, options, batch=len(starts))
    for row, start in enumerate(starts):
        core.reset_at(row, int(start), case.scenario.battery.soc_start)
    total = 0.0
    for _ in range(STEPS_PER_WEEK):
        core.step(actor.act(core.observation))
        total += float(core.reward.sum())
    prices, fleet = make_prices(case.scenario, case.series), case.fleet
    for row, start in enumerate(starts):
        gained_kwh = float((core.soc[row] - case.scenario.battery.soc_start) @ fleet.e_kwh)
        total -= stored_value(prices, fleet, int(start), STEPS_PER_WEEK).cost_eur(gained_kwh)
    return total


class _Keeper(BaseCallback):
    """Validates every few updates, keeps the best actor, writes the curve, reports progress."""

    def __init__(self, recipe: Recipe, cases: list[Case], out: Path, report: Callable[[Progress], None]) -> None:
        super().__init__()
        self._recipe, self._cases, self._out, self._report = recipe, cases, out, report
        self._updates, self._began, self._best = 0, time.monotonic(), -math.inf
        self._rows: list[dict[str, Any]] = []
        self._best_actor: Actor | None = None

    def _on_rollout_start(self) -> None:
        if self._updates % self._recipe.validate_every == 0:
            self._check()
        self._updates += 1

    def _on_step(self) -> bool:
        return True

    def _check(self) -> None:
        assert isinstance(self.model, PPO)
        actor = actor_of(self.model)
        score = sum(validate(actor, case, Options(action="value", shield=True)) for case in self._cases)
        if score > self._best:
            self._best, self._best_actor = score, actor
        self._rows.append({"steps": self.num_timesteps, "validation_eur": round(score, 4), "best_eur": round(self._best, 4)})
        seconds = time.monotonic() - self._began
        self._report(Progress(self.num_timesteps, self._recipe.steps, seconds, score, self._best))

    def finish(self) -> None:
        """Validates once more and writes the folder."""
        self._check()
        assert self._best_actor is not None
        env = self.training_env
        assert isinstance(env, DispatchVecEnv)
        facts = {"recipe": self._recipe.model_dump(mode="json"), "validation_eur": round(self._best, 4)}
        save_actor(self._out, self._best_actor, env.slots, facts)
        with (self._out / "curve.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(self._rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self._rows)


def seconds_left(progress: Progress) -> float:
    """How long the run will still take at its pace so far."""
    return progress.seconds * (progress.total - progress.steps) / max(1, progress.steps)
