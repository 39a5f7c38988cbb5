"""`gridnet simulate`: a community's days from dispatch to ledger, resumable by running it again."""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import count, islice, product
from pathlib import Path
from typing import cast, get_args

from gridnet.app.bench.table import aligned
from gridnet.app.community import Community, founding, make_community, registration, repeatable_salts, seal_in
from gridnet.app.pipeline import Pipeline
from gridnet.app.play import play
from gridnet.app.pricing import Pricing
from gridnet.app.probing import Prober
from gridnet.app.review import read_records, waiting
from gridnet.app.run import Run, Slack, gathered, pieces, without_dispatch
from gridnet.app.service_points import rendered
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.engines.choice import engine_faults, make_engine
from gridnet.engines.job import Job
from gridnet.errors import Fault, InputError
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import Delivery, deliveries
from gridnet.metering.meters import MeterModel, MeterPark, MeterState, measure, recording
from gridnet.metering.points import head_point, meter_points
from gridnet.metering.registry import KeyRegistry
from gridnet.metering.tamper import Model, Tamper
from gridnet.verification.ladder import Ladder
from gridnet.verification.settings import Settings
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.rewards.epoch import reward, reward_orders
from gridnet_contracts.rewards.programme import Programme, load_programme
from gridnet_contracts.settlement.prices import RULES, Rule
from gridnet_policies.registry import POLICIES, make_policies

IDLE = "idle_battery"
"""A fraud behind the meters: a battery that reports what it does not do (`Slack`)."""
MODELS = (*get_args(Model), IDLE)
PROBE_FALSE_ALARMS = 0.001
"""Share of the honest that a probe fails: less than the ladder's own default, since a community is probed every day."""


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

    @property
    def epoch_steps(self) -> int:
        """How many quarter-hours are rewarded together."""
        return self.programme.epoch_days * STEPS_PER_DAY


@dataclass(frozen=True)
class Order:
    """One feeder under one policy: its days follow each other, so they are one piece of work."""

    arguments: argparse.Namespace

    def __str__(self) -> str:
        return f"{self.arguments.scenario} under {self.arguments.policy}"


