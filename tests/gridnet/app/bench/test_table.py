"""The table that a person reads."""

from __future__ import annotations

import re

from gridnet.app.bench.compare import Comparison, Typical, Verdict
from gridnet.app.bench.score import Score
from gridnet.app.bench.table import aligned, score_table, verdict_table

ONE = Score(
    cost_eur=12.346,
    saving_eur=23.454,
    captured=0.3456,
    captured_ci95=(0.2345, 0.4567),
    violation_steps=45.0,
    worst_voltage_pu=1.05678,
    worst_loading_percent=67.89,
    loss_kwh=78.91,
    co2_kg=89.12,
    peak_kw=91.23,
    decision_ms=0.1234,
)


def test_every_figure_stands_in_the_table_with_its_name_and_unit() -> None:
    head, units, row = score_table({"rule": ONE}, 10.1).splitlines()
    names = ["policy", "cost", "over bound", "saving", "captured", "violations", "voltage", "loading", "losses", "CO2", "peak"]
    assert re.split(r"\s{2,}", head.strip()) == [*names, "decision"]
    assert re.split(r"\s{2,}", units.strip()) == [
        "EUR", "EUR", "EUR", "[95 % interval]", "steps", "worst pu", "worst %", "kWh", "kg", "kW", "ms",
    ]  # fmt: skip
    assert re.split(r"\s{2,}", row.strip()) == [
        "rule", "12.35", "2.25", "23.45", "0.346 [0.234, 0.457]", "45", "1.0568", "67.9", "78.9", "89.1", "91.2", "0.123",
    ]  # fmt: skip


def test_a_share_that_is_not_known_is_a_dash() -> None:
    unknown = Score(**{**vars(ONE), "captured": None, "captured_ci95": None})
    row = score_table({"rule": unknown}, 0.0).splitlines()[2]
    assert re.split(r"\s{2,}", row.strip())[4] == "-"


def test_a_violation_count_that_is_a_mean_over_seeds_keeps_its_fraction() -> None:
    assert " 4.5 " in score_table({"rl": Score(**{**vars(ONE), "violation_steps": 4.5})}, 0.0)


def test_columns_line_up() -> None:
    lines = aligned([["a", "b", "c"], ["long name", "1", "22.5"], ["x", "1000", "3"]])
    assert lines.splitlines() == ["a             b     c", "long name     1  22.5", "x          1000     3"]


def test_the_verdict_shows_signs_intervals_and_where_there_is_none() -> None:
    pairs = [Comparison("rl", "rule", 0.06, (0.012, 0.1), 0.8249), Comparison("rl", "mpc", -0.052, None, 0.25)]
    lines = verdict_table(Verdict(pairs, {"mpc": Typical(0.9, None), "rl": Typical(0.85, (0.8, 0.9))}), 10).splitlines()
    assert re.split(r"\s{2,}", lines[2]) == ["of rl less rule", "+0.060 [+0.012, +0.100]", "82"]
    assert re.split(r"\s{2,}", lines[3]) == ["of rl less mpc", "-0.052", "25"]
    assert re.split(r"\s{2,}", lines[-2]) == ["of mpc", "0.900"]
    assert re.split(r"\s{2,}", lines[-1]) == ["of rl", "0.850 [0.800, 0.900]"]


def test_few_weeks_get_a_word_of_care_and_enough_get_none() -> None:
    one = Verdict([Comparison("rl", "rule", 0.06, (0.012, 0.1), 0.8)], {})
    assert "careful: over 4 weeks such an interval can hold the truth 88 %" in verdict_table(one, 4)
    assert "careful: a single week" in verdict_table(one, 1)
    assert "careful" not in verdict_table(one, 6)
    assert verdict_table(Verdict([], {}), 4) == ""
