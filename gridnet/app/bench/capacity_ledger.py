"""How many feeders one ledger settles at the same time: entered together under one signature, against each one alone.

Each feeder is `rural1` under a name of its own, with homes and devices of its own. Its orders are what the settlement makes of its
meters' messages around noon, when certificates of two days before are released: about 75 a quarter-hour. The messages are judged
beforehand, once for all. Both ways take turns, a quarter-hour each, so that what the machine does besides is shared alike.
"""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Protocol, cast

from gridnet.app.bench.figures import Figure
from gridnet.app.community import Community, founding, make_community, registration
from gridnet.app.pipeline import RELEASE_AFTER, Pipeline
from gridnet.app.pricing import Pricing
from gridnet.app.probing import Prober
from gridnet.app.run import run_policy
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import Delivery, deliveries
from gridnet.metering.meters import MeterModel, MeterPark, MeterState, measure
from gridnet.metering.points import head_point, meter_points
from gridnet.metering.registry import KeyRegistry
from gridnet.verification.ladder import Judged, Ladder
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.privacy import Privacy
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.sequencer import Sequencer
from gridnet_contracts.ledger.store import log_size, stored_leaves
from gridnet_contracts.log.canonical import HASH_BYTES
from gridnet_contracts.rewards.programme import load_programme
from gridnet_policies.registry import make_policies

FEEDERS = (1, 2, 4, 8, 16, 64)
"""That settle at once; each number has feeders of its own."""
ROUNDS = 3
"""Of each way; the median counts."""
QUARTERS = 3 * ROUNDS
"""Of each feeder: settled alone, sequenced, and made while they are sequenced."""
SCENARIO = "rural1"
FIRST = 150 * STEPS_PER_DAY + 40
"""A day of early summer, 10:00 UTC."""
SEED = 1


def ledger_figures(say: Callable[[str], None], url: str | None, feeders: Sequence[int] = FEEDERS) -> list[Figure]:
    """Measures on the empty PostgreSQL database at `url`, or on SQLite in a folder that is removed. A minute or two; progress goes
    to `say`. Raises `LedgerError` where the database is not empty, `InputError` for a URL that is none."""
    say(f"ledger: {SCENARIO} measures and judges two days")
    field = _Field()
    say(f"ledger: {sum(feeders)} feeders settle what is released later")
    groups = {count: [_Feeder(field, f"f{count}-{k:02d}") for k in range(count)] for count in feeders}
    with tempfile.TemporaryDirectory() as folder:
        seal = Seal.make(Path(folder) / "seal", "bench.gridnet.example/capacity")
        where = f"sqlite:///{folder}/ledger.db" if url is None else url
        ledger = Ledger.found(where, seal, founding(seal.origin, "capacity"), field.time_of(FIRST))
        try:
            return _Measuring(ledger, field, groups, say).figures()
        finally:
            ledger.close()


class _Field:
    """What all feeders share: a case, its meters' messages, and what verification makes of them."""

    def __init__(self) -> None:
        self.case = load_case(SCENARIO)
        [policy, *_] = make_policies("rule", 1)
        points, head, clock = meter_points(self.case), head_point(self.case), self.case.clock
        keys = {point.name: DeviceKey.simulated(SEED, f"{SCENARIO}/{point.name}") for point in (*points, head)}
        registry = KeyRegistry()
        for name, key in keys.items():
            registry = registry.enrol(name, key.public_key, clock.time_of(FIRST))
        park = MeterPark(points, head, clock, keys, MeterModel(seed=SEED))
        truth = run_policy(self.case, policy, FIRST, RELEASE_AFTER + QUARTERS).truth
        _, messages = measure(park, MeterState.new(park, FIRST), truth)
        self.arrived: dict[int, list[Delivery]] = defaultdict(list)
        for delivery in deliveries(messages, park.model.link, park.model.seed):
            self.arrived[delivery.step].append(delivery)
        self.ladder = Ladder(self.case, points, registry)
        steps = range(FIRST + 1, FIRST + RELEASE_AFTER + QUARTERS)
        self.judged = {self.time_of(step - 1): self._judge(step) for step in steps}

    def _judge(self, step: int) -> Judged:
        raw = [delivery.raw for delivery in self.arrived[step]]
        return self.ladder.judge(self.time_of(step - 1), raw, self.time_of(step + 1))

    def time_of(self, step: int) -> datetime:
        """When a step starts."""
        return self.case.clock.time_of(step)

    @cached_property
    def pricing(self) -> Pricing:
        """The tariff, which is the same for all."""
        return Pricing(make_community(self.case, _plain()), "mid_market", FIRST)


