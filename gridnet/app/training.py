"""`gridnet train`: one training run, or a run for each seed and each combination of a sweep, with progress on the way."""

from __future__ import annotations

import itertools
import json
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from pydantic import ValidationError

from gridnet.app.outputs import folder_faults, write_table
from gridnet.app.training_bar import TrainingBar
from gridnet.engines.choice import engine_faults, make_engine
from gridnet.engines.job import Engine
from gridnet.engines.local import Processes
from gridnet.errors import Fault, InputError
from gridnet.scenario import load_scenario
from gridnet_policies.rl.algorithms import STARTING_POINTS
from gridnet_policies.rl.engines.task import Task, Watch, run_tasks
from gridnet_policies.rl.keeper import Progress, seconds_left, steps_per_s
from gridnet_policies.rl.pulse import Pulse
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import is_done, occupied_faults, read_curve
from gridnet_policies.rl.train import train

_NOT_SWEPT = {"scenarios": "the SCENARIO arguments", "seed": "--seeds"}

Say = Callable[[str], None]
Changes = dict[str, Any]


@dataclass(frozen=True)
class Order:
    """What `gridnet train` was asked for."""

    scenarios: Sequence[str]
    out: str
    algo: str = "ppo"
    steps: int | None = None
    seed: int = 0
    seeds: int = 1
    sweep: Sequence[str] = ()
    """`key=value,value` of a recipe's knob each."""
    engine: str = "local"
    address: str | None = None
    workers: int | None = None
    resume: bool = False


def run_training(order: Order, say: Say) -> None:
    """Trains by the default recipe, changed where the order says so.

    A single run goes into the order's folder; otherwise each goes to `seed<k>` in it, below a folder for each combination of
    the sweep, with `runs.csv` beside them. Raises `InputError` with every fault of the order before anything is trained.
    """
    tasks = plan(order)
    named = ", ".join(order.scenarios)
    say(f"training on {named}, {_counted(tasks, order)}; the regression on perfect-foresight values comes first")
    if len(tasks) == 1 and order.engine == "local":
        [task] = tasks
        with TrainingBar() as bar:
            train(task.recipe, task.out, lambda progress: say(_line(progress)), order.resume, bar.feel)
        say(f"kept the best checkpoint in {order.out}, {_carded(tasks, order)} beside it")
        return
    with TrainingBar() as bar:
        watch = _Together(tasks, say, bar)
        run_tasks(tasks, watch.look, _engine(order))
    _conclude(tasks, order, say)


def _engine(order: Order) -> Engine:
    """A local run has a process of its own even where it is the only one at once: this one tells how far all have come."""
    if order.engine == "local":
        return Processes(order.workers or os.cpu_count() or 1)
    return make_engine(order.engine, order.address, order.workers)


class _Together:
    """Several runs watched as one: a line for each validation, and one bar over all their steps."""

    def __init__(self, tasks: Sequence[Task], say: Say, bar: TrainingBar) -> None:
        self._watch = Watch(tasks, lambda task, progress: say(f"{task.name}: {_line(progress)}"))
        self._tasks, self._bar = tasks, bar

    def look(self) -> None:
        """Tells what is new; a run that ended early counts in full."""
        self._watch.look()
        total = sum(task.recipe.steps for task in self._tasks)
        self._bar.feel(Pulse(f"{len(self._tasks)} runs", sum(map(_steps_done, self._tasks)), total))


def _steps_done(task: Task) -> int:
    if is_done(task.out):
        return task.recipe.steps
    curve = read_curve(task.out)
    return min(int(curve[-1]["steps"]), task.recipe.steps) if curve else 0


def plan(order: Order) -> list[Task]:
    """The runs that an order asks for. Raises `InputError` listing all its faults."""
    faults = [
        *folder_faults("--out", order.out),
        *_scenario_faults(order.scenarios),
        *engine_faults(order.engine, order.address, order.workers),
    ]
    if order.seeds < 1:
        faults.append(Fault("--seeds", repr(order.seeds), "at least 1"))
    changes: Changes = {"scenarios": tuple(order.scenarios), "algo": order.algo}
    changes |= {} if order.steps is None else {"steps": order.steps}
    swept = [_swept(text, faults) for text in order.sweep]
    tasks: list[Task] = []
    for combination in itertools.product(*swept):
        for seed in range(order.seed, order.seed + max(1, order.seeds)):
            recipe = _recipe({**changes, **dict(combination), "seed": seed}, faults)
            folders = [",".join(f"{key}={_plain(value)}" for key, value in combination)] if combination else []
            folders += [f"seed{seed}"] if combination or order.seeds > 1 else []
            tasks.append(Task("/".join(folders), recipe, Path(order.out, *folders)))
    if not faults:
        faults = _occupied(order, tasks)
    if faults:
        raise InputError("the training run can't be set up:", list(dict.fromkeys(faults)))
    return tasks


