"""The optimiser with perfect foresight: a linear programme over AC sensitivities, the yardstick of all policies."""

from gridnet_policies.lp.policy import PerfectForesightLp
from gridnet_policies.lp.task import Task, make_task

__all__ = ["PerfectForesightLp", "Task", "make_task"]
