"""How fast stable-baselines3 learns on the batched environment."""

from __future__ import annotations

import statistics
import time

import torch
from stable_baselines3 import PPO

from gridnet.case import Case
from gridnet_envs.options import Options
from gridnet_envs.sb3 import DispatchVecEnv
from gridnet_policies.rl.recipe import Recipe

_ROUNDS = 5


def ppo_steps_per_s(case: Case, options: Options, batch: int) -> float:
    """Median environment steps per second of PPO, rollout and update together, on one thread, with the recipe's sizes."""
    recipe = Recipe()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        ppo = PPO(
            "MlpPolicy",
            DispatchVecEnv([case], options, batch),
            n_steps=recipe.n_steps,
            batch_size=recipe.minibatch,
            n_epochs=recipe.epochs,
            policy_kwargs={"net_arch": list(recipe.hidden), "activation_fn": torch.nn.SiLU},
            seed=0,
            device="cpu",
        )
        steps = batch * recipe.n_steps
        ppo.learn(steps)
        rates = []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            ppo.learn(2 * steps)
            rates.append(2 * steps / (time.perf_counter() - began))
    finally:
        torch.set_num_threads(threads)
    return statistics.median(rates)
