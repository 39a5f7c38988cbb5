"""`gridnet bench`: parse, run, show."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path

from gridnet.app.bench.run import Outcome, Plan, run_benchmark
from gridnet.app.bench.score import as_json
from gridnet.app.bench.table import score_table
from gridnet.app.bench.weeks import parse_weeks
from gridnet.case import Case, load_case
from gridnet.clock import is_held_out
from gridnet.errors import Fault, InputError
from gridnet_policies.registry import POLICIES


def bench(
    arguments: argparse.Namespace, say: Callable[[str], None], write_json: Callable[[dict[str, object], str | None], None]
) -> None:
    """Runs the benchmark that the arguments ask for; progress goes to `say`, the table to standard output."""
    began = time.monotonic()
    names = _policy_names(arguments)

    def tell(line: str) -> None:
        say(f"[{time.monotonic() - began:6.1f} s] {line}")

    tell(f"loading scenario {arguments.scenario}")
    case = load_case(arguments.scenario)
    weeks = parse_weeks(arguments.weeks, case.clock)
    outcome = run_benchmark(case, Plan(names, tuple(weeks), arguments.seeds, arguments.seed), tell)
    content = as_json(case.scenario.name, weeks, arguments.seed, outcome.scores)
    write_json(content, arguments.json)
    if arguments.report is not None:
        from gridnet.app.bench.report import write_report

        tell("drawing the report")
        page = write_report(case, outcome.runs, outcome.scores, Path(arguments.report))
        write_json(content, str(page.parent / "bench.json"))
        tell(f"report: {page}")
    if arguments.json != "-":
        print(_summary(case, weeks, outcome))


def _policy_names(arguments: argparse.Namespace) -> tuple[str, ...]:
    names = tuple(word.strip() for word in arguments.policies.split(","))
    faults = [Fault("--policies", repr(name), f"one of {', '.join(POLICIES)}") for name in names if name not in POLICIES]
    if arguments.seeds < 1:
        faults.append(Fault("--seeds", str(arguments.seeds), "at least 1"))
    if arguments.seed < 0:
        faults.append(Fault("--seed", str(arguments.seed), "at least 0"))
    if faults:
        raise InputError("the benchmark can't run:", faults)
    return names


def _summary(case: Case, weeks: list[int], outcome: Outcome) -> str:
    seen = [week for week in weeks if not is_held_out(week)]
    lines = [
        f"{case.scenario.name}: {case.scenario.title}",
        f"weeks {', '.join(str(week) for week in weeks)}, every schedule through the shield and AC power flow at 15 min",
    ]
    if seen:
        lines.append(
            f"careful: weeks {', '.join(str(week) for week in seen)} are not held out; a learned policy may have trained on them"
        )
    return "\n".join([*lines, "", score_table(outcome.scores)])
