"""A killed run goes on as if nothing had happened, and a folder is never left half written."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from gridnet.errors import InputError
from gridnet_policies.rl.keeper import Progress
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.train import train
from tests.policies.gridnet_policies.rl.small import QUICK, quiet

KEPT = ("weights.npz", "card.json", "curve.csv")

KILLED = """
import os, signal, sys
from pathlib import Path
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.train import train
told = []
def die_at_the_third(progress):
    told.append(progress)
    if len(told) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
train(Recipe.model_validate_json(sys.argv[1]), Path(sys.argv[2]), die_at_the_third)
"""


class Stopped(Exception):
    """Stands for a kill in the middle."""


def _stop_after(checks: int) -> object:
    told: list[Progress] = []

    def report(progress: Progress) -> None:
        told.append(progress)
        if len(told) == checks:
            raise Stopped

    return report


def _curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module", params=["ppo", "a2c", "td3"])
def recipe(request: pytest.FixtureRequest) -> Recipe:
    return QUICK.model_copy(update={"algo": request.param})


@pytest.fixture(scope="module")
def whole(recipe: Recipe, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(recipe, tmp_path_factory.mktemp("whole") / "run", quiet)


def _assert_same(one: Path, other: Path) -> None:
    # The curve holds the losses, so that equal curves are equal learners, whichever policy was kept.
    assert any(row.get("value_loss") or row.get("critic_loss") for row in _curve(other))
    for name in KEPT:
        assert (one / name).read_bytes() == (other / name).read_bytes(), name


@pytest.mark.parametrize("checks", [1, 3])
def test_a_stopped_run_resumes_to_the_same_files(recipe: Recipe, whole: Path, checks: int, tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(recipe, tmp_path / "run", _stop_after(checks))
    assert not (tmp_path / "run" / "card.json").exists()
    _assert_same(train(recipe, tmp_path / "run", quiet, resume=True), whole)
    assert not (tmp_path / "run" / "checkpoint.pt").exists()


def test_a_run_killed_without_warning_resumes_to_the_same_files(tmp_path: Path) -> None:
    out = tmp_path / "killed"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    killed = subprocess.run([sys.executable, "-c", KILLED, QUICK.model_dump_json(), str(out)], env=environment, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert len(_curve(out)) == 3, "killed in the middle"
    assert not (out / "card.json").exists()
    _assert_same(train(QUICK, out, quiet, resume=True), train(QUICK, tmp_path / "whole", quiet))


def test_a_done_run_is_left_as_it_is(tmp_path: Path) -> None:
    out = train(QUICK.model_copy(update={"steps": 1}), tmp_path / "run", quiet)
    before = {path: path.stat().st_mtime_ns for path in out.glob("*.npz")}
    told: list[Progress] = []
    train(QUICK.model_copy(update={"steps": 1}), out, told.append, resume=True)
    assert told == []
    assert {path: path.stat().st_mtime_ns for path in out.glob("*.npz")} == before


def test_another_recipe_is_not_resumed(tmp_path: Path) -> None:
    out = train(QUICK.model_copy(update={"steps": 1}), tmp_path / "run", quiet)
    with pytest.raises(InputError, match=r"--resume: gamma: got 0\.5, expected 0\.97") as caught:
        train(QUICK.model_copy(update={"gamma": 0.5, "steps": 7}), out, quiet, resume=True)
    assert [fault.where for fault in caught.value.faults] == ["--resume: gamma", "--resume: steps"]


def test_a_folder_in_use_is_refused_without_resume(tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("x", encoding="utf-8")
    with pytest.raises(InputError, match="an empty or a new folder"):
        train(QUICK, tmp_path, quiet)


def test_a_damaged_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(QUICK, tmp_path / "run", _stop_after(1))
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match="is damaged"):
        train(QUICK, tmp_path / "run", quiet, resume=True)


def test_the_folder_says_what_the_run_was_made_with(whole: Path, recipe: Recipe) -> None:
    noted = json.loads((whole / "run.json").read_text(encoding="utf-8"))
    assert Recipe.model_validate(noted["recipe"]) == recipe
    assert noted["seed"] == recipe.seed
    assert noted["made_with"][0]["versions"]["torch"]
    assert list((whole / "tensorboard").glob("events.out.tfevents.*"))
    assert not list(whole.rglob("*.part"))


def test_a_run_that_gains_nothing_ends_early(tmp_path: Path) -> None:
    flat = QUICK.model_copy(update={"learning_rate": 0.0, "patience": 2, "steps": 10_000})
    curve = _curve(train(flat, tmp_path / "run", quiet))
    assert [int(row["steps"]) for row in curve] == [0, 128, 256], "the first check and two without a gain"
