"""One benchmark: every policy over the same weeks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gridnet.app.bench.evaluate import WeekAccount, WeekRun, account, run_week
from gridnet.app.bench.finer import account_finer, finer_case, run_week_finer
from gridnet.app.bench.score import REFERENCE, Score, Weeks, score
from gridnet.app.bench.yardstick import Yardstick
from gridnet.case import Case
from gridnet.series.subinterval import QUARTER_HOURS, QUARTER_MINUTES, Truth
from gridnet_policies.lp import PerfectForesightLp
from gridnet_policies.lp.plan import Plan as Foresight
from gridnet_policies.policy import Policy
from gridnet_policies.registry import POLICIES, make_policies


@dataclass(frozen=True)
class Plan:
    """What to run: policies by name, weeks, how many training seeds of a learned policy, the bootstrap's seed, the truth."""

    policies: tuple[str, ...]
    weeks: tuple[int, ...]
    seeds: int
    seed: int
    truth: Truth = QUARTER_HOURS


@dataclass(frozen=True)
class Outcome:
    """Scores by policy, and what is behind them."""

    scores: dict[str, Score]
    runs: dict[str, list[WeekRun]]
    """Of a policy's first training seed; none at a finer truth, whose weeks of minutes would fill the memory."""
    bound_eur: float
    """What no schedule can cost less than that keeps the limits, all weeks together, at the truth of quarter-hours."""
    yardsticks: list[Yardstick]
    """The optimiser's plan of each week."""
    weeks: dict[str, Weeks]
    """What the scores are of."""


def run_benchmark(case: Case, plan: Plan, report: Callable[[str], None]) -> Outcome:
    """Runs the plan; `report` is told what is being done. The reference policy is added where it is missing."""
    names = [name for name in POLICIES if name in plan.policies or name == REFERENCE]
    weeks_of: dict[str, Weeks] = {}
    runs: dict[str, list[WeekRun]] = {}
    plans: dict[int, Foresight] = {}
    for name in names:
        seeds = [_all_weeks(case, policy, plan, plans, report) for policy in make_policies(name, plan.seeds)]
        runs[name] = [week.run for week in seeds[0] if week.run is not None]
        weeks_of[name] = Weeks(
            accounts=[[week.account for week in seed] for seed in seeds],
            decision_ms=[week.decision_ms for seed in seeds for week in seed],
        )
    bound_eur, yardsticks = 0.0, []
    for number, week in enumerate(plan.weeks, 1):
        report(f"lower bound: week {week} ({number} of {len(plan.weeks)})")
        yardsticks.append(Yardstick(case, week, plans.get(week)))
        bound_eur += yardsticks[-1].bound_eur()
    return Outcome(score(weeks_of, plan.seed), runs, bound_eur, yardsticks, weeks_of)


@dataclass(frozen=True)
class _Week:
    account: WeekAccount
    decision_ms: float
    run: WeekRun | None


def _all_weeks(case: Case, policy: Policy, plan: Plan, plans: dict[int, Foresight], report: Callable[[str], None]) -> list[_Week]:
    """Runs the weeks; the plans of a policy that knows the future are put into `plans`."""
    weeks = []
    for number, week in enumerate(plan.weeks, 1):
        report(f"{policy.name}: week {week} ({number} of {len(plan.weeks)})")
        weeks.append(_one_week(case, policy, week, plan.truth))
        if isinstance(policy, PerfectForesightLp) and policy.plan is not None:
            plans[week] = policy.plan
    return weeks


def _one_week(case: Case, policy: Policy, week: int, truth: Truth) -> _Week:
    if truth.minutes == QUARTER_MINUTES:
        run = run_week(case, policy, week)
        return _Week(account(case, run), run.decision_ms, run)
    finer = finer_case(case, week, truth)
    run = run_week_finer(case, finer, policy, week)
    return _Week(account_finer(case, finer, run), run.decision_ms, None)
