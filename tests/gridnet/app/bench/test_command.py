"""The contract of `gridnet bench`: what it writes, where, and that it writes the same again."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from gridnet.app.bench import run as bench_run
from gridnet.app.bench.run import Plan, run_benchmark
from gridnet.app.cli import main
from gridnet.case import Case, load_case

ROOT = Path(__file__).resolve().parents[4]
TINY = ["bench", "tiny", "--weeks", "4"]
FIGURES = [
    "cost_eur", "saving_eur", "captured", "captured_ci95", "violation_steps", "worst_voltage_pu",
    "worst_loading_percent", "loss_kwh", "co2_kg", "peak_kw", "decision_ms",
]  # fmt: skip


def _printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(list(arguments)) == 0
    return capsys.readouterr().out


def _timeless(text: str) -> str:
    """The JSON text with every decision time blanked."""
    blanked, count = re.subn(r'("decision_ms": )[-+.0-9eE]+', r"\1_", text)
    assert count == len(json.loads(text)["policies"])
    return blanked


def _strict(text: str) -> Any:
    def refused(word: str) -> None:
        raise AssertionError(f"{word} is not JSON")

    return json.loads(text, parse_constant=refused)


@pytest.fixture
def content(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return dict(_strict(_printed(capsys, *TINY, "--policies", "no_battery,rule,lp", "--seed", "7", "--json", "-")))


def test_the_json_has_exactly_the_keys_of_the_contract(content: dict[str, Any]) -> None:
    assert list(content) == ["scenario", "weeks", "seed", "lower_bound_eur", "policies", "comparisons", "typical_week"]
    assert list(content["typical_week"]) == ["no_battery", "rule", "lp"]
    assert (content["scenario"], content["weeks"], content["seed"]) == ("tiny", [4], 7)
    assert list(content["policies"]) == ["no_battery", "rule", "lp"]
    for figures in content["policies"].values():
        assert list(figures) == FIGURES


def test_every_figure_is_a_number_and_the_interval_a_pair(content: dict[str, Any]) -> None:
    for figures in content["policies"].values():
        low, high = figures.pop("captured_ci95")
        assert low <= figures["captured"] <= high
        assert all(type(value) in (int, float) for value in (*figures.values(), low, high))
        assert figures["decision_ms"] >= 0


def test_saving_is_the_difference_of_costs(content: dict[str, Any]) -> None:
    policies = content["policies"]
    for figures in policies.values():
        assert figures["saving_eur"] == pytest.approx(policies["no_battery"]["cost_eur"] - figures["cost_eur"], abs=2e-6)


def test_without_the_bound_the_share_is_null(capsys: pytest.CaptureFixture[str]) -> None:
    rule = _strict(_printed(capsys, *TINY, "--policies", "rule", "--json", "-"))["policies"]["rule"]
    assert (rule["captured"], rule["captured_ci95"]) == (None, None)


def test_the_reference_is_always_there(capsys: pytest.CaptureFixture[str]) -> None:
    policies = _strict(_printed(capsys, *TINY, "--policies", "rule", "--json", "-"))["policies"]
    assert list(policies) == ["no_battery", "rule"]


def test_the_order_in_which_policies_are_named_changes_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    texts = [_printed(capsys, *TINY, "--policies", words, "--json", "-") for words in ("lp,rule", "rule, lp ,no_battery,rule")]
    assert _timeless(texts[0]) == _timeless(texts[1])


def test_a_run_in_another_process_writes_the_same_bytes_and_nothing_but_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["bench", "tiny", "--weeks", "4,0", "--policies", "no_battery,rule,lp", "--json", "-"]
    here = [_printed(capsys, *arguments) for _ in range(2)]
    paths = os.pathsep.join(str(ROOT / part) for part in ("", "envs", "policies", "contracts"))
    settings = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "17"}
    there = subprocess.run(
        [sys.executable, "-m", "gridnet.app.cli", *arguments], env=settings, capture_output=True, text=True, check=True
    )
    assert _timeless(here[0]) == _timeless(here[1]) == _timeless(there.stdout)
    assert "lp: week 0 (2 of 2)" in there.stderr, "progress is told, and told to standard error"


def test_a_file_gets_what_standard_output_would(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    target.write_text("old", encoding="utf-8")
    table = _printed(capsys, *TINY, "--policies", "rule,lp", "--json", str(target))
    assert "captured" in table
    there = _printed(capsys, *TINY, "--policies", "rule,lp", "--json", "-")
    assert _timeless(target.read_text(encoding="utf-8")) == _timeless(there)
    assert [path.name for path in tmp_path.iterdir()] == ["figures.json"]


def test_the_table_shows_every_figure_of_every_policy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    lines = _printed(capsys, *TINY, "--policies", "no_battery,rule,lp", "--json", str(target)).splitlines()
    content = json.loads(target.read_text(encoding="utf-8"))
    for name, figures in content["policies"].items():
        [row] = [line for line in lines if re.match(rf"{name}\b", line)]
        shown = [float(word) for word in re.findall(r"(?<![\w.])-?\d+(?:\.\d+)?", row)]
        expected = [value for part in figures.values() for value in (part if isinstance(part, list) else [part])]
        expected.insert(1, expected[0] - content["lower_bound_eur"])
        assert shown == pytest.approx(expected, abs=0.051, rel=0)


def test_comparisons_and_typical_weeks_stand_below_the_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    arguments = ["bench", "tiny", "--weeks", "4,0", "--policies", "rule,rl,lp", "--seeds", "2", "--json", str(target)]
    told = _printed(capsys, *arguments)
    content = json.loads(target.read_text(encoding="utf-8"))
    [pair] = content["comparisons"]
    figures = content["policies"]
    assert pair["difference"] == pytest.approx(figures["rl"]["captured"] - figures["rule"]["captured"], abs=2e-6)
    difference = re.escape(f"{pair['difference']:+.3f}")
    assert re.search(rf"^of rl less rule +{difference} \[.*\] +{100 * pair['better']:.0f}$", told, re.M)
    assert re.search(rf"^of rl +{content['typical_week']['rl']['iqm']:.3f} \[", told, re.M)
    assert "careful: over 2 weeks such an interval can hold the truth 50 %" in told


def test_weeks_that_training_may_have_seen_are_named_as_such(capsys: pytest.CaptureFixture[str]) -> None:
    assert "weeks 0, 3 are not held out" in _printed(capsys, "bench", "tiny", "--weeks", "0,4,3", "--policies", "rule")
    assert "not held out" not in _printed(capsys, *TINY, "--policies", "rule")


def test_every_unknown_policy_and_bad_number_is_listed_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tiny", "--policies", "foo,rule,LP,", "--seeds", "0", "--seed", "-1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    for words in ("'foo'", "'LP'", "''", "--seeds: got 0", "--seed: got -1", "no_battery, rule", "lp"):
        assert words in captured.err
    assert "'rule'" not in captured.err


def test_more_seeds_than_ship_is_a_clear_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*TINY, "--policies", "rl", "--seeds", "99", "--json", "-"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(r"--seeds: got 99, expected 1 to \d+", captured.err)


def _no_week_may_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*arguments: object) -> None:
        raise AssertionError("a week was run before the arguments were checked")

    monkeypatch.setattr(bench_run, "run_week", refused)


def test_unknown_weeks_and_policies_are_refused_before_any_week_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_week_may_run(monkeypatch)
    assert main(["bench", "tiny", "--weeks", "99", "--policies", "rule"]) == 2
    assert main(["bench", "tiny", "--weeks", "4", "--policies", "rules"]) == 2


def test_too_many_seeds_are_refused_before_any_week_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    _no_week_may_run(monkeypatch)
    assert main([*TINY, "--policies", "rule,rl", "--seeds", "99"]) == 2


def test_a_target_that_cannot_be_written_is_refused_before_any_week_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _no_week_may_run(monkeypatch)
    assert main([*TINY, "--policies", "rule", "--json", str(tmp_path / "absent" / "figures.json")]) == 2


def test_faults_of_several_options_are_listed_together(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tiny", "--policies", "foo", "--weeks", "99"]) == 2
    message = capsys.readouterr().err
    assert "'foo'" in message
    assert "'99'" in message


@pytest.fixture(scope="module")
def rural1() -> Case:
    return load_case("rural1")


def test_on_a_real_feeder_the_optimum_beats_the_rule_and_the_rule_beats_nothing(rural1: Case) -> None:
    scores = run_benchmark(rural1, Plan(("rule", "lp"), (29,), 1, 0), lambda line: None).scores
    cost = {name: score.cost_eur for name, score in scores.items()}
    assert cost["lp"] < cost["rule"] < cost["no_battery"]
    captured = scores["rule"].captured
    assert captured is not None
    assert 0 < captured < 1
    assert scores["lp"].violation_steps <= scores["no_battery"].violation_steps


def test_the_shipped_policy_is_part_of_the_default_run(capsys: pytest.CaptureFixture[str]) -> None:
    content = _strict(_printed(capsys, *TINY, "--json", "-"))
    assert list(content["policies"]) == ["no_battery", "rule", "mpc", "rl", "lp"]
    cost = {name: figures["cost_eur"] for name, figures in content["policies"].items()}
    assert cost["lp"] <= cost["rl"] + 1e-6


def test_the_shipped_policy_beats_the_rule_on_a_held_out_week_of_its_feeder(rural1: Case) -> None:
    scores = run_benchmark(rural1, Plan(("rule", "rl"), (29,), 1, 0), lambda line: None).scores
    assert scores["rl"].cost_eur < scores["rule"].cost_eur
    assert scores["rl"].violation_steps <= scores["no_battery"].violation_steps


@pytest.mark.parametrize("ending", ["csv", "parquet"])
def test_prices_by_bus_are_written_whole_and_in_parts(ending: str, tmp_path: Path) -> None:
    target = tmp_path / f"prices.{ending}"
    assert main([*TINY, "--policies", "lp", "--dlmp", str(target)]) == 0
    table = pd.read_csv(target, parse_dates=["start"]) if ending == "csv" else pd.read_parquet(target)
    parts = [f"{part}_eur_per_mwh" for part in ("total", "energy", "loss", "congestion", "voltage")]
    assert list(table.columns) == ["start", "bus", *parts]
    assert len(table) == 672 * 5
    assert str(table["start"].dt.tz) == "UTC"
    assert table[parts[1:]].sum(axis=1).to_numpy() == pytest.approx(table[parts[0]].to_numpy(), abs=3e-4)
    assert table[parts[0]].std() > 1.0


def test_prices_need_a_file_of_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "tiny", "--dlmp", "-"]) == 2
    assert "--dlmp: got '-', expected the name of a file" in capsys.readouterr().err
    assert main(["bench", "tiny", "--dlmp", "prices.xlsx"]) == 2
    assert "expected a name that ends in .csv or .parquet" in capsys.readouterr().err


def test_no_policy_that_keeps_its_limits_costs_less_than_the_bound(content: dict[str, Any]) -> None:
    assert all(figures["cost_eur"] >= content["lower_bound_eur"] - 1e-6 for figures in content["policies"].values())
    assert content["policies"]["lp"]["cost_eur"] < content["lower_bound_eur"] + 0.1
