"""A trained policy at work: it looks at the feeder, names the price of stored energy, and every battery answers that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.errors import InputError
from gridnet.resources import trained_dir
from gridnet_envs.core import Seat
from gridnet_envs.options import Options
from gridnet_policies.rl.actor import Actor, load_actor

Floats = NDArray[np.float64]

VALUE_OPTIONS = Options(action="value", shield=True)


class Learned:
    """A policy trained by `gridnet train`. It runs on any feeder: neither its view nor its action depends on the number of
    devices."""

    name = "rl"

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._case: Case | None = None

    def prepare(self, case: Case, start: int, steps: int) -> None:
        """Loads the weights and the feeder's view, once per case. Raises `InputError` where they don't fit."""
        if case is not self._case:
            self._case, self._seat = case, Seat(case, VALUE_OPTIONS)
            self._actor: Actor = load_actor(self._folder, self._seat.slots)

    def decide(self, step: int, soc: Floats) -> Floats:
        """The setpoint that the price it names leads to."""
        return self._seat.ask(self._actor.act(self._seat.observe(step, soc)))


def shipped_seeds() -> int:
    """From how many training seeds the policy ships."""
    return len(_folders())


def shipped(seeds: int) -> list[Learned]:
    """The shipped policy as trained from the first `seeds` seeds. Raises `InputError` where fewer ship."""
    folders = _folders()
    if len(folders) < seeds:
        raise InputError(f"the learned policy ships from {len(folders)} training seeds, not {seeds}; ask for at most that many")
    return [Learned(folder) for folder in folders[:seeds]]


def _folders() -> list[Path]:
    return sorted((trained_dir() / "value_ppo").glob("seed*"))
