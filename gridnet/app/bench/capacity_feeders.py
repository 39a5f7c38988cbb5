"""What a live feeder costs the process that keeps it: memory, computing time, and bytes in the database.

A feeder is `rural1` under a name of its own. It lives through as many quarter-hours as verification looks back at, on a clock that
is told, so that all it will ever remember is there; the database is SQLite in a folder that is removed. Then a fresh process takes
it over several times, from copies of that database: what each one adds to the process is a feeder's memory. All share the series,
which are mapped from the cache and count as no feeder's.
"""

from __future__ import annotations

import ctypes
import gc
import shutil
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from gridnet.app.bench.figures import Figure
from gridnet.app.bench.served import apart
from gridnet.app.pipeline import RELEASE_AFTER
from gridnet.app.service.assembled import Assembled, assemble
from gridnet.app.service.config import Config
from gridnet.app.service.decisions import Decider
from gridnet.app.service.feeders import make_sites
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.settling import REMEMBERED, Settler
from gridnet.app.service.telemetry import QUARTER_S
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.seal import Seal
from gridnet_policies.registry import make_policies

SCENARIO = "rural1"
FEEDER = "feeder"
TAKEN_OVER = 5
"""By one process, after a first that brings along what all need."""
KNOWN = 16
"""Feeders that a process knows of and does not hold."""
POLICIES = ("rl", "rule")
DECISIONS = 20
"""Whose mean counts."""
_LIMIT_S = 60.0
_QUARTER = timedelta(seconds=QUARTER_S)
_MB = 1e6
_SERVICE = "service_"


def feeder_figures(say: Callable[[str], None], remembered: int = REMEMBERED) -> list[Figure]:
    """Measures in processes of its own, for minutes. `remembered`: quarter-hours that a feeder lives through. Progress: `say`."""
    with tempfile.TemporaryDirectory() as folder:
        say(f"feeders: one of {SCENARIO} for {remembered} quarter-hours")
        figures, now = apart(_lived, Path(folder), remembered)
        say(f"feeders: taken over {TAKEN_OVER} times")
        return figures + apart(_held, Path(folder), now)


@dataclass
class _Clock:
    """Tells the time that it is set to. Far ahead, since a ledger is founded at the real time and never goes back."""

    now: datetime = datetime(2090, 3, 1, 0, 5, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    @property
    def quarter(self) -> int:
        """Of the present, since 1970."""
        return int(self.now.timestamp()) // QUARTER_S


def _lived(place: Path, remembered: int) -> tuple[list[Figure], datetime]:
    """A feeder's life, in `place`, and when it is then."""
    clock, stored_in = _Clock(), place / "service.db"
    database = Database(f"sqlite:///{stored_in}")
    try:
        made = assemble(_config(), database, lambda name: Seal.make(place / "seal", f"bench.gridnet.example/{name}"), clock)
        figures = [*_decisions(made, clock), *_closings(made.keepers[1], stored_in, clock, remembered)]
        return figures, clock.now
    finally:
        database.close()


def _held(place: Path, now: datetime) -> list[Figure]:
    """Memory of feeders that are taken over, each from its own copy of the database."""
    clock, kept, seconds = _Clock(now), [], []
    sizes = [private_bytes()]
    for number in range(TAKEN_OVER + 1):
        copy = place / f"copy-{number}.db"
        shutil.copy(place / "service.db", copy)
        database = Database(f"sqlite:///{copy}")
        keeper = assemble(_config(), database, lambda name: Seal.at(place / "seal"), clock).keepers[1]
        began = time.process_time()
        keeper.tick()
        seconds.append(time.process_time() - began)
        database.close()
        kept.append(keeper)
        sizes.append(private_bytes())
    added = [after - before for before, after in pairwise(sizes[1:])]
    names = tuple(f"{FEEDER}-{number}={SCENARIO}" for number in range(KNOWN))
    before = private_bytes()
    sites = make_sites(replace(_config(), feeders=names), clock())
    known = (private_bytes() - before) / len(sites)
    return [
        Figure("a feeder held, all there that verification looks back at: memory", statistics.median(added) / _MB, "MB", "<= 5"),
        Figure("a feeder that is not held: memory", max(known, 0.0) / _MB, "MB"),
        Figure("a feeder taken over: until all is there", statistics.median(seconds[1:]), "s CPU"),
    ]


def _config() -> Config:
    return Config(scenario=SCENARIO, feeders=(f"{FEEDER}={SCENARIO}",), policy="rl", decision_limit_s=_LIMIT_S)


def _decisions(made: Assembled, clock: _Clock) -> Iterator[Figure]:
    live = made.live
    step, soc = live.step_of(clock.quarter), live.case.start(0).soc[0]
    for name in POLICIES:
        decider = Decider(live, list(make_policies(name, 1)[:1]), _LIMIT_S)
        decider.decide(step, soc)
        began = time.process_time()
        for ahead in range(1, DECISIONS + 1):
            decider.decide(step + ahead, soc)
        yield Figure(f"a decision by {name}", 1000.0 * (time.process_time() - began) / DECISIONS, "ms CPU")


def _closings(keeper: Keeper, stored_in: Path, clock: _Clock, remembered: int) -> Iterator[Figure]:
    """One feeder over all that verification looks back at."""
    for _ in range(2):  # the ledger is founded when the first quarter-hour is closed
        keeper.tick()
        clock.now += _QUARTER
    keeper.tick()
    settler, began, stored = _settler(keeper), 0.0, (0, 0, 0)
    # Not counted: what comes before the first certificates are released, which is half of the work.
    first = min(RELEASE_AFTER, remembered // 2)
    for number in range(remembered):
        if number == first:
            began, stored = time.process_time(), _stored(stored_in)
        clock.now += _QUARTER
        settler.close(clock.quarter - 1)
    spent_s, after, counted = time.process_time() - began, _stored(stored_in), remembered - first
    yield Figure("a quarter-hour closed", 1000.0 * spent_s / counted, "ms CPU")
    yield Figure("a quarter-hour in the service's tables", (after[0] - stored[0]) / counted, "bytes")
    yield Figure("a quarter-hour in the ledger's tables", (after[1] - stored[1]) / counted, "bytes")
    yield Figure("a quarter-hour in the log", (after[2] - stored[2]) / counted, "entries")


def _settler(keeper: Keeper) -> Settler:
    assert keeper.settler is not None, "a feeder that was decided has a settler"
    return keeper.settler


def _stored(stored_in: Path) -> tuple[int, int, int]:
    """Bytes of the service's tables, those of the ledger's, and entries of the log."""
    with closing(sqlite3.connect(stored_in)) as database:
        owners = dict(database.execute("SELECT name, tbl_name FROM sqlite_schema"))
        sizes = dict(database.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"))
        ((entries,),) = database.execute("SELECT COUNT(*) FROM entries")
    service = sum(size for name, size in sizes.items() if owners.get(name, name).startswith(_SERVICE))
    return service, sum(sizes.values()) - service, entries


def private_bytes() -> int:
    """Memory that this process alone has, but for what its allocator could give back."""
    gc.collect()
    # Of glibc: freed memory that it keeps for later is nobody's.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
