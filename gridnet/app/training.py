"""`gridnet train`: a training run with progress on the way."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from pydantic import ValidationError

from gridnet.app.outputs import folder_faults
from gridnet.errors import Fault, InputError
from gridnet.scenario import load_scenario
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.train import Progress, seconds_left, train


def run_training(scenarios: Sequence[str], steps: int | None, seed: int, out: str, say: Callable[[str], None]) -> None:
    """Trains by the default recipe, changed where the arguments say so, into the folder `out`.

    Raises `InputError` with every fault of the arguments before anything is trained.
    """
    recipe = _recipe(scenarios, steps, seed, out)

    def report(progress: Progress) -> None:
        say(
            f"{progress.steps:>9} of {recipe.steps} steps, {progress.seconds:5.0f} s, {seconds_left(progress):5.0f} s left, "
            f"validation saving {progress.validation_eur:9.2f} EUR, best {progress.best_eur:9.2f} EUR"
        )

    say(f"training on {', '.join(scenarios)}, seed {seed}; the regression on perfect-foresight values comes first")
    train(recipe, Path(out), report)
    say(f"kept the best checkpoint in {out}")


def _recipe(scenarios: Sequence[str], steps: int | None, seed: int, out: str) -> Recipe:
    faults = folder_faults("--out", out)
    if not faults and Path(out).is_dir() and any(Path(out).iterdir()):
        faults.append(Fault("--out", repr(out), "an empty or a new folder, so that no run overwrites one"))
    for name in scenarios:
        try:
            load_scenario(name)
        except InputError as error:
            faults.extend(error.faults or [Fault("SCENARIO", repr(name), str(error))])
    changes: dict[str, object] = {"scenarios": tuple(scenarios), "seed": seed}
    if steps is not None:
        changes["steps"] = steps
    recipe = Recipe()
    try:
        recipe = Recipe.model_validate(changes)
    except ValidationError as error:
        faults += [
            Fault(f"--{item['loc'][0]}", repr(item["input"]), item["msg"].removeprefix("Input should be "))
            for item in error.errors()
        ]
    if faults:
        raise InputError("the training run can't be set up:", faults)
    return recipe
