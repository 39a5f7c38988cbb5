"""`gridnet train`: what it writes, what it says on the way, what it refuses before the first step."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest

from gridnet.app import training
from gridnet.app.cli import main
from gridnet.app.training_bar import TrainingBar
from gridnet_policies.rl.algorithms import STARTING_POINTS
from gridnet_policies.rl.engines.task import Task
from gridnet_policies.rl.policy import Learned
from gridnet_policies.rl.pulse import Pulse
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import write_curve


class SmallRecipe(Recipe):
    """A run of seconds."""

    batch: int = 32
    n_steps: int = 32
    minibatch: int = 64
    epochs: int = 1
    pretrain_batches: int = 20
    pretrain_lessons: int = 2000
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
    assert sorted(path.name for path in out.iterdir()) == [
        "README.md", "card.json", "curve.csv", "learning.svg", "run.json", "teaching.csv", "tensorboard", "weights.npz",
    ]  # fmt: skip
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
    assert re.search(r"2048 of 2048 steps, +\d+ s, +\d+ steps/s, +0 s left, validation saving", captured.err)
    assert "\x1b" not in captured.err, "no bar where there is no terminal"
    told = (out / "README.md").read_text(encoding="utf-8")
    [row] = [line for line in told.splitlines() if line.startswith("| seed3 | 3 | ")]
    assert "`steps=2048`" in row
    assert f"| {card['validation_eur']:.2f} | `{card['sha256'][:16]}` |" in row
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
        (["tiny", "--seeds", "0"], "--seeds: got 0, expected at least 1"),
        (["tiny", "--algo", "dqn"], "--algo: got 'dqn', expected 'ppo', 'a2c' or 'td3'"),
        (["tiny", "--engine", "dask"], "--engine: got 'dask', expected local or ray"),
        (["tiny", "--address", "auto"], "--address: got 'auto', expected --engine ray"),
        (["tiny", "--sweep", "gama=0.9"], "--sweep: got 'gama=0.9', expected KEY=VALUE,VALUE"),
        (["tiny", "--sweep", "seed=1,2"], "a knob that isn't given by --seeds"),
        (["tiny", "--sweep", "batch=0"], "--batch: got 0"),
    ],
    ids=["scenario", "no steps", "negative steps", "seed", "seeds", "algo", "engine", "address", "knob", "not swept", "value"],
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


def test_a_sweep_makes_a_run_for_each_combination_and_seed(tmp_path: Path) -> None:
    swept = ("gamma=0.9,0.97", "hidden=[8],[8,4]", "algo=ppo,td3")
    tasks = training.plan(training.Order(["tiny"], str(tmp_path / "out"), seed=3, seeds=2, sweep=swept))
    assert len(tasks) == len({task.name for task in tasks}) == 16
    assert tasks[1].name == "gamma=0.9,hidden=8,algo=ppo/seed4"
    assert (tasks[-1].recipe.gamma, tasks[-1].recipe.hidden, tasks[-1].recipe.seed) == (0.97, (8, 4), 4)
    assert tasks[-1].out == tmp_path / "out" / tasks[-1].name
    by_algo = {task.recipe.algo: task.recipe for task in tasks}
    assert by_algo["td3"].n_steps == STARTING_POINTS["td3"]["n_steps"] != by_algo["ppo"].n_steps


@pytest.mark.long
@pytest.mark.usefixtures("small")
def test_several_seeds_train_beside_each_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "tiny", "--steps", "1", "--seeds", "2", "--out", str(tmp_path / "runs")]) == 0
    assert (tmp_path / "runs" / "seed1" / "card.json").is_file()
    table = (tmp_path / "runs" / "runs.csv").read_text(encoding="utf-8").splitlines()
    assert [line.split(",")[0] for line in table] == ["run", "seed0", "seed1"]
    assert "seed1:" in capsys.readouterr().err
    card = (tmp_path / "runs" / "README.md").read_text(encoding="utf-8")
    assert [f"| seed{seed} | {seed} |" in card for seed in (0, 1)] == [True, True]
    assert (tmp_path / "runs" / "learning.svg").is_file()


def test_several_runs_move_one_bar_and_one_that_ended_early_counts_in_full(tmp_path: Path) -> None:
    recipe = Recipe(scenarios=("tiny",), steps=1000)
    tasks = [Task(f"seed{k}", recipe, tmp_path / f"seed{k}") for k in range(3)]
    felt: list[Pulse] = []

    class Bar(TrainingBar):
        def feel(self, pulse: Pulse) -> None:
            felt.append(pulse)

    together = training._Together(tasks, lambda line: None, Bar())
    for task in tasks[:2]:
        task.out.mkdir()
        write_curve(task.out, [{"steps": 400, "validation_eur": 1.0, "best_eur": 1.0}])
    together.look()
    (tasks[0].out / "card.json").write_text("{}", encoding="utf-8")
    together.look()
    assert felt == [Pulse("3 runs", 800, 3000), Pulse("3 runs", 1400, 3000)]


@pytest.mark.usefixtures("small")
def test_an_interrupted_run_goes_on_with_resume(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "tiny", "--steps", "1", "--out", str(tmp_path / "run")]

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(training, "_line", interrupted)
        assert main(command) == 130
    assert "--resume" in capsys.readouterr().err
    assert main(command) == 2
    assert main([*command, "--resume"]) == 0
    assert (tmp_path / "run" / "card.json").is_file()
