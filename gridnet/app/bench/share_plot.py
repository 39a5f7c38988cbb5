"""The benchmark report's figure of the captured share, week by week."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gridnet.app.bench.compare import week_shares
from gridnet.app.bench.plots import INK, LIMIT, MUTED, Plot, number, strokes
from gridnet.app.bench.score import FORESIGHT, REFERENCE, Weeks

Floats = NDArray[np.float64]

_WIDTH = 0.7
"""Room that the dots of one week take, of the distance between two weeks."""


def has_shares(policies: Mapping[str, Weeks]) -> bool:
    """Whether there is a share to be told, and anyone but the two that span the scale."""
    return bool(_shares(policies))


def share_plot(policies: Mapping[str, Weeks], labels: Sequence[str]) -> Plot:
    """A dot for each policy and week (mean over training seeds, a bar from the least to the greatest of them); each policy's
    worst week is ringed. `labels` names the weeks, in the order in which they were run. Needs a share to be told."""
    shares = _shares(policies)
    rivals = list(shares)
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    axes = figure.subplots()
    for place, (name, share) in enumerate(shares.items()):
        aside = _WIDTH * ((place + 0.5) / len(shares) - 0.5)
        _dots(axes, name, share, aside, str(strokes(rivals)[name]["color"]))
    for level, word in ((0.0, REFERENCE), (100.0, FORESIGHT)):
        axes.axhline(level, color=MUTED, linewidth=0.9, linestyle="--")
        beside = {"xytext": (-2, 2), "textcoords": "offset points", "ha": "right"}
        axes.annotate(word, (1, level), xycoords=("axes fraction", "data"), color=MUTED, **beside)  # type: ignore[arg-type]
    axes.set_xticks(range(len(labels)), labels)
    axes.set_xlim(-0.5, len(labels) - 0.5)
    axes.margins(y=0.12)
    axes.grid(visible=False, axis="x")
    axes.set_ylabel(f"share of the {FORESIGHT} saving (%)")
    figure.legend(loc="outside lower center", ncols=len(shares))
    worst = {name: int(np.argmin(share.mean(axis=0))) for name, share in shares.items()}
    told = [f"{name} captures least, {_words(shares[name], week)}, in {_inline(labels[week])}" for name, week in worst.items()]
    title = f"Each policy's worst week: {', '.join(f'{name} {_words(shares[name], week)}' for name, week in worst.items())}"
    figure.suptitle(title)
    return Plot("shares", figure, title, f"Captured share per week, a dot per policy. {'; '.join(told)}.")


def _shares(policies: Mapping[str, Weeks]) -> dict[str, Floats]:
    """(seeds, weeks) percent of each policy between the two that span the scale."""
    found = {name: week_shares(policies, name) for name in policies if name not in {REFERENCE, FORESIGHT}}
    return {name: 100 * share for name, share in found.items() if share is not None}


def _dots(axes: Axes, name: str, share: Floats, aside: float, colour: str) -> None:
    """The weeks of one policy; `share` is (seeds, weeks) percent."""
    at, mean = np.arange(share.shape[1]) + aside, share.mean(axis=0)
    if len(share) > 1:
        axes.vlines(at, share.min(axis=0), share.max(axis=0), color=colour, linewidth=1.2)
    axes.plot(at, mean, linestyle="", marker="o", markersize=6, color=colour, label=name)
    if len(mean) > 1:
        worst = int(np.argmin(mean))
        ring = {"marker": "o", "markersize": 12, "markerfacecolor": "none", "markeredgecolor": LIMIT, "markeredgewidth": 1.6}
        axes.plot(at[worst], mean[worst], **ring)  # type: ignore[arg-type]
        below = {"xytext": (0, -9), "textcoords": "offset points", "ha": "center", "va": "top"}
        axes.annotate(f"{number(mean[worst])} %", (at[worst], share[:, worst].min()), color=INK, **below)  # type: ignore[arg-type]


def _words(share: Floats, week: int) -> str:
    return f"{number(share[:, week].mean())} %"


def _inline(label: str) -> str:
    return label.replace("\n", ", ")
