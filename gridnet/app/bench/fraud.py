"""`gridnet bench --fraud`: which frauds the ladder's levels 2 and 3 find, whose they say it is, how soon, and how often they err.

Monte Carlo over weeks, meter errors and who cheats (`gridnet.app.bench.fraud_trials`). The weeks are others than those the ladder
was made with (4, 14, 29, 44). Levels 1 and 4 are not counted: this is what the homes' readings alone tell. The two baselines get
the same trials, with thresholds at the same rate of false alarms.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import NamedTuple

import numpy as np

from gridnet.app.bench.fraud_baselines import chi_square_alarm, cosine_alarm
from gridnet.app.bench.fraud_trials import Homes, Week, draw_tamper, homes_of, make_grid, measured, true_week, wrong_impedances
from gridnet.app.bench.table import aligned
from gridnet.app.outputs import STANDARD_OUTPUT, file_faults, write_json
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import Fault, InputError
from gridnet.metering.accuracy import white
from gridnet.metering.tamper import SIZES, Model, Tamper
from gridnet.verification.balance import growing
from gridnet.verification.locate import locate
from gridnet.verification.settings import Settings

SIZED: tuple[Model, ...] = ("scaled", "shifted", "clipped", "inflated", "agreeing", "opposed")
UNSIZED: tuple[Model, ...] = ("replayed", "stuck", "swapped")
TARGET_SIZES = (0.1, 0.2)
WEEKS = (1, 9, 17, 24, 34, 39, 47, 49)
WRONG = 0.05
METERS = {"lasting": Settings(), "white": Settings(meter=white(Settings().meter), head=white(Settings().head))}
"""What meters there are, and what the ladder is told of them: errors that mostly last, or all drawn anew in each interval."""
METHODS = ("ladder", "chi-square", "cosine")
_Z95 = 1.959964


class World(NamedTuple):
    """Which meters there are, and whether the ladder's impedances are wrong."""

    meters: str
    wrong_impedances: bool


WORLDS = (World("lasting", False), World("lasting", True), World("white", False))
"""Of the last, the targets alone."""


@dataclass(frozen=True)
class Plan:
    """How much is tried."""

    trials: int = 60
    """For each fraud and size; a target's rows have `target_trials`."""
    target_trials: int = 200
    honest: int = 400
    """For each world."""
    weeks: tuple[int, ...] = WEEKS
    sizes: tuple[float, ...] = SIZES
    seed: int = 0


@dataclass(frozen=True)
class Trial:
    """What came of one week."""

    fired: int | None
    """Day, from 1, on whose evening level 2 fired first; None where it never did."""
    named: int | None
    """The home that level 3 or a voltage names first."""
    alarms: tuple[float, float]
    """Heights of the baselines: chi-square, cosine."""
    blamed: tuple[int, int]
    """Homes that the baselines name."""


Tried = tuple[Trial, tuple[int, ...]]
"""A trial, and the homes that cheat in it."""