def _scenario_faults(scenarios: Sequence[str]) -> list[Fault]:
    faults: list[Fault] = []
    for name in scenarios:
        try:
            load_scenario(name)
        except InputError as error:
            faults.extend(error.faults or [Fault("SCENARIO", repr(name), str(error))])
    return faults


def _swept(text: str, faults: list[Fault]) -> list[tuple[str, Any]]:
    """The values of one `--sweep key=v1,v2`, each with its key: JSON values where they are, else words."""
    key, equals, listed = text.partition("=")
    if not equals or not listed or key not in Recipe.model_fields:
        faults.append(Fault("--sweep", repr(text), "KEY=VALUE,VALUE with a knob of the recipe for KEY"))
    elif key in _NOT_SWEPT:
        faults.append(Fault("--sweep", repr(text), f"a knob that isn't given by {_NOT_SWEPT[key]}"))
    try:
        values = json.loads(f"[{listed}]")
    except ValueError:
        values = listed.split(",")
    return [(key, value) for value in values]


def _recipe(changes: Changes, faults: list[Fault]) -> Recipe:
    try:
        return Recipe.model_validate({**STARTING_POINTS.get(str(changes["algo"]), {}), **changes})
    except ValidationError as error:
        for item in error.errors():
            expected = item["msg"].removeprefix("Input should be ")
            faults.append(Fault(f"--{item['loc'][0]}", repr(item["input"]), expected))
    return Recipe()


def _occupied(order: Order, tasks: Sequence[Task]) -> list[Fault]:
    """Folders that hold something already; of several runs only the whole folder need be new."""
    out = Path(order.out)
    if not order.resume and out.is_dir() and any(out.iterdir()):
        return [Fault("--out", repr(order.out), "an empty or a new folder, or --resume to go on with the runs in it")]
    return [fault for task in tasks for fault in occupied_faults(task.out, task.recipe, resume=True)]


def _plain(value: Any) -> str:
    """A swept value as part of a folder's name."""
    return "x".join(map(str, value)) if isinstance(value, list) else str(value).replace("/", "-")


def _counted(tasks: Sequence[Task], order: Order) -> str:
    if len(tasks) == 1:
        return f"{order.algo}, seed {order.seed}"
    return f"{len(tasks)} runs from {order.seeds} seed{'s' if order.seeds > 1 else ''} on the {order.engine} engine"


def _line(progress: Progress) -> str:
    return (
        f"{progress.steps:>9} of {progress.total} steps, {progress.seconds:5.0f} s, {steps_per_s(progress):6.0f} steps/s, "
        f"{seconds_left(progress):5.0f} s left, "
        f"validation saving {progress.validation_eur:9.2f} EUR, best {progress.best_eur:9.2f} EUR"
    )


def _carded(tasks: Sequence[Task], order: Order) -> str:
    """Writes the model card of all runs; gives its name."""
    # Imported here because drawing takes a second to load, and a run takes minutes to come to it.
    from gridnet.app.model_card import write_model_card

    return write_model_card(Path(order.out), {task.name or f"seed{task.recipe.seed}": task.out for task in tasks}).name


def _conclude(tasks: Sequence[Task], order: Order, say: Say) -> None:
    """Writes and tells what each run kept, and the mean over the seeds of each combination."""
    out = Path(order.out)
    best = {task.name: float(read_curve(task.out)[-1]["best_eur"]) for task in tasks}
    write_table(pd.DataFrame({"run": list(best), "validation_eur": list(best.values())}), str(out / "runs.csv"))
    combinations: dict[str, list[float]] = {}
    for name, score in best.items():
        combinations.setdefault(name.rpartition("/")[0], []).append(score)
    for combination, scores in combinations.items():
        say(f"{combination or 'validation saving'}: mean of the best {statistics.fmean(scores):.2f} EUR over {len(scores)} seeds")
    say(f"kept the best checkpoint of each run in {out}, {_carded(tasks, order)} beside them")
