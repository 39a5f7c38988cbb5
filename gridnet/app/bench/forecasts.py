"""`gridnet bench --forecasts`: every forecast method on weeks of one scenario, against persistence."""

from __future__ import annotations

import argparse
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from gridnet.app.bench.table import aligned
from gridnet.app.bench.weeks import parse_weeks
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, Clock
from gridnet.errors import Fault, InputError
from gridnet.forecast.climatology import STEPS_PER_HOUR
from gridnet.forecast.forecaster import Forecaster, make_forecaster
from gridnet.forecast.skill import coverage, mean_absolute_error, pinball_loss, skill, skill_interval
from gridnet.scenario import ForecastMethodName
from gridnet.series.profiles import FloatArray

METHODS: tuple[ForecastMethodName, ...] = typing.get_args(ForecastMethodName)
REFERENCE = "persistence"
HORIZONS = {"24 h": STEPS_PER_DAY, "1 h": STEPS_PER_HOUR}
TARGETS = ("load", "PV", "surplus")


@dataclass(frozen=True)
class Score:
    """How one method forecasts one target over all weeks. Errors are of quarter-hours, forecasts issued every hour."""

    method: str
    target: str
    horizon: str
    mae_kw: float
    mae_of_mean: float | None
    """The error as a share of the mean magnitude; None where that is 0."""
    bias_kw: float
    """Mean of forecast less actual."""
    pinball_kw: float | None
    """Mean over the levels 0.1, 0.5 and 0.9; None for a method without a spread."""
    coverage: float | None
    """Share of values within the band from 0.1 to 0.9."""
    skill: float | None
    """Against persistence; None where persistence makes no error."""
    skill_ci95: tuple[float, float] | None
    """95 % interval by bootstrap over weeks."""


@dataclass(frozen=True)
class _Issued:
    """All forecasts of one target: `quantiles` `(weeks, levels, issues, steps ahead)`, `actual` `(weeks, issues, steps ahead)`."""

    levels: tuple[float, ...]
    quantiles: FloatArray
    actual: FloatArray

    @property
    def median(self) -> FloatArray:
        return self.quantiles[:, self.levels.index(0.5)]

    def first(self, steps: int) -> _Issued:
        return _Issued(self.levels, self.quantiles[..., :steps], self.actual[..., :steps])

    def weekly_errors(self) -> FloatArray:
        return np.array([mean_absolute_error(*week) for week in zip(self.median, self.actual, strict=True)])