@dataclass(frozen=True)
class Share:
    """A share of trials, with Wilson's 95 % interval."""

    count: int
    of: int

    @property
    def value(self) -> float:
        """0 to 1; NaN of no trials."""
        return self.count / self.of if self.of else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson, "Probable inference, the law of succession, and statistical inference", J. Am. Stat. Assoc. 22, 1927."""
        if not self.of:
            return 0.0, 1.0
        share, z2 = self.value, _Z95**2 / self.of
        middle, half = share + z2 / 2.0, _Z95 * math.sqrt(share * (1.0 - share) / self.of + z2 / (4.0 * self.of))
        return max(0.0, (middle - half) / (1.0 + z2)), min(1.0, (middle + half) / (1.0 + z2))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{100 * self.value:.0f} [{100 * low:.0f}, {100 * high:.0f}]" if self.of else "-"


@dataclass(frozen=True)
class Row:
    """One fraud of one size, in one world."""

    fraud: str
    size: float
    meters: str
    wrong_impedances: bool
    days: float
    """Median day of detection where it was detected; NaN where never."""
    found: dict[str, Share] = field(default_factory=dict)
    """By method."""
    right: dict[str, Share] = field(default_factory=dict)
    """By method: of all trials, those where it was found and the first home named is one that cheats."""


def bench_fraud(arguments: argparse.Namespace, say: Callable[[str], None]) -> None:
    """Measures and shows: progress goes to `say`, the table to standard output. Raises `InputError` before anything is run."""
    case = load_case(arguments.scenario)
    faults, plan = file_faults("--json", arguments.json), Plan(seed=arguments.seed)
    weeks = tuple(week for week in plan.weeks if week < case.clock.weeks)
    if len(weeks) < 2:
        faults.append(Fault(case.scenario.name, f"{case.clock.weeks} weeks", f"{plan.weeks[1] + 1} weeks or more"))
    if faults:
        raise InputError("fraud can't be measured:", faults)
    rows = study(case, Plan(seed=arguments.seed, weeks=weeks), say)
    write_json({"scenario": case.scenario.name, "seed": plan.seed, "fraud": [as_json(row) for row in rows]}, arguments.json)
    if arguments.json != STANDARD_OUTPUT:
        print(f"{case.scenario.name}: {case.scenario.title}")
        print("meters of class 0.5, head 0.2, voltages 0.1 %, 7 days; % of trials with 95 % intervals\n")
        print(fraud_table(rows))


def study(case: Case, plan: Plan, say: Callable[[str], None]) -> list[Row]:
    """All rows: in each world first the honest weeks, then each fraud and size."""
    trials = _Trials(case, plan)
    limits, rows = (math.inf, math.inf), []
    for world in WORLDS:
        say(f"honest meters, errors {world.meters}, impedances {'wrong by 5 %' if world.wrong_impedances else 'right'}")
        honest = [trials.run(world, None) for _ in range(plan.honest)]
        if not world.wrong_impedances:
            # The baselines' thresholds come from half of the honest weeks with right impedances; their row counts the others.
            limits, honest = _limits(honest[::2], METERS[world.meters].false_alarms), honest[1::2]
        rows.append(_row("none", 0.0, world, [(trial, ()) for trial in honest], limits))
        for fraud, size in _frauds(plan.sizes):
            target = fraud == "scaled" and size in TARGET_SIZES
            if target or world.meters == "lasting":
                say(f"{fraud} {100 * size:g} %")
                tried = [trials.cheated(world, fraud, size) for _ in range(plan.target_trials if target else plan.trials)]
                rows.append(_row(fraud, size, world, tried, limits))
    return rows


def _frauds(sizes: Sequence[float]) -> Iterator[tuple[Model, float]]:
    for fraud in SIZED:
        yield from ((fraud, size) for size in sizes)
    yield from ((fraud, 0.0) for fraud in UNSIZED)


class _Trials:
    """Draws trials one after the other from one seed."""

    def __init__(self, case: Case, plan: Plan) -> None:
        self._case = case
        self._rng = np.random.default_rng(plan.seed)
        self._homes: Homes = homes_of(case)
        self._weeks: list[Week] = [true_week(case, self._homes, week) for week in plan.weeks]
        self._right = {name: make_grid(case, self._homes, settings) for name, settings in METERS.items()}

    def cheated(self, world: World, fraud: Model, size: float) -> Tried:
        """A trial with a fraud, and the homes that cheat."""
        tamper = draw_tamper(fraud, size, self._homes, self._weeks, self._rng)
        return self.run(world, tamper), tuple(self._homes.name.index(name) for name in tamper.meters)

    def run(self, world: World, tamper: Tamper | None) -> Trial:
        """A week with this fraud, or with none."""
        grid = self._right[world.meters]
        if world.wrong_impedances:
            grid = make_grid(wrong_impedances(self._case, WRONG, self._rng), self._homes, grid.settings)
        week = self._weeks[int(self._rng.integers(len(self._weeks)))]
        reported = measured(week, self._homes, [] if tamper is None else [tamper], grid.settings, self._rng)
        residual = grid.residual(reported)
        days = growing(grid, residual, list(range(STEPS_PER_DAY, len(residual.step) + 1, STEPS_PER_DAY)))
        fired = next((day for day, seen in enumerate(days, 1) if seen.fired), None)
        named = None
        if fired is not None:
            last = days[-1]
            follows = np.nan_to_num(last.follows)
            if follows.max() > last.follows_limit:
                named = int(follows.argmax())
            elif last.unbalanced:
                suspects = locate(grid, residual).suspects
                named = suspects[0].home if suspects else None
        chi, cosine = chi_square_alarm(grid, residual), cosine_alarm(grid, reported)
        return Trial(fired, named, (chi.height, cosine.height), (chi.home, cosine.home))


def _limits(honest: Sequence[Trial], share: float) -> tuple[float, float]:
    """Thresholds of the baselines that `share` of the honest weeks exceed."""
    heights = np.array([trial.alarms for trial in honest])
    chi, cosine = np.quantile(heights, 1.0 - share, axis=0, method="higher")
    return float(chi), float(cosine)


def _row(fraud: str, size: float, world: World, trials: Sequence[Tried], limits: tuple[float, float]) -> Row:
    hits = {name: [_hit(trial, cheats, name, limits) for trial, cheats in trials] for name in METHODS}
    days = [trial.fired for trial, _ in trials if trial.fired is not None]
    return Row(
        fraud,
        size,
        world.meters,
        world.wrong_impedances,
        float(np.median(days)) if days else math.nan,
        {name: Share(sum(found for found, _ in each), len(each)) for name, each in hits.items()},
        {name: Share(sum(right for _, right in each), len(each)) for name, each in hits.items()},
    )


def _hit(trial: Trial, cheats: tuple[int, ...], method: str, limits: tuple[float, float]) -> tuple[bool, bool]:
    """Whether the method found something, and whether it named one that cheats."""
    if method == "ladder":
        found, named = trial.fired is not None, trial.named
    else:
        which = METHODS.index(method) - 1
        found, named = trial.alarms[which] > limits[which], trial.blamed[which]
    return found, found and named in cheats


def as_json(row: Row) -> dict[str, object]:
    """Plain values; shares with their intervals."""
    plain = {key: value for key, value in asdict(row).items() if key not in {"found", "right"}}
    plain["days"] = None if math.isnan(row.days) else row.days
    for key in ("found", "right"):
        shares: dict[str, Share] = getattr(row, key)
        plain[key] = {name: {"count": one.count, "of": one.of, "interval": list(one.interval)} for name, one in shares.items()}
    return plain


def fraud_table(rows: Sequence[Row]) -> str:
    """A line for each fraud, size and world; "none" is the rate of false alarms."""
    table = [
        ["fraud", "size", "meters", "impedances", "found", "right meter", "days", "chi-square", "right", "cosine", "right"],
        ["", "%", "", "", "%", "%", "median", "%", "%", "%", "%"],
    ]
    for row in rows:
        honest = row.fraud == "none"
        impedances = "5 % wrong" if row.wrong_impedances else "right"
        shown = [row.fraud, f"{100 * row.size:g}" if row.size else "", row.meters, impedances]
        cells = [
            str(row.found["ladder"]),
            "" if honest else str(row.right["ladder"]),
            "" if math.isnan(row.days) else f"{row.days:g}",
        ]
        for name in METHODS[1:]:
            cells += [str(row.found[name]), "" if honest else str(row.right[name])]
        table.append([*shown, *cells])
    return aligned(table)
