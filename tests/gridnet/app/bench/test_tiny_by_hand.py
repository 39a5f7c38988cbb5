"""The whole chain against a hand calculation: network, power flow, tariff, policies, account, score."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridnet.app.bench.run import Outcome, Plan, run_benchmark
from gridnet.case import Case, load_case

GOLDEN = Path(__file__).resolve().parents[3] / "golden" / "tiny"


def _golden(name: str) -> Any:
    return json.loads((GOLDEN / f"{name}.json").read_text(encoding="utf-8"))


FIGURES = [(policy, key) for policy, figures in _golden("expected").items() for key in figures]


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case(_golden("input")["scenario"])


@pytest.fixture(scope="module")
def outcome(case: Case) -> Outcome:
    given = _golden("input")
    return run_benchmark(case, Plan(tuple(given["policies"]), (given["week"],), 1, 0), lambda line: None)


@pytest.mark.parametrize(("policy", "key"), FIGURES)
def test_a_figure_of_the_week_is_the_one_worked_out_by_hand(outcome: Outcome, policy: str, key: str) -> None:
    tolerance = _golden("tolerance")
    expected = _golden("expected")[policy][key]
    got = getattr(outcome.scores[policy], key)
    assert got == pytest.approx(expected, rel=tolerance["relative"], abs=tolerance["absolute"])


def test_losses_are_as_small_as_the_hand_calculation_says(outcome: Outcome) -> None:
    for score in outcome.scores.values():
        assert 0 < score.loss_kwh < 0.0005 * 7 * 96


def test_the_optimum_fills_the_battery_at_noon_and_empties_it_in_the_evening(case: Case, outcome: Outcome) -> None:
    run = outcome.runs["lp"][0]
    day = run.soc[:-1, 0].reshape(7, 96)
    np.testing.assert_allclose(day[:, 14 * 4 : 18 * 4], 1.0, atol=1e-3)
    np.testing.assert_allclose(day[:, 22 * 4 :], 0.0, atol=1e-3)
    np.testing.assert_allclose(day[:, : 10 * 4], 0.0, atol=1e-3)
    assert run.slack_p_kw.reshape(7, 96)[:, 10 * 4 : 14 * 4].max() < 0.01, "bought at noon, beside a surplus"


def test_the_rule_is_empty_one_hour_into_the_evening(outcome: Outcome) -> None:
    day = outcome.runs["rule"][0].soc[:-1, 0].reshape(7, 96)
    np.testing.assert_allclose(day[:, 14 * 4], 1.0, atol=1e-9)
    np.testing.assert_allclose(day[:, 18 * 4], 0.2, atol=1e-9)
    np.testing.assert_allclose(day[:, 19 * 4 :], 0.0, atol=1e-9)


def test_no_policy_beats_the_optimum_and_none_is_worse_than_doing_nothing(outcome: Outcome) -> None:
    cost = {name: score.cost_eur for name, score in outcome.scores.items()}
    assert cost["lp"] <= cost["rule"] <= cost["no_battery"]
