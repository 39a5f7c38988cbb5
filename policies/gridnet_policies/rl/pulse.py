"""The pulse of a training run: how far its stage is, many times between two validations, for whoever watches."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

TEACHING, TRAINING = "teaching", "training"


class Pulse(NamedTuple):
    """How far a stage of a run has come."""

    stage: str
    """`TEACHING` counts batches of the regression on perfect-foresight values, `TRAINING` environment steps."""
    done: int
    total: int


Feel = Callable[[Pulse], None]


def unfelt(pulse: Pulse) -> None:
    """Nobody watches."""