def bench_forecasts(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures what the arguments ask for; progress goes to `say`, the table to standard output.

    Raises `InputError` with every fault of the arguments before anything is fitted.
    """
    case = load_case(arguments.scenario)
    weeks = _weeks(arguments, case.clock)
    scores = measure(case, weeks, arguments.seed, say)
    content = {
        "scenario": case.scenario.name,
        "weeks": weeks,
        "seed": arguments.seed,
        "forecasts": [as_json(one) for one in scores],
    }
    write_json(content, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(f"{case.scenario.name}: {case.scenario.title}")
        print(f"weeks {', '.join(map(str, weeks))}, forecasts of quarter-hours issued every hour\n")
        print(forecast_table(scores))


def measure(case: Case, weeks: Sequence[int], seed: int, say: Callable[[str], None]) -> list[Score]:
    """Scores of every method, target and horizon; `seed` drives the bootstrap.

    Only forecasts that end within their week count, so that every value scored belongs to `weeks`.
    """
    issued: dict[str, dict[str, _Issued]] = {}
    for method in METHODS:
        say(f"forecasting by {method}")
        issued[method] = _forecasts(case, make_forecaster(case, method), weeks)
    return [_score(method, target, horizon, issued, seed) for horizon in HORIZONS for target in TARGETS for method in METHODS]


def _weeks(arguments: argparse.Namespace, clock: Clock) -> list[int]:
    faults: list[Fault] = []
    weeks: list[int] = []
    try:
        weeks = parse_weeks(arguments.weeks, clock)
    except InputError as error:
        faults.extend(error.faults or [Fault("--weeks", repr(arguments.weeks), str(error))])
    if arguments.seed < 0:
        faults.append(Fault("--seed", str(arguments.seed), "at least 0"))
    faults += file_faults("--json", arguments.json)
    if faults:
        raise InputError("the forecasts can't be measured:", faults)
    return weeks


def _forecasts(case: Case, forecaster: Forecaster, weeks: Sequence[int]) -> dict[str, _Issued]:
    issues = np.arange(0, STEPS_PER_WEEK - STEPS_PER_DAY + 1, STEPS_PER_HOUR)
    steps = np.asarray(weeks)[:, None] * STEPS_PER_WEEK + issues
    totals = [[forecaster.totals(int(step), STEPS_PER_DAY) for step in week] for week in steps]
    levels = totals[0][0].levels
    forecast = {
        "load": np.array([[one.load_p_kw for one in week] for week in totals]).swapaxes(1, 2),
        "PV": np.array([[one.pv_p_kw for one in week] for week in totals]).swapaxes(1, 2),
    }
    ahead = steps[:, :, None] + np.arange(STEPS_PER_DAY)
    actual = {"load": case.series.load_p_kw.sum(axis=1)[ahead], "PV": case.series.pv_p_kw.sum(axis=1)[ahead]}
    issued = {target: _Issued(levels, forecast[target], actual[target]) for target in forecast}
    # Medians add up to a point forecast of the surplus; other quantiles don't add up.
    point = issued["load"].median + issued["PV"].median
    issued["surplus"] = _Issued((0.5,), point[:, None], actual["load"] + actual["PV"])
    return issued


def _score(method: str, target: str, horizon: str, issued: Mapping[str, Mapping[str, _Issued]], seed: int) -> Score:
    one, reference = (issued[name][target].first(HORIZONS[horizon]) for name in (method, REFERENCE))
    errors, against = one.weekly_errors(), reference.weekly_errors()
    mean = float(np.abs(one.actual).mean())
    spread = len(one.levels) > 1
    quantiles = one.quantiles.swapaxes(0, 1)
    return Score(
        method=method,
        target=target,
        horizon=horizon,
        mae_kw=float(errors.mean()),
        mae_of_mean=float(errors.mean()) / mean if mean > 0 else None,
        bias_kw=float((one.median - one.actual).mean()),
        pinball_kw=pinball_loss(quantiles, one.actual, one.levels) if spread else None,
        coverage=coverage(quantiles[0], quantiles[-1], one.actual) if spread else None,
        skill=skill(errors, against),
        skill_ci95=skill_interval(errors, against, seed),
    )


def as_json(score: Score) -> dict[str, object]:
    """Plain values, rounded to six digits after the point."""
    return {key: _rounded(value) for key, value in asdict(score).items()}


def _rounded(value: object) -> object:
    if isinstance(value, tuple):
        return [_rounded(part) for part in value]
    return round(value, 6) if isinstance(value, float) else value


def forecast_table(scores: Sequence[Score]) -> str:
    """The scores as a table, one method, target and horizon a line."""
    rows = [
        ["target", "ahead", "method", "MAE", "of mean", "bias", "pinball", "within 10-90", "skill"],
        ["", "", "", "kW", "%", "kW", "kW", "%", "[95 % interval]"],
    ]
    rows.extend(_cells(one) for one in scores)
    return aligned(rows)


def _cells(one: Score) -> list[str]:
    against = "-"
    if one.skill is not None and one.skill_ci95 is not None:
        against = f"{one.skill:.3f} [{one.skill_ci95[0]:.3f}, {one.skill_ci95[1]:.3f}]"
    return [
        one.target,
        one.horizon,
        one.method,
        f"{one.mae_kw:.3f}",
        "-" if one.mae_of_mean is None else f"{100 * one.mae_of_mean:.1f}",
        f"{one.bias_kw:.3f}",
        "-" if one.pinball_kw is None else f"{one.pinball_kw:.3f}",
        "-" if one.coverage is None else f"{100 * one.coverage:.1f}",
        against,
    ]
