"""A recipe: every knob of a training run, each with its default and a line of meaning."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """PPO on the worth of stored energy (`action="value"`), on training weeks only."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    scenarios: tuple[str, ...] = ("rural1", "rural3", "semiurb4")
    """Feeders to train on; the batch is split evenly."""
    variations: int = Field(10, ge=0)
    """Variations of each feeder that train beside it (`gridnet_policies.rl.variety`)."""
    steps: int = Field(400_000, ge=1)
    """Environment steps, all feeders together."""
    seed: int = Field(0, ge=0)
    batch: int = Field(256, ge=1)
    """Feeders that step together."""
    days: int = Field(7, ge=1, le=7)
    """Length of an episode."""
    n_steps: int = 64
    """Steps of each feeder between updates."""
    minibatch: int = 2048
    epochs: int = 4
    learning_rate: float = 1e-4
    """Start value; falls to zero over the run as a half cosine."""
    pretrain_batches: int = Field(6000, ge=0)
    """Batches of regression on perfect-foresight values of stored energy, before PPO; 0 = none."""
    pretrain_rate: float = 1e-3
    pretrain_lessons: int = Field(330_000, ge=1)
    """Situations that the regression draws its batches from, all feeders together."""
    reward: Literal["regret", "saving"] = "regret"
    """What PPO is told of a step: what it loses against perfect foresight, or what the account says it saves and nothing more."""
    gamma: float = 0.97
    """Low, because the regret against perfect foresight tells each step's loss at once."""
    gae_lambda: float = 0.95
    clip: float = 0.2
    entropy: float = 0.0
    hidden: tuple[int, ...] = (128, 128)
    """Widths of the hidden layers, SiLU between them, for policy and value alike."""
    log_std: float = -2.0
    """Start value of the logarithm of the action noise."""
    warm_up: int = Field(10, ge=0)
    """Updates in which only the value network learns, so that its first guesses don't spoil the pretrained policy."""
    validate_every: int = 2
    """Updates between validations; the best checkpoint on validation weeks is what is kept."""
    patience: int = Field(5, ge=1)
    """Validations in a row without a gain after which a run ends."""
    algo: Literal["ppo", "a2c", "td3"] = "ppo"
    """Algorithm; `gridnet_policies.rl.algorithms.STARTING_POINTS` says which knobs `gridnet train --algo` starts from."""
    gradient_steps: int = Field(32, ge=1)
    """td3: gradient steps of each update."""
    buffer: int = Field(200_000, ge=1)
    """td3: environment steps that are remembered."""
