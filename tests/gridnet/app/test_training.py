"""`gridnet train`: what it writes, what it says on the way, what it refuses before the first step."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from gridnet.app import training
from gridnet.app.cli import main
from gridnet_policies.rl.policy import Learned
from gridnet_policies.rl.recipe import Recipe


class SmallRecipe(Recipe):
    """A run of seconds."""

    batch: int = 32
    n_steps: int = 32
    minibatch: int = 64
    epochs: int = 1
    pretrain_batches: int = 20
    hidden: tuple[int, ...] = (8,)
    warm_up: int = 1
    validate_every: int = 4
    variations: int = 1


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(training, "Recipe", SmallRecipe)


@pytest.fixture
def untrained(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any start of a run is an error."""

    def refused(*arguments: object) -> None:
        raise AssertionError("training began before the arguments were checked")

    monkeypatch.setattr(training, "train", refused)


@pytest.mark.usefixtures("small")
def test_a_run_writes_weights_card_and_curve_and_tells_its_progress(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "runs" / "first"
    assert main(["train", "tiny", "--steps", "2048", "--seed", "3", "--out", str(out)]) == 0
    captured = capsys.readouterr()
    assert sorted(path.name for path in out.iterdir()) == ["card.json", "curve.csv", "weights.npz"]
    card = json.loads((out / "card.json").read_text(encoding="utf-8"))
    recipe = Recipe.model_validate(card["recipe"])
    assert (recipe.scenarios, recipe.steps, recipe.seed) == (("tiny",), 2048, 3)
    with (out / "curve.csv").open(encoding="utf-8") as stream:
        curve = list(csv.DictReader(stream))
    best = [float(row["best_eur"]) for row in curve]
    assert best == sorted(best)
    assert best[-1] == max(float(row["validation_eur"]) for row in curve) == card["validation_eur"]
    assert int(curve[-1]["steps"]) >= 2048
    assert captured.out == ""
    assert "of 2048 steps" in captured.err
    assert str(out) in captured.err.splitlines()[-1]
    assert Learned(out).name == "rl"


@pytest.mark.usefixtures("untrained")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["tiny", "rurall"], "no scenario named 'rurall'; did you mean rural"),
        (["tiny", "--steps", "0"], "--steps: got 0, expected greater than or equal to 1"),
        (["tiny", "--steps", "-5"], "--steps: got -5"),
        (["tiny", "--seed", "-1"], "seed: got -1"),
    ],
    ids=["scenario", "no steps", "negative steps", "seed"],
)
def test_what_makes_no_run_is_refused_before_it_begins(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert main(["train", *arguments, "--out", str(out)]) == 2
    assert words in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.usefixtures("untrained")
def test_a_folder_that_holds_anything_is_not_overwritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "weights.npz").write_text("precious", encoding="utf-8")
    assert main(["train", "tiny", "--out", str(tmp_path)]) == 2
    assert "an empty or a new folder" in capsys.readouterr().err
    assert (tmp_path / "weights.npz").read_text(encoding="utf-8") == "precious"


@pytest.mark.usefixtures("small")
def test_an_empty_folder_is_as_good_as_none(tmp_path: Path) -> None:
    assert main(["train", "tiny", "--steps", "1", "--out", str(tmp_path)]) == 0
    assert (tmp_path / "card.json").is_file()


@pytest.mark.usefixtures("untrained")
def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    out = tmp_path / "run"
    out.write_text("a file", encoding="utf-8")
    assert main(["train", "tiny", "--out", str(out)]) == 2


@pytest.mark.usefixtures("untrained")
def test_a_folder_that_cannot_be_made_is_refused_before_training(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file", encoding="utf-8")
    assert main(["train", "tiny", "--out", str(tmp_path / "file" / "run")]) == 2


@pytest.mark.usefixtures("untrained")
def test_all_faults_of_the_arguments_are_listed_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "rurall", "urbann", "--steps", "0", "--seed", "-1", "--out", str(tmp_path / "run")]) == 2
    message = capsys.readouterr().err
    for words in ("rurall", "urbann", "steps", "seed"):
        assert words in message
