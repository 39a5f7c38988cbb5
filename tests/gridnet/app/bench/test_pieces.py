"""A benchmark in pieces: none depends on another, nor on the engine."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from gridnet.app.bench.run import BOUND, Piece, Plan, Played, Stage, pieces_of, play_piece, run_benchmark
from gridnet.case import Case, load_case
from gridnet.engines.local import Processes
from gridnet.series.subinterval import QUARTER_HOURS


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


def _timeless(played: Played) -> tuple[object, ...]:
    run = played.run
    arrays = () if run is None else tuple(a.tobytes() for a in (run.done, run.soc, run.vm_pu, run.slack_p_kw))
    return played.account, played.bound_eur, arrays


@pytest.mark.long
def test_a_week_is_the_same_alone_and_in_any_order(tiny: Case) -> None:
    pieces = pieces_of(Plan(("rule", "mpc", "rl", "lp"), (4, 0), 2, 0))
    together, backwards = (Stage(tiny, 2, QUARTER_HOURS) for _ in range(2))
    # `mpc` is as slow as all others together: its week 4 is played first of all, and after its week 0.
    few = [piece for piece in pieces if piece != Piece("mpc", 0, 0)]
    forth = {piece: _timeless(play_piece(together, piece)) for piece in few}
    back = {piece: _timeless(play_piece(backwards, piece)) for piece in reversed(pieces)}
    assert all(back[piece] == forth[piece] for piece in few)
    for piece in few:
        if piece.policy != "mpc":
            assert _timeless(play_piece(Stage(tiny, 2, QUARTER_HOURS), piece)) == forth[piece], piece
    assert forth[Piece("rl", 0, 4)] != forth[Piece("rl", 1, 4)] != forth[Piece("rl", 1, 0)]


def test_every_piece_is_planned_once_and_each_week_has_a_bound() -> None:
    with_optimum = pieces_of(Plan(("lp",), (4, 0), 5, 0))
    assert [str(piece) for piece in with_optimum] == ["no_battery: week 4", "no_battery: week 0", "lp: week 4", "lp: week 0"]
    without = pieces_of(Plan(("rl",), (4,), 3, 0))
    assert [(piece.policy, piece.seed) for piece in without] == [("no_battery", 0), ("rl", 0), ("rl", 1), ("rl", 2), (BOUND, 0)]


def test_processes_give_the_same_outcome(tiny: Case) -> None:
    plan = Plan(("rule", "lp"), (4, 0), 1, 0)
    lines: list[str] = []
    here, there = run_benchmark(tiny, plan, lambda line: None), run_benchmark(tiny, plan, lines.append, Processes(2))
    for name, score in here.scores.items():
        assert replace(there.scores[name], decision_ms=0.0) == replace(score, decision_ms=0.0)
    assert there.bound_eur == here.bound_eur
    assert [run.week for run in there.runs["rule"]] == [4, 0]
    assert np.array_equal(there.yardsticks[1].plan.p_kw, here.yardsticks[1].plan.p_kw)
    assert [line.partition(":")[0] for line in lines] == [f"{k} of 6" for k in range(1, 7)]
