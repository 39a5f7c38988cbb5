"""Learning curves: what the logs beside the weights hold, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gridnet.app.bench.drawing import draw
from gridnet.app.bench.learning_plot import Learning, learning_plot, read_learning
from gridnet.resources import trained_dir
from gridnet_policies.rl.policy import shipped, shipped_folders
from gridnet_policies.rl.run_folder import write_curve, write_teaching

CURVE = [
    {"steps": 0, "validation_eur": 10.0, "best_eur": 10.0},
    {"steps": 64, "validation_eur": 12.0, "best_eur": 12.0, "loss": 0.5},
    {"steps": 128, "validation_eur": 12.0, "best_eur": 12.0, "loss": 0.4},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    write_curve(tmp_path, CURVE)
    return tmp_path


def read(folder: Path, name: str = "seed0") -> Learning:
    found = read_learning(folder, name)
    assert found is not None
    return found


def test_a_log_is_read_as_it_was_written(run: Path) -> None:
    write_teaching(run, [{"batch": 1, "squared_error": 0.5}, {"batch": 60, "squared_error": 0.01}])
    found = read(run)
    assert (found.steps.tolist(), found.saving_eur.tolist()) == ([0.0, 64.0, 128.0], [10.0, 12.0, 12.0])
    assert (found.batches.tolist(), found.error.tolist()) == ([1.0, 60.0], [0.5, 0.01])
    assert found.kept == 1, "the first of the best, as the run decides"


def test_a_folder_without_a_log_gives_no_curve(tmp_path: Path) -> None:
    assert read_learning(tmp_path, "seed0") is None


def test_the_teaching_is_drawn_only_where_it_was_logged(run: Path) -> None:
    assert len(learning_plot([read(run)]).figure.axes) == 1
    write_teaching(run, [{"batch": 1, "squared_error": 0.5}, {"batch": 60, "squared_error": 0.01}])
    teaching, saving = learning_plot([read(run)]).figure.axes
    assert np.asarray(teaching.lines[0].get_ydata()).tolist() == [0.5, 0.01]
    assert np.asarray(saving.lines[0].get_ydata()).tolist() == [10.0, 12.0, 12.0]


def test_the_kept_policy_is_marked_and_told(run: Path) -> None:
    plot = learning_plot([read(run)])
    [dot] = [line for line in plot.figure.axes[-1].lines if line.get_marker() == "o"]
    assert (np.asarray(dot.get_xdata())[0], np.asarray(dot.get_ydata())[0]) == (64.0, 12.0)
    assert plot.title == "Kept: 12 EUR saved on the validation weeks, 2.00 EUR of it after the teaching"
    assert "12.00 EUR at 64 steps, where it was kept" in plot.alt


def test_many_runs_go_without_a_legend(run: Path) -> None:
    for count, legends in ((12, 1), (13, 0)):
        assert len(learning_plot([read(run, f"seed{k}") for k in range(count)]).figure.legends) == legends


def test_the_shipped_folders_are_those_of_the_shipped_policy_and_hold_a_log_each() -> None:
    folders = shipped_folders()
    assert [policy.name for policy in shipped(len(folders))] == ["rl"] * len(folders)
    assert [folder.name for folder in folders] == [f"seed{k}" for k in range(5)]
    assert all(len(read(folder).steps) > 1 for folder in folders)


def test_the_shipped_card_shows_the_curves_of_the_shipped_logs() -> None:
    card = trained_dir() / "belief_ppo"
    [fresh] = draw([lambda: learning_plot([read(folder, folder.name) for folder in shipped_folders()])])
    assert f"![{fresh.plot.alt}](learning.svg)" in (card / "README.md").read_text(encoding="utf-8")
    assert (card / "learning.svg").read_bytes() == fresh.svg
