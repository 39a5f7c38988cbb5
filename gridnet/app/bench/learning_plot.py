"""Learning curves of trained policies, from the logs that lie beside their weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gridnet.app.bench.plots import BATTERY, INK, LIMIT, LOAD, MUTED, POLICY, PV, RULE, Plot, number
from gridnet_policies.rl.run_folder import read_curve, read_teaching

Floats = NDArray[np.float64]

_COLOURS = (POLICY, BATTERY, RULE, PV, LOAD, LIMIT, INK, MUTED)
_NAMED = 12
"""Runs that a legend can name."""


@dataclass(frozen=True)
class Learning:
    """What one run's logs hold."""

    name: str
    steps: Floats
    """(validations,) environment steps; 0 is the taught policy, before any of the algorithm's."""
    saving_eur: Floats
    """(validations,) saving on the validation weeks, all feeders together."""
    batches: Floats
    """(notes,) batches of the regression on perfect-foresight values; empty where that was not logged."""
    error: Floats
    """(notes,) its squared error."""

    @property
    def kept(self) -> int:
        """The validation whose policy was kept: the first of the best."""
        return int(np.argmax(self.saving_eur))


def read_learning(folder: Path, name: str) -> Learning | None:
    """What was logged of the run in `folder`; None where no validation was."""
    curve, teaching = read_curve(folder), read_teaching(folder)
    if not curve:
        return None
    return Learning(
        name,
        np.array([float(row["steps"]) for row in curve]),
        np.array([float(row["validation_eur"]) for row in curve]),
        np.array([float(row["batch"]) for row in teaching]),
        np.array([float(row["squared_error"]) for row in teaching]),
    )


def learning_plot(runs: Sequence[Learning]) -> Plot:
    """A line for each run: the regression's error where it was logged, and the saving on the validation weeks, with a dot at
    the policy that was kept."""
    taught = [run for run in runs if len(run.batches)]
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    row = figure.subplots(1, 2 if taught else 1, squeeze=False)[0]
    colours = {run.name: _COLOURS[place % len(_COLOURS)] for place, run in enumerate(runs)}
    for run in taught:
        row[0].plot(run.batches, run.error, color=colours[run.name], linewidth=1.2)
    if taught:
        row[0].set_yscale("log")
        row[0].set_title("Teaching: squared error of the regression")
        row[0].set_xlabel("batches")
    _savings(row[-1], runs, colours)
    if len(runs) <= _NAMED:
        figure.legend(loc="outside lower center", ncols=min(len(runs), 6))
    gains = [run.saving_eur[run.kept] - run.saving_eur[0] for run in runs]
    best = [run.saving_eur[run.kept] for run in runs]
    span = number(best[0]) if len(runs) == 1 else f"{number(min(best))} to {number(max(best))}"
    most = number(max(gains), 2)
    added = f"{most} EUR" if len(runs) == 1 else f"{most} EUR at most"
    title = f"Kept: {span} EUR saved on the validation weeks, {added} of it after the teaching"
    figure.suptitle(title)
    told = "; ".join(
        f"{run.name}: from {number(run.saving_eur[0], 2)} EUR after the teaching to {number(run.saving_eur[run.kept], 2)} EUR at "
        f"{number(run.steps[run.kept])} steps, where it was kept, {number(run.saving_eur[-1], 2)} EUR at the end"
        for run in runs
    )
    return Plot("learning", figure, title, f"Learning curves, a line per training run. {told}.")


def _savings(axes: Axes, runs: Sequence[Learning], colours: dict[str, str]) -> None:
    for run in runs:
        colour, kept = colours[run.name], run.kept
        axes.plot(run.steps, run.saving_eur, color=colour, linewidth=1.4, label=run.name)
        axes.plot(run.steps[kept], run.saving_eur[kept], marker="o", markersize=7, color=colour)
    axes.set_title("After the teaching: saving on the validation weeks (EUR)")
    axes.set_xlabel("environment steps; dot: the policy that was kept")
    axes.ticklabel_format(useOffset=False, axis="y")
    axes.xaxis.set_major_formatter(lambda value, _: number(value))
    axes.margins(y=0.12)
