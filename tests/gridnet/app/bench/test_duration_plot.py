"""Duration curves: every step counted once, the worst at the left, the limits drawn."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gridnet.app.bench.duration_plot import POINTS, duration_curve, duration_plot
from gridnet.app.bench.evaluate import WeekRun, run_week
from gridnet.app.bench.plots import LIMIT
from gridnet.case import Case, load_case
from gridnet_policies.no_battery import NoBattery

values = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=900)


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


@pytest.fixture(scope="module")
def run(case: Case) -> WeekRun:
    return run_week(case, NoBattery(), 29)


@given(values, st.booleans())
def test_a_curve_runs_from_one_end_of_the_values_to_the_other(given_values: list[float], falling: bool) -> None:
    share, curve = duration_curve(np.array(given_values), falling)
    assert len(share) == len(curve) == POINTS
    assert (share[0], share[-1]) == (0.0, 100.0)
    ends = (max(given_values), min(given_values))
    assert (curve[0], curve[-1]) == (ends if falling else ends[::-1])
    assert (np.diff(curve) * (-1 if falling else 1) >= -1e-9 * max(map(abs, given_values))).all()


@given(values, st.integers(0, POINTS - 1))
def test_a_curve_says_how_long_a_value_is_reached(given_values: list[float], place: int) -> None:
    values_given, step = np.array(given_values), 1 / len(given_values)
    share, curve = duration_curve(values_given, True)
    slack = 1e-9 * np.abs(values_given).max()
    # Equal values are reached all at once; between two of them the curve runs straight, so a share is right to one step.
    assert (values_given > curve[place] + slack).mean() <= share[place] / 100 + step
    assert (values_given >= curve[place] - slack).mean() >= share[place] / 100 - step


def drawn(axes: Axes) -> dict[str, NDArray[np.float64]]:
    return {str(line.get_label()): np.asarray(line.get_ydata()) for line in axes.lines if len(np.asarray(line.get_ydata())) > 2}


def test_every_policy_has_a_curve_of_each_quantity_beside_its_limit(case: Case, run: WeekRun) -> None:
    figure = duration_plot(case, {"no_battery": [run], "rule": [run]}).figure
    titles = [axes.get_title(loc="left") or axes.get_title() for axes in figure.axes]
    assert titles == [
        "highest bus voltage (pu)", "lowest bus voltage (pu)", "highest line loading (%)", "highest transformer loading (%)"
    ]  # fmt: skip
    for axes, limit in zip(figure.axes, (1.1, 0.9, 100.0, 100.0), strict=True):
        assert set(drawn(axes)) == {"no_battery", "rule"}
        assert [float(np.asarray(line.get_ydata())[0]) for line in axes.lines if line.get_color() == LIMIT] == [limit]


def test_the_curves_hold_all_weeks_and_leave_out_the_connection_point(case: Case, run: WeekRun) -> None:
    hot = dataclasses.replace(run, vm_pu=run.vm_pu.copy(), loading_percent=run.loading_percent.copy())
    hot.vm_pu[:, case.feeder.slack_bus] = 1.5
    hot.vm_pu[7, case.feeder.slack_bus + 1] = 1.13
    hot.loading_percent[9, 0] = 123.0
    plot = duration_plot(case, {"rule": [run, hot]})
    high, low, line, trafo = (drawn(axes)["rule"] for axes in plot.figure.axes)
    assert (high[0], line[0]) == (pytest.approx(1.13), pytest.approx(123.0))
    assert trafo[0] == pytest.approx(run.loading_percent[:, len(case.feeder.line_name) :].max())
    assert low[0] < low[-1] < 1.13
    share = f"{100 / (2 * len(run.slack_p_kw)):.2f}"
    assert f"highest bus voltage 1.130, beyond its limit {share} % of the time" in plot.alt
    assert f"highest line loading 123.0, beyond its limit {share} % of the time" in plot.alt


def test_a_kind_of_branch_that_the_network_lacks_gets_no_panel(case: Case, run: WeekRun) -> None:
    unrated = run.loading_percent.copy()
    unrated[:, len(case.feeder.line_name) :] = 0.0
    plot = duration_plot(case, {"rule": [dataclasses.replace(run, loading_percent=unrated)]})
    assert "transformer" not in plot.alt
    assert [axes.axison for axes in plot.figure.axes] == [True, True, True, False]
