"""`gridnet bench --engines`: what a second worker gains, what Ray costs, and how long many feeders take, on this machine."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

from gridnet.app.bench.fleet import BY_HAND, Stock, play_fleet
from gridnet.app.bench.run import Plan, Stage, pieces_of, play_piece
from gridnet.app.bench.table import aligned
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.case import load_case
from gridnet.clock import is_held_out
from gridnet.engines.cluster import Cluster, import_ray
from gridnet.engines.job import Engine, Job
from gridnet.engines.local import Here, Processes
from gridnet.errors import Fault, InputError
from gridnet.scenario import shipped_scenarios
from gridnet_policies.registry import POLICIES

WEEKS = 8
"""Held-out weeks of the benchmark whose pieces, 40 with five policies of one seed each, the engines do."""
FLEET_FEEDERS, FLEET_WEEK = 200, 29


@dataclass(frozen=True)
class Timed:
    """One engine on the job."""

    name: str
    engine: Engine
    workers: int


def bench_engines(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures and prints. Raises `InputError` before anything is run where Ray is missing or a file can't be written."""
    _check(arguments)
    case = load_case(arguments.scenario)
    weeks = tuple(week for week in range(case.clock.weeks) if is_held_out(week))[:WEEKS]
    plan = Plan(POLICIES, weeks, 1, 0)
    pieces = pieces_of(plan)
    engines = [
        Timed("local, in this process", Here(), 1),
        Timed("local, 1 process", Processes(1), 1),
        Timed("local, 2 processes", Processes(2), 2),
        Timed("ray, 1 worker", Cluster(workers=1), 1),
        Timed("ray, 2 workers", Cluster(workers=2), 2),
    ]
    seconds = {}
    # The first of all loads and compiles for those that follow.
    play_piece(Stage(case, 1, plan.truth), pieces[0])
    for one in engines:
        say(f"{len(pieces)} pieces of {case.scenario.name}: {one.name}")
        began = time.perf_counter()
        one.engine.run(Job(play_piece, Stage(case, 1, plan.truth), pieces))
        seconds[one.name] = time.perf_counter() - began
    fleet_s = _fleet_seconds(say)
    ratios = {
        "local_speed_up": seconds["local, 1 process"] / seconds["local, 2 processes"],
        "ray_speed_up": seconds["ray, 1 worker"] / seconds["ray, 2 workers"],
        "ray_overhead": seconds["ray, 1 worker"] / seconds["local, in this process"] - 1.0,
    }
    measured = {"scenario": case.scenario.name, "pieces": len(pieces), "seconds": seconds, **ratios, "fleet_s": fleet_s}
    write_json(measured, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        rows = [[f"{len(pieces)} pieces of {case.scenario.name}", "s"]]
        rows += [[f"  {name}", f"{took:.1f}"] for name, took in seconds.items()]
        rows += [["2 workers against 1", "times"]]
        rows += [[f"  {name}", f"{ratios[f'{name}_speed_up']:.2f}"] for name in ("local", "ray")]
        rows += [["Ray with 1 worker over this process, %", f"{100 * ratios['ray_overhead']:.1f}"]]
        rows += [[f"{FLEET_FEEDERS} feeders, rule and rl, 1 week, 2 processes, s", f"{fleet_s:.0f}"]]
        print(aligned(rows))


def _check(arguments: argparse.Namespace) -> None:
    faults = file_faults("--json", arguments.json)
    try:
        import_ray()
    except InputError as error:
        faults.append(Fault("--engines", "no Ray", str(error)))
    if faults:
        raise InputError("the engines can't be measured:", faults)


def _fleet_seconds(say: Callable[[str], None]) -> float:
    cases = {name: load_case(name) for name in shipped_scenarios() if name != BY_HAND}
    say(f"{FLEET_FEEDERS} feeders")
    began = time.perf_counter()
    play_fleet(Stock(cases, Plan(("rule", "rl"), (FLEET_WEEK,), 1, 0)), FLEET_FEEDERS, say, Processes(2))
    return time.perf_counter() - began
