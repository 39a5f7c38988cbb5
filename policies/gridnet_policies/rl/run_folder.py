"""The folder of a training run. Every file in it appears whole or not at all; the card comes last and marks the run as done.

| file | what it holds |
|---|---|
| `run.json` | the recipe with its seed, and source and package versions of each start |
| `teaching.csv` | a row for about every hundredth of the teaching: batch and squared error of the regression |
| `curve.csv` | a row per validation: steps, saving now and best so far in EUR, and the learner's losses |
| `tensorboard/` | both, with steps per second, as TensorBoard event files |
| `checkpoint.pt` | all that a killed run needs to go on; gone once the run is done |
| `weights.npz`, `card.json` | the best policy (`gridnet_policies.rl.actor`) |
"""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from gridnet.errors import Fault, InputError
from gridnet_envs.slots import Slot
from gridnet_policies.rl.actor import CARD, WEIGHTS, Actor, save_actor
from gridnet_policies.rl.provenance import provenance
from gridnet_policies.rl.recipe import Recipe

RUN, CURVE, TEACHING, CHECKPOINT, TENSORBOARD = "run.json", "curve.csv", "teaching.csv", "checkpoint.pt", "tensorboard"
_KEPT = "kept.part"


def occupied_faults(out: Path, recipe: Recipe, resume: bool) -> list[Fault]:
    """What in `out` stands in the way of the run: anything at all, or, to resume, the run of another recipe."""
    if not out.is_dir() or not any(out.iterdir()):
        return []
    if not resume:
        return [Fault("--out", repr(str(out)), "an empty or a new folder, or --resume to go on with the run in it")]
    try:
        begun = json.loads((out / RUN).read_text(encoding="utf-8"))["recipe"].items()
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return [Fault("--out", repr(str(out)), f"a folder with the {RUN} of a run to resume")]
    asked = recipe.model_dump(mode="json")
    stored = dict(begun)
    keys = sorted(key for key in {*asked, *stored} if asked.get(key) != stored.get(key))
    return [Fault(f"--resume: {key}", repr(asked.get(key)), f"{stored.get(key)!r}, as the run in {out} began") for key in keys]


def begin(out: Path, recipe: Recipe, resume: bool) -> None:
    """Makes the folder and notes what the run is made with. Raises `InputError` where the folder is occupied."""
    faults = occupied_faults(out, recipe, resume)
    if faults:
        raise InputError("the run can't begin:", faults)
    out.mkdir(parents=True, exist_ok=True)
    now, starts = provenance(), []
    if (out / RUN).exists():
        starts = json.loads((out / RUN).read_text(encoding="utf-8"))["made_with"]
    if not starts or starts[-1] != now:
        starts.append(now)
    noted = {"recipe": recipe.model_dump(mode="json"), "seed": recipe.seed, "made_with": starts}
    text = json.dumps(noted, indent=1) + "\n"
    write_whole(out / RUN, lambda beside: beside.write_text(text, encoding="utf-8"))


def is_done(out: Path) -> bool:
    """Whether the run in `out` came to its end."""
    return (out / CARD).is_file()


def write_curve(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The learning curve so far; a row that lacks a column leaves it empty."""
    _write_rows(out / CURVE, rows)


def read_curve(out: Path) -> list[dict[str, str]]:
    """Rows of the learning curve so far, none where there is none yet."""
    return _read_rows(out / CURVE)


def write_teaching(out: Path, rows: Sequence[dict[str, Any]]) -> None:
    """The errors of the teaching: `batch` and `squared_error` in each row."""
    _write_rows(out / TEACHING, rows)


def read_teaching(out: Path) -> list[dict[str, str]]:
    """Rows of the teaching's log, none where none was kept."""
    return _read_rows(out / TEACHING)


def _write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, lambda beside: beside.write_text(text.getvalue(), encoding="utf-8"))


def _read_rows(path: Path) -> list[dict[str, str]]:
    try:
        with path.open(newline="", encoding="utf-8") as stream:
            return list(csv.DictReader(stream))
    except FileNotFoundError:
        return []


def end(out: Path, actor: Actor, slots: tuple[Slot, ...], facts: dict[str, Any]) -> None:
    """Writes the kept policy, the card last, and removes what only an unfinished run needs."""
    beside = out / _KEPT
    save_actor(beside, actor, slots, facts)
    for name in (WEIGHTS, CARD):
        os.replace(beside / name, out / name)
    shutil.rmtree(beside)
    (out / CHECKPOINT).unlink(missing_ok=True)


def write_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Lets `write` fill a file beside `path`, brings it to the disk, and moves it to its place in one step."""
    beside = path.with_name(path.name + ".part")
    write(beside)
    with beside.open("rb") as stream:
        os.fsync(stream.fileno())
    os.replace(beside, path)
