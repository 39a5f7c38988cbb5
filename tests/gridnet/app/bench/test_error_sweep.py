"""`gridnet bench --forecast-errors`: what is run again and what is not, who wins, a table, JSON, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridnet.app.bench import error_sweep
from gridnet.app.bench.compare import Comparison
from gridnet.app.bench.error_sweep import BLIND, AtError, sweep, sweep_table
from gridnet.app.bench.evaluate import WeekRun, account, run_week
from gridnet.app.bench.run import Plan
from gridnet.app.bench.score import Score
from gridnet.app.cli import main
from gridnet.case import Case, load_case
from gridnet.forecast.forecaster import hourly_totals
from gridnet.forecast.skill import mean_absolute_error
from gridnet.scenario import Forecast
from gridnet_policies.policy import Policy
from gridnet_policies.registry import make_policies

COMMAND = ["bench", "tiny", "--weeks", "4", "--policies", "rule,rl", "--seeds", "1"]


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Forecast]]:
    """Every week that is run: by whom, on which forecasts."""
    seen: list[tuple[str, Forecast]] = []

    def watched(case: Case, policy: Policy, week: int) -> WeekRun:
        seen.append((policy.name, case.scenario.forecast))
        return run_week(case, policy, week)

    monkeypatch.setattr(error_sweep, "run_week", watched)
    return seen


def test_policies_that_see_forecasts_run_at_every_error_and_the_others_once(
    seen: list[tuple[str, Forecast]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*COMMAND, "--forecast-errors", "0,25", "--seed", "9", "--json", "-"]) == 0
    assert [name for name, _ in seen] == ["no_battery", "rule", "lp", "rl", "rl"]
    asked = [forecast for name, forecast in seen if name == "rl"]
    assert asked == [Forecast(method="perturbed", error=error, seed=9) for error in (0.0, 0.25)]
    content = json.loads(capsys.readouterr().out)
    assert [row["error"] for row in content["forecast_errors"]] == [0.0, 0.25]
    for row in content["forecast_errors"]:
        assert list(row["policies"]) == ["rule", "rl"]
        assert row["load_error"] == pytest.approx(row["error"], rel=0.4)
        assert {one["policy"] for one in row["against_best"]} == {"rule", "rl"} - {row["best"]}
    first, second = (row["policies"] for row in content["forecast_errors"])
    same = {"decision_ms": None}
    assert {**first["rule"], **same} == {**second["rule"], **same}
    assert first["rl"]["cost_eur"] != second["rl"]["cost_eur"]


@pytest.mark.parametrize("name", BLIND)
def test_the_policies_that_are_run_once_look_at_no_forecast(name: str, tiny: Case) -> None:
    wrong = replace(tiny, scenario=tiny.scenario.model_copy(update={"forecast": Forecast(method="perturbed", error=0.4)}))
    assert (hourly_totals(wrong) != hourly_totals(tiny)).any()
    [one], [other] = make_policies(name, 1), make_policies(name, 1)
    assert account(tiny, run_week(tiny, one, 4)) == account(wrong, run_week(wrong, other, 4))


def test_the_error_on_the_weeks_is_that_of_what_policies_are_told(tiny: Case) -> None:
    [row] = sweep(tiny, Plan(("rule",), (3,), 1, 2), [0.3], lambda line: None)
    case = replace(tiny, scenario=tiny.scenario.model_copy(update={"forecast": Forecast(method="perturbed", error=0.3, seed=2)}))
    forecaster, load = error_sweep.make_forecaster(case), tiny.series.load_p_kw.sum(axis=1)
    issues = range(3 * 672, 4 * 672 - 95, 4)
    truth = np.array([load[step : step + 96] for step in issues])
    said = np.array([forecaster.load.at(step, 96) for step in issues])
    assert row.load_error == pytest.approx(mean_absolute_error(said, truth) / np.abs(truth).mean())
    assert row.pv_error != row.load_error


ONE = Score(1.0, 2.0, 0.5, (0.4, 0.6), 3.0, 1.0, 10.0, 1.0, 1.0, 1.0, 1.0)
TWO = replace(ONE, saving_eur=3.0, captured=0.75, captured_ci95=(0.7, 0.8))


def a_row(interval: tuple[float, float] | None) -> AtError:
    return AtError(0.1, 0.11, None, {"rule": ONE, "mpc": TWO}, [Comparison("rule", "mpc", -0.25, interval, 0.1)])


def test_the_best_wins_only_where_its_lead_is_sure() -> None:
    assert a_row((-0.3, -0.2)).wins == "mpc"
    assert a_row((-0.3, 0.1)).wins is None
    assert a_row(None).wins is None
    beside = [Comparison("rule", "mpc", -0.25, (-0.3, -0.2), 0.1), Comparison("rl", "mpc", -0.01, (-0.1, 0.1), 0.4)]
    level = replace(a_row(None), scores={"rule": ONE, "mpc": TWO, "rl": replace(TWO, saving_eur=2.9)}, against_best=beside)
    assert level.wins is None, "a lead on one of two is no win"
    assert replace(a_row(None), scores={"mpc": TWO}, against_best=[]).wins is None, "against nobody"


def test_the_table_says_who_wins_or_that_there_is_no_difference() -> None:
    [*_, rule, mpc] = sweep_table([a_row((-0.3, -0.2))], 10).splitlines()
    assert rule.split() == ["10.0", "11.0", "-", "rule", "0.500", "[0.400,", "0.600]", "3", "-0.250", "[-0.300,", "-0.200]"]
    assert mpc.split() == ["mpc", "0.750", "[0.700,", "0.800]", "3", "wins"]
    unsure = sweep_table([a_row((-0.3, 0.1))], 4)
    assert unsure.count("no difference") == 1
    assert "wins" not in unsure
    assert "careful: over 4 weeks" in unsure.splitlines()[-1]


def test_a_file_gets_what_standard_output_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    command = ["bench", "tiny", "--weeks", "4", "--policies", "rule", "--forecast-errors", "10"]
    assert main([*command, "--json", str(target)]) == 0
    told = capsys.readouterr().out
    assert told.startswith("tiny: ")
    assert "10.0" in told
    content = json.loads(target.read_text(encoding="utf-8"))
    assert list(content) == ["scenario", "weeks", "seed", "forecast_errors"]
    assert content["forecast_errors"][0]["wins"] is None


def test_every_fault_is_told_before_anything_is_run(seen: list[tuple[str, Forecast]], capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--forecast-errors", "5,-1,x,101", "--policies", "no_battery,lp", "--truth", "5", "--seed", "-1"]
    assert main(["bench", "tiny", *words]) == 2
    told = capsys.readouterr().err
    for word in ("'-1'", "'x'", "'101'", "--seed: got -1", "--truth", "--policies"):
        assert word in told
    assert "'5'" not in told
    assert main([*COMMAND, "--forecast-errors", ",".join(str(error) for error in range(21))]) == 2
    assert "20 at most" in capsys.readouterr().err
    assert main([*COMMAND, "--forecast-errors", "0,90"]) == 2
    assert "ask for less" in capsys.readouterr().err, "tiny's sun is at its peak or gone"
    assert seen == []
