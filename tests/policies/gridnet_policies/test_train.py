"""Training: repeatable, on training weeks alone, the best checkpoint kept."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridnet.app.bench.evaluate import account, run_week
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK, split_of
from gridnet_envs.actions import BELIEFS
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.slots import SERIES_SLOTS, STATE_SLOTS, VALUE_SLOTS
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.rl import train as training
from gridnet_policies.rl.actor import Actor, load_actor
from gridnet_policies.rl.keeper import Progress, seconds_left
from gridnet_policies.rl.policy import Learned
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.train import train
from gridnet_policies.rl.validation import Validation

SMALL = Recipe(
    scenarios=("tiny",),
    steps=512,
    batch=16,
    n_steps=16,
    minibatch=64,
    epochs=1,
    pretrain_batches=30,
    pretrain_lessons=20_000,  # ten times what those batches draw, and some hundreds from every week
    hidden=(16,),
    warm_up=1,
    validate_every=2,
    variations=1,
)
SLOTS = SERIES_SLOTS + STATE_SLOTS + VALUE_SLOTS
AS_SHIPPED = Options(action="value", reactive=True, shield=True)


def _quiet(progress: Progress) -> None:
    """Tells nobody."""


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return train(SMALL, tmp_path_factory.mktemp("trained") / "run", _quiet)


def _curve(folder: Path) -> list[dict[str, str]]:
    with (folder / "curve.csv").open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def test_the_same_recipe_gives_the_same_files(folder: Path, tmp_path: Path) -> None:
    again = train(SMALL, tmp_path / "again", _quiet)
    assert load_actor(again, SLOTS, BELIEFS).digest() == load_actor(folder, SLOTS, BELIEFS).digest()
    for name in ("card.json", "curve.csv"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_another_seed_gives_other_weights(folder: Path, tmp_path: Path) -> None:
    other = train(SMALL.model_copy(update={"seed": 1}), tmp_path / "other", _quiet)
    assert load_actor(other, SLOTS, BELIEFS).digest() != load_actor(folder, SLOTS, BELIEFS).digest()


def test_the_card_holds_the_exact_recipe(folder: Path) -> None:
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert Recipe.model_validate(card["recipe"]) == SMALL


def test_what_is_kept_is_the_best_that_validation_saw(folder: Path, tiny: Case) -> None:
    curve = _curve(folder)
    best = max(float(row["validation_eur"]) for row in curve)
    assert float(curve[-1]["best_eur"]) == best
    kept = Validation(tiny, Options(action="value", shield=True)).saving_eur(load_actor(folder, SLOTS, BELIEFS))
    assert kept == pytest.approx(best, abs=1e-3)


def test_progress_is_told_and_time_left_shrinks(tmp_path: Path) -> None:
    told: list[Progress] = []
    train(SMALL.model_copy(update={"pretrain_batches": 1, "warm_up": 0}), tmp_path / "run", told.append)
    steps = [progress.steps for progress in told]
    assert steps == sorted(steps)
    assert steps[-1] >= SMALL.steps
    assert {progress.total for progress in told} == {SMALL.steps}
    assert [progress.best_eur for progress in told] == list(np.maximum.accumulate([each.validation_eur for each in told]))
    half = Progress(steps=500, total=1000, seconds=10.0, validation_eur=0.0, best_eur=0.0)
    assert seconds_left(half) == pytest.approx(10.0)
    assert seconds_left(replace(half, steps=1000)) == 0.0


def test_a_little_training_on_foresight_already_beats_doing_nothing(folder: Path) -> None:
    assert float(_curve(folder)[-1]["best_eur"]) > 0


class Spy:
    """Which weeks were visited, by what the environment was for."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.starts: list[tuple[str, int]] = []
        self.lessons: list[int] = []
        self.played: set[tuple[str, int]] = set()
        reset_at, step, look = Core.reset_at, Core.step, Core.look

        def spied_reset(core: Core, row: int, start: int, soc: float) -> None:
            self.starts.append((core.options.weeks, start // STEPS_PER_WEEK))
            reset_at(core, row, start, soc)

        def spied_step(core: Core, action: Any) -> Any:
            self.played.update((core.options.weeks, int(index) // STEPS_PER_WEEK) for index in core.step_index)
            return step(core, action)

        def spied_look(core: Core, steps: Any, soc: Any) -> Any:
            self.lessons.extend(int(index) // STEPS_PER_WEEK for index in steps)
            return look(core, steps, soc)

        monkeypatch.setattr(Core, "reset_at", spied_reset)
        monkeypatch.setattr(Core, "step", spied_step)
        monkeypatch.setattr(Core, "look", spied_look)


@pytest.fixture
def spy(monkeypatch: pytest.MonkeyPatch) -> Spy:
    return Spy(monkeypatch)


@pytest.mark.parametrize("days", [1, 7])
def test_training_never_visits_a_held_out_or_validation_week(days: int, spy: Spy, tmp_path: Path) -> None:
    recipe = SMALL.model_copy(update={"scenarios": ("rural1",), "days": days, "batch": 64, "pretrain_batches": 10})
    train(recipe, tmp_path / "run", _quiet)
    trained = {week for purpose, week in spy.starts if purpose == "training"}
    assert len(trained) > 10
    assert {split_of(week) for week in trained} == {"training"}
    assert {split_of(week) for purpose, week in spy.played if purpose == "training"} == {"training"}
    assert len(set(spy.lessons)) > 20
    assert {split_of(week) for week in spy.lessons} == {"training"}
    chosen = {split_of(week) for purpose, week in spy.played if purpose != "training"}
    assert chosen == {"validation"}, "checkpoints are chosen on validation weeks"


def test_validation_is_the_saving_that_the_benchmark_finds(folder: Path, tiny: Case) -> None:
    # Week 1 is the only validation week of five.
    cost = account(tiny, run_week(tiny, Learned(folder), 1)).cost_eur
    idle = account(tiny, run_week(tiny, NoBattery(), 1)).cost_eur
    saving = Validation(tiny, AS_SHIPPED).saving_eur(load_actor(folder, SLOTS, BELIEFS))
    assert saving == pytest.approx(idle - cost, abs=1e-6)


def test_an_actor_that_always_believes_in_the_sun_saves_less_than_one_that_was_taught(folder: Path, tiny: Case) -> None:
    width = sum(slot.width for slot in SLOTS)
    hopeful = Actor((np.zeros((BELIEFS, width), np.float32),), (np.full(BELIEFS, 1.0, np.float32),))
    weeks = Validation(tiny, AS_SHIPPED)
    assert weeks.saving_eur(hopeful) < weeks.saving_eur(load_actor(folder, SLOTS, BELIEFS))


def _with_another_thursday(case: Case) -> Case:
    """The case with other prices in the middle of the held-out week: no forecast or day-ahead price reaches that far."""
    price = case.series.price_eur_per_mwh.copy()
    thursday = 4 * STEPS_PER_WEEK + 3 * 96
    price[thursday : thursday + 192] += 40.0
    return replace(case, series=replace(case.series, price_eur_per_mwh=price))


@pytest.mark.parametrize("variations", [0, 1])
def test_what_happens_in_a_held_out_week_does_not_reach_the_weights(
    variations: int, tiny: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = SMALL.model_copy(update={"variations": variations})
    one = train(recipe, tmp_path / "one", _quiet)
    monkeypatch.setattr(training, "load_case", lambda name: _with_another_thursday(tiny))
    other = train(recipe, tmp_path / "other", _quiet)
    assert load_actor(other, SLOTS, BELIEFS).digest() == load_actor(one, SLOTS, BELIEFS).digest()


def test_what_happens_in_a_training_week_does_reach_the_weights(
    folder: Path, tiny: Case, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    price = tiny.series.price_eur_per_mwh.copy()
    price[3 * STEPS_PER_WEEK + 3 * 96 :][:192] += 40.0
    changed = replace(tiny, series=replace(tiny.series, price_eur_per_mwh=price))
    monkeypatch.setattr(training, "load_case", lambda name: changed)
    assert (
        load_actor(train(SMALL, tmp_path / "other", _quiet), SLOTS, BELIEFS).digest() != load_actor(folder, SLOTS, BELIEFS).digest()
    )
