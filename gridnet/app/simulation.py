"""`gridnet simulate`: a community's days from dispatch to ledger, resumable by running it again."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast, get_args

from gridnet.app.bench.table import aligned
from gridnet.app.community import Community, founding, make_community, registration, repeatable_salts
from gridnet.app.pipeline import Pipeline, Run, arrivals, run_policy, without_dispatch
from gridnet.app.service_points import rendered
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import Fault, InputError
from gridnet.metering.keys import DeviceKey
from gridnet.metering.meters import MeterModel, MeterPark, recording
from gridnet.metering.points import head_point, meter_points
from gridnet.metering.registry import KeyRegistry
from gridnet.metering.tamper import Model, Tamper
from gridnet.verification.ladder import Ladder
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.rewards.epoch import reward, reward_orders
from gridnet_contracts.rewards.programme import Programme, load_programme
from gridnet_contracts.settlement.prices import RULES
from gridnet_policies.registry import POLICIES, make_policies

SETTLED = tuple(rule for rule in RULES if rule != "dlmp")
"""Rules that a simulation can settle by: prices by bus come from the optimiser's plan, which knows the future."""


@dataclass(frozen=True)
class Task:
    """What is simulated: a case from step `start` on, and what its homes are rewarded for."""

    case: Case
    programme: Programme
    start: int
    days: int

    @property
    def steps(self) -> int:
        """How many quarter-hours."""
        return self.days * STEPS_PER_DAY


