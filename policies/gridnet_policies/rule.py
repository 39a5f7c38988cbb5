"""Greedy self-consumption, what most home batteries do: store every surplus, cover every deficit, look at no price.

Their inverters give the reactive power that leaves the least losses, as every policy here may.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.dispatch import idle
from gridnet.losses import compile_losses
from gridnet.simulate import Params
from gridnet_envs.actions import add_reactive, share_power, surplus_kw

Floats = NDArray[np.float64]


class Rule:
    """Greedy self-consumption of the neighbourhood as a whole, shared among the batteries by what each can do."""

    name = "rule"

    def prepare(self, case: Case, start: int, steps: int) -> None:
        """Keeps the case and how its network loses energy."""
        self._params = case.params
        self._losses = compile_losses(case.power_flow, case.feeder, case.params.device_bus)

    def decide(self, step: int, soc: Floats) -> Floats:
        """Battery power equal and opposite to the feeder's surplus."""
        return self.decide_within(step, soc, self._params, step)

    def decide_within(self, step: int, soc: Floats, params: Params, fine_step: int) -> Floats:
        """The same at a finer step: the surplus of that step."""
        fleet = params.fleet
        asked: Floats = idle(1, fleet.batteries, fleet.devices)[0]
        share_power(fleet, soc, -surplus_kw(params, fine_step), asked[0])
        add_reactive(params, self._losses, fine_step, asked)
        return asked
