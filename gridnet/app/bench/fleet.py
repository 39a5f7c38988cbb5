"""`gridnet bench --fleet N`: policies over many feeders, each a seeded variant of a shipped scenario, so that the verdict is about
more than a handful of networks."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from gridnet.app.bench.command import plan_of
from gridnet.app.bench.evaluate import WeekAccount, account, run_week
from gridnet.app.bench.fleet_score import FleetScore, as_json, fleet_table, score_fleet
from gridnet.app.bench.fleet_variants import make_variant
from gridnet.app.bench.run import Plan
from gridnet.app.bench.score import REFERENCE
from gridnet.app.outputs import STANDARD_OUTPUT, write_json
from gridnet.case import Case, load_case
from gridnet.engines.choice import make_engine
from gridnet.engines.job import Engine, Job
from gridnet.engines.local import Here
from gridnet.errors import Fault, InputError
from gridnet.scenario import shipped_scenarios
from gridnet.series.subinterval import QUARTER_MINUTES
from gridnet_policies.registry import POLICIES, make_policies

BY_HAND = "tiny"
"""The scenario made to be worked out by hand: no network that a fleet would have."""


@dataclass(frozen=True)
class Stock:
    """What a process needs for all feeders: the cases that they vary, and what is played on each."""

    cases: Mapping[str, Case]
    plan: Plan


@dataclass(frozen=True)
class Feeder:
    """A variant to play: the case's name, and its number among the variants of that case."""

    scenario: str
    number: int

    def __str__(self) -> str:
        return f"{self.scenario}-{self.number}"


@dataclass(frozen=True)
class FeederPlayed:
    """What came of a feeder."""

    name: str
    draws: int
    accounts: dict[str, list[list[WeekAccount]]]
    """By policy, `[seed][week]`."""


def bench_fleet(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs the fleet that the arguments ask for; progress goes to `say`, the table to standard output.

    Raises `InputError` with every fault of the arguments before anything is run.
    """
    began = time.monotonic()

    def tell(line: str) -> None:
        say(f"[{time.monotonic() - began:6.1f} s] {line}")

    names = [arguments.scenario] if arguments.scenario else [name for name in shipped_scenarios() if name != BY_HAND]
    tell(f"loading {', '.join(names)}")
    cases = {case.scenario.name: case for case in map(load_case, names)}
    plan = _plan(arguments, cases)
    engine = make_engine(arguments.engine, arguments.address, arguments.workers)
    played = play_fleet(Stock(cases, plan), arguments.fleet, tell, engine)
    scored = score_fleet({one.name: one.accounts for one in played}, plan.seed)
    draws = sum(one.draws for one in played)
    write_json({**_asked(cases, plan, draws, len(played)), **as_json(scored)}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(_summary(cases, plan, draws, scored))


def play_fleet(stock: Stock, feeders: int, report: Callable[[str], None], engine: Engine | None = None) -> list[FeederPlayed]:
    """Plays `feeders` variants, the cases in turn. Every engine gives the same."""
    names = list(stock.cases)
    wanted, done = [Feeder(names[k % len(names)], k // len(names)) for k in range(feeders)], count(1)
    return (engine or Here()).run(
        Job(play_feeder, stock, wanted), lambda index: report(f"{next(done)} of {feeders} feeders: {wanted[index]}")
    )


def play_feeder(stock: Stock, feeder: Feeder) -> FeederPlayed:
    """Compiles a variant and plays every week of every policy on it, as any engine runs it."""
    plan = stock.plan
    variant = make_variant(stock.cases[feeder.scenario], feeder.number, plan.seed)
    accounts = {
        name: [
            [account(variant.case, run_week(variant.case, policy, week)) for week in plan.weeks]
            for policy in make_policies(name, plan.seeds)
        ]
        for name in POLICIES
        if name in plan.policies or name == REFERENCE
    }
    return FeederPlayed(str(feeder), variant.draws, accounts)


def _plan(arguments: argparse.Namespace, cases: Mapping[str, Case]) -> Plan:
    faults = [] if arguments.fleet >= 2 else [Fault("--fleet", str(arguments.fleet), "at least 2 feeders")]
    if arguments.truth != QUARTER_MINUTES:
        faults.append(Fault("--truth", str(arguments.truth), f"{QUARTER_MINUTES} beside --fleet"))
    faults += [
        Fault(option, repr(target), "none beside --fleet: it is of one feeder")
        for option, target in (("--dlmp", arguments.dlmp), ("--report", arguments.report))
        if target is not None
    ]
    try:
        plan = plan_of(arguments, min((case.clock for case in cases.values()), key=lambda clock: clock.steps))
    except InputError as refused:
        raise InputError("the benchmark can't run:", [*refused.faults, *faults]) from refused
    if faults:
        raise InputError("the benchmark can't run:", faults)
    return plan


def _asked(cases: Mapping[str, Case], plan: Plan, draws: int, feeders: int) -> dict[str, object]:
    return {
        "scenarios": list(cases),
        "feeders": feeders,
        "drawn_again": draws - feeders,
        "weeks": list(plan.weeks),
        "seed": plan.seed,
    }


def _summary(cases: Mapping[str, Case], plan: Plan, draws: int, scored: FleetScore) -> str:
    return "\n".join(
        [
            f"{scored.feeders} feeders, variants of {', '.join(cases)} drawn from seed {plan.seed}; "
            f"{draws - scored.feeders} more were drawn and not used: they break limits at rest",
            f"weeks {', '.join(map(str, plan.weeks))}, shield and AC power flow at every step; intervals are over feeders",
            "",
            fleet_table(scored),
        ]
    )
