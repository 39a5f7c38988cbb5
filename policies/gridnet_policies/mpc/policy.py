"""Model-predictive control as a policy: what a good engineer would run."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.dispatch import UNCURTAILED_KW
from gridnet.errors import PowerFlowDiverged
from gridnet_policies.lp.task import Task
from gridnet_policies.mpc.controller import Controller
from gridnet_policies.mpc.window import Windows

Floats = NDArray[np.float64]

HORIZON_STEPS = 144
"""36 hours: when the next day's prices come out at noon, all of them lie within the horizon."""


class Mpc:
    """Plans `horizon` steps on the case's forecasts and published prices, does the first step, and plans again: a
    `gridnet_policies.policy.Policy`.

    `perfect` puts what will be in the place of forecasts, prices included. `time_limit_s` bounds a solution; where it does not
    suffice the last plan is followed.
    """

    name = "mpc"

    def __init__(self, horizon: int = HORIZON_STEPS, perfect: bool = False, time_limit_s: float | None = None) -> None:
        self._horizon, self._perfect, self._time_limit_s = horizon, perfect, time_limit_s
        self._controller: Controller | None = None

    def prepare(self, case: Case, start: int, steps: int) -> None:
        """Forgets the last run; the first plan is made at the first decision."""
        self._case = case
        self._windows = Windows(case, self._horizon, self._perfect)
        self._controller, self._next, self._reached_kw = None, start, 0.0

    def decide(self, step: int, soc: Floats) -> Floats:
        """The first setpoint (2, devices) of the plan made at `step` with batteries at `soc` (batteries,).

        Raises `PowerFlowDiverged` where the network can't carry its loads.
        """
        if step != self._next:
            self._reached_kw = 0.0
        task = self._windows.at(step, soc, self._reached_kw)
        # A controller that failed half-way is not used again.
        controller, self._controller = self._controller, None
        try:
            if controller is None or step != self._next:
                controller = Controller(task, self._time_limit_s)
            else:
                controller.advance(task)
        except PowerFlowDiverged as error:
            raise PowerFlowDiverged(f"mpc can't plan from step {step}: {error}", step=step) from error
        self._controller, self._next = controller, step + 1
        setpoint = controller.setpoint.copy()
        if task.prices.peak_eur_per_kw > 0:
            self._reached_kw = max(self._reached_kw, self._import_kw(task, setpoint))
        batteries = self._case.fleet.batteries
        uncurtailed = setpoint[0, batteries:] >= task.pv_available_kw[0] - 1e-9
        setpoint[0, batteries:][uncurtailed] = UNCURTAILED_KW
        return setpoint

    def _import_kw(self, task: Task, setpoint: Floats) -> float:
        first = task.of_steps(np.zeros(1, dtype=np.int64))
        return float(task.case.power_flow.solve(*first.injections(setpoint[:1], setpoint[1:])).slack_p_kw[0])
