"""A trained policy at work: it looks at the feeder, names what stored energy is worth, and every battery answers that."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.errors import InputError
from gridnet.resources import trained_dir
from gridnet.simulate import Params
from gridnet_envs.core import Seat
from gridnet_envs.options import Options
from gridnet_policies.rl.actor import Actor, load_actor

Floats = NDArray[np.float64]

VALUE_OPTIONS = Options(action="value", reactive=True, shield=True)


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
            self._actor: Actor = load_actor(self._folder, self._seat.slots, self._seat.actions)
        self._step = -1

    def decide(self, step: int, soc: Floats) -> Floats:
        """The setpoint that the worth it names leads to."""
        assert self._case is not None
        return self._seat.answer(self._worth(step, soc), soc, self._case.params, step)

    def decide_within(self, step: int, soc: Floats, params: Params, fine_step: int) -> Floats:
        """What it named for `step` of the case, answered to the load and sun of `fine_step` of `params`."""
        if step != self._step:
            self._named, self._step = self._worth(step, soc), step
        return self._seat.answer(self._named, soc, params, fine_step)

    def _worth(self, step: int, soc: Floats) -> Floats:
        return self._seat.value(self._actor.act(self._seat.observe(step, soc)))


def shipped_seeds() -> int:
    """From how many training seeds the policy ships."""
    return len(shipped_folders())


def shipped(seeds: int) -> list[Learned]:
    """The shipped policy as trained from the first `seeds` seeds. Raises `InputError` where fewer ship."""
    folders = shipped_folders()
    if len(folders) < seeds:
        raise InputError(f"the learned policy ships from {len(folders)} training seeds, not {seeds}; ask for at most that many")
    return [Learned(folder) for folder in folders[:seeds]]


def shipped_folders() -> list[Path]:
    """The folders of the shipped policy, one per training seed, in the order in which `shipped` gives them."""
    return sorted((trained_dir() / "belief_ppo").glob("seed*"))
