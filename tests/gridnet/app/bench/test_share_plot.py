"""The captured share of each week: a dot a policy and week, the worst one ringed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from gridnet.app.bench.evaluate import WeekAccount
from gridnet.app.bench.plots import LIMIT
from gridnet.app.bench.score import Weeks
from gridnet.app.bench.share_plot import has_shares, share_plot

LABELS = ("week 4\n25 January", "week 14\n4 April", "week 29\n18 July")


def weeks(*seeds: Sequence[float]) -> Weeks:
    """A policy with these costs of each week, one row per training seed."""
    accounts = [[WeekAccount(cost, 0, 1.0, 50.0, 1.0, 1.0, 1.0) for cost in seed] for seed in seeds]
    return Weeks(accounts, [0.1])


COSTS = {
    "no_battery": weeks([100.0, 100.0, 100.0]),
    "rule": weeks([90.0, 95.0, 60.0]),
    "rl": weeks([60.0, 70.0, 90.0], [40.0, 70.0, 80.0]),
    "lp": weeks([0.0, 50.0, 0.0]),
}


def dots(axes: Axes) -> dict[str, Line2D]:
    return {str(line.get_label()): line for line in axes.lines if not str(line.get_label()).startswith("_")}


def rings(axes: Axes) -> list[float]:
    """Heights of what is ringed, in the order of the policies."""
    return [float(np.asarray(line.get_ydata())[0]) for line in axes.lines if line.get_markeredgecolor() == LIMIT]


def test_each_policy_gets_a_dot_a_week_at_its_share() -> None:
    [axes] = share_plot(COSTS, LABELS).figure.axes
    found = {name: np.asarray(line.get_ydata()).tolist() for name, line in dots(axes).items()}
    assert found == {"rule": [10.0, 10.0, 40.0], "rl": pytest.approx([50.0, 60.0, 15.0])}
    for place, label in enumerate(axes.get_xticklabels()):
        assert label.get_text() == LABELS[place]
        assert all(abs(np.asarray(line.get_xdata())[place] - place) < 0.5 for line in dots(axes).values())


def test_the_worst_week_of_each_policy_is_ringed_and_told() -> None:
    drawn = share_plot(COSTS, LABELS)
    assert rings(drawn.figure.axes[0]) == pytest.approx([10.0, 15.0])
    assert drawn.title == "Each policy's worst week: rule 10 %, rl 15 %"
    assert "rl captures least, 15 %, in week 29, 18 July" in drawn.alt


def test_a_bar_spans_the_training_seeds_where_there_are_several() -> None:
    [axes] = share_plot(COSTS, LABELS).figure.axes
    [bars] = axes.collections
    spans = np.array([path.vertices[:, 1] for path in bars.get_paths()])
    assert spans == pytest.approx(np.array([[40.0, 60.0], [60.0, 60.0], [10.0, 20.0]]))


def test_a_single_week_is_nobodys_worst() -> None:
    one = {name: Weeks([[seed[0]] for seed in each.accounts], [0.1]) for name, each in COSTS.items()}
    assert rings(share_plot(one, LABELS[:1]).figure.axes[0]) == []


@pytest.mark.parametrize("names", [["no_battery", "rule"], ["no_battery", "lp"]], ids=["no bound", "no rival"])
def test_without_a_bound_or_a_rival_there_is_nothing_to_draw(names: list[str]) -> None:
    assert has_shares(COSTS)
    assert not has_shares({name: COSTS[name] for name in names})
