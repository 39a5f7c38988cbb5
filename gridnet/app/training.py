"""`gridnet train`: a training run with progress on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from gridnet.errors import Fault, InputError
from gridnet.scenario import load_scenario
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.train import Progress, seconds_left, train


def run_training(scenarios: Sequence[str], steps: int | None, seed: int, out: Path, say: Callable[[str], None]) -> None:
    """Trains by the default recipe, changed where the arguments say so, into the folder `out`."""
    for name in scenarios:
        load_scenario(name)
    if out.exists() and any(out.iterdir()):
        raise InputError(f"{out} is not empty; name another folder with --out, so that no run overwrites one")
    changes: dict[str, object] = {"scenarios": tuple(scenarios), "seed": seed}
    if steps is not None:
        changes["steps"] = steps
    try:
        recipe = Recipe.model_validate(changes)
    except ValidationError as error:
        faults = [Fault(str(item["loc"][0]), repr(item["input"]), item["msg"]) for item in error.errors()]
        raise InputError("the training run can't be set up:", faults) from error

    def report(progress: Progress) -> None:
        say(
            f"{progress.steps:>9} of {recipe.steps} steps, {progress.seconds:5.0f} s, {seconds_left(progress):5.0f} s left, "
            f"validation saving {progress.validation_eur:9.2f} EUR, best {progress.best_eur:9.2f} EUR"
        )

    say(f"training on {', '.join(scenarios)}, seed {seed}; the regression on perfect-foresight values comes first")
    train(recipe, out, report)
    say(f"kept the best checkpoint in {out}")
