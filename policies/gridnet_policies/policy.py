"""The one protocol that every policy speaks."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.simulate import Params

Floats = NDArray[np.float64]


class Policy(Protocol):
    """Decides setpoints, one step at a time.

    What a policy may look at when it decides step `t`: load and PV up to and including step `t` (an inverter's control loop
    follows its meter within the interval), spot prices that are published by then, and the state of charge. The perfect-
    foresight optimum is the stated exception.
    """

    name: str

    def prepare(self, case: Case, start: int, steps: int) -> None:
        """Called once before a run over steps `[start, start + steps)`."""

    def decide(self, step: int, soc: Floats) -> Floats:
        """The setpoint (2, devices) for `step`: p kW and q kvar of batteries, then PV (p is a ceiling, inf = uncurtailed).

        `soc`: (batteries,) state of charge 0-1.
        """
        ...


@runtime_checkable
class Feedback(Policy, Protocol):
    """A policy whose devices also follow their meters between decisions: at a truth finer than a quarter-hour it answers the load
    and PV of every step. A policy without this has its setpoints held for the quarter-hour."""

    def decide_within(self, step: int, soc: Floats, params: Params, fine_step: int) -> Floats:
        """The setpoint (2, devices), as of `decide`, for `fine_step` of `params`, which lies within the quarter-hour `step`.

        `params` holds the series and the fleet in finer steps. What looks ahead is decided once a quarter-hour, at the
        first call with a new `step`; `soc` (batteries,) is that of the finer step.
        """
        ...
