"""`gridnet bench`: parse, run, show."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pandas as pd

from gridnet.app.bench.run import Outcome, Plan, run_benchmark
from gridnet.app.bench.score import as_json
from gridnet.app.bench.table import score_table
from gridnet.app.bench.weeks import parse_weeks
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, folder_faults, write_json, write_table
from gridnet.case import Case, load_case
from gridnet.clock import Clock, is_held_out
from gridnet.errors import Fault, InputError
from gridnet_policies.registry import LEARNED, POLICIES, shipped_seeds


def bench(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs the benchmark that the arguments ask for; progress goes to `say`, the table to standard output.

    Raises `InputError` with every fault of the arguments before anything is run.
    """
    began = time.monotonic()

    def tell(line: str) -> None:
        say(f"[{time.monotonic() - began:6.1f} s] {line}")

    tell(f"loading scenario {arguments.scenario}")
    case = load_case(arguments.scenario)
    plan = _plan(arguments, case.clock)
    outcome = run_benchmark(case, plan, tell)
    content = as_json(case.scenario.name, plan.weeks, plan.seed, outcome.scores, outcome.bound_eur)
    if arguments.dlmp is not None:
        tell("pricing every bus")
        write_table(pd.concat([each.prices() for each in outcome.yardsticks]), arguments.dlmp)
    if arguments.report is not None:
        from gridnet.app.bench.report import write_report

        tell("drawing the report")
        page = write_report(case, outcome.runs, outcome.scores, Path(arguments.report))
        write_json(content, str(page.parent / "bench.json"))
        tell(f"report: {page}")
    write_json(content, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(_summary(case, plan.weeks, outcome))


def _plan(arguments: argparse.Namespace, clock: Clock) -> Plan:
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
    faults += [*file_faults("--json", arguments.json), *_table_faults(arguments.dlmp), *folder_faults("--report", arguments.report)]
    if faults:
        raise InputError("the benchmark can't run:", faults)
    return Plan(names, tuple(weeks), arguments.seeds, arguments.seed)


def _summary(case: Case, weeks: Sequence[int], outcome: Outcome) -> str:
    seen = [week for week in weeks if not is_held_out(week)]
    lines = [
        f"{case.scenario.name}: {case.scenario.title}",
        f"weeks {', '.join(str(week) for week in weeks)}, every schedule through the shield and AC power flow at 15 min",
    ]
    if seen:
        lines.append(
            f"careful: weeks {', '.join(str(week) for week in seen)} are not held out; a learned policy may have trained on them"
        )
    lines.append(f"no schedule that keeps the limits costs less than {outcome.bound_eur:.2f} EUR (proven lower bound)")
    return "\n".join([*lines, "", score_table(outcome.scores, outcome.bound_eur)])


def _table_faults(target: str | None) -> list[Fault]:
    if target == STANDARD_OUTPUT:
        return [Fault("--dlmp", repr(target), "the name of a file, .csv or .parquet")]
    if target is not None and Path(target).suffix not in (".csv", ".parquet"):
        return [Fault("--dlmp", repr(target), "a name that ends in .csv or .parquet")]
    return file_faults("--dlmp", target)