class _Recalled:
    """In the ladder's place: what it said."""

    def __init__(self, judged: Mapping[datetime, Judged]) -> None:
        self._judged = judged

    def judge(self, measured: datetime, messages: Sequence[bytes], now: datetime) -> Judged:
        """The verdicts of a quarter-hour."""
        return self._judged[measured]


class _Plain:
    """Pseudonyms and hashes that hide nothing and are kept nowhere: nobody lives here."""

    def pseudonym(self, name: str) -> str:
        """A home's."""
        return f"p:{sha256(name.encode()).hexdigest()[:32]}"

    def device(self, device: str, private: Mapping[str, Any]) -> str:
        """A device's."""
        return sha256(device.encode()).hexdigest()


def _plain() -> Privacy:
    return cast(Privacy, _Plain())


def _named(case: Case, name: str) -> Case:
    return replace(case, scenario=case.scenario.model_copy(update={"name": name}))


class _Way(Protocol):
    """Into the ledger: together with others, or alone."""

    def commit(self, orders: Sequence[Order], time: datetime | None = None) -> list[Receipt]:
        """As `Ledger.commit`."""


class _Settling(Pipeline):
    """A pipeline that gives its orders away, to be entered later or by another way."""

    give: Callable[[Sequence[Order], datetime], object]

    def enter(self, orders: Sequence[Order], now: datetime) -> None:
        """Gives them away."""
        self.give(orders, now)


class _Feeder:
    """One feeder's settlement. `before`: the quarter-hours that are released in the measured ones; `made`: orders of the first
    two thirds of those; the last third is made when it is measured."""

    def __init__(self, field: _Field, name: str) -> None:
        self._field = field
        self.community: Community = make_community(_named(field.case, name), _plain())
        ladder = cast(Ladder, _Recalled(field.judged))
        prober = Prober(self.community, field.ladder, SEED)
        self._pipeline = _Settling(self.community, cast(Ledger, None), ladder, field.pricing, prober)
        self.before = [self._made(FIRST + 1 + k) for k in range(QUARTERS)]
        self.made = [self._made(FIRST + RELEASE_AFTER + k) for k in range(2 * ROUNDS)]

    def _made(self, step: int) -> tuple[list[Order], datetime]:
        given: list[tuple[list[Order], datetime]] = []
        self.close(step, lambda orders, now: given.append((list(orders), now)))
        return given[0]

    def close(self, step: int, give: Callable[[Sequence[Order], datetime], object]) -> None:
        """Settles one quarter-hour."""
        self._pipeline.give = give
        self._pipeline.close(step, self._field.arrived[step])


@dataclass(frozen=True)
class _Round:
    """Feeders that settled at once."""

    entries: int
    took_s: float
    waited_s: tuple[float, ...]
    """Each feeder, from its commit to the signed checkpoint."""


