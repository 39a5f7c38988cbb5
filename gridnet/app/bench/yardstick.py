"""What the optimiser says of a week beside its own run: a bound that no schedule can beat, and prices by bus."""

from __future__ import annotations

import numpy as np
import pandas as pd

from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.errors import InputError
from gridnet_policies.bound import lower_bound
from gridnet_policies.lp import Task, make_task
from gridnet_policies.lp.dlmp import Dlmp, prices_of
from gridnet_policies.lp.plan import Plan
from gridnet_policies.lp.rounds import make_plan


class Yardstick:
    """The optimiser's plan of one week, and what follows from it."""

    def __init__(self, case: Case, week: int, plan: Plan | None) -> None:
        self.case = case
        self.task: Task = make_task(case, week * STEPS_PER_WEEK, STEPS_PER_WEEK)
        self.plan: Plan = make_plan(self.task) if plan is None else plan

    def bound_eur(self) -> float:
        """The proven lower bound on the week's cost."""
        shadow = self.plan.shadow
        if shadow is None:
            raise InputError("a plan that timed out has no prices; give the optimiser more time")
        return lower_bound(self.task, shadow.stored_eur_per_kwh, shadow.peak_eur_per_kw).cost_eur

    def prices(self) -> pd.DataFrame:
        """The week's DLMPs: start of the step, bus, and EUR/MWh as a sum and in parts."""
        dlmp, names, clock = prices_of(self.task, self.plan), self.case.feeder.bus_name, self.case.clock
        starts = pd.date_range(clock.start, periods=clock.steps, freq=pd.Timedelta(hours=clock.dt_h))[self.task.run]
        columns = {"start": np.repeat(starts, len(names)), "bus": np.tile(np.array(names, dtype=object), len(starts))}
        parts = {f"{part}_eur_per_mwh": getattr(dlmp, part).ravel() for part in ("total", *Dlmp.__dataclass_fields__)}
        return pd.DataFrame({**columns, **parts})
