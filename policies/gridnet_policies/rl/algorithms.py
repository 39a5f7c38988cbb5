"""The algorithms of stable-baselines3 that train here: each made from the same recipe, each with a mean action that is a plain
perceptron cut to -1..1, so that one teacher and one way of playing fit all."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from stable_baselines3 import A2C, PPO, TD3
from stable_baselines3.common.noise import NormalActionNoise
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor
from stable_baselines3.td3.policies import Actor as TD3Actor
from stable_baselines3.td3.policies import TD3Policy

from gridnet_envs.sb3 import DispatchVecEnv
from gridnet_policies.rl.actor import Actor
from gridnet_policies.rl.recipe import Recipe

Learner = PPO | A2C | TD3

# Where an algorithm starts from other knobs than the recipe's, which are PPO's. The shorter rollouts give the many small
# updates that these two live on; validations and warm-up span as many environment steps as PPO's.
STARTING_POINTS: dict[str, dict[str, Any]] = {
    "ppo": {},
    "a2c": {"n_steps": 8, "validate_every": 16, "warm_up": 160},
    "td3": {"n_steps": 8, "validate_every": 16, "warm_up": 40, "minibatch": 512},
}

SILENT = 2**62
"""A `log_interval` that never comes: the keeper decides when values are logged."""


def make_learner(recipe: Recipe, env: DispatchVecEnv) -> Learner:
    """The recipe's algorithm, untrained, on `env`."""
    makers: dict[str, Callable[[Recipe, DispatchVecEnv], Learner]] = {"ppo": _ppo, "a2c": _a2c, "td3": _td3}
    learner = makers[recipe.algo](recipe, env)
    # A quiet start: the last layer near zero makes the first policy the greedy rule, which is a good place to learn from.
    with torch.no_grad():
        mean_layers(learner)[1].weight.mul_(0.1)
    return learner


def mean_layers(learner: Learner) -> tuple[torch.nn.Sequential, torch.nn.Linear]:
    """The hidden layers and the last layer that make a policy's mean action."""
    policy: Any = learner.policy
    return policy.mlp_extractor.policy_net, policy.action_net


def actor_of(learner: Learner) -> Actor:
    """The mean action of a policy as plain arrays."""
    hidden, last = mean_layers(learner)
    linear = [layer for layer in (*hidden, last) if isinstance(layer, torch.nn.Linear)]
    return Actor(
        tuple(layer.weight.detach().cpu().numpy().copy() for layer in linear),
        tuple(layer.bias.detach().cpu().numpy().copy() for layer in linear),
    )


def warm_up(recipe: Recipe, learner: Learner) -> None:
    """Lets the value network learn what the pretrained policy is worth, with the policy frozen."""
    if isinstance(learner, TD3):
        learner.actor_target.load_state_dict(learner.actor.state_dict())
    if recipe.warm_up == 0:
        return
    frozen = [parameter for layers in mean_layers(learner) for parameter in layers.parameters()]
    if not isinstance(learner, TD3):
        frozen.append(learner.policy.log_std)
    for parameter in frozen:
        parameter.requires_grad_(False)
    learner.learn(recipe.warm_up * recipe.batch * recipe.n_steps, log_interval=SILENT)
    for parameter in frozen:
        parameter.requires_grad_(True)


def _shared(recipe: Recipe) -> dict[str, Any]:
    return {
        "gamma": recipe.gamma,
        "learning_rate": lambda left: recipe.learning_rate * 0.5 * (1 - math.cos(math.pi * left)),
        "seed": recipe.seed,
        "device": "cpu",
    }


def _network(recipe: Recipe) -> dict[str, Any]:
    return {"net_arch": list(recipe.hidden), "activation_fn": torch.nn.SiLU}


def _ppo(recipe: Recipe, env: DispatchVecEnv) -> PPO:
    return PPO(
        "MlpPolicy",
        env,
        n_steps=recipe.n_steps,
        batch_size=recipe.minibatch,
        n_epochs=recipe.epochs,
        gae_lambda=recipe.gae_lambda,
        clip_range=recipe.clip,
        ent_coef=recipe.entropy,
        policy_kwargs={**_network(recipe), "log_std_init": recipe.log_std},
        **_shared(recipe),
    )


def _a2c(recipe: Recipe, env: DispatchVecEnv) -> A2C:
    return A2C(
        "MlpPolicy",
        env,
        n_steps=recipe.n_steps,
        gae_lambda=recipe.gae_lambda,
        ent_coef=recipe.entropy,
        normalize_advantage=True,
        policy_kwargs={**_network(recipe), "log_std_init": recipe.log_std},
        **_shared(recipe),
    )


def _td3(recipe: Recipe, env: DispatchVecEnv) -> TD3:
    noise = math.exp(recipe.log_std)
    return TD3(
        CutPolicy,
        env,
        train_freq=(recipe.n_steps, "step"),
        gradient_steps=recipe.gradient_steps,
        batch_size=recipe.minibatch,
        buffer_size=recipe.buffer,
        learning_starts=0,  # the policy comes pretrained: random actions would teach less
        action_noise=NormalActionNoise(np.zeros(env.cores[0].actions), np.full(env.cores[0].actions, noise)),
        target_policy_noise=noise,
        target_noise_clip=2.0 * noise,
        policy_kwargs=_network(recipe),
        **_shared(recipe),
    )


class CutPolicy(TD3Policy):
    """TD3's networks with the mean action cut to -1..1 where the original squashes it through tanh. So an exported actor plays
    exactly what was trained, and the layers have the names that they have in PPO's policy."""

    def make_actor(self, features_extractor: BaseFeaturesExtractor | None = None) -> TD3Actor:
        """The actor's network."""
        actor = super().make_actor(features_extractor)
        actor.mu[-1] = _Cut()
        return actor

    @property
    def mlp_extractor(self) -> SimpleNamespace:
        """`policy_net`: the actor's hidden layers."""
        return SimpleNamespace(policy_net=self.actor.mu[:-2])

    @property
    def action_net(self) -> torch.nn.Linear:
        """The actor's last layer."""
        last = self.actor.mu[-2]
        assert isinstance(last, torch.nn.Linear)
        return last


class _Cut(torch.nn.Module):
    def forward(self, named: torch.Tensor) -> torch.Tensor:
        return CutFunction.apply(named)  # type: ignore[no-any-return, no-untyped-call]


class CutFunction(torch.autograd.Function):
    """The cut to -1..1. Past an end, only a gradient that leads back inside is let through: with that of a plain cut, which is
    zero there, an action once outside would never learn again; without any, it would run away."""

    @staticmethod
    def forward(ctx: Any, named: torch.Tensor) -> torch.Tensor:
        """`named` cut to -1..1."""
        ctx.save_for_backward(named)
        return named.clamp(-1.0, 1.0)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> torch.Tensor:
        """The gradient of the loss, zero where following it down leads further out."""
        (named,), (gradient,) = ctx.saved_tensors, gradients
        outward = ((named > 1.0) & (gradient < 0.0)) | ((named < -1.0) & (gradient > 0.0))
        return gradient.masked_fill(outward, 0.0)
