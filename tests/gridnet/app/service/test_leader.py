"""One process keeps the feeder going; another takes over when it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

from gridnet.app.service.leader import Leadership
from gridnet.app.service.service import Service
from gridnet_contracts.ledger.database import Database

HOLDS = """
import sys, time
from gridnet.app.service.leader import Leadership
from gridnet_contracts.ledger.database import Database
leader = Leadership(Database(sys.argv[1]))
print(leader.held(), flush=True)
time.sleep(60)
"""


@pytest.fixture
def two(either: Service, url: str) -> Iterator[tuple[Leadership, Leadership]]:
    """Two processes' worth."""
    databases = [Database(url), Database(url)]
    leaders = Leadership(databases[0]), Leadership(databases[1])
    yield leaders
    for leader, database in zip(leaders, databases, strict=True):
        leader.release()
        database.close()


def test_one_of_two_holds_it_until_it_lets_go(two: tuple[Leadership, Leadership]) -> None:
    first, second = two
    assert [first.held(), second.held(), first.held(), second.held()] == [True, False, True, False]
    first.release()
    assert [second.held(), first.held(), second.held()] == [True, False, True]


def test_a_killed_process_holds_it_no_longer(either: Service, url: str) -> None:
    paths = os.pathsep.join(each for each in sys.path if each)
    child = subprocess.Popen(
        [sys.executable, "-c", HOLDS, url], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": paths}
    )
    database = Database(url)
    other = Leadership(database)
    try:
        assert child.stdout is not None
        assert child.stdout.readline().strip() == "True"
        assert not other.held()
    finally:
        child.kill()
        child.communicate(timeout=20)
    held = False
    for _ in range(100):  # PostgreSQL takes a moment to see that its client is gone
        held = held or other.held()
    assert held
    other.release()
    database.close()