def simulate(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs every feeder under every policy and prints what came of each. Raises `InputError` before anything is run,
    `LedgerError`."""
    cases = {scenario: load_case(scenario) for scenario in arguments.scenario}
    orders = _orders(arguments, cases)
    if len(orders) == 1 and arguments.engine == "local":
        print(simulate_one(orders[0].arguments, cases, say), end="")
        return
    done = count(1)
    engine = make_engine(arguments.engine, arguments.address, arguments.workers)
    job = Job(_simulated, cases, orders)
    texts = engine.run(job, lambda index: say(f"{next(done)} of {len(orders)}: {orders[index]}"))
    print("\n".join(f"{order}\n\n{text}" for order, text in zip(orders, texts, strict=True)), end="")


def simulate_one(arguments: argparse.Namespace, cases: Mapping[str, Case], say: Callable[[str], None]) -> str:
    """Runs one feeder, of `cases` by name, under one policy; gives what came of it."""
    task = Task(cases[arguments.scenario], load_programme(arguments.programme), arguments.first_day * STEPS_PER_DAY, arguments.days)
    ledger = _opened(arguments, task)
    try:
        began = time.perf_counter()
        pipeline = _run(arguments, task, ledger, say)
        return _told(pipeline, ledger, time.perf_counter() - began)
    finally:
        ledger.close()


def _simulated(cases: Mapping[str, Case], order: Order) -> str:
    """As any engine runs it: done again from the start, it enters nothing twice."""
    return simulate_one(order.arguments, cases, lambda line: None)


def _orders(arguments: argparse.Namespace, cases: Mapping[str, Case]) -> list[Order]:
    """An order for each feeder and policy, each with a ledger and a seal of its own. Raises `InputError`."""
    policies = [word.strip() for word in arguments.policy.split(",")]
    faults = engine_faults(arguments.engine, arguments.address, arguments.workers)
    seal = arguments.seal if arguments.seal is not None else "{scenario}-seal"
    for option, named, several in (("{scenario}", "SCENARIO", arguments.scenario), ("{policy}", "--policy", policies)):
        unnamed = [(word, text) for word, text in (("--db", arguments.db), ("--seal", seal)) if option not in text]
        if len(several) > 1:
            faults += [Fault(word, repr(text), f"{option} in it, which tells those of {named} apart") for word, text in unnamed]
    orders = []
    for scenario, policy in product(arguments.scenario, policies):
        named_so = {"scenario": scenario, "policy": policy}
        for place in ("db", "seal"):
            text = getattr(arguments, place)
            if text is not None:
                named_so[place] = text.replace("{scenario}", Path(scenario).stem).replace("{policy}", policy)
        fields = {key: value for key, value in vars(arguments).items() if key != "command"}
        orders.append(Order(argparse.Namespace(**{**fields, **named_so})))
    for order in orders:
        faults += _faults(order.arguments, cases[order.arguments.scenario])
    if faults:
        raise InputError("can't simulate:", list(dict.fromkeys(faults)))
    return orders


def _faults(arguments: argparse.Namespace, case: Case) -> list[Fault]:
    faults: list[Fault] = []
    if arguments.policy not in POLICIES:
        faults.append(Fault("--policy", repr(arguments.policy), f"one of {', '.join(POLICIES)}"))
    if arguments.rule not in RULES:
        faults.append(Fault("--rule", repr(arguments.rule), f"one of {', '.join(RULES)}"))
    days = case.clock.steps // STEPS_PER_DAY - 1
    if not (arguments.days >= 1 and arguments.first_day >= 0 and arguments.first_day + arguments.days <= days):
        faults.append(
            Fault("--first-day and --days", f"{arguments.first_day} and {arguments.days}", f"days within the series' first {days}")
        )
    return faults + _fraud_faults(arguments.tamper, case)


def _opened(arguments: argparse.Namespace, task: Task) -> Ledger:
    """The ledger that `--db` holds, or a new one; its seal in the folder that `--seal` says."""
    name = task.case.scenario.name
    seal = seal_in(Path(arguments.seal if arguments.seal is not None else f"{name}-seal"), name)
    return Ledger.found(arguments.db, seal, founding(seal.origin, name), task.case.clock.time_of(task.start))


def _run(arguments: argparse.Namespace, task: Task, ledger: Ledger, say: Callable[[str], None]) -> Pipeline:
    case, first = task.case, task.start
    privacy = Privacy(ledger.database, repeatable_salts(arguments.seed, case.scenario.name))
    community = make_community(case, privacy)
    ledger.commit(registration(community, privacy, task.programme), case.clock.time_of(first))
    say(f"{arguments.policy} dispatches {task.days} days; the same homes without dispatch")
    field = _Field(arguments, task, community)
    ladder = Ladder(case, community.points, field.registry, Settings(probe_false_alarms=PROBE_FALSE_ALARMS))
    prober = Prober(community, ladder, arguments.seed)
    pipeline = Pipeline(community, ledger, ladder, Pricing(community, cast(Rule, arguments.rule), first), prober)
    pipeline.whole = True
    end, baseline = first + task.steps, without_dispatch(case, first, task.steps)
    for run in field.run(prober):
        pipeline.pricing.follow(run)
        # The last quarter-hour of all is closed one after it was played, when its readings have come.
        until = end + 1 if run.end == end else run.end
        for step in range(max(run.start, first + 1), until):
            pipeline.close(step, field.arrived.pop(step, []))
            if (step - first) % task.epoch_steps == 0:
                _close_epoch(pipeline, task, (Run.joined(field.runs), baseline), step)
        say(f"settled until {case.clock.time_of(until):%Y-%m-%d %H:%M} UTC")
    pipeline.record_savings(baseline, case.clock.time_of(end + 1))
    return pipeline


class _Field:
    """What happens at the homes: dispatch, physics, and meters, honest but for `--tamper`, whose messages are on their way."""

    def __init__(self, arguments: argparse.Namespace, task: Task, community: Community) -> None:
        self._task = task
        self._second_day = task.start + STEPS_PER_DAY
        [self._policy, *_] = make_policies(arguments.policy, 1)
        frauds = [_fraud(text) for text in arguments.tamper]
        self._frauds = [(model, size, meters) for model, size, meters in frauds if model != IDLE]
        devices = {point.name: point.device for point in community.of_kind("battery")}
        self._slack = [
            Slack(device, size, self._second_day)
            for model, size, meters in frauds
            if model == IDLE and (device := devices[meters[0]]) is not None
        ]
        clock = task.case.clock
        names = [point.name for point in (*community.points, community.head)]
        keys = {name: DeviceKey.simulated(arguments.seed, f"{community.name}/{name}") for name in names}
        self.registry = KeyRegistry()
        for name, key in keys.items():
            self.registry = self.registry.enrol(name, key.public_key, clock.time_of(task.start))
        self._park = MeterPark(community.points, community.head, clock, keys, MeterModel(seed=arguments.seed))
        self._meters = MeterState.new(self._park, task.start)
        self.runs: list[Run] = []
        self.arrived: dict[int, list[Delivery]] = defaultdict(list)
        """By the step in which it arrives."""

    def run(self, prober: Prober) -> Iterator[Run]:
        """Plays and measures piece by piece; the next begins once the caller is done with the last, and with its probes."""
        task = self._task
        steps = play(task.case, self._policy, task.start, task.steps, prober.steer)
        for piece in pieces(task.case.clock, task.start, task.steps):
            run = gathered(islice(steps, len(piece)), self._slack)
            self.runs.append(run)
            if self._frauds and not self._park.tampers and piece.stop >= self._second_day:
                self._park = replace(self._park, tampers=self._tampers())
            self._meters, messages = measure(self._park, self._meters, run.truth)
            for delivery in deliveries(messages, self._park.model.link, self._park.model.seed):
                self.arrived[delivery.step].append(delivery)
            yield run

    def _tampers(self) -> tuple[Tamper, ...]:
        """Frauds from the second day on; a model that repeats a past repeats the first."""
        day = Run.joined(self.runs).truth.rows(0, STEPS_PER_DAY)
        return tuple(
            Tamper(cast(Model, model), meters, size, self._second_day, recording=recording(self._park, day, meters[0]))
            for model, size, meters in self._frauds
        )


def _fraud(text: str) -> tuple[str, float, tuple[str, ...]]:
    """`MODEL:SIZE:METER[,METER]` taken apart. Raises `ValueError` where it is not."""
    model, size, meters = text.split(":")
    if model not in MODELS:
        raise ValueError(model)
    return model, float(size), tuple(meters.split(","))


def _fraud_faults(wanted: list[str], case: Case) -> list[Fault]:
    meters = {point.name for point in (*meter_points(case), head_point(case))}
    faults = []
    for text in wanted:
        try:
            model, size, named = _fraud(text)
        except ValueError:
            models = ", ".join(MODELS)
            faults.append(Fault("--tamper", repr(text), f"MODEL:SIZE:METER[,METER], e.g. scaled:0.2:home-007; models: {models}"))
            continue
        unknown = sorted(set(named) - meters)
        if unknown:
            faults.append(Fault("--tamper", ", ".join(unknown), f"meters of {case.scenario.name}, e.g. {min(meters)}"))
        elif model == IDLE and not (0.0 < size <= 1.0 and len(named) == 1 and named[0].startswith("bat-")):
            faults.append(Fault("--tamper", repr(text), f"{IDLE}:SIZE:BATTERY, the size above 0 and at most 1"))
    return faults


def _close_epoch(pipeline: Pipeline, task: Task, runs: tuple[Run, Run], end: int) -> None:
    """Rewards of the epoch that ends with `end`, by what is known and thought of everybody then: a longer run says the same."""
    first, last = end - task.start - task.epoch_steps, end - task.start
    run, baseline = (each.part(first, last) for each in runs)
    epoch = reward(task.programme, task.case.clock.time_of(run.start), rendered(pipeline, task.programme, run, baseline))
    pipeline.enter(reward_orders(epoch), task.case.clock.time_of(end + 1))
    pipeline.tally.rewards += epoch.given


def _told(pipeline: Pipeline, ledger: Ledger, took_s: float) -> str:
    tally = pipeline.tally
    rows = [["readings", ""], *([f"  {name}", f"{count:,}"] for name, count in sorted(tally.readings.items()))]
    rows += [["verdicts on record", ""], *([f"  {name}", f"{count:,}"] for name, count in sorted(tally.verdicts.items()))]
    rows += [["energy of released quarter-hours", "kWh"]]
    rows += [[f"  {name}", f"{wh / 1000:,.1f}"] for name, wh in sorted(tally.energy.items())]
    rows += [["saved against no dispatch, kg CO2", f"{tally.saved_g / 1000:,.1f}"], ["reward tokens given", f"{tally.rewards:,}"]]
    rows += [["entries", ""], ["  new", f"{tally.entries:,}"], ["  there before", f"{tally.repeated:,}"]]
    pace = tally.intervals * (len(pipeline.community.points) + 1) / took_s
    lines = [
        aligned(rows),
        f"\n{waiting(read_records(ledger.database).queue)}",
        f"\n{pace:,.0f} device-intervals/s, dispatch and meters with it",
        f"log key, for gridnet audit verify --key: {ledger.seal.key.verifier.encode()}\n",
    ]
    return "\n".join([*lines, ledger.publish().decode()])
