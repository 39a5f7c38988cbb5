"""Several processes on one PostgreSQL: they share the feeders out, and lose none when one of them is killed or stopped."""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from sqlalchemy import make_url, select

from gridnet.app.community import seal_in
from gridnet.app.service import marks
from gridnet.app.service.assembled import Assembled
from gridnet.app.service.fencing import Overtaken
from gridnet.app.service.leader import PROCESSES
from gridnet.app.service.schema import setpoints
from gridnet.app.service.settling import Settler
from gridnet.app.service.telemetry import CLOSED, QUARTER_S
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.schema import entries
from tests.gridnet.app.service.many import (
    METERS,
    Breed,
    FastClock,
    assembled,
    config_of,
    decided,
    is_sound,
    loop_of,
    mark_of,
    until,
)
from tests.gridnet.app.service.parts import QUARTER, Clock
from tests.gridnet.app.service.plant import FAR, FAR_Q

NAMES = ("", "east", "north", "west")
FURTHER = ",".join(NAMES[1:])
STEP_S = 3.0
"""A quarter-hour of the processes that are killed."""
KILLS = 50
MOST_MISSED = 2
"""Steps that may go by without a decision, of one feeder or more, as explained there."""


@pytest.fixture
def url(postgres: str) -> str:
    """An empty database of PostgreSQL."""
    name = f"many{os.urandom(4).hex()}"
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return make_url(postgres).set(database=name).render_as_string(hide_password=False)


@pytest.fixture
def far() -> Clock:
    return Clock(FAR + QUARTER / 3)


@pytest.fixture
def two(url: str, year: Path, tmp_path: Path, far: Clock) -> Iterator[list[Assembled]]:
    """Two processes' worth on one database, by one clock."""
    made = [assembled(url, tmp_path, config_of(year, NAMES[1:]), far) for _ in range(2)]
    yield made
    for each in made:
        each.service.store.database.close()


def _holders(url: str) -> Counter[int]:
    """How many feeders each process holds, by its connection."""
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT pid, classid, objsubid FROM pg_locks WHERE locktype = 'advisory' AND granted"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
        ).fetchall()
    known = {pid for pid, which, _ in rows if which == PROCESSES}
    return Counter(pid for pid, which, _ in rows if pid in known and which != PROCESSES)


@pytest.mark.conformance
def test_two_processes_share_four_feeders_and_one_takes_all_when_the_other_is_killed(url: str, year: Path, tmp_path: Path) -> None:
    step_s, begun_s = 6.0, time.time()
    seal_in(tmp_path / "seal", "year")
    clock = FastClock(begun_s, QUARTER_S / step_s)
    breed = Breed(url, str(tmp_path), str(year), FURTHER, f"{begun_s}x{clock.times}")
    try:
        one, _ = breed.start(), breed.start()
        watching = assembled(url, tmp_path, config_of(year, NAMES[1:]), clock)
        until(lambda: sorted(_holders(url).values()) == [2, 2])
        breed.kill(one)
        killed_q = watching.service.store.now_s() // QUARTER_S
        until(lambda: sorted(_holders(url).values()) == [4], step_s)
        until(lambda: len(decided(watching.service, killed_q + 1)) == METERS * len(NAMES), 2 * step_s)
        until(lambda: all(mark_of(watching.service, name) >= killed_q + 1 for name in NAMES), 5 * step_s)
        watching.service.store.database.close()
    finally:
        breed.end()


