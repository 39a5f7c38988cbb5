"""The one protocol that every policy speaks."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case

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
