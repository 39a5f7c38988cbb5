"""The model card: what a policy was made of, what it achieved, how it learned."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gridnet.app.model_card import write_model_card
from gridnet.errors import InputError
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import write_curve, write_teaching


def run(folder: Path, seed: int, gained_eur: float, **knobs: object) -> Path:
    """A finished run, as far as a card looks at it."""
    folder.mkdir(parents=True)
    recipe = Recipe.model_validate({"scenarios": ("tiny",), "seed": seed, **knobs}).model_dump(mode="json")
    card = {"recipe": recipe, "sha256": f"{seed:064x}", "validation_eur": 10.0 + gained_eur}
    (folder / "card.json").write_text(json.dumps(card), encoding="utf-8")
    made_with = [{"git": {"commit": "0" * 40, "dirty": True}, "versions": {"python": "3.11.2", "torch": None}}]
    (folder / "run.json").write_text(json.dumps({"recipe": recipe, "made_with": made_with}), encoding="utf-8")
    savings = (10.0, 10.0 + gained_eur)
    write_curve(folder, [{"steps": 64 * k, "validation_eur": each, "best_eur": each} for k, each in enumerate(savings)])
    write_teaching(folder, [{"batch": 1, "squared_error": 0.5}, {"batch": 9, "squared_error": 0.1}])
    return folder


def test_a_card_tells_recipe_score_and_origin_and_links_its_curve(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", 3, 2.5, gamma=0.9)
    text = write_model_card(folder, {"seed3": folder}).read_text(encoding="utf-8")
    assert text.startswith("# Trained on `tiny` by ppo\n")
    assert "| seed3 | 3 | `gamma=0.9` | 12.50 | `0000000000000000` |" in text
    assert "commit 000000000000, changed since; python 3.11.2, torch from source." in text
    assert "12.50 EUR at 64 steps, where it was kept" in text
    assert "](learning.svg)\n" in text
    drawn = (folder / "learning.svg").read_text(encoding="utf-8")
    assert "squared error of the regression" in drawn
    assert "2.50 EUR of it after the teaching" in drawn


def test_a_card_of_several_runs_has_a_row_each(tmp_path: Path) -> None:
    folders = {f"seed{seed}": run(tmp_path / f"seed{seed}", seed, seed + 0.5) for seed in (0, 1)}
    text = write_model_card(tmp_path, folders).read_text(encoding="utf-8")
    assert "| seed0 | 0 | none | 10.50 |" in text
    assert "| seed1 | 1 | none | 11.50 |" in text
    assert "seed1</text>" in (tmp_path / "learning.svg").read_text(encoding="utf-8")


def test_the_same_runs_give_the_same_bytes(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", 0, 1.0)
    written = [write_model_card(folder, {"seed0": folder}).read_bytes() + (folder / "learning.svg").read_bytes() for _ in range(2)]
    assert written[0] == written[1]


def test_a_card_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    folder = run(tmp_path / "run", 0, 1.0)
    (tmp_path / "gone").mkdir()
    shutil.rmtree(tmp_path / "gone")
    with pytest.raises(InputError, match="can't write"):
        write_model_card(tmp_path / "gone", {"seed0": folder})
