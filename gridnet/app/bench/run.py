"""One benchmark: every policy over the same weeks, each week of each policy a piece of work of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import count

from gridnet.app.bench.evaluate import WeekAccount, WeekRun, account, run_week
from gridnet.app.bench.finer import account_finer, finer_case, run_week_finer
from gridnet.app.bench.score import REFERENCE, Score, Weeks, score
from gridnet.app.bench.yardstick import Yardstick
from gridnet.case import Case
from gridnet.engines.job import Engine, Job
from gridnet.engines.local import Here
from gridnet.series.subinterval import QUARTER_HOURS, QUARTER_MINUTES, Truth
from gridnet_policies.lp import PerfectForesightLp
from gridnet_policies.lp.plan import Plan as Foresight
from gridnet_policies.policy import Policy
from gridnet_policies.registry import POLICIES, make_policies

BOUND = "lower bound"
"""In the place of a policy's name: the week's bound alone, where no policy plans it anyway."""


@dataclass(frozen=True)
class Plan:
    """What to run: policies by name, weeks, how many training seeds of a learned policy, the bootstrap's seed, the truth."""

    policies: tuple[str, ...]
    weeks: tuple[int, ...]
    seeds: int
    seed: int
    truth: Truth = QUARTER_HOURS


@dataclass(frozen=True)
class Outcome:
    """Scores by policy, and what is behind them."""

    scores: dict[str, Score]
    runs: dict[str, list[WeekRun]]
    """Of a policy's first training seed; none at a finer truth, whose weeks of minutes would fill the memory."""
    bound_eur: float
    """What no schedule can cost less than that keeps the limits, all weeks together, at the truth of quarter-hours."""
    yardsticks: list[Yardstick]
    """The optimiser's plan of each week."""
    weeks: dict[str, Weeks]
    """What the scores are of."""


@dataclass(frozen=True)
class Piece:
    """One week of one policy, of one training seed where it has several."""

    policy: str
    seed: int
    week: int

    def __str__(self) -> str:
        return f"{self.policy}: week {self.week}"


@dataclass(frozen=True)
class Played:
    """What came of a piece."""

    account: WeekAccount | None = None
    """None of a bound alone."""
    decision_ms: float = 0.0
    run: WeekRun | None = None
    """Of the first training seed alone, at the truth of quarter-hours."""
    foresight: Foresight | None = None
    """The week's plan by perfect foresight, of the piece that made it."""
    bound_eur: float = 0.0


@dataclass(frozen=True)
class Stage:
    """What a process needs for all its pieces: the case, and the policies that it made so far, by name and training seed."""

    case: Case
    seeds: int
    truth: Truth
    _made: dict[str, Sequence[Policy]] = field(default_factory=dict)

    def policy(self, name: str, seed: int) -> Policy:
        """A policy keeps the view of its case between weeks, and nothing of a week."""
        if name not in self._made:
            self._made[name] = make_policies(name, self.seeds)
        return self._made[name][seed]


def run_benchmark(case: Case, plan: Plan, report: Callable[[str], None], engine: Engine | None = None) -> Outcome:
    """Runs the plan on `engine`, in this process without one; `report` is told what is done. The reference policy is added where
    it is missing. Every engine gives the same outcome, times aside."""
    pieces, done = pieces_of(plan), count(1)

    def told(index: int) -> None:
        number = plan.weeks.index(pieces[index].week) + 1
        report(f"{next(done)} of {len(pieces)}: {pieces[index]} ({number} of {len(plan.weeks)})")

    played = (engine or Here()).run(Job(play_piece, Stage(case, plan.seeds, plan.truth), pieces), told)
    return _outcome(case, plan, dict(zip(pieces, played, strict=True)))


def pieces_of(plan: Plan) -> list[Piece]:
    """The pieces of a plan, none of which needs another."""
    names = [name for name in POLICIES if name in plan.policies or name == REFERENCE]
    pieces = [
        Piece(name, seed, week) for name in names for seed in range(len(make_policies(name, plan.seeds))) for week in plan.weeks
    ]
    planned = {piece.week for piece in pieces if piece.policy == PerfectForesightLp.name}
    return [*pieces, *(Piece(BOUND, 0, week) for week in plan.weeks if week not in planned)]


def play_piece(stage: Stage, piece: Piece) -> Played:
    """Does one piece, as any engine runs it."""
    if piece.policy == BOUND:
        yardstick = Yardstick(stage.case, piece.week, None)
        return Played(foresight=yardstick.plan, bound_eur=yardstick.bound_eur())
    policy = stage.policy(piece.policy, piece.seed)
    played = _week(stage, policy, piece)
    if not isinstance(policy, PerfectForesightLp) or policy.plan is None:
        return played
    bound_eur = Yardstick(stage.case, piece.week, policy.plan).bound_eur()
    return Played(played.account, played.decision_ms, played.run, policy.plan, bound_eur)


def _week(stage: Stage, policy: Policy, piece: Piece) -> Played:
    case, week = stage.case, piece.week
    if stage.truth.minutes == QUARTER_MINUTES:
        run = run_week(case, policy, week)
        return Played(account(case, run), run.decision_ms, run if piece.seed == 0 else None)
    finer = finer_case(case, week, stage.truth)
    run = run_week_finer(case, finer, policy, week)
    return Played(account_finer(case, finer, run), run.decision_ms)


def _outcome(case: Case, plan: Plan, played: dict[Piece, Played]) -> Outcome:
    weeks_of: dict[str, Weeks] = {}
    runs: dict[str, list[WeekRun]] = {}
    for name in dict.fromkeys(piece.policy for piece in played if piece.policy != BOUND):
        mine = {piece: one for piece, one in played.items() if piece.policy == name}
        runs[name] = [one.run for one in mine.values() if one.run is not None]
        seeds = sorted({piece.seed for piece in mine})
        accounts = [[one.account for piece, one in mine.items() if piece.seed == seed and one.account] for seed in seeds]
        weeks_of[name] = Weeks(accounts, [one.decision_ms for one in mine.values()])
    planned = {piece.week: one for piece, one in played.items() if one.foresight is not None}
    yardsticks = [Yardstick(case, week, planned[week].foresight) for week in plan.weeks]
    bound_eur = 0.0
    for week in plan.weeks:
        bound_eur += planned[week].bound_eur
    return Outcome(score(weeks_of, plan.seed), runs, bound_eur, yardsticks, weeks_of)
