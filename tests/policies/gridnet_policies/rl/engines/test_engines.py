"""The engines give the same weights, and leave nothing running."""

from __future__ import annotations

import multiprocessing
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gridnet.engines.cluster import Cluster
from gridnet.engines.local import Processes
from gridnet.errors import GridnetError, InputError
from gridnet_policies.rl.engines.task import Task, Watch, run_tasks
from gridnet_policies.rl.keeper import Progress
from gridnet_policies.rl.train import train
from tests.policies.gridnet_policies.rl.small import QUICK, quiet

SHORT = QUICK.model_copy(update={"steps": 256})


def _tasks(out: Path) -> list[Task]:
    return [Task(f"seed{seed}", SHORT.model_copy(update={"seed": seed}), out / f"seed{seed}") for seed in (0, 1)]


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> list[list[bytes]]:
    """What each seed leaves when trained in this process."""
    tasks = _tasks(tmp_path_factory.mktemp("alone"))
    return [_left(train(task.recipe, task.out, quiet)) for task in tasks]


def _left(folder: Path) -> list[bytes]:
    """The weights, and the curve with every loss: equal curves are equal learners, whichever policy was kept."""
    return [(folder / name).read_bytes() for name in ("weights.npz", "curve.csv")]


def _local(tasks: list[Task], look: Callable[[], None]) -> None:
    run_tasks(tasks, look, Processes(2))


def _on_ray(tasks: list[Task], look: Callable[[], None]) -> None:
    run_tasks(tasks, look, Cluster(workers=2))


@pytest.mark.parametrize("engine", [_local, pytest.param(_on_ray, marks=pytest.mark.long)], ids=["local", "ray"])
def test_the_weights_do_not_depend_on_the_engine(
    engine: Callable[..., None], alone: list[list[bytes]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RAY_AUTH_TOKEN", secrets.token_hex(32))  # or Ray would keep one in the user's home
    tasks, told = _tasks(tmp_path), list[tuple[str, Progress]]()
    engine(tasks, Watch(tasks, lambda task, progress: told.append((task.name, progress))).look)
    assert [_left(task.out) for task in tasks] == alone
    assert alone[0] != alone[1]
    assert {name for name, _ in told} == {"seed0", "seed1"}
    assert multiprocessing.active_children() == []


def test_an_interrupt_leaves_no_process_and_a_run_to_resume(tmp_path: Path) -> None:
    tasks = _tasks(tmp_path)

    def interrupt() -> None:
        if any((task.out / "run.json").exists() for task in tasks):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _local(tasks, interrupt)
    assert multiprocessing.active_children() == []


def test_what_a_task_raises_reaches_the_caller(tmp_path: Path) -> None:
    tasks = _tasks(tmp_path)
    tasks[0].out.mkdir()
    (tasks[0].out / "precious").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match=r"run\.json of a run to resume"):
        _local(tasks[:1], lambda: None)


def test_a_killed_process_is_an_error(tmp_path: Path) -> None:
    def kill() -> None:
        for child in multiprocessing.active_children():
            child.kill()

    with pytest.raises(GridnetError, match=r"seed0 ended with code -9"):
        _local(_tasks(tmp_path)[:1], kill)


def test_a_missing_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"gridnet-dispatch\[cluster\]"):
        _on_ray(_tasks(tmp_path), lambda: None)
