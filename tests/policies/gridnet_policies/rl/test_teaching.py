"""What is logged on the way: the teaching's error, the pulse, the same in TensorBoard's files, and none of it in the weights."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from gridnet_policies.rl.keeper import Progress, steps_per_s
from gridnet_policies.rl.pulse import TEACHING, TRAINING, Pulse
from gridnet_policies.rl.run_folder import read_teaching
from gridnet_policies.rl.train import train
from tests.policies.gridnet_policies.rl.small import QUICK, quiet

TAUGHT = QUICK.model_copy(update={"pretrain_batches": 250, "pretrain_lessons": 5_000})


@pytest.fixture(scope="module")
def felt() -> list[Pulse]:
    return []


@pytest.fixture(scope="module")
def run(felt: list[Pulse], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(TAUGHT, tmp_path_factory.mktemp("taught") / "run", quiet, feel=felt.append)


def test_the_teaching_is_logged_about_a_hundred_times_from_first_to_last(run: Path) -> None:
    rows = read_teaching(run)
    batches = [int(row["batch"]) for row in rows]
    assert batches[:3] == [1, 2, 4]
    assert batches[-1] == 250
    assert batches == sorted(set(batches))
    errors = [float(row["squared_error"]) for row in rows]
    assert 0 < sum(errors[-10:]) < sum(errors[:10]), "it learns"


def test_no_teaching_leaves_no_log(tmp_path: Path) -> None:
    out = train(QUICK.model_copy(update={"pretrain_batches": 0, "steps": 1}), tmp_path / "run", quiet)
    assert read_teaching(out) == []
    assert not (out / "teaching.csv").exists()


def test_the_pulse_runs_through_both_stages_to_their_ends(run: Path, felt: list[Pulse]) -> None:
    assert run.is_dir()
    stages = [pulse.stage for pulse in felt]
    assert stages == sorted(stages), "teaching before training"
    for stage, total in ((TEACHING, 250), (TRAINING, TAUGHT.steps)):
        done = [pulse.done for pulse in felt if pulse.stage == stage]
        assert done == sorted(done)
        assert done[-1] == total
        assert {pulse.total for pulse in felt if pulse.stage == stage} == {total}
    rollouts = TAUGHT.steps / (TAUGHT.batch * TAUGHT.n_steps)
    assert stages.count(TRAINING) == rollouts, "more often than it is validated"


def test_tensorboard_shows_what_the_csv_files_hold(run: Path) -> None:
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    teaching = {event.step: event.value for event in events.Scalars("teaching/squared_error")}
    assert teaching == pytest.approx({int(row["batch"]): float(row["squared_error"]) for row in read_teaching(run)}, rel=1e-5)
    with (run / "curve.csv").open(encoding="utf-8") as stream:
        curve = {int(row["steps"]): float(row["validation_eur"]) for row in csv.DictReader(stream)}
    assert {event.step: event.value for event in events.Scalars("validation/saving_eur")} == pytest.approx(curve, rel=1e-5)
    assert {"time/steps_per_s", "train/value_loss"} <= set(events.Tags()["scalars"])


def test_neither_watching_nor_a_stop_changes_what_is_written(run: Path, tmp_path: Path) -> None:
    class Stopped(Exception):
        pass

    def stop(progress: Progress) -> None:
        raise Stopped

    with pytest.raises(Stopped):
        train(TAUGHT, tmp_path / "run", stop)
    train(TAUGHT, tmp_path / "run", quiet, resume=True)
    for name in ("weights.npz", "card.json", "curve.csv", "teaching.csv"):
        assert (tmp_path / "run" / name).read_bytes() == (run / name).read_bytes()


def test_the_pace_is_steps_over_seconds() -> None:
    assert steps_per_s(Progress(500, 1000, 10.0, 0.0, 0.0)) == pytest.approx(50.0)
    assert steps_per_s(Progress(0, 1000, 0.0, 0.0, 0.0)) == 0.0
