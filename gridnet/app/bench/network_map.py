"""The benchmark report's map of the network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from gridnet.app.bench.plots import BATTERY, GRID, INK, PAPER, PV, USE, Plot, number, shown
from gridnet.app.layout import bus_positions
from gridnet.feeder import Feeder

Floats = NDArray[np.float64]

USE_EDGES = (0.25, 0.50, 0.75, 1.0)
USE_LABELS = ("up to 25 % of the limit", "25 to 50 %", "50 to 75 %", "75 to 100 %", "beyond the limit")

_LABEL = 24
_MARKS = {"PV": ("^", PV), "battery": ("s", BATTERY), "transformer": ("D", PAPER), "grid above": ("*", PAPER)}


class LimitUse(NamedTuple):
    """The worst share of each limit that is used, 1 = at it."""

    bus: Floats
    """(buses,) of the allowed voltage deviation, NaN where there is no limit."""
    branch: Floats
    """(branches,) of the allowed loading."""


def map_plot(feeder: Feeder, use: Mapping[str, LimitUse]) -> Plot:
    """The network under a few policies: how much of its limit each bus and branch used at worst, over all weeks."""
    names = shown(list(use))
    figure = Figure(figsize=(10, 4.9 if len(names) > 1 else 6.0), layout="constrained")
    worst = []
    for axes, name in zip(figure.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _draw_network(figure, axes, feeder, use[name])
        most = _most_used(feeder, use[name])
        worst.append(f"{name}: {'; '.join(most)}")
        axes.set_title("\n".join([name, *most]), fontsize=8.5)
    keys = [Line2D([], [], color=colour, linewidth=5, label=USE_LABELS[k]) for k, colour in enumerate(USE)]
    for label, (marker, colour) in _MARKS.items():
        keys.append(Line2D([], [], linestyle="", marker=marker, color=colour, markeredgecolor=INK, label=label))
    figure.legend(handles=keys, loc="outside lower center", ncols=5)
    title = "How much of its limit each bus and each line used at worst, over all weeks"
    figure.suptitle(title)
    return Plot("map", figure, title, f"Maps of the network, one per policy. {'. '.join(worst)}.")


def _most_used(feeder: Feeder, worst: LimitUse) -> list[str]:
    branches = (*feeder.line_name, *feeder.trafo_name)
    found = []
    for kind, use, names in (("voltage", worst.bus, feeder.bus_name), ("loading", worst.branch, branches)):
        if np.nan_to_num(use).max(initial=0.0) > 0:
            at = int(np.nanargmax(use))
            found.append(f"{number(100 * use[at])} % of the {kind} limit: {names[at][:_LABEL]}")
    return found


def _draw_network(figure: Figure, axes: Axes, feeder: Feeder, worst: LimitUse) -> None:
    place = bus_positions(feeder)
    ends = np.concatenate([feeder.line_bus, feeder.trafo_bus])
    closed = np.asarray((feeder.model.branch_node >= 0).all(axis=1))
    colours = [USE[int(kind)] if live else GRID for kind, live in zip(_kinds(worst.branch), closed, strict=True)]
    width = float(np.clip(140 / len(place), 1.4, 2.6))
    styles = ["-" if live else ":" for live in closed]
    axes.add_collection(LineCollection(list(place[ends]), colors=colours, linestyles=styles, linewidths=width))
    size = float(np.clip(1500 / len(place), 14, 55))
    limited = np.isfinite(worst.bus)
    fill = [USE[int(kind)] if known else PAPER for kind, known in zip(_kinds(worst.bus), limited, strict=True)]
    here: dict[str, Any] = {"edgecolors": INK, "linewidths": 0.7, "transform": axes.transData}
    axes.scatter(place[:, 0], place[:, 1], s=size, c=fill, zorder=3, **here)
    aside, inches = size**0.5 / 72, figure.dpi_scale_trans
    for kind, spots, scale, shift in (
        ("transformer", place[feeder.trafo_bus].mean(axis=1), 1.0, (0.0, 0.0)),
        ("grid above", place[[feeder.slack_bus]], 2.5, (0.0, 0.0)),
        ("PV", place[np.unique(feeder.pv_bus)], 0.7, (aside, aside)),
        ("battery", place[np.unique(feeder.battery_bus)], 0.7, (-aside, aside)),
    ):
        marker, colour = _MARKS[kind]
        here["transform"] = axes.transData + ScaledTranslation(shift[0], shift[1], inches)
        axes.scatter(spots[:, 0], spots[:, 1], s=scale * size, marker=marker, c=colour, zorder=4, **here)
    axes.margins(0.08)
    axes.set_axis_off()


def _kinds(use: Floats) -> NDArray[np.int64]:
    return np.digitize(np.nan_to_num(use), (*USE_EDGES[:-1], USE_EDGES[-1] + 1e-3), right=True)
