"""What a live feeder costs the process that keeps it: memory, computing time, and bytes in the database.

Feeders are `rural1` under names of their own. They share the series, which are mapped from the cache and count as no feeder's. One
of them lives through as many quarter-hours as verification looks back at, on a clock that is told, so that all it will ever
remember is there. The database is SQLite in a folder that is removed.
"""

from __future__ import annotations

import ctypes
import gc
import sqlite3
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gridnet.app.bench.figures import Figure
from gridnet.app.bench.served import apart
from gridnet.app.service.assembled import Assembled, assemble
from gridnet.app.service.config import Config
from gridnet.app.service.decisions import Decider
from gridnet.app.service.feeders import make_sites
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.settling import REMEMBERED, Settler
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.case import load_case
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.seal import Seal
from gridnet_policies.registry import make_policies

SCENARIO = "rural1"
FEEDERS = (1, 4, 16)
"""That one process holds."""
POLICIES = ("rl", "rule")
DECISIONS = 20
"""Whose mean counts."""
_YOUNG_QUARTERS = 4
_LIMIT_S = 60.0
_QUARTER = timedelta(seconds=QUARTER_S)
_MB = 1e6
_SERVICE = "service_"


def feeder_figures(say: Callable[[str], None], remembered: int = REMEMBERED) -> list[Figure]:
    """Measures in a process of its own, for minutes. `remembered`: quarter-hours that one feeder lives through. Progress: `say`."""
    say(f"feeders: {max(FEEDERS)} of {SCENARIO} in one process, one of them for {remembered} quarter-hours")
    return apart(_measured, remembered)


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


def _measured(remembered: int) -> list[Figure]:
    with tempfile.TemporaryDirectory() as folder:
        clock, place = _Clock(), Path(folder)
        config = Config(
            scenario=SCENARIO,
            feeders=tuple(f"feeder-{number}={SCENARIO}" for number in range(1, max(FEEDERS) + 1)),
            policy="rl",
            decision_limit_s=_LIMIT_S,
        )
        stored_in = place / "service.db"
        database = Database(f"sqlite:///{stored_in}")
        try:
            made = assemble(config, database, lambda name: Seal.make(place / "seal", f"bench.gridnet.example/{name}"), clock)
            return list(_figures(made, database, stored_in, clock, remembered))
        finally:
            database.close()


def _figures(made: Assembled, database: Database, stored_in: Path, clock: _Clock, remembered: int) -> Iterator[Figure]:
    main, old, *young = made.keepers
    _live(main, clock, _YOUNG_QUARTERS)  # compiles and imports what all of them need
    before = private_bytes(database)
    sites = make_sites(made.service.config, clock())
    load_case(SCENARIO).rest()
    held = (private_bytes(database) - before) / len(sites)
    yield Figure("a feeder that is not held: memory of its own", max(held, 0.0) / _MB, "MB")
    del sites
    yield from _decisions(made, clock)
    before, counted = private_bytes(database), 0
    for count in FEEDERS:
        for keeper in young[counted:count]:
            _live(keeper, clock, _YOUNG_QUARTERS)
        counted = min(count, len(young))
        each = (private_bytes(database) - before) / counted
        yield Figure(f"a feeder held for an hour, of {counted}: memory of its own", each / _MB, "MB")
    yield from _grown(old, stored_in, clock, remembered)


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


def _grown(keeper: Keeper, stored_in: Path, clock: _Clock, remembered: int) -> Iterator[Figure]:
    """One feeder over all that verification looks back at."""
    keeper.tick()
    settler, spent_s, stored = _settler(keeper), 0.0, _stored(stored_in)
    for _ in range(remembered):
        clock.now += _QUARTER
        began = time.process_time()
        settler.close(clock.quarter - 1)
        spent_s += time.process_time() - began
    after = _stored(stored_in)
    keeper.drop()
    del settler
    began = time.process_time()
    keeper.tick()
    recalled_s = time.process_time() - began
    keeper.drop()
    # What was freed before is used again: private memory would not tell.
    tracemalloc.start()
    keeper.tick()
    gc.collect()
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    keeper.drop()
    yield Figure("a feeder held, all there that verification looks back at: its objects", held / _MB, "MB", "<= 5")
    yield Figure("a feeder taken over: until all that is there", recalled_s, "s CPU")
    yield Figure("a quarter-hour closed", 1000.0 * spent_s / remembered, "ms CPU")
    yield Figure("a quarter-hour in the service's tables", (after[0] - stored[0]) / remembered, "bytes")
    yield Figure("a quarter-hour in the ledger's tables", (after[1] - stored[1]) / remembered, "bytes")
    yield Figure("a quarter-hour in the log", (after[2] - stored[2]) / remembered, "entries")


def _settler(keeper: Keeper) -> Settler:
    assert keeper.settler is not None, "a feeder that was decided has a settler"
    return keeper.settler


def _live(keeper: Keeper, clock: _Clock, quarters: int) -> None:
    for _ in range(quarters):
        keeper.tick()
        clock.now += _QUARTER


def _stored(stored_in: Path) -> tuple[int, int, int]:
    """Bytes of the service's tables, those of the ledger's, and entries of the log."""
    with closing(sqlite3.connect(stored_in)) as database:
        owners = dict(database.execute("SELECT name, tbl_name FROM sqlite_schema"))
        sizes = dict(database.execute("SELECT name, SUM(pgsize) FROM dbstat GROUP BY name"))
        ((entries,),) = database.execute("SELECT COUNT(*) FROM entries")
    service = sum(size for name, size in sizes.items() if owners.get(name, name).startswith(_SERVICE))
    return service, sum(sizes.values()) - service, entries


def private_bytes(database: Database) -> int:
    """Memory that this process alone has, but for what its database connections and its allocator could give back."""
    database.engine.dispose()
    gc.collect()
    # Of glibc: freed memory that it keeps for later is nobody's.
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
