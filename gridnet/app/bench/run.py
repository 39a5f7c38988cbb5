"""One benchmark: every policy over the same weeks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gridnet.app.bench.evaluate import WeekRun, account, run_week
from gridnet.app.bench.score import REFERENCE, Score, Weeks, score
from gridnet.app.bench.yardstick import Yardstick
from gridnet.case import Case
from gridnet_policies.lp import PerfectForesightLp
from gridnet_policies.lp.plan import Plan as Foresight
from gridnet_policies.policy import Policy
from gridnet_policies.registry import POLICIES, make_policies


@dataclass(frozen=True)
class Plan:
    """What to run: policies by name, weeks, how many training seeds of a learned policy, the bootstrap's seed."""

    policies: tuple[str, ...]
    weeks: tuple[int, ...]
    seeds: int
    seed: int


@dataclass(frozen=True)
class Outcome:
    """Scores by policy, and what is behind them."""

    scores: dict[str, Score]
    runs: dict[str, list[WeekRun]]
    """Of a policy's first training seed."""
    bound_eur: float
    """What no schedule can cost less than that keeps the limits, all weeks together."""
    yardsticks: list[Yardstick]
    """The optimiser's plan of each week."""


def run_benchmark(case: Case, plan: Plan, report: Callable[[str], None]) -> Outcome:
    """Runs the plan; `report` is told what is being done. The reference policy is added where it is missing."""
    names = [name for name in POLICIES if name in plan.policies or name == REFERENCE]
    weeks_of: dict[str, Weeks] = {}
    runs: dict[str, list[WeekRun]] = {}
    plans: dict[int, Foresight] = {}
    for name in names:
        seeds = [_all_weeks(case, policy, plan.weeks, plans, report) for policy in make_policies(name, plan.seeds)]
        runs[name] = seeds[0]
        weeks_of[name] = Weeks(
            accounts=[[account(case, run) for run in seed] for seed in seeds],
            decision_ms=[run.decision_ms for seed in seeds for run in seed],
        )
    bound_eur, yardsticks = 0.0, []
    for number, week in enumerate(plan.weeks, 1):
        report(f"lower bound: week {week} ({number} of {len(plan.weeks)})")
        yardsticks.append(Yardstick(case, week, plans.get(week)))
        bound_eur += yardsticks[-1].bound_eur()
    return Outcome(score(weeks_of, plan.seed), runs, bound_eur, yardsticks)


def _all_weeks(
    case: Case, policy: Policy, weeks: Sequence[int], plans: dict[int, Foresight], report: Callable[[str], None]
) -> list[WeekRun]:
    """Runs the weeks; the plans of a policy that knows the future are put into `plans`."""
    runs = []
    for number, week in enumerate(weeks, 1):
        report(f"{policy.name}: week {week} ({number} of {len(weeks)})")
        runs.append(run_week(case, policy, week))
        if isinstance(policy, PerfectForesightLp) and policy.plan is not None:
            plans[week] = policy.plan
    return runs
