"""The fraud benchmark: shares with intervals, wrong impedances, and a small study from end to end."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest

from gridnet.app.bench.fraud import METERS, METHODS, SIZED, UNSIZED, WORLDS, Plan, Share, as_json, bench_fraud, fraud_table, study
from gridnet.app.bench.fraud_trials import homes_of, make_grid, measured, true_week, wrong_impedances
from gridnet.case import Case, load_case
from gridnet.errors import InputError
from gridnet.metering.accuracy import ACCURACY
from gridnet.verification.settings import Settings


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


def test_wilsons_interval_by_hand() -> None:
    # Wilson's interval of 8 of 10: (0.8 + z^2 / 20 -+ z sqrt(0.016 + z^2 / 400)) / (1 + z^2 / 10)
    assert Share(8, 10).interval == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert Share(0, 10).interval[0] == 0.0
    assert Share(10, 10).interval[1] == pytest.approx(1.0)
    assert str(Share(0, 0)) == "-"


def test_wrong_impedances_move_voltages_by_their_share_and_right_ones_by_nothing(case: Case) -> None:
    load = [np.zeros((1, case.params.buses)) for _ in range(2)]
    load[0][0, case.params.load_bus] = -2.0
    right = case.power_flow.solve(*load)
    same = wrong_impedances(case, 0.0, np.random.default_rng(0)).power_flow.solve(*load)
    wrong = wrong_impedances(case, 0.05, np.random.default_rng(0)).power_flow.solve(*load)
    drop = np.abs(right.vm_pu - right.vm_pu.max()).max()

    assert np.abs(same.vm_pu - right.vm_pu).max() < 1e-9
    assert 0.0005 * drop < np.abs(wrong.vm_pu - right.vm_pu).max() < 0.2 * drop
    assert same.slack_p_kw == pytest.approx(right.slack_p_kw)


def test_measured_weeks_are_off_by_what_the_settings_expect(case: Case) -> None:
    homes = homes_of(case)
    week, settings = true_week(case, homes, 4), Settings()
    grid = make_grid(case, homes, settings)
    one, again = (grid.residual(measured(week, homes, [], settings, np.random.default_rng(0))) for _ in range(2))

    assert (one.off_kw == again.off_kw).all()
    assert 0.5 < np.std(one.off_kw / grid.lasting_sd(one)) < 1.5


def test_registers_begin_anywhere_so_that_no_first_interval_is_short(case: Case) -> None:
    homes = homes_of(case)
    exact = Settings(meter=ACCURACY["exact"], head=ACCURACY["exact"])
    week = true_week(case, homes, 4)
    first = [measured(week, homes, [], exact, np.random.default_rng(seed)).p_kw[0] - week.seen.p_kw[0] for seed in range(30)]

    # Half a Wh too little in each would be 0.002 kW.
    assert abs(np.mean(first)) < 0.0005
    assert 0.0005 < np.std(first) < 0.004


def test_white_meters_have_no_gain_that_lasts_and_others_do(case: Case) -> None:
    homes = homes_of(case)
    week = true_week(case, homes, 4)
    true, gain = week.seen.p_kw, {}
    for name, settings in METERS.items():
        said = measured(week, homes, [], settings, np.random.default_rng(0)).p_kw
        gain[name] = ((said * true).sum(axis=0) / (true**2).sum(axis=0) - 1.0).std()

    assert gain["white"] < 0.25 * gain["lasting"]
    assert METERS["white"].head.lasting == 0.0


def test_a_small_study_has_every_row(case: Case) -> None:
    rows = study(case, Plan(trials=1, target_trials=2, honest=4, weeks=(4, 29), sizes=(0.2,)), lambda words: None)

    assert [(row.fraud, row.meters, row.wrong_impedances) for row in rows] == [
        *((fraud, "lasting", wrong) for wrong in (False, True) for fraud in ("none", *SIZED, *UNSIZED)),
        *((fraud, "white", False) for fraud in ("none", "scaled")),
    ]
    assert all(row.right[name].count <= row.found[name].count for row in rows for name in METHODS)
    assert len(fraud_table(rows).splitlines()) == 2 + len(rows)


def test_a_scenario_with_too_few_weeks_is_refused_before_anything_is_run(tmp_path: Path) -> None:
    arguments = argparse.Namespace(scenario="tiny", json=str(tmp_path / "none" / "x.json"), seed=0)
    with pytest.raises(InputError) as refused:
        bench_fraud(arguments, lambda words: None)
    assert len(refused.value.faults) == 2


def test_a_study_repeats_and_its_rows_are_json(case: Case) -> None:
    plan = Plan(trials=1, target_trials=1, honest=2, weeks=(4, 29), sizes=())
    rows, again = ([as_json(row) for row in study(case, plan, lambda words: None)] for _ in range(2))
    assert rows == again
    assert json.loads(json.dumps(rows))[0]["fraud"] == "none"


@pytest.mark.conformance
def test_the_targets_that_are_met_stay_met() -> None:
    plan = Plan(trials=1, target_trials=100, honest=200, sizes=(0.1, 0.2))
    rows = study(load_case("rural3"), plan, lambda words: None)
    for world in WORLDS:
        of = {(row.fraud, row.size): row for row in rows if (row.meters, row.wrong_impedances) == world}
        assert of["none", 0.0].found["ladder"].interval[0] <= 0.01
        assert of["scaled", 0.1].found["ladder"].value >= 0.85
        assert of["scaled", 0.2].found["ladder"].value >= 0.96
        assert of["scaled", 0.2].right["ladder"].value >= 0.9
