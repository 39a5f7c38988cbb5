"""Policies in pairs: differences that are paired, intervals that hold what they promise, a typical week no small week can bend."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import trim_mean

from gridnet.app.bench import compare as module
from gridnet.app.bench.compare import (
    SHARE_FLOOR,
    Comparison,
    Typical,
    compare,
    coverage_at_most,
    expanded_interval,
    interquartile_mean,
    typical,
    verdict,
)
from gridnet.app.bench.evaluate import WeekAccount
from gridnet.app.bench.score import Weeks, score

Floats = NDArray[np.float64]
PLAIN = WeekAccount(0.0, 0, 1.0, 10.0, 1.0, 2.0, 3.0)


def _weeks(costs: object) -> Weeks:
    """Costs (weeks,), or (seeds, weeks)."""
    table = np.atleast_2d(np.asarray(costs, dtype=np.float64))
    return Weeks([[replace(PLAIN, cost_eur=float(cost)) for cost in seed] for seed in table], [1.0] * table.size)


def _policies(**costs: object) -> dict[str, Weeks]:
    return {name: _weeks(table) for name, table in costs.items()}


def _pair(policies: dict[str, Weeks], seed: int = 0) -> Comparison:
    pair = compare(policies, "rl", "mpc", seed)
    assert pair is not None
    return pair


def _typical(policies: dict[str, Weeks], name: str) -> Typical:
    week = typical(policies, name, 0)
    assert week is not None
    return week


def _of_savings(foresight: Floats, **savings: Floats) -> dict[str, Weeks]:
    return _policies(no_battery=np.zeros(len(foresight)), **{name: -each for name, each in savings.items()}, lp=-foresight)


def test_a_difference_is_that_of_the_captured_shares_in_the_table() -> None:
    policies = _policies(no_battery=[10, 20], mpc=[9, 17], rl=[[8, 16], [9, 15]], lp=[5, 14])
    scores, pair = score(policies, 0), _pair(policies)
    assert scores["rl"].captured is not None
    assert scores["mpc"].captured is not None
    assert pair.difference == pytest.approx(scores["rl"].captured - scores["mpc"].captured)
    assert pair.difference == pytest.approx(2.0 / 11.0)


def test_who_is_better_in_a_week_is_counted_over_weeks_and_pairs_of_seeds_with_half_for_a_tie() -> None:
    policies = _policies(no_battery=[10, 20, 10, 10], mpc=[5, 5, 5, 5], rl=[[4, 6, 5, 4], [4, 6, 5, 6]], lp=[0, 0, 0, 0])
    assert _pair(policies).better == pytest.approx((2 + 0 + 1 + 1) / 8)
    other = compare(policies, "mpc", "rl", 0)
    assert other is not None
    assert other.better == pytest.approx(1 - 4 / 8)


def test_weeks_are_paired_so_a_lead_that_is_the_same_in_all_is_certain_however_weeks_differ() -> None:
    foresight = np.array([1.0, 100.0, 3.0, 40.0, 7.0, 250.0])
    pair = _pair(_of_savings(foresight, mpc=0.5 * foresight, rl=0.6 * foresight))
    assert pair.difference_ci95 == pytest.approx((0.1, 0.1))
    assert pair.sure


def test_a_lead_that_comes_and_goes_is_not_sure_and_one_in_all_weeks_is() -> None:
    foresight, lead = np.full(10, 10.0), np.tile([1.0, -0.8], 5)
    assert not _pair(_of_savings(foresight, mpc=np.full(10, 5.0), rl=5.0 + lead)).sure
    assert _pair(_of_savings(foresight, mpc=np.full(10, 5.0), rl=5.0 + np.abs(lead))).sure
    behind = _pair(_of_savings(foresight, mpc=np.full(10, 5.0), rl=5.0 - np.abs(lead)))
    assert behind.sure
    assert behind.difference < 0


def test_training_seeds_widen_the_interval() -> None:
    foresight = np.full(10, 10.0)
    seeds = 5.0 + np.array([[-2.0], [-1.0], [0.0], [1.0], [2.0]]) + np.zeros((5, 10))
    interval = _pair(_of_savings(foresight, mpc=np.full(10, 5.0), rl=seeds)).difference_ci95
    assert interval is not None
    assert interval[0] < -0.05
    assert interval[1] > 0.05


def test_a_single_week_says_nothing_of_others() -> None:
    pair = _pair(_policies(no_battery=[10], mpc=[5], rl=[4], lp=[0]))
    assert (pair.difference, pair.difference_ci95, pair.sure) == (0.1, None, False)


@pytest.mark.parametrize(
    "policies", [{"no_battery": [10.0]}, {"no_battery": [10.0], "lp": [10.0]}], ids=["no lp", "nothing to save"]
)
def test_without_a_share_there_is_no_comparison(policies: dict[str, list[float]]) -> None:
    every = _policies(**policies, mpc=[5.0], rl=[4.0])
    assert compare(every, "rl", "mpc", 0) is None
    assert typical(every, "rl", 0) is None
    assert verdict(every, 0).as_json() == {"comparisons": [], "typical_week": {}}


def test_the_verdict_is_of_the_learned_policy_against_all_but_the_ends_of_the_scale() -> None:
    policies = _policies(no_battery=[10, 9], rule=[7, 7], mpc=[5, 5], rl=[4, 6], lp=[0, 1])
    every = verdict(policies, 3)
    assert [(one.policy, one.against) for one in every.comparisons] == [("rl", "rule"), ("rl", "mpc")]
    assert list(every.typical) == list(policies)
    assert every == verdict(policies, 3)
    assert list(every.as_json()["comparisons"][0]) == ["policy", "against", "difference", "difference_ci95", "better"]  # type: ignore[index]
    assert verdict(_policies(no_battery=[10], rule=[7], lp=[0]), 0).comparisons == []


def _differing(rng: np.random.Generator, weeks: int, seeds: int) -> tuple[dict[str, Weeks], float]:
    """Weeks and trainings drawn from a world in which rl captures 0.05 more than mpc."""
    foresight = rng.uniform(50.0, 150.0, weeks)
    easy = rng.normal(0.0, 0.1, weeks)
    training = rng.normal(0.0, 0.02, (seeds, 1)) if seeds > 1 else 0.0  # one training is compared as it is
    mpc = foresight * (0.8 + easy)
    rl = foresight * (0.85 + easy + rng.normal(0.0, 0.04, weeks) + training + rng.normal(0.0, 0.02, (seeds, weeks)))
    return _of_savings(foresight, mpc=mpc, rl=rl), 0.05


@pytest.mark.parametrize(("weeks", "seeds"), [(10, 5), (10, 1), (30, 5)])
def test_the_interval_holds_the_truth_as_often_as_it_says(weeks: int, seeds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "RESAMPLES", 1_000)
    held, width = 0, []
    for draw in range(200):
        policies, truth = _differing(np.random.default_rng([weeks, seeds, draw]), weeks, seeds)
        interval = _pair(policies, draw).difference_ci95
        assert interval is not None
        held += interval[0] <= truth <= interval[1]
        width.append(interval[1] - interval[0])
    assert held >= 180
    assert np.mean(width) < 0.1, "an interval of everything would hold the truth too"


def test_few_weeks_can_not_hold_the_truth_as_often_as_the_name_says(monkeypatch: pytest.MonkeyPatch) -> None:
    assert coverage_at_most(4) == 0.875
    assert coverage_at_most(1) == 0.0
    monkeypatch.setattr(module, "RESAMPLES", 500)
    held = 0
    for draw in range(300):
        rng = np.random.default_rng(draw)
        lead = rng.normal(0.0, 1.0, 4)
        interval = _pair(_of_savings(np.full(4, 10.0), mpc=np.full(4, 5.0), rl=5.0 + lead), draw).difference_ci95
        assert interval is not None
        held += interval[0] <= 0.0 <= interval[1]
    assert held / 300 == pytest.approx(0.875, abs=0.05)


def test_the_expanded_interval_is_wider_than_percentiles_and_meets_them_where_there_is_much() -> None:
    drawn = np.random.default_rng(0).normal(size=200_000)
    low, high = expanded_interval(drawn, 10)
    assert (low, high) == pytest.approx((-2.384, 2.384), abs=0.04)  # 2.262 sqrt(10 / 9)
    assert expanded_interval(drawn, 100_000) == pytest.approx((-1.96, 1.96), abs=0.02)


@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=40))
def test_the_interquartile_mean_is_scipys_trimmed_mean(values: list[float]) -> None:
    assert float(interquartile_mean(np.array(values))) == pytest.approx(float(trim_mean(values, 0.25)), abs=1e-12)


def test_the_typical_week_of_the_bound_is_1_and_of_the_reference_0() -> None:
    policies = _of_savings(np.array([10.0, 20.0, 30.0, 40.0]), rl=np.array([5.0, 10.0, 15.0, 20.0]))
    assert [_typical(policies, name).iqm for name in policies] == pytest.approx([0.0, 0.5, 1.0])


def test_the_typical_week_leaves_out_the_best_and_the_worst_quarter() -> None:
    foresight = np.full(8, 10.0)
    share = np.array([-9.0, 0.1, 0.4, 0.5, 0.6, 0.7, 0.9, 5.0])
    assert _typical(_of_savings(foresight, rl=foresight * share), "rl").iqm == pytest.approx((0.4 + 0.5 + 0.6 + 0.7) / 4)


def test_a_week_with_next_to_nothing_to_save_is_held_against_a_tenth_of_the_mean() -> None:
    foresight = np.array([100.0, 100.0, 1e-9])
    week = _typical(_of_savings(foresight, rl=np.array([50.0, 50.0, -1.0])), "rl")
    assert week.iqm == pytest.approx((0.5 + 0.5 - 1.0 / (SHARE_FLOOR * 200.0 / 3)) / 3)
    negative = _typical(_of_savings(np.array([100.0, 100.0, -1.0]), rl=np.array([50.0, 50.0, -1.0])), "rl")
    assert negative.iqm < 0.5, "a loss stays a loss where lp loses too"


def test_the_typical_weeks_interval_draws_the_same_trainings_for_all_weeks() -> None:
    foresight = np.full(8, 10.0)
    trainings = np.array([[0.2], [0.4], [0.6], [0.8]]) * np.ones((4, 8))
    interval = _typical(_of_savings(foresight, rl=10.0 * trainings), "rl").iqm_ci95
    # Drawn anew in every week, 32 values would average out and end within 0.4 and 0.6.
    assert interval == pytest.approx((0.2, 0.8), abs=0.01)
    assert _typical(_of_savings(foresight, rl=foresight * 0.5), "rl").iqm_ci95 is None