def test_who_takes_a_feeder_over_decides_before_it_recalls(
    two: list[Assembled], far: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = two
    for _ in range(3):
        loop_of(first).tick()
        far.forward(minutes=15)
    seen = []
    recall = Settler.recall

    def recalls(settler: Settler, *given: object) -> bool:
        seen.append(len(decided(second.service)))
        return recall(settler, *given)  # type: ignore[arg-type]

    monkeypatch.setattr(Settler, "recall", recalls)
    second.keepers[1].tick()
    assert seen == [METERS]


def test_what_is_recalled_waits_for_the_next_decision_and_is_taken_up_again(two: list[Assembled], far: Clock) -> None:
    first, second = two
    for _ in range(5):
        loop_of(first).tick()
        far.forward(minutes=15)
    keeper, asked = second.keepers[1], []

    def goes_on() -> bool:
        asked.append(True)
        if len(asked) == 2:
            far.forward(minutes=15)
        return True

    assert not keeper.tick(goes_on), "a quarter-hour began meanwhile"
    assert keeper.tick()
    assert len(decided(second.service)) == METERS
    assert mark_of(second.service, "east") == far_q(far) - 1


def far_q(far: Clock) -> int:
    """The quarter-hour that runs."""
    return int(far.now.timestamp()) // QUARTER_S


def test_a_process_that_was_stopped_and_comes_back_changes_nothing(
    two: list[Assembled], far: Clock, url: str, tmp_path: Path
) -> None:
    """Stopped with a quarter-hour to close in hand, which another closed meanwhile, and some more."""
    first, second = two
    loop_of(first).tick()
    stale = first.keepers[1].settler
    assert stale is not None
    far.forward(minutes=15)
    for _ in range(3):
        loop_of(second).tick()
        far.forward(minutes=15)
    before = {key: mark_of(second.service, "east", key) for key in (CLOSED, marks.SETTLED)}
    with second.service.store.read() as connection:
        world = marks.marked(connection, marks.of("east", marks.WORLD))
    with pytest.raises(Overtaken):
        stale.close(stale.settled + 1)
    assert {key: mark_of(second.service, "east", key) for key in before} == before
    with second.service.store.read() as connection:
        assert marks.marked(connection, marks.of("east", marks.WORLD)) == world
    assert is_sound(url, tmp_path)


def test_a_process_that_was_stopped_before_its_last_step_takes_nothing_back(
    two: list[Assembled], far: Clock, monkeypatch: pytest.MonkeyPatch, url: str, tmp_path: Path
) -> None:
    """Stopped between the ledger's transaction and the note that it was settled."""
    first, second = two
    loop_of(first).tick()
    far.forward(minutes=15)
    close = Settler._close

    def stopped(settler: Settler, *given: object) -> None:
        close(settler, *given)  # type: ignore[arg-type]
        monkeypatch.undo()
        for _ in range(3):
            second.keepers[1].tick()
            far.forward(minutes=15)

    monkeypatch.setattr(Settler, "_close", stopped)
    with pytest.raises(Overtaken):
        first.keepers[1].tick()
    assert mark_of(second.service, "east") == FAR_Q + 2
    assert is_sound(url, tmp_path)


def test_a_decision_that_comes_too_late_is_not_kept(two: list[Assembled], far: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    keeper = two[0].keepers[1]
    controls = two[0].service.controls
    own = type(controls).decided

    def stopped(*given: object) -> None:
        far.forward(minutes=15)
        own(*given)  # type: ignore[arg-type]

    monkeypatch.setattr(type(controls), "decided", stopped)
    with pytest.raises(Overtaken):
        keeper.tick()
    assert decided(two[0].service, FAR_Q) == {}


def test_a_clock_that_went_back_does_not_begin_a_feeder_anew(two: list[Assembled], far: Clock) -> None:
    loop_of(two[0]).tick()
    with two[0].service.store.write("east") as connection:
        marks.mark(connection, marks.of("east", marks.SCENARIO), "another 0")
    far.forward(minutes=-30)
    with pytest.raises(Overtaken):
        two[1].keepers[1].tick()


def test_a_stall_of_the_heart_gives_the_feeders_up(url: str, two: list[Assembled]) -> None:
    """A loop whose connection was ended drops what it remembers, and takes the feeders again where nobody has."""
    loop = loop_of(two[0])
    loop.start()
    try:
        until(lambda: len(decided(two[0].service)) == METERS * len(NAMES))
        settlers = [keeper.settler for keeper in two[0].keepers]
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(f"SELECT pg_terminate_backend(pid) FROM pg_locks WHERE classid = {PROCESSES}".encode())
        until(lambda: list(_holders(url).values()) == [4])
        assert all(settler is not None for settler in settlers)
    finally:
        loop.stop()


@pytest.mark.conformance
def test_two_processes_that_are_killed_at_random_leave_no_gap_and_settle_nothing_twice(
    url: str, year: Path, tmp_path: Path
) -> None:
    """One of the two is killed, again and again, in whatever it does, and started anew; it lives before the next one goes.

    A step is three seconds here, a three-hundredth of a quarter-hour, so that what takes a fraction of a second is a large part of
    it. Where a process dies right at the end of a step, or takes the whole of one, that step's decision may be missing, of the
    feeders that it had, and of no step after it: devices then have the plan.
    """
    rng, begun_s = random.Random(7), time.time()
    seal_in(tmp_path / "seal", "year")
    clock = FastClock(begun_s, QUARTER_S / STEP_S)
    breed = Breed(url, str(tmp_path), str(year), FURTHER, f"{begun_s}x{clock.times}")
    moved_q: set[int] = set()
    try:
        processes = [breed.start(), breed.start()]
        watching = assembled(url, tmp_path, config_of(year, NAMES[1:]), clock)
        until(lambda: len(decided(watching.service)) == METERS * len(NAMES))
        first_q = watching.service.store.now_s() // QUARTER_S
        for _ in range(KILLS):
            time.sleep(rng.uniform(0.0, STEP_S))
            number = rng.randrange(2)
            moved_q.add(watching.service.store.now_s() // QUARTER_S)
            breed.kill(processes[number])
            processes[number] = breed.start()
        last_q = watching.service.store.now_s() // QUARTER_S
        until(lambda: all(mark_of(watching.service, name) >= last_q for name in NAMES), 60.0)
    finally:
        breed.end()
    _check_decisions(watching, range(first_q, last_q + 1), moved_q)
    _check_entries(url, range(first_q, last_q))
    watching.service.store.database.close()
    assert is_sound(url, tmp_path)


def _check_decisions(watching: Assembled, quarters: range, moved_q: set[int]) -> None:
    with watching.service.store.read() as connection:
        found = connection.execute(select(setpoints.c.meter, setpoints.c.start_s, setpoints.c.source)).all()
    assert {row.source for row in found} == {"rule"}
    count = Counter(row.start_s // QUARTER_S for row in found)
    missing = {quarter: METERS * len(NAMES) - count[quarter] for quarter in quarters if count[quarter] != METERS * len(NAMES)}
    assert all(each > 0 and not each % METERS for each in missing.values()), "a feeder is decided as a whole"
    assert all({quarter, quarter - 1} & moved_q for quarter in missing), "a step without a decision, and nobody had died"
    assert len(missing) <= MOST_MISSED, missing


def _check_entries(url: str, quarters: range) -> None:
    database = Database(url)
    with database.read() as connection:
        keys = Counter(connection.execute(select(entries.c.key)).scalars())
    database.close()
    assert max(keys.values()) == 1
    verified = Counter(key.split(":")[1] for key in keys if key.startswith("verify:"))
    assert all(verified[name or "year"] >= len(quarters) for name in NAMES), verified
