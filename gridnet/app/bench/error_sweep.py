"""`gridnet bench --forecast-errors`: who captures how much where load and PV ahead are known to within a chosen error."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace

import numpy as np

from gridnet.app.bench.command import plan_of
from gridnet.app.bench.compare import Comparison, compare, plain
from gridnet.app.bench.evaluate import account, run_week
from gridnet.app.bench.run import Plan
from gridnet.app.bench.score import FORESIGHT, REFERENCE, Score, Weeks, rounded, score
from gridnet.app.bench.table import aligned, few_weeks, with_interval
from gridnet.app.outputs import STANDARD_OUTPUT, write_json
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK
from gridnet.errors import Fault, InputError
from gridnet.forecast.climatology import STEPS_PER_HOUR
from gridnet.forecast.forecaster import Total, make_forecaster
from gridnet.forecast.skill import mean_absolute_error
from gridnet.scenario import Forecast
from gridnet.series.profiles import FloatArray
from gridnet.series.subinterval import QUARTER_MINUTES
from gridnet_policies.registry import POLICIES, make_policies

BLIND = (REFERENCE, "rule", FORESIGHT)
"""Policies that look at no forecast: run once, whatever the errors."""

ERRORS_MOST = 20


@dataclass(frozen=True)
class AtError:
    """The policies on forecasts of one error."""

    error: float
    """As asked for, of the whole series, 0 to 1."""
    load_error: float | None
    """On the weeks that were run: mean absolute error over mean magnitude of quarter-hours within them, issued every hour for
    24 hours. None where there is no load."""
    pv_error: float | None
    """The same of PV."""
    scores: dict[str, Score]
    against_best: list[Comparison]
    """Each policy but the best against the best, which is the one that captures most."""

    @property
    def best(self) -> str:
        """The policy that captures most, be it surely or by chance."""
        return max(self.scores, key=lambda name: self.scores[name].saving_eur)

    @property
    def wins(self) -> str | None:
        """The best policy, where the interval of its lead on every other leaves out 0; else None."""
        return self.best if len(self.scores) > 1 and all(one.sure for one in self.against_best) else None


def bench_errors(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Runs the sweep that the arguments ask for; progress goes to `say`, the table to standard output.

    Raises `InputError` with every fault of the arguments before anything is run.
    """
    case = load_case(arguments.scenario)
    errors, faults = _errors(arguments.forecast_errors)
    if arguments.truth != QUARTER_MINUTES:
        faults.append(Fault("--truth", str(arguments.truth), f"{QUARTER_MINUTES} beside --forecast-errors"))
    if {word.strip() for word in arguments.policies.split(",")} <= {REFERENCE, FORESIGHT}:
        faults.append(Fault("--policies", repr(arguments.policies), f"one at least beside {REFERENCE} and {FORESIGHT}"))
    try:
        plan = plan_of(arguments, case.clock)
    except InputError as refused:
        raise InputError("the benchmark can't run:", [*refused.faults, *faults]) from refused
    if faults:
        raise InputError("the benchmark can't run:", faults)
    rows = sweep(case, plan, errors, say)
    write_json(as_json(case, plan, rows), arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(f"{case.scenario.name}: {case.scenario.title}")
        print(
            f"weeks {', '.join(map(str, plan.weeks))}, load and PV ahead are the truth with an error, drawn from seed {plan.seed}\n"
        )
        print(sweep_table(rows, len(plan.weeks)))


def sweep(case: Case, plan: Plan, errors: Sequence[float], say: Callable[[str], None]) -> list[AtError]:
    """The plan's policies at each of `errors`, 0 to 1; `plan.seed` draws the errors and drives the bootstrap.

    Raises `InputError` where an error can't be reached on this case, before anything is run.
    """
    perturbed = [_with_error(case, error, plan.seed) for error in errors]
    reached = [_reached(one, plan.weeks) for one in perturbed]
    policies = {name: _weeks_of(case, name, plan, say) for name in BLIND if name in (*_compared(plan), REFERENCE, FORESIGHT)}
    rows = []
    for error, one, (load, pv) in zip(errors, perturbed, reached, strict=True):
        say(f"forecast error {100 * error:g} %")
        seeing = [name for name in _compared(plan) if name not in BLIND]
        policies.update({name: _weeks_of(one, name, plan, say) for name in seeing})
        every = score(policies, plan.seed)
        scores = {name: every[name] for name in _compared(plan)}
        best = max(scores, key=lambda name: scores[name].saving_eur)
        pairs = [compare(policies, name, best, plan.seed) for name in scores if name != best]
        rows.append(AtError(error, load, pv, scores, [pair for pair in pairs if pair is not None]))
    return rows


def as_json(case: Case, plan: Plan, rows: Sequence[AtError]) -> dict[str, object]:
    """The sweep's machine-readable form."""
    return {
        "scenario": case.scenario.name,
        "weeks": list(plan.weeks),
        "seed": plan.seed,
        "forecast_errors": [_plain(row) for row in rows],
    }


def sweep_table(rows: Sequence[AtError], weeks: int) -> str:
    """A block of lines for each error, one policy a line, over `weeks` weeks."""
    table = [
        ["error", "load", "PV", "policy", "captured", "violations", "less than the best", ""],
        ["%", "%", "%", "", "[95 % interval]", "steps", "[95 % interval]", ""],
    ]
    for row in rows:
        table.extend(_cells(row, name) for name in row.scores)
    return "\n".join([aligned(table), *([few_weeks(weeks)] if few_weeks(weeks) else [])])


def _errors(words: str) -> tuple[list[float], list[Fault]]:
    errors, faults = [], []
    for word in words.split(","):
        try:
            percent = float(word)
        except ValueError:
            percent = -1.0
        if 0 <= percent <= 100:
            errors.append(percent / 100)
        else:
            faults.append(Fault("--forecast-errors", repr(word), "percentages from 0 to 100, separated by commas"))
    if len(errors) > ERRORS_MOST:
        faults.append(Fault("--forecast-errors", f"{len(errors)} errors", f"{ERRORS_MOST} at most"))
    return sorted(set(errors)), faults


def _compared(plan: Plan) -> list[str]:
    return [name for name in POLICIES if name in plan.policies and name not in (REFERENCE, FORESIGHT)]


def _with_error(case: Case, error: float, seed: int) -> Case:
    forecast = Forecast(method="perturbed", error=error, seed=seed)
    return replace(case, scenario=case.scenario.model_copy(update={"forecast": forecast}))


def _reached(case: Case, weeks: Sequence[int]) -> tuple[float | None, float | None]:
    """The errors of load and PV on these weeks."""
    forecaster = make_forecaster(case)
    load_kw, pv_kw = case.series.load_p_kw.sum(axis=1), case.series.pv_p_kw.sum(axis=1)
    return _relative_error(forecaster.load, load_kw, weeks), _relative_error(forecaster.pv, pv_kw, weeks)


def _relative_error(total: Total, actual: FloatArray, weeks: Sequence[int]) -> float | None:
    issues = np.arange(0, STEPS_PER_WEEK - STEPS_PER_DAY + 1, STEPS_PER_HOUR)
    steps = (np.asarray(weeks)[:, None] * STEPS_PER_WEEK + issues).ravel()
    truth = actual[steps[:, None] + np.arange(STEPS_PER_DAY)]
    said = np.array([total.at(int(step), STEPS_PER_DAY) for step in steps])
    mean = float(np.abs(truth).mean())
    return mean_absolute_error(said, truth) / mean if mean > 0 else None


def _weeks_of(case: Case, name: str, plan: Plan, say: Callable[[str], None]) -> Weeks:
    accounts, decision_ms = [], []
    for policy in make_policies(name, plan.seeds):
        say(f"{name}: weeks {', '.join(map(str, plan.weeks))}")
        runs = [run_week(case, policy, week) for week in plan.weeks]
        accounts.append([account(case, run) for run in runs])
        decision_ms += [run.decision_ms for run in runs]
    return Weeks(accounts, decision_ms)


def _plain(row: AtError) -> dict[str, object]:
    return {
        "error": rounded(row.error),
        "load_error": rounded(row.load_error),
        "pv_error": rounded(row.pv_error),
        "wins": row.wins,
        "best": row.best,
        "policies": {name: {key: rounded(value) for key, value in asdict(one).items()} for name, one in row.scores.items()},
        "against_best": [plain(one) for one in row.against_best],
    }


def _cells(row: AtError, name: str) -> list[str]:
    percent = ["-" if value is None else f"{100 * value:.1f}" for value in (row.error, row.load_error, row.pv_error)]
    first = name == next(iter(row.scores))
    pair = next((one for one in row.against_best if one.policy == name), None)
    return [
        *(percent if first else ["", "", ""]),
        name,
        with_interval(row.scores[name].captured, row.scores[name].captured_ci95),
        f"{row.scores[name].violation_steps:g}",
        "" if pair is None else with_interval(pair.difference, pair.difference_ci95, "+"),
        _word(row, name, pair),
    ]


def _word(row: AtError, name: str, pair: Comparison | None) -> str:
    """What a line of the table claims of its policy: that it wins, or that there is no difference to the best."""
    if name == row.wins:
        return "wins"
    return "no difference" if pair is not None and not pair.sure else ""
