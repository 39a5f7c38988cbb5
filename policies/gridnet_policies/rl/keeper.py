"""The keeper of a run: validates as it goes, keeps the best policy, the curve and a checkpoint, and ends a run that has
stopped gaining."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure

from gridnet.case import Case
from gridnet_envs.options import Options
from gridnet_envs.slots import Slot
from gridnet_policies.rl.actor import Actor
from gridnet_policies.rl.algorithms import Learner, actor_of
from gridnet_policies.rl.checkpoint import load_checkpoint, save_checkpoint
from gridnet_policies.rl.pulse import TEACHING, TRAINING, Feel, Pulse
from gridnet_policies.rl.recipe import Recipe
from gridnet_policies.rl.run_folder import TENSORBOARD, end, write_curve, write_teaching
from gridnet_policies.rl.validation import Validation


@dataclass(frozen=True)
class Progress:
    """Where a training run stands."""

    steps: int
    total: int
    seconds: float
    validation_eur: float
    """Saving against idle batteries over the validation weeks, all feeders together, of the policy as it is now."""
    best_eur: float


def steps_per_s(progress: Progress) -> float:
    """The run's pace so far, validations included."""
    return progress.steps / max(1e-9, progress.seconds)


def seconds_left(progress: Progress) -> float:
    """How long the run will still take at its pace so far, should nothing end it early."""
    return max(0.0, progress.seconds * (progress.total - progress.steps) / max(1, progress.steps))


class Keeper(BaseCallback):
    """Checks the policy every few updates, on the validation weeks of `cases`.

    A check writes a checkpoint first, so a kill costs at most the updates between two checks. What a resumed run then does
    is what an uninterrupted one does: the check itself again, and on.
    """

    def __init__(self, recipe: Recipe, cases: Sequence[Case], out: Path, report: Callable[[Progress], None], feel: Feel) -> None:
        super().__init__()
        self._recipe, self._out, self._report, self._feel = recipe, out, report, feel
        self._taught: list[dict[str, Any]] = []
        self._weeks = [Validation(case, Options(action="value", shield=True)) for case in cases]
        self._updates, self._seconds, self._began = 0, 0.0, time.monotonic()
        self._rows: list[dict[str, Any]] = []
        self._best_actor: Actor | None = None
        self._ended = False
        self._losses: dict[str, float] = {}

    def resume(self, learner: Learner) -> bool:
        """Brings the run to where its checkpoint was written; False where there is none."""
        facts = load_checkpoint(self._out, learner)
        if facts is None:
            return False
        self._updates, self._seconds, self._rows, self._losses = (facts[key] for key in ("updates", "seconds", "rows", "losses"))
        if facts["best"] is not None:
            weights, biases = ([tensor.numpy() for tensor in part] for part in facts["best"])
            self._best_actor = Actor(tuple(weights), tuple(biases))
        return True

    def note_teaching(self, batch: int, squared_error: float) -> None:
        """Takes in how well the regression does that comes before the algorithm."""
        self._taught.append({"batch": batch, "squared_error": float(f"{squared_error:.6g}")})
        self._feel(Pulse(TEACHING, batch, self._recipe.pretrain_batches))

    def end_teaching(self) -> None:
        """Writes what was noted of the teaching, where there was any."""
        if self._taught:
            write_teaching(self._out, self._taught)

    def finish(self, slots: tuple[Slot, ...]) -> None:
        """Validates once more, where the run came to its full length, and writes what is kept."""
        if not self._ended:
            self._note_losses()
            self._check()
        self.logger.close()
        assert self._best_actor is not None
        facts = {"recipe": self._recipe.model_dump(mode="json"), "validation_eur": self._best_eur}
        end(self._out, self._best_actor, slots, facts)

    @property
    def _best_eur(self) -> float:
        return float(self._rows[-1]["best_eur"]) if self._rows else -math.inf

    def _on_training_start(self) -> None:
        self._began = time.monotonic()
        self.model.set_logger(configure(str(self._out / TENSORBOARD), ["tensorboard"]))
        for row in self._taught:
            self.logger.record("teaching/squared_error", row["squared_error"])
            self.logger.dump(row["batch"])

    def _on_rollout_start(self) -> None:
        if self._updates % self._recipe.validate_every == 0:
            self._note_losses()
            self._save()
            self._check()
        self._updates += 1

    def _on_rollout_end(self) -> None:
        self._feel(Pulse(TRAINING, min(self.num_timesteps, self._recipe.steps), self._recipe.steps))

    def _on_step(self) -> bool:
        return not self._ended

    def _elapsed_s(self) -> float:
        """Seconds of training, those before a kill included."""
        return self._seconds + time.monotonic() - self._began

    def _save(self) -> None:
        best = self._best_actor
        stored = None if best is None else [[torch.from_numpy(part) for part in layers] for layers in (best.weights, best.biases)]
        facts = {"updates": self._updates, "seconds": self._elapsed_s(), "rows": self._rows, "best": stored, "losses": self._losses}
        save_checkpoint(self._out, self._learner, facts)

    def _note_losses(self) -> None:
        """What the learner logged of its last update; a run just resumed has those of its checkpoint."""
        logged = self.logger.name_to_value
        losses = {name.removeprefix("train/"): float(f"{logged[name]:.6g}") for name in logged if _is_loss(name)}
        self._losses = losses or self._losses

    def _check(self) -> None:
        actor = actor_of(self._learner)
        # Rounded before they are compared, so that the curve shows exactly what was decided on.
        score = round(float(sum(weeks.saving_eur(actor) for weeks in self._weeks)), 4)
        if score > self._best_eur:
            self._best_actor = actor
        row = {"steps": self.num_timesteps, "validation_eur": score, "best_eur": max(score, self._best_eur)}
        self._rows.append(row | self._losses)
        write_curve(self._out, self._rows)
        self._log()
        gain_at = max(range(len(self._rows)), key=lambda k: (self._rows[k]["validation_eur"], -k))
        self._ended = len(self._rows) - 1 - gain_at >= self._recipe.patience
        self._report(Progress(self.num_timesteps, self._recipe.steps, self._elapsed_s(), score, self._best_eur))

    def _log(self) -> None:
        row = self._rows[-1]
        self.logger.record("validation/saving_eur", row["validation_eur"])
        self.logger.record("validation/best_eur", row["best_eur"])
        self.logger.record("time/steps_per_s", self.num_timesteps / max(1e-9, self._elapsed_s()))
        self.logger.dump(self.num_timesteps)

    @property
    def _learner(self) -> Learner:
        assert isinstance(self.model, Learner)
        return self.model


def _is_loss(name: str) -> bool:
    return name.startswith("train/") and name not in {"train/n_updates", "train/clip_range"}
