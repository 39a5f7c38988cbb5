"""`gridnet bench`: parse, run, show."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from gridnet.app.bench.compare import verdict
from gridnet.app.bench.run import Outcome, Plan, run_benchmark
from gridnet.app.bench.score import as_json
from gridnet.app.bench.table import score_table, verdict_table
from gridnet.app.bench.weeks import parse_weeks
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, folder_faults, write_json, write_table
from gridnet.case import Case, load_case
from gridnet.clock import Clock, is_held_out
from gridnet.engines.choice import engine_faults, make_engine
from gridnet.errors import Fault, InputError
from gridnet.series.subinterval import QUARTER_MINUTES, Truth
from gridnet_policies.registry import LEARNED, POLICIES, shipped_seeds
from gridnet_policies.rl.policy import shipped_folders

if TYPE_CHECKING:  # loads matplotlib, which a benchmark without a report doesn't need
    from gridnet.app.bench.report import Findings

TRUTHS_MINUTES = (15, 5, 1)


def bench(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs the benchmark that the arguments ask for; progress goes to `say`, the table to standard output.

    Raises `InputError` with every fault of the arguments before anything is run.
    """
    began = time.monotonic()

    def tell(line: str) -> None:
        say(f"[{time.monotonic() - began:6.1f} s] {line}")

    tell(f"loading scenario {arguments.scenario}")
    case = load_case(arguments.scenario)
    plan = plan_of(arguments, case.clock)
    outcome = run_benchmark(case, plan, tell, make_engine(arguments.engine, arguments.address, arguments.workers))
    content = as_json(case.scenario.name, plan.weeks, plan.seed, outcome.scores, outcome.bound_eur)
    content.update(verdict(outcome.weeks, plan.seed).as_json())
    if _is_finer(plan):
        content["truth_minutes"] = plan.truth.minutes
    if arguments.dlmp is not None:
        tell("pricing every bus")
        write_table(pd.concat([each.prices() for each in outcome.yardsticks]), arguments.dlmp)
    if arguments.report is not None:
        from gridnet.app.bench.report import write_report

        tell("timing the power flow for the report's table")
        findings = _findings(case, plan, outcome)
        tell("drawing the report")
        page = write_report(case, findings, Path(arguments.report))
        write_json(content, str(page.parent / "bench.json"))
        tell(f"report: {page}")
    write_json(content, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(_summary(case, plan, outcome))


def plan_of(arguments: argparse.Namespace, clock: Clock) -> Plan:
    """What the arguments ask to be run on a series with `clock`. Raises `InputError` with every fault of theirs."""
    names = tuple(word.strip() for word in arguments.policies.split(","))
    faults = [Fault("--policies", repr(name), f"one of {', '.join(POLICIES)}") for name in names if name not in POLICIES]
    weeks: list[int] = []
    try:
        weeks = parse_weeks(arguments.weeks, clock)
    except InputError as error:
        faults.extend(error.faults or [Fault("--weeks", repr(arguments.weeks), str(error))])
    most = shipped_seeds() if LEARNED in names else None
    if arguments.seeds < 1 or (most is not None and arguments.seeds > most):
        faults.append(Fault("--seeds", str(arguments.seeds), "at least 1" if most is None else f"1 to {most}: so many ship"))
    if arguments.seed < 0:
        faults.append(Fault("--seed", str(arguments.seed), "at least 0"))
    faults += _truth_faults(arguments)
    faults += engine_faults(arguments.engine, arguments.address, arguments.workers)
    faults += [*file_faults("--json", arguments.json), *_table_faults(arguments.dlmp), *folder_faults("--report", arguments.report)]
    if faults:
        raise InputError("the benchmark can't run:", faults)
    return Plan(names, tuple(weeks), arguments.seeds, arguments.seed, Truth(arguments.truth, arguments.seed))


def _findings(case: Case, plan: Plan, outcome: Outcome) -> Findings:
    """What the report tells of: the outcome, the logs beside the weights that played, the pace of the physics."""
    from gridnet.app.bench.learning_plot import read_learning
    from gridnet.app.bench.pace import measure_pace
    from gridnet.app.bench.report import Findings

    folders = shipped_folders()[: plan.seeds] if LEARNED in outcome.runs else []
    logs = [read_learning(folder, folder.name) for folder in folders]
    return Findings(
        runs=outcome.runs,
        scores=outcome.scores,
        weeks=outcome.weeks,
        seed=plan.seed,
        learning=[log for log in logs if log is not None],
        pace=measure_pace(case),
    )


def _is_finer(plan: Plan) -> bool:
    return plan.truth.minutes < QUARTER_MINUTES


def _truth_faults(arguments: argparse.Namespace) -> list[Fault]:
    """What can't be told, or not at a finer truth: plots and prices are of quarter-hours."""
    if arguments.truth not in TRUTHS_MINUTES:
        return [Fault("--truth", str(arguments.truth), f"one of {', '.join(map(str, TRUTHS_MINUTES))} minutes")]
    named = {"--report": arguments.report, "--dlmp": arguments.dlmp}
    if arguments.truth == QUARTER_MINUTES:
        return []
    return [
        Fault(option, repr(target), f"none beside --truth {arguments.truth}: it shows quarter-hours")
        for option, target in named.items()
        if target is not None
    ]


def _summary(case: Case, plan: Plan, outcome: Outcome) -> str:
    seen = [week for week in plan.weeks if not is_held_out(week)]
    lines = [
        f"{case.scenario.name}: {case.scenario.title}",
        f"weeks {', '.join(str(week) for week in plan.weeks)}, every schedule through the shield and AC power flow at "
        f"{plan.truth.minutes} min",
    ]
    if _is_finer(plan):
        lines.append(
            "decisions each 15 min; between them a policy with feedback answers every step, the others' setpoints are held (lp's "
            "too: it is planned at 15 min, and captured is the share of what that plan saves here)"
        )
    if seen:
        lines.append(
            f"careful: weeks {', '.join(str(week) for week in seen)} are not held out; a learned policy may have trained on them"
        )
    at = " at the truth of 15 min" if _is_finer(plan) else ""
    lines.append(f"no schedule that keeps the limits costs less than {outcome.bound_eur:.2f} EUR{at} (proven lower bound)")
    compared = verdict_table(verdict(outcome.weeks, plan.seed), len(plan.weeks))
    return "\n".join([*lines, "", score_table(outcome.scores, outcome.bound_eur), *(["", compared] if compared else [])])


def _table_faults(target: str | None) -> list[Fault]:
    if target == STANDARD_OUTPUT:
        return [Fault("--dlmp", repr(target), "the name of a file, .csv or .parquet")]
    if target is not None and Path(target).suffix not in (".csv", ".parquet"):
        return [Fault("--dlmp", repr(target), "a name that ends in .csv or .parquet")]
    return file_faults("--dlmp", target)
