"""Ray: the same answers, lost workers made good, a lost head told, nothing left running."""

from __future__ import annotations

import multiprocessing
import os
import secrets
import signal
import socket
import sys
import time
from pathlib import Path

import pytest

from gridnet.app.bench.run import Plan, run_benchmark
from gridnet.case import load_case
from gridnet.engines.cluster import Cluster
from gridnet.engines.job import Job, WorkerLost
from gridnet.errors import InputError
from tests.gridnet.engines.pieces import noted, scaled


@pytest.fixture(autouse=True)
def _token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray would keep one in the user's home


def _members(group: int) -> list[int]:
    """Processes of a group that live."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, pgrp = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(pgrp) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _gone(group: int) -> bool:
    """Whether all of them end, who may have been killed a moment ago."""
    until = time.monotonic() + 10
    while _members(group) and time.monotonic() < until:
        time.sleep(0.05)
    return not _members(group)


def _driver() -> int:
    [child] = multiprocessing.active_children()
    assert child.pid is not None
    return child.pid


@pytest.mark.conformance
def test_a_benchmark_is_the_same_on_ray() -> None:
    tiny, plan = load_case("tiny"), Plan(("rule", "mpc", "rl", "lp"), (4, 0), 2, 0)
    here = run_benchmark(tiny, plan, lambda line: None)
    lines: list[str] = []
    there = run_benchmark(tiny, plan, lines.append, Cluster(workers=2))
    assert {name: weeks.accounts for name, weeks in here.weeks.items()} == {name: w.accounts for name, w in there.weeks.items()}
    assert here.bound_eur == there.bound_eur
    assert len(lines) == 12


@pytest.mark.conformance
def test_a_killed_worker_costs_no_answer_and_gives_none_twice(tmp_path: Path) -> None:
    killed, told = list[int](), list[int]()

    def kill() -> None:
        if not killed and (begun := list(tmp_path.iterdir())):
            killed.append(int(begun[0].name.partition("-")[2]))
            os.kill(killed[0], signal.SIGKILL)

    assert Cluster(workers=2).run(Job(noted, tmp_path, range(6)), told.append, kill) == [item * item for item in range(6)]
    assert killed
    assert sorted(told) == list(range(6))
    assert len(list(tmp_path.iterdir())) > 6, "a piece began twice"


@pytest.mark.conformance
def test_a_lost_head_is_told_and_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_gcs_rpc_server_reconnect_timeout_s", "2")
    group = list[int]()

    def behead() -> None:
        if not group and list(tmp_path.iterdir()):
            group.append(_driver())
            for pid in _members(group[0]):
                if Path(f"/proc/{pid}/comm").read_text().startswith("gcs_server"):
                    os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="the Ray cluster at this machine is lost, its head perhaps"):
        Cluster(workers=2).run(Job(noted, tmp_path, range(60)), look=behead)
    assert _gone(group[0])


@pytest.mark.conformance
def test_an_interrupt_leaves_nothing_running(tmp_path: Path) -> None:
    group = list[int]()

    def interrupt() -> None:
        if list(tmp_path.iterdir()):
            group.append(_driver())
            assert len(_members(group[0])) > 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Cluster(workers=2).run(Job(noted, tmp_path, range(60)), look=interrupt)
    assert _gone(group[0])


def test_a_cluster_that_nobody_runs_is_a_quick_error() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    began = time.monotonic()
    with pytest.raises(InputError, match=f"no Ray cluster at 127.0.0.1:{port}"):
        Cluster(f"127.0.0.1:{port}").run(Job(scaled, 1.0, [1]))
    assert time.monotonic() - began < 10


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"gridnet-dispatch\[cluster\]"):
        Cluster().run(Job(scaled, 1.0, [1]))
