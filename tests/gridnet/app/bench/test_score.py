"""From accounts to scores: sums, shares, and an interval that means something."""

from __future__ import annotations

import json
from dataclasses import asdict, replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.bench.evaluate import WeekAccount
from gridnet.app.bench.score import Score, Weeks, as_json, score

PLAIN = WeekAccount(
    cost_eur=0.0,
    violation_steps=0,
    worst_voltage_pu=1.0,
    worst_loading_percent=10.0,
    loss_kwh=1.0,
    co2_kg=2.0,
    peak_kw=3.0,
)


def _weeks(*costs_of_seeds: list[float]) -> Weeks:
    accounts = [[replace(PLAIN, cost_eur=cost) for cost in costs] for costs in costs_of_seeds]
    return Weeks(accounts, [1.0] * sum(len(costs) for costs in costs_of_seeds))


def _scores(seed: int = 0, **policies: list[float]) -> dict[str, Score]:
    return score({name: _weeks(costs) for name, costs in policies.items()}, seed)


def test_savings_are_sums_against_no_battery_and_captured_is_their_share_of_the_bound() -> None:
    scores = _scores(no_battery=[10.0, 20.0], rule=[9.0, 17.0], lp=[8.0, 14.0])
    rule = scores["rule"]
    assert (rule.cost_eur, rule.saving_eur) == (26.0, 4.0)
    assert rule.captured == pytest.approx(4.0 / 8.0), "the ratio of sums, not 1/2 and 3/6 averaged"
    assert scores["lp"].saving_eur == 8.0


def test_captured_compares_sums_and_does_not_average_ratios() -> None:
    rule = _scores(no_battery=[10.0, 20.0], rule=[9.0, 20.0], lp=[9.0, 10.0])["rule"]
    assert rule.captured == pytest.approx(1.0 / 11.0)


def test_the_bound_captures_all_and_the_reference_nothing_with_certainty() -> None:
    scores = _scores(no_battery=[10.0, 20.0, 5.0], rule=[9.0, 17.0, 5.0], lp=[8.0, 14.0, 1.0])
    assert (scores["lp"].captured, scores["lp"].captured_ci95) == (1.0, (1.0, 1.0))
    assert (scores["no_battery"].captured, scores["no_battery"].captured_ci95) == (0.0, (0.0, 0.0))


def test_nothing_is_captured_where_the_bound_was_not_run() -> None:
    rule = _scores(no_battery=[10.0], rule=[9.0])["rule"]
    assert (rule.captured, rule.captured_ci95) == (None, None)
    assert rule.saving_eur == 1.0


@pytest.mark.parametrize("bound", [[10.0, 5.0], [10.5, 5.0]])
def test_nothing_is_captured_where_the_bound_saves_nothing(bound: list[float]) -> None:
    scores = _scores(no_battery=[10.0, 5.0], rule=[11.0, 5.0], lp=bound)
    assert all((one.captured, one.captured_ci95) == (None, None) for one in scores.values())


def test_a_policy_that_loses_money_captures_less_than_nothing() -> None:
    rule = _scores(no_battery=[10.0], rule=[12.0], lp=[8.0])["rule"]
    assert (rule.captured, rule.captured_ci95) == (-1.0, (-1.0, -1.0))


@given(st.floats(1.0, 1e4), st.floats(0.0, 1.2), st.integers(0, 5))
def test_a_single_week_has_an_interval_of_no_width(bound: float, share: float, seed: int) -> None:
    rule = _scores(seed, no_battery=[0.0], rule=[-share * bound], lp=[-bound])["rule"]
    assert rule.captured is not None
    assert rule.captured_ci95 == pytest.approx((rule.captured, rule.captured))


@pytest.mark.parametrize("draw", range(8))
@pytest.mark.parametrize("weeks", [2, 4, 10])
def test_the_interval_holds_the_estimate_and_stays_within_the_weeks(weeks: int, draw: int) -> None:
    rng = np.random.default_rng(100 * weeks + draw)
    bound, share = rng.uniform(5.0, 50.0, weeks), rng.uniform(0.2, 1.0, weeks)
    scores = _scores(no_battery=[0.0] * weeks, rule=list(-bound * share), lp=list(-bound))
    captured, interval = scores["rule"].captured, scores["rule"].captured_ci95
    assert captured is not None
    assert interval is not None
    assert interval[0] <= captured <= interval[1]
    assert share.min() - 1e-9 <= interval[0] < interval[1] <= share.max() + 1e-9


