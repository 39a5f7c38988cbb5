"""The model card of trained policies: what they were made of, what they achieved, and how they learned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gridnet.app.bench.drawing import draw
from gridnet.app.bench.learning_plot import learning_plot, read_learning
from gridnet.app.outputs import write_bytes
from gridnet_policies.rl.actor import CARD
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import RUN

MODEL_CARD = "README.md"

_APART = {"scenarios", "seed", "algo"}
"""Knobs that the card tells in words of their own."""


def write_model_card(folder: Path, runs: Mapping[str, Path]) -> Path:
    """Writes the card and its learning curves, `learning.svg`, into `folder`; gives the card's path. `runs` are the folders of
    finished runs by name. The same runs give the same bytes. Raises `InputError` where it can't be written."""
    found = [read_learning(run, name) for name, run in runs.items()]
    [drawing] = draw([lambda: learning_plot([one for one in found if one is not None])])
    image = f"{drawing.plot.name}.svg"
    write_bytes(drawing.svg, str(folder / image))
    cards = {name: json.loads((run / CARD).read_text(encoding="utf-8")) for name, run in runs.items()}
    made_with = json.loads((next(iter(runs.values())) / RUN).read_text(encoding="utf-8"))["made_with"][-1]
    text = _text(cards, made_with, f"![{drawing.plot.alt}]({image})")
    write_bytes(text.encode(), str(folder / MODEL_CARD))
    return folder / MODEL_CARD


def _text(cards: Mapping[str, dict[str, Any]], made_with: dict[str, Any], figure: str) -> str:
    recipe = next(iter(cards.values()))["recipe"]
    scenarios = ", ".join(f"`{name}`" for name in recipe["scenarios"])
    algorithms = ", ".join(sorted({card["recipe"]["algo"] for card in cards.values()}))
    rows = [_row(name, card) for name, card in cards.items()]
    state = made_with["git"]
    commit = "no commit known" if state is None else f"commit {state['commit'][:12]}{', changed since' if state['dirty'] else ''}"
    versions = ", ".join(f"{name} {version or 'from source'}" for name, version in made_with["versions"].items())
    return "\n".join(
        [
            f"# Trained on {scenarios} by {algorithms}",
            "",
            "A perceptron that names, each quarter-hour, what stored energy is worth to a feeder. Taught by regression on",
            "perfect-foresight values, then trained, on training weeks only; kept is what saved most on the validation weeks. The",
            "held-out weeks were not looked at, and what it saves in them is not known from this card.",
            "",
            "| run | seed | knobs other than the recipe's defaults | validation saving, EUR | weights, SHA-256 |",
            "|---|---|---|---|---|",
            *rows,
            "",
            "## How it learned",
            "",
            figure,
            "",
            "## Made with",
            "",
            f"{commit}; {versions}. `run.json` and `card.json` of each run hold the whole recipe, every start and the full hash.",
            "",
        ]
    )


def _row(name: str, card: dict[str, Any]) -> str:
    recipe = card["recipe"]
    cells = (name, recipe["seed"], _changed(recipe), f"{card['validation_eur']:.2f}", f"`{card['sha256'][:16]}`")
    return f"| {' | '.join(map(str, cells))} |"


def _changed(recipe: dict[str, Any]) -> str:
    """The knobs that were turned, but those that the card tells elsewhere."""
    usual = Recipe().model_dump(mode="json")
    turned = [f"`{key}={value}`" for key, value in recipe.items() if key not in _APART and value != usual[key]]
    return ", ".join(turned) or "none"