def simulate(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs everything and prints what came of it. Raises `InputError` before anything is run, `LedgerError`."""
    case = load_case(arguments.scenario)
    _check(arguments, case)
    task = Task(case, load_programme(arguments.programme), arguments.first_day * STEPS_PER_DAY, arguments.days)
    ledger = _opened(arguments, task)
    try:
        began = time.perf_counter()
        pipeline = _run(arguments, task, ledger, say)
        _print(pipeline, ledger, time.perf_counter() - began)
    finally:
        ledger.close()


def _check(arguments: argparse.Namespace, case: Case) -> None:
    faults = []
    if arguments.policy not in POLICIES:
        faults.append(Fault("--policy", repr(arguments.policy), f"one of {', '.join(POLICIES)}"))
    if arguments.rule not in SETTLED:
        faults.append(Fault("--rule", repr(arguments.rule), f"one of {', '.join(SETTLED)}"))
    days = case.clock.steps // STEPS_PER_DAY - 1
    if not (arguments.days >= 1 and arguments.first_day >= 0 and arguments.first_day + arguments.days <= days):
        faults.append(
            Fault("--first-day and --days", f"{arguments.first_day} and {arguments.days}", f"days within the series' first {days}")
        )
    faults += _fraud_faults(arguments.tamper, case)
    if faults:
        raise InputError("can't simulate:", faults)


def _opened(arguments: argparse.Namespace, task: Task) -> Ledger:
    """The ledger that `--db` holds, or a new one; its seal in the folder that `--seal` says."""
    name = task.case.scenario.name
    origin = f"gridnet.example/{name}"
    folder = Path(arguments.seal if arguments.seal is not None else f"{name}-seal")
    seal = Seal.at(folder) if (folder / "log.key").exists() else Seal.make(folder, origin)
    return Ledger.found(arguments.db, seal, founding(origin, name), task.case.clock.time_of(task.start))


def _run(arguments: argparse.Namespace, task: Task, ledger: Ledger, say: Callable[[str], None]) -> Pipeline:
    case, first = task.case, task.start
    privacy = Privacy(ledger.database, repeatable_salts(arguments.seed, case.scenario.name))
    community = make_community(case, privacy)
    ledger.commit(registration(community, privacy, task.programme), case.clock.time_of(first))
    say(f"{arguments.policy} dispatches {task.days} days; the same homes without dispatch")
    [policy, *_] = make_policies(arguments.policy, 1)
    runs = run_policy(case, policy, first, task.steps), without_dispatch(case, first, task.steps)
    park, registry = _metered(arguments, community, runs[0])
    pipeline = Pipeline(community, ledger, Ladder(case, community.points, registry), arguments.rule)
    arrived = arrivals(park, runs[0])
    for step in range(first + 1, first + task.steps + 1):
        pipeline.close(step, arrived.get(step, []))
        if (step - first) % STEPS_PER_DAY == 0:
            say(f"day {(step - first) // STEPS_PER_DAY} of {task.days} settled")
    _close_epochs(pipeline, task, runs)
    return pipeline


def _metered(arguments: argparse.Namespace, community: Community, run: Run) -> tuple[MeterPark, KeyRegistry]:
    """The meters, honest but for `--tamper`, and the registry that knows their keys."""
    clock = community.case.clock
    names = [point.name for point in (*community.points, community.head)]
    keys = {name: DeviceKey.simulated(arguments.seed, f"{community.name}/{name}") for name in names}
    registry = KeyRegistry()
    for name, key in keys.items():
        registry = registry.enrol(name, key.public_key, clock.time_of(run.start))
    honest = MeterPark(community.points, community.head, clock, keys, MeterModel(seed=arguments.seed))
    return replace(honest, tampers=_tampers(arguments.tamper, honest, run)), registry


def _tampers(wanted: list[str], park: MeterPark, run: Run) -> tuple[Tamper, ...]:
    """Frauds from the second day on; a model that repeats a past repeats the first."""
    tampers = []
    for model, size, meters in map(_fraud, wanted):
        past = recording(park, run.truth.rows(0, STEPS_PER_DAY), meters[0])
        tampers.append(Tamper(model, meters, size, run.start + STEPS_PER_DAY, recording=past))
    return tuple(tampers)


def _fraud(text: str) -> tuple[Model, float, tuple[str, ...]]:
    """`MODEL:SIZE:METER[,METER]` taken apart. Raises `ValueError` where it is not."""
    model, size, meters = text.split(":")
    if model not in get_args(Model):
        raise ValueError(model)
    return cast(Model, model), float(size), tuple(meters.split(","))


def _fraud_faults(wanted: list[str], case: Case) -> list[Fault]:
    meters = {point.name for point in (*meter_points(case), head_point(case))}
    faults = []
    for text in wanted:
        try:
            _, _, named = _fraud(text)
        except ValueError:
            models = ", ".join(get_args(Model))
            faults.append(Fault("--tamper", repr(text), f"MODEL:SIZE:METER[,METER], e.g. scaled:0.2:home-007; models: {models}"))
            continue
        unknown = sorted(set(named) - meters)
        if unknown:
            faults.append(Fault("--tamper", ", ".join(unknown), f"meters of {case.scenario.name}, e.g. {min(meters)}"))
    return faults


def _close_epochs(pipeline: Pipeline, task: Task, runs: tuple[Run, Run]) -> None:
    """At the end of the span: savings, and rewards for each whole epoch in it."""
    clock, programme = task.case.clock, task.programme
    now = clock.time_of(task.start + task.steps + 1)
    pipeline.record_savings(runs[1], now)
    for day in range(0, task.days - programme.epoch_days + 1, programme.epoch_days):
        run, baseline = (_part(run, day, programme.epoch_days) for run in runs)
        points = rendered(pipeline, programme, run, baseline)
        epoch = reward(programme, clock.time_of(run.start), points)
        pipeline.enter(reward_orders(epoch), now)
        pipeline.tally.rewards += epoch.given


def _part(run: Run, day: int, days: int) -> Run:
    first, end = day * STEPS_PER_DAY, (day + days) * STEPS_PER_DAY
    return Run(run.start + first, run.transitions[first:end], run.truth.rows(first, end))


def _print(pipeline: Pipeline, ledger: Ledger, took_s: float) -> None:
    tally = pipeline.tally
    rows = [["readings", ""], *([f"  {name}", f"{count:,}"] for name, count in sorted(tally.readings.items()))]
    rows += [["verdicts that did not pass", ""], *([f"  {name}", f"{count:,}"] for name, count in sorted(tally.verdicts.items()))]
    rows += [["energy of released quarter-hours", "kWh"]]
    rows += [[f"  {name}", f"{wh / 1000:,.1f}"] for name, wh in sorted(tally.energy.items())]
    rows += [["saved against no dispatch, kg CO2", f"{tally.saved_g / 1000:,.1f}"], ["reward tokens given", f"{tally.rewards:,}"]]
    rows += [["entries", ""], ["  new", f"{tally.entries:,}"], ["  there before", f"{tally.repeated:,}"]]
    print(aligned(rows))
    meters = len(pipeline.community.points) + 1
    print(f"\n{tally.intervals * meters / took_s:,.0f} device-intervals/s, dispatch and meters with it")
    print(f"log key, for gridnet audit verify --key: {ledger.seal.key.verifier.encode()}\n")
    print(ledger.publish().decode(), end="")
