"""The engines of one machine: the same answers in the same order, every error told, nothing left running."""

from __future__ import annotations

import multiprocessing
import os
from pathlib import Path

import pytest

from gridnet.engines.choice import engine_faults, make_engine
from gridnet.engines.cluster import Cluster
from gridnet.engines.job import Engine, Job, WorkerLost
from gridnet.engines.local import Here, Processes
from gridnet.errors import InputError
from tests.gridnet.engines.pieces import noted, refused_at_two, scaled


@pytest.mark.parametrize(("engine", "here"), [(Here(), True), (Processes(1), False), (Processes(2), False)])
def test_answers_stand_in_the_order_of_the_items(engine: Engine, here: bool) -> None:
    told: list[int] = []
    answers = engine.run(Job(scaled, 0.1, range(7)), told.append)
    assert [answer for answer, _ in answers] == [0.1 * item for item in range(7)]
    assert sorted(told) == list(range(7)), "each piece is told once"
    assert {pid == os.getpid() for _, pid in answers} == {here}
    assert multiprocessing.active_children() == []


def test_a_job_of_nothing_has_no_answers() -> None:
    assert Processes(2).run(Job(scaled, 1.0, [])) == Here().run(Job(scaled, 1.0, [])) == []


@pytest.mark.parametrize("engine", [Here(), Processes(2)])
def test_an_error_of_a_piece_is_raised_as_it_is(engine: Engine) -> None:
    with pytest.raises(InputError, match=r"^item 2 is refused$"):
        engine.run(Job(refused_at_two, None, range(5)))
    assert multiprocessing.active_children() == []


def test_a_killed_process_is_named_by_its_piece(tmp_path: Path) -> None:
    def kill() -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(WorkerLost, match=r"the process of \d ended with code -9 \(killed, perhaps for want of memory\)"):
        Processes(2).run(Job(noted, tmp_path, range(4)), look=kill)
    assert multiprocessing.active_children() == []


def test_an_interrupt_leaves_no_process(tmp_path: Path) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Processes(2).run(Job(noted, tmp_path, range(4)), look=interrupt)
    assert multiprocessing.active_children() == []


@pytest.mark.parametrize(
    ("name", "address", "workers", "expected"),
    [
        ("dask", None, None, "--engine: got 'dask', expected local or ray"),
        ("local", "auto", None, "--address: got 'auto', expected --engine ray"),
        ("local", None, 0, "--workers: got 0, expected at least 1"),
        ("ray", "auto", 2, "--workers: got 2, expected none beside --address"),
    ],
)
def test_options_that_ask_for_no_engine_are_faults(name: str, address: str | None, workers: int | None, expected: str) -> None:
    [fault] = engine_faults(name, address, workers)
    assert str(fault).startswith(expected)


def test_options_choose_the_engine() -> None:
    assert engine_faults("local", None, 2) == engine_faults("ray", "auto", None) == []
    assert [type(make_engine("local", None, workers)) for workers in (None, 1, 2)] == [Here, Here, Processes]
    assert isinstance(make_engine("ray", None, 1), Cluster)
