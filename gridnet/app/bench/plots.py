"""The benchmark's figures of money, of one week's dispatch and of its limits, and what all figures share. Drawn without pyplot,
so that no global state is touched; p > 0 injects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from numpy.typing import NDArray

from gridnet.app.bench.evaluate import WeekRun
from gridnet.app.bench.score import FORESIGHT, REFERENCE, Score
from gridnet.app.bench.spread import Spread
from gridnet.case import Case
from gridnet.limits import make_limits
from gridnet_policies.registry import LEARNED

Floats = NDArray[np.float64]
Runs = Mapping[str, Sequence[WeekRun]]

# Okabe and Ito's palette, told apart with any colour vision; the page swaps each for its counterpart in dark mode.
INK, MUTED, GRID, PAPER = "#1b1d21", "#5c6168", "#dcdfe3", "#ffffff"
PV, BATTERY, LOAD, EXCHANGE, LIMIT = "#e69f00", "#009e73", "#56b4e9", "#a3a8b0", "#d55e00"
POLICY, PLAIN, RULE = "#0072b2", "#8b9098", "#cc79a7"
USE = ("#b4cfe6", "#7cabd6", "#3579b8", "#0b3d7a", LIMIT)

# A line for each policy where they share a panel; the strokes tell them apart in black and white too.
_STROKES = {REFERENCE: (PLAIN, "-"), "rule": (RULE, "-."), "mpc": (BATTERY, "--"), LEARNED: (POLICY, "-"), FORESIGHT: (INK, ":")}
_OTHER_STROKES = ((LOAD, "-"), (PV, "--"), (EXCHANGE, "-."))

_SHOWN, _HATCH = 3, "/////"
_SHOWN_FIRST = ("rule", "rl", "lp", "mpc")


@dataclass(frozen=True)
class Plot:
    """A figure with the words that go with it."""

    name: str
    figure: Figure
    title: str
    """One sentence: what the figure shows."""
    alt: str
    """What a reader who can't see the figure needs to know."""


def number(value: float, digits: int = 0) -> str:
    """`value` with a true minus sign, thousands set apart and no negative zero."""
    text = f"{round(value, digits) + 0.0:,.{digits}f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "\N{MINUS SIGN}")


def local_day(case: Case, step: int) -> date:
    """The local date on which `step` starts."""
    return (case.clock.time_of(step) + timedelta(hours=case.clock.utc_offset_h)).date()


def shown(names: Sequence[str]) -> list[str]:
    """The few policies that get a map of their own: rule, rl and lp where they ran, else others, in given order."""
    rank = {name: place for place, name in enumerate(_SHOWN_FIRST)}
    rank[REFERENCE] = len(names) + len(rank)
    chosen = sorted(names, key=lambda name: rank.get(name, len(_SHOWN_FIRST)))[:_SHOWN]
    return [name for name in names if name in chosen]