class _Measuring:
    """A ledger in which each number of feeders settles its quarter-hours, each way in turn."""

    def __init__(self, ledger: Ledger, field: _Field, groups: Mapping[int, Sequence[_Feeder]], say: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._sequencer = Sequencer(ledger)
        self._field = field
        self._groups = groups
        self._say = say
        self._where = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[ledger.database.dialect]
        self._rounds: dict[tuple[str, int], list[_Round]] = defaultdict(list)

    def figures(self) -> list[Figure]:
        """Enters what lies before, measures, and says what came of it."""
        self._begin()
        size, first = self._bytes(), self._entries()
        for turn in range(ROUNDS):
            self._say(f"ledger: round {turn + 1} of {ROUNDS}, sequenced and alone")
            for count in self._groups:
                self._compare(count, turn)
        for turn in range(2 * ROUNDS, QUARTERS):
            self._say(f"ledger: round {turn + 1 - 2 * ROUNDS} of {ROUNDS}, made and sequenced")
            step = FIRST + RELEASE_AFTER + turn
            for count, feeders in self._groups.items():
                self._rounds["made", count].append(_at_once([partial(self._settle, feeder, step) for feeder in feeders]))
        compared = [figure for count in self._groups for figure in self._compared(count)]
        return [*compared, *self._growth(size, first)]

    def _compare(self, count: int, turn: int) -> None:
        """One quarter-hour each way, one right after the other; which is first changes from turn to turn."""
        ways: list[tuple[str, _Way]] = [("sequenced", self._sequencer), ("alone", self._ledger)]
        for quarter, (name, way) in enumerate(ways if turn % 2 else reversed(ways), start=2 * turn):
            feeders = self._groups[count]
            now = feeders[0].made[2 * turn + 1][1]  # of both: the log's time does not go back
            self._rounds[name, count].append(_at_once([partial(_enter, way, each.made[quarter][0], now) for each in feeders]))

    def _begin(self) -> None:
        feeders = [feeder for group in self._groups.values() for feeder in group]
        programme, known = load_programme("community"), set[str]()
        orders = [order for each in feeders for order in registration(each.community, _plain(), programme)]
        fresh = [order for order in orders if not (order.key in known or known.add(order.key))]  # type: ignore[func-returns-value]
        self._ledger.commit(fresh, self._field.time_of(FIRST))
        for quarter in range(QUARTERS):
            self._ledger.commit([order for feeder in feeders for order in feeder.before[quarter][0]], feeders[0].before[quarter][1])

    def _settle(self, feeder: _Feeder, step: int) -> tuple[int, float]:
        done: list[tuple[int, float]] = []
        feeder.close(step, lambda orders, now: done.append(_enter(self._sequencer, orders, now)))
        return done[0]

    def _compared(self, count: int) -> list[Figure]:
        what = f"{count} feeder{'s' if count > 1 else ''} at once, {self._where}"
        alone, sequenced, made = (self._rounds[name, count] for name in ("alone", "sequenced", "made"))
        pace, naive = _feeders_s(sequenced), _feeders_s(alone)
        waited, waits = ([wait for one in rounds for wait in one.waited_s] for rounds in (sequenced, alone))
        entries = statistics.median(one.entries / one.took_s for one in sequenced)
        return [
            Figure(f"{what}: each enters and signs alone (reference)", naive, "feeders/s"),
            Figure(f"{what}: sequenced", pace, "feeders/s", ratio=pace / naive),
            Figure(f"{what}: sequenced, entries", entries, "entries/s"),
            Figure(f"{what}: settlement made, then sequenced", _feeders_s(made), "feeders/s"),
            Figure(f"{what}: commit to checkpoint, median, alone (reference)", statistics.median(waits) * 1e3, "ms"),
            _latency(f"{what}: commit to checkpoint, median", statistics.median(waited), statistics.median(waits)),
            _latency(f"{what}: commit to checkpoint, p95", _p95(waited), _p95(waits)),
        ]

    def _growth(self, size: int, first: int) -> list[Figure]:
        grown, entries = self._bytes() - size, self._entries() - first
        with self._ledger.database.read() as connection:
            leaves = sum(len(leaf) for _, leaf in stored_leaves(connection, first))
        settled = QUARTERS * sum(len(feeders) for feeders in self._groups.values())
        each = "a feeder and quarter-hour"
        return [
            Figure(f"entries of {each}", entries / settled, "entries"),
            Figure(f"log of {each}: entries", leaves / settled / 1024, "KiB"),
            Figure(f"log of {each}: hashes of the tree", entries * HASH_BYTES / settled / 1024, "KiB"),
            Figure(f"database of {each}, {self._where}: all tables and indexes", grown / settled / 1024, "KiB"),
            Figure(f"database per entry, {self._where}", grown / entries, "bytes"),
        ]

    def _entries(self) -> int:
        with self._ledger.database.read() as connection:
            return log_size(connection)

    def _bytes(self) -> int:
        sqlite = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
        query = sqlite if self._where == "SQLite" else "SELECT pg_database_size(current_database())"
        with self._ledger.database.read() as connection:
            return int(connection.exec_driver_sql(query).scalar_one())


def _enter(way: _Way, orders: Sequence[Order], now: datetime) -> tuple[int, float]:
    """How many entries were made, and how long it took in seconds."""
    began = time.perf_counter()
    made = len(way.commit(orders, now))
    return made, time.perf_counter() - began


def _at_once(tasks: Sequence[Callable[[], tuple[int, float]]]) -> _Round:
    gate = threading.Barrier(len(tasks) + 1)

    def run(task: Callable[[], tuple[int, float]]) -> tuple[int, float]:
        gate.wait()
        return task()

    with ThreadPoolExecutor(len(tasks)) as threads:
        running = [threads.submit(run, task) for task in tasks]
        gate.wait()
        began = time.perf_counter()
        ended = [each.result() for each in running]
        took_s = time.perf_counter() - began
    return _Round(sum(entries for entries, _ in ended), took_s, tuple(waited for _, waited in ended))


def _feeders_s(rounds: Sequence[_Round]) -> float:
    return statistics.median(len(one.waited_s) / one.took_s for one in rounds)


def _p95(values: Sequence[float]) -> float:
    return sorted(values)[-(-95 * len(values) // 100) - 1]


def _latency(name: str, now_s: float, before_s: float) -> Figure:
    return Figure(name, now_s * 1e3, "ms", ratio=before_s / now_s)
