"""What a policy saves on the validation weeks, the figure by which a run keeps its best."""

from __future__ import annotations

from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.foresight import worth_after
from gridnet_envs.core import Core, episode_starts
from gridnet_envs.options import Options
from gridnet_policies.rl.actor import Actor


class Validation:
    """The validation weeks of a case, all played at once, every week from the starting charge."""

    def __init__(self, case: Case, options: Options) -> None:
        self._case = case
        options = options.model_copy(update={"weeks": "validation", "days": 7, "random_soc": False, "against_idle": True})
        self._starts = episode_starts(case, options)
        self._core = Core(case, options, batch=len(self._starts))
        self._worth = [worth_after(case, int(start) + STEPS_PER_WEEK) for start in self._starts]

    def saving_eur(self, actor: Actor) -> float:
        """Saving of `actor` against idle batteries, all weeks together."""
        core, soc_start = self._core, self._case.scenario.battery.soc_start
        for row, start in enumerate(self._starts):
            core.reset_at(row, int(start), soc_start)
        total = 0.0
        for _ in range(STEPS_PER_WEEK):
            core.step(actor.act(core.observation))
            total += float(core.reward.sum())
        gained_kwh = (core.soc - soc_start) @ self._case.fleet.e_kwh
        return total - sum(worth.cost_eur(float(each)) for worth, each in zip(self._worth, gained_kwh, strict=True))
