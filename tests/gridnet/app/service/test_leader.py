"""Which process keeps which feeder going: one each, shared out, taken over when a process is gone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from gridnet.app.service import leader
from gridnet.app.service.leader import LOCK, Leadership
from gridnet.app.service.names import MAIN
from gridnet.app.service.service import Service
from gridnet_contracts.ledger.database import Database

MOVES = ("held", "held", "held", "spared", "release", "vanish")
FEEDERS = (MAIN, "east", "north", "west")
HOLDS = """
import sys, time
from gridnet.app.service.leader import Leadership
from gridnet_contracts.ledger.database import Database
leader = Leadership(Database(sys.argv[1]))
print(leader.held(), flush=True)
time.sleep(60)
"""


@pytest.fixture(autouse=True)
def looks_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leader, "_FRESH_S", 0.0)


@pytest.fixture
def make(either: Service, url: str) -> Iterator[Callable[..., Leadership]]:
    """Makes processes' worth."""
    yield from _maker(url)


@pytest.fixture
def there(postgres: str) -> Iterator[Callable[..., Leadership]]:
    """The same on PostgreSQL alone."""
    yield from _maker(postgres)


def _maker(url: str) -> Iterator[Callable[..., Leadership]]:
    made: list[tuple[Leadership, Database]] = []

    def one(feeders: tuple[str, ...] = (MAIN,)) -> Leadership:
        database = Database(url)
        made.append((Leadership(database, feeders), database))
        return made[-1][0]

    yield one
    for each, database in made:
        each.release()
        database.close()


def test_one_of_two_holds_it_until_it_lets_go(make: Callable[..., Leadership]) -> None:
    first, second = make(), make()
    assert [first.held(), second.held(), first.held(), second.held()] == [True, False, True, False]
    first.release()
    assert [second.held(), first.held(), second.held()] == [True, False, True]


def test_a_killed_process_holds_it_no_longer(either: Service, url: str, make: Callable[..., Leadership]) -> None:
    child = _child(url)
    other = make()
    try:
        assert not other.held()
    finally:
        child.kill()
        child.communicate(timeout=20)
    assert _soon(other.held)


def _child(url: str) -> subprocess.Popen[str]:
    paths = os.pathsep.join(each for each in sys.path if each)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    assert child.stdout is not None
    assert child.stdout.readline().strip() == "True"
    return child


def _soon(true: Callable[[], bool]) -> bool:
    """PostgreSQL takes a moment to see that its client is gone."""
    end = time.monotonic() + 10.0
    while not true() and time.monotonic() < end:
        time.sleep(0.02)
    return true()


def test_a_process_that_is_stopped_loses_its_feeder_and_knows_it_when_it_goes_on(
    postgres: str, there: Callable[..., Leadership], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leader, "_LEASE", text(str(leader._LEASE).replace("30000", "300")))
    first, second = there(), there()
    assert first.held()
    for _ in range(5):  # as long as it says something, it has it
        time.sleep(0.15)
        first.beat()
        assert not second.held()
    assert _soon(second.held), "a process that says nothing has lost it"
    assert not first.held()
    second.release()
    assert _soon(first.held), "and may have it again"


def test_the_lease_is_told_to_the_server(there: Callable[..., Leadership]) -> None:
    one = there()
    assert one.held()
    assert one._connection is not None
    assert one._connection.execute(text("SHOW idle_session_timeout")).scalar() == "30s"


def test_feeders_are_shared_out_and_one_too_many_is_given_away(there: Callable[..., Leadership]) -> None:
    first = there(FEEDERS)
    assert [first.held(each) for each in FEEDERS] == [True] * 4, "who is alone has all"
    assert not first.spared(MAIN)
    second = there(FEEDERS)
    assert [second.held(each) for each in FEEDERS] == [False] * 4, "nobody is robbed"
    assert all(first.held(each) for each in FEEDERS)
    assert [first.spared(each) for each in FEEDERS] == [True, True, False, False]
    assert [second.held(each) for each in FEEDERS] == [True, True, False, False]
    assert [first.held(each) for each in FEEDERS] == [False, False, True, True]
    second.release()
    assert [first.held(each) for each in FEEDERS] == [True] * 4


def test_one_feeder_can_be_let_go_of(there: Callable[..., Leadership]) -> None:
    first, second = there(FEEDERS), there(FEEDERS)
    assert [first.held("east"), second.held("west")] == [True, True]
    first.release("east")
    assert second.held("east")
    assert not first.held("east")


def test_a_connection_that_broke_is_noticed(there: Callable[..., Leadership], postgres: str) -> None:
    first = there(FEEDERS)
    assert first.held("east")
    database = Database(postgres)
    with database.write() as connection:
        connection.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = :c"), {"c": LOCK}
        )
    database.close()
    second = there(FEEDERS)
    assert _soon(lambda: second.held("east"))
    assert not first.held("east")


def test_the_version_before_takes_the_same_lock_of_the_main_feeder(there: Callable[..., Leadership], postgres: str) -> None:
    database = Database(postgres)
    with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as before:
        assert before.execute(text("SELECT pg_try_advisory_lock(:lock)"), {"lock": LOCK}).scalar()
        one = there(FEEDERS)
        assert not one.held(MAIN)
        assert one.held("east")
        before.invalidate()
    assert _soon(lambda: one.held(MAIN))
    database.close()


@given(
    st.lists(
        st.tuples(st.sampled_from(MOVES), st.integers(0, 2), st.integers(0, 3)),
        max_size=40,
    )
)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_feeder_ever_has_two_and_all_have_one_in_the_end(
    there: Callable[..., Leadership], moves: list[tuple[str, int, int]]
) -> None:
    some = [there(FEEDERS) for _ in range(3)]
    holder: dict[str, int] = {}
    for move, number, which in moves:
        one, feeder = some[number], FEEDERS[which]
        if move == "held" and one.held(feeder):
            assert holder.setdefault(feeder, number) == number
        elif move == "spared" and one.spared(feeder):
            assert holder.pop(feeder) == number
        elif move in ("release", "vanish"):
            one.release(feeder if move == "release" else None)
            for each in [feeder] if move == "release" else list(FEEDERS):
                if holder.get(each) == number:
                    del holder[each]
    for _ in range(3):
        for feeder in FEEDERS:
            for one in some:
                if one.held(feeder):
                    one.spared(feeder)
    with ThreadPoolExecutor(3) as pool:
        found = [list(pool.map(one.held, FEEDERS)) for one in some]
    assert [sum(column) for column in zip(*found, strict=True)] == [1] * 4
    assert max(sum(row) for row in found) <= 2
    for one in some:
        one.release()
