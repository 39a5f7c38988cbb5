"""The optimum with perfect foresight: it knows the whole run before it starts. A yardstick, not something to deploy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.dispatch import UNCURTAILED_KW
from gridnet.errors import InputError
from gridnet_policies.lp.plan import Plan
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.lp.task import make_task

Floats = NDArray[np.float64]


class PerfectForesightLp:
    """Plans the whole run at once with the true series, then plays the plan: a `gridnet_policies.policy.Policy`.

    Batteries start at the scenario's `battery.soc_start`; `plan` holds the
    last plan, with its status, its cost and the limits it could not keep.
    """

    name = "lp"

    def __init__(self) -> None:
        self.plan: Plan | None = None
        self._setpoints: Floats = np.zeros((0, 2, 0))

    def prepare(self, case: Case, start: int, steps: int) -> None:
        """Plans the steps `[start, start + steps)`.

        Raises `InputError` where they leave the series, `PowerFlowDiverged` where the network can't carry its loads.
        """
        task = make_task(case, start, steps)
        plan = make_plan(task)
        batteries = case.fleet.batteries
        setpoints = np.zeros((steps, 2, case.fleet.devices))
        setpoints[:, 0], setpoints[:, 1] = plan.p_kw, plan.q_kvar
        uncurtailed = plan.p_kw[:, batteries:] >= task.pv_available_kw
        setpoints[:, 0, batteries:][uncurtailed] = UNCURTAILED_KW
        self.plan, self._setpoints = plan, setpoints

    def decide(self, step: int, soc: Floats) -> Floats:
        """The planned setpoint (2, devices) of `step`; `soc` follows the plan and is not looked at.

        Raises `InputError` for a step outside the plan.
        """
        start = 0 if self.plan is None else self.plan.start
        end = start + len(self._setpoints)
        if not start <= step < end:
            raise InputError(f"step {step} lies outside the plan over [{start}, {end}); prepare a run that holds it")
        setpoint: Floats = self._setpoints[step - start].copy()
        return setpoint
