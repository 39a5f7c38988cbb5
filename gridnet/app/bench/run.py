"""One benchmark: every policy over the same weeks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gridnet.app.bench.evaluate import WeekRun, account, run_week
from gridnet.app.bench.score import REFERENCE, Score, Weeks, score
from gridnet.case import Case
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
    """Scores by policy, and the runs behind them (of a policy's first training seed)."""

    scores: dict[str, Score]
    runs: dict[str, list[WeekRun]]


def run_benchmark(case: Case, plan: Plan, report: Callable[[str], None]) -> Outcome:
    """Runs the plan; `report` is told what is being done. The reference policy is added where it is missing."""
    names = [name for name in POLICIES if name in plan.policies or name == REFERENCE]
    weeks_of: dict[str, Weeks] = {}
    runs: dict[str, list[WeekRun]] = {}
    for name in names:
        seeds = [_all_weeks(case, policy, plan.weeks, report) for policy in make_policies(name, plan.seeds)]
        runs[name] = seeds[0]
        weeks_of[name] = Weeks(
            accounts=[[account(case, run) for run in seed] for seed in seeds],
            decision_ms=[run.decision_ms for seed in seeds for run in seed],
        )
    return Outcome(score(weeks_of, plan.seed), runs)


def _all_weeks(case: Case, policy: Policy, weeks: Sequence[int], report: Callable[[str], None]) -> list[WeekRun]:
    runs = []
    for number, week in enumerate(weeks, 1):
        report(f"{policy.name}: week {week} ({number} of {len(weeks)})")
        runs.append(run_week(case, policy, week))
    return runs
