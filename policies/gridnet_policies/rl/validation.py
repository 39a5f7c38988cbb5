"""What a policy saves on the validation weeks, the figure by which a run keeps its best."""

from __future__ import annotations

from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.tariff import make_prices, stored_value
from gridnet_envs.core import Core, episode_starts
from gridnet_envs.options import Options
from gridnet_policies.rl.actor import Actor


def validate(actor: Actor, case: Case, options: Options) -> float:
    """Saving against idle batteries, EUR over all validation weeks of the case, every week from the starting charge."""
    options = options.model_copy(update={"weeks": "validation", "days": 7, "random_soc": False, "against_idle": True})
    starts = episode_starts(case, options)
    core = Core(case, options, batch=len(starts))
    for row, start in enumerate(starts):
        core.reset_at(row, int(start), case.scenario.battery.soc_start)
    total = 0.0
    for _ in range(STEPS_PER_WEEK):
        core.step(actor.act(core.observation))
        total += float(core.reward.sum())
    prices, fleet = make_prices(case.scenario, case.series), case.fleet
    for row, start in enumerate(starts):
        gained_kwh = float((core.soc[row] - case.scenario.battery.soc_start) @ fleet.e_kwh)
        total -= stored_value(prices, fleet, int(start), STEPS_PER_WEEK).cost_eur(gained_kwh)
    return total
