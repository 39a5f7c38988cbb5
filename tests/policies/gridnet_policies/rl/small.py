"""A training run of seconds that moves its weights far, so that two runs can't be equal by standing still."""

from __future__ import annotations

from gridnet_policies.rl.keeper import Progress
from gridnet_policies.rl.recipe import Recipe

QUICK = Recipe(
    scenarios=("tiny",),
    steps=640,
    batch=4,
    days=1,  # short, so that new episodes begin on the way
    n_steps=16,
    minibatch=64,
    epochs=1,
    learning_rate=0.01,
    pretrain_batches=2,
    pretrain_lessons=500,  # two batches draw 128 of them; a year's would take longer than all the rest
    hidden=(16,),
    warm_up=1,
    validate_every=2,
    variations=0,
    buffer=500,
    gradient_steps=4,
)


def quiet(progress: Progress) -> None:
    """Tells nobody."""
