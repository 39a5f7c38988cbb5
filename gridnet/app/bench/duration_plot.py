"""The benchmark report's duration curves: for how much of the time is a voltage or a loading at least so high?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gridnet.app.bench.evaluate import WeekRun
from gridnet.app.bench.plots import LIMIT, Plot, Runs, number, strokes
from gridnet.case import Case
from gridnet.limits import PERCENT_TOLERANCE, VM_TOLERANCE_PU, make_limits

Floats = NDArray[np.float64]

POINTS = 401
"""Points of a curve, both ends among them: enough for a step in two weeks to show."""


@dataclass(frozen=True)
class _Quantity:
    """What one panel is about."""

    name: str
    unit: str
    """pu or %"""
    of: Callable[[WeekRun], Floats]
    """The quantity in each step, (steps,)."""
    limit: float
    falling: bool = True
    """Whether the highest value is the worst, which stands at the left; else the lowest."""

    def show(self, value: float) -> str:
        """The value, with the digits that its unit asks for."""
        return number(value, 3 if self.unit == "pu" else 1)

    def beyond(self, values: Floats) -> float:
        """Share of `values` in percent beyond the limit, by more than what counts as kept."""
        tolerance = VM_TOLERANCE_PU if self.unit == "pu" else PERCENT_TOLERANCE
        return float(100 * ((values - self.limit) * (1 if self.falling else -1) > tolerance).mean())


def duration_curve(values: Floats, falling: bool) -> tuple[Floats, Floats]:
    """Share of the time in percent, (POINTS,), and the value that is reached or passed for so long: from the highest value
    down, or from the lowest up. `values` is (steps,)."""
    share = np.linspace(0.0, 1.0, POINTS)
    return 100 * share, np.asarray(np.quantile(values, 1.0 - share if falling else share))


def duration_plot(case: Case, runs: Runs) -> Plot:
    """Curves of every policy over all weeks: highest and lowest bus voltage, highest loading of lines and of transformers."""
    quantities = _quantities(case, runs)
    rows = -(-len(quantities) // 2)
    figure = Figure(figsize=(10, 0.9 + 2.6 * rows), layout="constrained")
    panels = list(figure.subplots(rows, 2, squeeze=False).flat)
    for axes, quantity in zip(panels, quantities, strict=False):
        _panel(axes, quantity, runs)
    for axes in panels[len(quantities) :]:
        axes.set_axis_off()
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=len(labels))
    title = "For how much of the time voltage and loading come how near to their limits"
    figure.suptitle(title)
    told = "; ".join(f"{name}: {', '.join(_reach(quantity, one) for quantity in quantities)}" for name, one in runs.items())
    return Plot("durations", figure, title, f"Duration curves over all weeks, a line per policy. {told}.")


def _quantities(case: Case, runs: Runs) -> list[_Quantity]:
    """Those that the network has: a kind of branch without any rating is left out."""
    limits, lines = make_limits(case.scenario, case.feeder), len(case.feeder.line_name)
    bound, inside = case.scenario.limits, np.isfinite(limits.vm_max_pu)
    found = [
        _Quantity("highest bus voltage", "pu", lambda run: run.vm_pu[:, inside].max(axis=1), bound.vm_max_pu),
        _Quantity("lowest bus voltage", "pu", lambda run: run.vm_pu[:, inside].min(axis=1), bound.vm_min_pu, falling=False),
    ]
    for kind, part, limit in (
        ("line", slice(0, lines), bound.line_percent),
        ("transformer", slice(lines, None), bound.trafo_percent),
    ):
        if any(run.loading_percent[:, part].any() for one in runs.values() for run in one):
            found.append(_Quantity(f"highest {kind} loading", "%", _highest(part), limit))
    return found


def _highest(part: slice) -> Callable[[WeekRun], Floats]:
    return lambda run: np.asarray(run.loading_percent[:, part].max(axis=1))


def _panel(axes: Axes, quantity: _Quantity, runs: Runs) -> None:
    for name, style in strokes(list(runs)).items():
        axes.plot(*duration_curve(_all(quantity, runs[name]), quantity.falling), label=name, linewidth=1.5, **style)
    axes.axhline(quantity.limit, color=LIMIT, linewidth=1.2, linestyle="--")
    under = quantity.unit == "pu" and quantity.falling
    axes.annotate(
        f"limit {quantity.limit:.2f} pu" if quantity.unit == "pu" else f"limit {quantity.limit:g} %",
        (1, quantity.limit),
        xycoords=("axes fraction", "data"),
        xytext=(0, -2 if under else 2),
        textcoords="offset points",
        ha="right",
        va="top" if under else "bottom",
    )
    axes.set_xlim(0, 100)
    axes.margins(y=0.12)
    if quantity.unit == "%":
        axes.set_ylim(bottom=0)
    axes.set_xlabel("share of all steps (%)")
    axes.set_title(f"{quantity.name} ({quantity.unit})")


def _all(quantity: _Quantity, runs: Sequence[WeekRun]) -> Floats:
    return np.concatenate([quantity.of(run) for run in runs])


def _reach(quantity: _Quantity, runs: Sequence[WeekRun]) -> str:
    values = _all(quantity, runs)
    worst = values.max() if quantity.falling else values.min()
    return f"{quantity.name} {quantity.show(worst)}, beyond its limit {number(quantity.beyond(values), 2)} % of the time"
