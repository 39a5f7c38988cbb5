"""`gridnet bench --forecasts`: numbers that can be worked out, a table, JSON, and refusals."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gridnet.app.bench.forecasts import METHODS, TARGETS, Score, forecast_table, measure
from gridnet.app.cli import main
from gridnet.case import Case, load_case

COMMAND = ["bench", "--forecasts", "tiny"]


@pytest.fixture(scope="module")
def growing() -> Case:
    """Loads that grow by one kW a day, suddenly at midnight: persistence is wrong by 1 kW for each load."""
    case = load_case("tiny")
    day = np.arange(case.clock.steps) // 96
    return replace(case, series=replace(case.series, load_p_kw=np.stack([-1.0 - day, -1.0 - day], axis=1)))


def _one(scores: list[Score], *key: str) -> Score:
    [found] = [one for one in scores if (one.method, one.target, one.horizon) == key]
    return found


def test_persistence_is_wrong_by_what_it_must_be(growing: Case) -> None:
    scores = measure(growing, [4], 0, lambda line: None)
    assert len(scores) == 3 * 3 * 2
    load = _one(scores, "persistence", "load", "24 h")
    assert load.mae_kw == pytest.approx(2.0)
    assert load.bias_kw == pytest.approx(2.0)  # too little consumption is too high a power
    assert load.mae_of_mean == pytest.approx(load.mae_kw / np.mean([2 * (1 + day) for day in _days_scored()]))
    assert load.skill == 0.0
    assert load.skill_ci95 == (0.0, 0.0)
    assert load.coverage is None
    assert load.pinball_kw is None
    assert _one(scores, "persistence", "surplus", "1 h").mae_kw == pytest.approx(2.0)
    climatology = _one(scores, "climatology", "load", "24 h")
    assert climatology.skill == pytest.approx(1 - climatology.mae_kw / 2.0)
    boosted = _one(scores, "boosted", "load", "24 h")
    assert boosted.pinball_kw is not None
    assert boosted.coverage is not None
    assert _one(scores, "boosted", "surplus", "24 h").coverage is None


def _days_scored() -> list[int]:
    """The local day of every value scored in week 4: forecasts of 24 h issued every hour, within the week."""
    return [(4 * 672 + issue + ahead) // 96 for issue in range(0, 577, 4) for ahead in range(96)]


def test_the_first_hour_is_scored_alone(growing: Case) -> None:
    scores = measure(growing, [4], 0, lambda line: None)
    # The last error corrects the first hour more than the day.
    assert _one(scores, "climatology", "load", "1 h").mae_kw < 0.6 * _one(scores, "climatology", "load", "24 h").mae_kw


def test_a_table_has_a_line_for_each_method_target_and_horizon(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(COMMAND) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("tiny: ")
    assert lines[1].startswith("weeks 4,")
    for target in TARGETS:
        for method in METHODS:
            assert len([line for line in lines if line.split()[:1] == [target] and method in line.split()]) == 2


def test_figures_repeat_and_name_what_they_are_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    assert main([*COMMAND, "--weeks", "3,4", "--json", str(target)]) == 0
    capsys.readouterr()
    assert main([*COMMAND, "--weeks", "3,4", "--json", "-"]) == 0
    assert capsys.readouterr().out == target.read_text()
    content = json.loads(target.read_text())
    assert content["scenario"] == "tiny"
    assert content["weeks"] == [3, 4]
    assert {(one["method"], one["target"]) for one in content["forecasts"]} == {(m, t) for m in METHODS for t in TARGETS}


def test_the_table_shows_what_is_missing_as_a_dash() -> None:
    one = Score("persistence", "PV", "1 h", 1.5, None, -0.25, None, None, None, None)
    assert forecast_table([one]).splitlines()[-1].split() == ["PV", "1", "h", "persistence", "1.500", "-", "-0.250", "-", "-", "-"]
    full = Score("boosted", "load", "24 h", 1.5, 0.125, 0.0, 0.75, 0.8125, 0.25, (0.1, 0.4))
    assert forecast_table([full]).splitlines()[-1].split()[4:] == [
        "1.500",
        "12.5",
        "0.000",
        "0.750",
        "81.2",
        "0.250",
        "[0.100,",
        "0.400]",
    ]


def test_bad_arguments_are_refused_together_before_the_work(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*COMMAND, "--weeks", "9,x", "--seed", "-1", "--json", "no/such/folder/x.json"]) == 2
    told = capsys.readouterr().err
    assert "forecasting" not in told
    for word in ("'9'", "'x'", "--seed", "--json"):
        assert word in told


@pytest.mark.parametrize("arguments", [["--forecasts", "--speed"], ["--forecasts", "tiny", "rural1"]], ids=" ".join)
def test_two_things_at_once_are_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["bench", *arguments])
    assert caught.value.code == 2
    assert "usage" in capsys.readouterr().err


def test_an_unknown_scenario_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "--forecasts", "tinny"]) == 2
    assert "did you mean tiny" in capsys.readouterr().err
