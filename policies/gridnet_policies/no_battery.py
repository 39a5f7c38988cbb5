"""The reference that savings are measured against: batteries rest, PV gives what the sun gives."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.dispatch import idle

Floats = NDArray[np.float64]


class NoBattery:
    """Moves nothing."""

    name = "no_battery"

    def prepare(self, case: Case, start: int, steps: int) -> None:
        """Keeps the one setpoint it will ever ask for."""
        self._idle: Floats = idle(1, case.fleet.batteries, case.fleet.devices)[0]

    def decide(self, step: int, soc: Floats) -> Floats:
        """Rest."""
        return self._idle