def test_the_interval_is_that_of_a_bootstrap_written_independently() -> None:
    rng = np.random.default_rng(5)
    bound = rng.uniform(5.0, 50.0, 10)
    saving = bound * rng.uniform(0.3, 1.0, 10)
    scores = _scores(no_battery=[0.0] * 10, rule=list(-saving), lp=list(-bound))
    ratios = []
    for _ in range(10_000):
        picked = rng.choice(10, 10)
        ratios.append(sum(saving[picked]) / sum(bound[picked]))
    assert scores["rule"].captured_ci95 == pytest.approx(np.quantile(ratios, [0.025, 0.975]), abs=0.01)


def test_training_seeds_are_averaged_and_widen_the_interval() -> None:
    reference, bound = [10.0] * 6, [0.0] * 6
    good, bad = [2.0] * 6, [6.0] * 6
    scores = score({"no_battery": _weeks(reference), "rl": _weeks(good, bad), "lp": _weeks(bound)}, 0)
    rl = scores["rl"]
    assert (rl.cost_eur, rl.saving_eur, rl.captured) == (24.0, 36.0, pytest.approx(0.6))
    assert rl.captured_ci95 == pytest.approx((0.4, 0.8)), "either seed alone is a possible draw of two"


def test_two_equal_seeds_say_no_more_and_no_less_than_one() -> None:
    costs = [2.0, 3.0, 5.0, 1.0]
    one = score({"no_battery": _weeks([9.0] * 4), "rl": _weeks(costs), "lp": _weeks([0.0] * 4)}, 1)
    two = score({"no_battery": _weeks([9.0] * 4), "rl": _weeks(costs, costs), "lp": _weeks([0.0] * 4)}, 1)
    assert two["rl"].captured == one["rl"].captured
    assert two["rl"].captured_ci95 == pytest.approx(one["rl"].captured_ci95, abs=0.02)


def test_the_interval_depends_on_the_seed_alone() -> None:
    rng = np.random.default_rng(2)
    bound = rng.uniform(5.0, 50.0, 10)
    policies = {
        "no_battery": [0.0] * 10,
        "rule": list(-bound * rng.uniform(0.1, 1.0, 10)),
        "lp": list(-bound),
    }
    again = [_scores(seed, **policies)["rule"].captured_ci95 for seed in (0, 0, 1)]
    assert again[0] == again[1]
    assert again[0] != again[2]
    alone = _scores(0, **policies, other=policies["rule"])
    assert alone["rule"].captured_ci95 == alone["other"].captured_ci95 == again[0]


def test_physical_figures_are_summed_or_worst_and_averaged_over_seeds() -> None:
    calm = replace(PLAIN, violation_steps=2, worst_voltage_pu=1.04, worst_loading_percent=50.0, peak_kw=7.0)
    low = replace(PLAIN, violation_steps=3, worst_voltage_pu=0.95, worst_loading_percent=80.0, peak_kw=5.0)
    weeks = Weeks([[calm, low], [calm, calm]], [1.0, 2.0, 3.0, 10.0])
    rl = score({"no_battery": _weeks([0.0, 0.0]), "rl": weeks}, 0)["rl"]
    assert rl.violation_steps == 4.5
    assert rl.worst_voltage_pu == 0.95, "the farthest from 1 pu, on either side"
    assert (rl.worst_loading_percent, rl.peak_kw) == (80.0, 7.0)
    assert (rl.loss_kwh, rl.co2_kg) == (2.0, 4.0)
    assert rl.decision_ms == 2.5


def test_the_machine_readable_form_is_plain_json_rounded_to_a_millionth() -> None:
    scores = _scores(no_battery=[10.0, 1.0], rule=[9.0 + 1e-9, 1.0], lp=[7.0, 0.0])
    content = as_json("tiny", [4, 9], 3, scores, 6.5000001)
    assert json.loads(json.dumps(content, allow_nan=False)) == content
    assert list(content) == ["scenario", "weeks", "seed", "lower_bound_eur", "policies"]
    assert content["lower_bound_eur"] == 6.5
    rule = content["policies"]["rule"]  # type: ignore[index]
    assert list(rule) == list(asdict(scores["rule"]))
    assert rule["captured"] == 0.25
    assert rule["cost_eur"] == 10.0
