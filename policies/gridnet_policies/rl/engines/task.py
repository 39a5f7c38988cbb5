"""Several training runs on an engine, and how far they have come."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from gridnet.engines.job import Engine, Job, WorkerLost
from gridnet.errors import InputError
from gridnet_policies.rl.keeper import Progress
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import is_done, read_curve
from gridnet_policies.rl.train import train


@dataclass(frozen=True)
class Task:
    """A run to make: its name, its recipe, its folder."""

    name: str
    recipe: Recipe
    out: Path

    def __str__(self) -> str:
        return self.name or str(self.out)


def run_tasks(tasks: Sequence[Task], look: Callable[[], None], engine: Engine) -> None:
    """Performs all tasks and calls `look` all the while. A task that is done again, or again tomorrow, goes on from its checkpoint.

    Raises what a task raised, `WorkerLost`, and `InputError` where the engine's machines write where this one doesn't see it.
    """
    try:
        engine.run(Job(_perform, None, tasks), look=look)
    except WorkerLost as error:
        raise WorkerLost(f"{error}; --resume goes on from the checkpoints") from error
    lost = [task.name for task in tasks if not is_done(task.out)]
    if lost:
        raise InputError(f"what {', '.join(lost)} wrote isn't seen here; name an --out that all machines of the cluster share")


def _perform(shared: None, task: Task) -> None:
    """Makes one run, or goes on with what its folder already holds of it, so that a task can be tried again."""
    train(task.recipe, task.out, _say_nothing, resume=True)


def _say_nothing(progress: Progress) -> None:
    """Whoever watches reads the curve in the run's folder."""


class Watch:
    """Tells the progress of tasks that run elsewhere, by the learning curves that they write: no engine needs a line back."""

    def __init__(self, tasks: Sequence[Task], report: Callable[[Task, Progress], None]) -> None:
        self._report = report
        self._first = {task.name: (time.monotonic(), _steps(task)) for task in tasks}
        self._told = {task.name: _steps(task) for task in tasks}
        self._tasks = tasks

    def look(self) -> None:
        """Reports each task whose curve has grown since the last look."""
        for task in self._tasks:
            rows = read_curve(task.out)
            if not rows or int(rows[-1]["steps"]) == self._told[task.name]:
                continue
            self._told[task.name] = steps = int(rows[-1]["steps"])
            began, before = self._first[task.name]
            elapsed_s = time.monotonic() - began
            # A resumed run's pace is that of the steps since; scaled to all its steps, so that the time left comes out right.
            seconds = elapsed_s * steps / (steps - before) if before > 0 else elapsed_s
            self._report(task, Progress(steps, task.recipe.steps, seconds, *_scores(rows[-1])))


def _steps(task: Task) -> int:
    """Steps at the last validation, -1 before the first."""
    rows = read_curve(task.out)
    return int(rows[-1]["steps"]) if rows else -1


def _scores(row: dict[str, str]) -> tuple[float, float]:
    return float(row["validation_eur"]), float(row["best_eur"])