def strokes(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Colour and line style of each policy; those without a stroke of their own take the rest in turn."""
    others = [name for name in names if name not in _STROKES]
    chosen = {name: _OTHER_STROKES[place % len(_OTHER_STROKES)] for place, name in enumerate(others)} | _STROKES
    return {name: {"color": chosen[name][0], "linestyle": chosen[name][1]} for name in names}


def cost_plot(scores: Mapping[str, Score], title: str, spread: Mapping[str, Spread]) -> Plot:
    """Bars of cost, saving and captured share; whiskers are 95 % intervals, of the money where `spread` has them."""
    names, money = list(scores), [spread.get(name) for name in scores]
    panels = [
        ("cost (EUR)", [score.cost_eur for score in scores.values()], [one and one.cost_eur for one in money]),
        (
            f"saving against {REFERENCE} (EUR)",
            [score.saving_eur for score in scores.values()],
            [one and one.saving_eur for one in money],
        ),
    ]
    if any(score.captured is not None for score in scores.values()):
        shares = [100 * (score.captured or 0.0) for score in scores.values()]
        panels.append((f"share of the {FORESIGHT} saving (%)", shares, [_percent(score) for score in scores.values()]))
    figure = Figure(figsize=(10, 1.5 + 0.42 * len(names)), layout="constrained")
    row = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    colours = [PLAIN if name in {REFERENCE, FORESIGHT} else POLICY for name in names]
    for axes, (label, values, intervals) in zip(row, panels, strict=True):
        axes.barh(names, values, color=colours, height=0.62)
        for place, (value, interval) in enumerate(zip(values, intervals, strict=True)):
            low, high = _whisker(axes, place, value, interval)
            left = value < 0
            beside: dict[str, Any] = {"xytext": (-5 if left else 5, 0), "textcoords": "offset points"}
            end = min(low, 0.0) if left else max(high, 0.0)
            axes.annotate(number(value, int(abs(value) < 100)), (end, place), ha="right" if left else "left", va="center", **beside)
        axes.axvline(0.0, color=MUTED, linewidth=0.8)
        axes.update_datalim([(0.0, 0.0), (1.0, 0.0)])  # a panel of zeros still has a scale
        axes.margins(x=0.24)
        axes.set_xlabel(label)
        axes.grid(visible=False, axis="y")
        axes.tick_params(axis="y", length=0)
    row[0].invert_yaxis()
    figure.suptitle(title)
    listed = "; ".join(f"{name} costs {number(score.cost_eur)} EUR{_within(spread, name)}" for name, score in scores.items())
    return Plot("costs", figure, title, f"Bar chart, one bar per policy. {listed}.")


def _percent(score: Score) -> tuple[float, float] | None:
    if score.captured is None or score.captured_ci95 is None:
        return None
    return 100 * score.captured_ci95[0], 100 * score.captured_ci95[1]


def _within(spread: Mapping[str, Spread], name: str) -> str:
    if name not in spread or np.ptp(spread[name].cost_eur) == 0:
        return ""
    low, high = spread[name].cost_eur
    return f" (95 % interval {number(low)} to {number(high)})"


def _whisker(axes: Axes, place: int, value: float, interval: tuple[float, float] | None) -> tuple[float, float]:
    """Draws an interval around `value`, where there is one, and gives how far both reach."""
    low, high = (min(value, interval[0]), max(value, interval[1])) if interval else (value, value)
    if high > low:
        axes.errorbar(value, place, xerr=[[value - low], [high - value]], color=INK, capsize=4, linewidth=1.3)
    return low, high


def dispatch_plot(case: Case, week: Mapping[str, WeekRun]) -> Plot:
    """One week under each policy: spot price, what injects and what draws, and the state of charge."""
    names = list(week)
    charge = bool(case.fleet.batteries)
    heights = [0.9, *([2.2, 0.8] if charge else [2.2]) * len(names)]
    # Five policies still fit on a printed page.
    figure = Figure(figsize=(10, 1.3 + 0.72 * sum(heights)), layout="constrained")
    column = figure.subplots(len(heights), 1, sharex=True, height_ratios=heights)
    first = week[names[0]]
    _price_panel(column[0], case, first)
    power = column[1 :: 2 if charge else 1]
    for axes, name in zip(power, names, strict=True):
        _power_panel(axes, case, week[name])
    reach = max(abs(edge) for axes in power for edge in axes.get_ylim())
    for axes in power:
        axes.set_ylim(-reach, reach)
    for axes, name in zip(column[2::2] if charge else [], names, strict=charge):
        _charge_panel(axes, case, week[name])
    _day_ticks(column[-1], case, first)
    keys = [
        Patch(color=PV, label="PV used"),
        Patch(facecolor="none", edgecolor=PV, hatch=_HATCH, linewidth=0.5, label="PV curtailed"),
        Patch(color=BATTERY, label="batteries"),
        Patch(color=LOAD, label="loads"),
        Patch(color=EXCHANGE, label="exchange with the grid above"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    since = in_words(local_day(case, first.start))
    title = f"The week with the most sun, from {since}: above zero injects, below zero draws"
    figure.suptitle(title)
    sums = "; ".join(f"{name}: {_exchange_words(case, week[name])}" for name in names)
    return Plot("dispatch", figure, title, f"Stacked areas of power over one week, a panel per policy. {sums}.")


def _price_panel(axes: Axes, case: Case, run: WeekRun) -> None:
    price = case.series.price_eur_per_mwh[run.start : run.start + len(run.slack_p_kw)]
    axes.step(_hours(case, run)[:-1], price, where="post", color=INK, linewidth=1.0)
    axes.axhline(0.0, color=MUTED, linewidth=0.8)
    axes.set_ylabel("EUR/MWh")
    axes.margins(y=0.15)
    axes.set_title(f"Spot price: {number(price.min())} to {number(price.max())} EUR/MWh")


def _power_panel(axes: Axes, case: Case, run: WeekRun) -> None:
    steps, batteries = len(run.slack_p_kw), case.fleet.batteries
    middle = _hours(case, run)[:-1] + case.fleet.dt_h / 2
    load = case.series.load_p_kw[run.start : run.start + steps]
    above, below = np.zeros(steps), np.zeros(steps)
    for power, colour in (
        (run.done[:, 0, batteries:], PV),
        (load, LOAD),
        (run.done[:, 0, :batteries], BATTERY),
        (run.slack_p_kw[:, None], EXCHANGE),
    ):
        up, down = power.clip(min=0.0).sum(axis=1), power.clip(max=0.0).sum(axis=1)
        axes.fill_between(middle, above, above + up, color=colour, linewidth=0)
        axes.fill_between(middle, below + down, below, color=colour, linewidth=0)
        above, below = above + up, below + down
    lost = _curtailed_kw(case, run)
    hatched: dict[str, Any] = {"facecolor": "none", "edgecolor": PV, "hatch": _HATCH, "linewidth": 0.5}
    axes.fill_between(middle, above, above + lost, where=lost > 0.05, **hatched)
    axes.axhline(0.0, color=INK, linewidth=0.8)
    axes.set_ylabel("power (kW)")
    axes.set_title(f"{run.policy}: {_exchange_words(case, run)}")


def _charge_panel(axes: Axes, case: Case, run: WeekRun) -> None:
    fleet, hours, soc = case.fleet, _hours(case, run), 100 * run.soc
    axes.fill_between(hours, soc.min(axis=1), soc.max(axis=1), color=BATTERY, alpha=0.25, linewidth=0)
    axes.plot(hours, soc @ fleet.e_kwh / fleet.e_kwh.sum(), color=BATTERY, linewidth=1.3)
    for edge in fleet.soc_window:
        axes.axhline(100 * edge, color=MUTED, linewidth=0.8, linestyle="--")
    axes.set_ylim(0, 100)
    axes.set_yticks([0, 50, 100])
    axes.set_ylabel("SoC (%)")


def _exchange_words(case: Case, run: WeekRun) -> str:
    slack, dt_h = run.slack_p_kw, case.fleet.dt_h
    bought, sold = slack.clip(min=0.0).sum() * dt_h, -slack.clip(max=0.0).sum() * dt_h
    lost = _curtailed_kw(case, run).sum() * dt_h
    return f"imports {number(bought)} kWh, exports {number(sold)} kWh, curtails {number(lost)} kWh of PV"


def _curtailed_kw(case: Case, run: WeekRun) -> Floats:
    available = case.series.pv_p_kw[run.start : run.start + len(run.slack_p_kw)]
    return np.asarray((available - run.done[:, 0, case.fleet.batteries :]).clip(min=0.0).sum(axis=1))


def _hours(case: Case, run: WeekRun) -> Floats:
    """(steps + 1,) hours since the run's start."""
    return np.asarray(np.arange(len(run.slack_p_kw) + 1) * case.fleet.dt_h, dtype=np.float64)


def _day_ticks(axes: Axes, case: Case, run: WeekRun) -> None:
    steps = range(run.start, run.start + len(run.slack_p_kw))
    noons = [step for step in steps if case.clock.local_step_of_day(step) == 0]
    axes.set_xticks([(step - run.start) * case.fleet.dt_h for step in noons])
    axes.set_xticklabels([f"{local_day(case, step):%a} {local_day(case, step).day}" for step in noons], ha="left")
    axes.set_xlim(0, len(steps) * case.fleet.dt_h)
    axes.set_xlabel(f"local time (UTC{case.clock.utc_offset_h:+g} h); each mark is midnight")


def in_words(date_: date) -> str:
    """Such as 18 July 2016."""
    return f"{date_.day} {date_:%B %Y}"


def limits_plot(case: Case, week: Mapping[str, WeekRun]) -> Plot:
    """Lowest and highest bus voltage, and the highest loading of lines and of transformers, against their limits."""
    figure = Figure(figsize=(10, 1.3 + 1.45 * len(week)), layout="constrained")
    grid = figure.subplots(len(week), 2, sharex=True, sharey="col", squeeze=False)
    limits = make_limits(case.scenario, case.feeder)
    broken = {name: int(limits.broken(run.vm_pu, run.loading_percent).sum()) for name, run in week.items()}
    for (left, right), run in zip(grid, week.values(), strict=True):
        _voltage_panel(left, case, run)
        _loading_panel(right, case, run)
    for axes in grid[-1]:
        _day_ticks(axes, case, next(iter(week.values())))
    keys = [
        Patch(color=POLICY, alpha=0.45, label="lowest to highest bus voltage"),
        Line2D([], [], color=POLICY, label="highest line loading"),
        Line2D([], [], color=PV, label="highest transformer loading"),
        Line2D([], [], color=LIMIT, linestyle="--", label="limit"),
    ]
    figure.legend(handles=keys, loc="outside lower center", ncols=len(keys))
    kept = [name for name, steps in broken.items() if not steps]
    title = "In the same week every policy keeps every limit"
    if len(kept) < len(week):
        title = f"In the same week {len(week) - len(kept)} of {len(week)} policies break a limit"
    figure.suptitle(title)
    counted = "; ".join(f"{name} breaks a limit in {steps} steps" for name, steps in broken.items())
    return Plot("limits", figure, title, f"Bus voltage and loading over one week, a row per policy. {counted}.")


def _voltage_panel(axes: Axes, case: Case, run: WeekRun) -> None:
    limits = make_limits(case.scenario, case.feeder)
    vm_pu = run.vm_pu[:, np.isfinite(limits.vm_max_pu)]
    lowest, highest = vm_pu.min(axis=1), vm_pu.max(axis=1)
    axes.fill_between(_hours(case, run)[:-1], lowest, highest, color=POLICY, alpha=0.45, linewidth=0.6)
    for edge, above in ((case.scenario.limits.vm_max_pu, False), (case.scenario.limits.vm_min_pu, True)):
        _limit_line(axes, edge, f"limit {edge:.2f} pu", above)
    axes.margins(y=0.12)
    axes.set_ylabel("voltage (pu)")
    axes.set_title(f"{run.policy}: {lowest.min():.3f} to {highest.max():.3f} pu")


def _loading_panel(axes: Axes, case: Case, run: WeekRun) -> None:
    lines, parts = len(case.feeder.line_name), []
    limits = case.scenario.limits
    for limit in sorted({limits.line_percent, limits.trafo_percent}):
        _limit_line(axes, limit, f"limit {limit:g} %", True)
    for kind, loading, colour in (
        ("lines", run.loading_percent[:, :lines], POLICY),
        ("transformers", run.loading_percent[:, lines:], PV),
    ):
        if loading.any():
            axes.plot(_hours(case, run)[:-1], loading.max(axis=1), color=colour, linewidth=0.9)
            parts.append(f"{kind} up to {number(loading.max())} %")
    axes.margins(y=0.3)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("loading (%)")
    axes.set_title(f"{run.policy}: {', '.join(parts) or 'no line has a rating'}")


def _limit_line(axes: Axes, edge: float, label: str, above: bool) -> None:
    axes.axhline(edge, color=LIMIT, linewidth=1.2, linestyle="--")
    beside: dict[str, Any] = {"xytext": (0, 2 if above else -2), "textcoords": "offset points", "ha": "right"}
    axes.annotate(label, (1, edge), xycoords=("axes fraction", "data"), va="bottom" if above else "top", **beside)
