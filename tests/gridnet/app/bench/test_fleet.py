"""Many feeders: variants that could be built, the same for everybody, and a verdict over feeders."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from gridnet.app.bench.evaluate import WeekAccount
from gridnet.app.bench.fleet import Feeder, Stock, play_feeder, play_fleet
from gridnet.app.bench.fleet_score import score_fleet
from gridnet.app.bench.fleet_variants import BROKEN_AT_REST, HOURS, PV, broken_at_rest, longer, make_variant
from gridnet.app.bench.run import Plan
from gridnet.app.cli import main
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.engines.local import Processes
from gridnet.powerflow import compile_power_flow

WEEK = 29


@pytest.fixture(scope="module")
def cigre() -> Case:
    return load_case("cigre_lv")


@pytest.mark.long
def test_a_variant_depends_on_its_number_and_seed_alone(cigre: Case) -> None:
    one, again, other, reseeded = (make_variant(cigre, *drawn) for drawn in ((3, 0), (3, 0), (4, 0), (3, 1)))
    for field in ("load_p_kw", "load_q_kvar", "pv_p_kw"):
        assert np.array_equal(getattr(one.case.series, field), getattr(again.case.series, field))
    assert np.array_equal(one.case.power_flow.network.branch, again.case.power_flow.network.branch)
    assert not np.array_equal(one.case.power_flow.network.branch, other.case.power_flow.network.branch)
    assert not np.array_equal(one.case.fleet.e_kwh, reseeded.case.fleet.e_kwh)


@pytest.mark.parametrize("number", range(4))
def test_a_variant_keeps_to_its_ranges_and_its_limits_at_rest(cigre: Case, number: int) -> None:
    case = make_variant(cigre, number, 7).case
    feeder, whole = case.feeder, cigre.feeder
    assert broken_at_rest(case) <= BROKEN_AT_REST
    homes = [name.removesuffix(" second") for name in feeder.load.name]
    assert set(homes) <= set(whole.load.name)
    assert max(map(homes.count, homes)) <= 2
    assert len(feeder.load_bus) == case.series.load_p_kw.shape[1] == len(feeder.load.p_rated_kw)
    for name, p_kw, e_kwh in zip(feeder.battery.name, feeder.battery.p_kw, feeder.battery.e_kwh, strict=True):
        row = whole.battery.name.index(name)
        hours = (e_kwh / p_kw) / (whole.battery.e_kwh[row] / whole.battery.p_kw[row])
        assert HOURS[0] <= hours <= HOURS[1]
    for name, rated, series in zip(feeder.pv.name, feeder.pv.p_rated_kw, case.series.pv_p_kw.T, strict=True):
        row = whole.pv.name.index(name)
        factor = rated / whole.pv.p_rated_kw[row]
        assert PV[0] <= factor <= PV[1]
        assert series == pytest.approx(factor * cigre.series.pv_p_kw[:, row])
    assert set(feeder.pv_bus) | set(feeder.battery_bus) <= set(feeder.load_bus) | (set(whole.pv_bus) - set(whole.load_bus))


def test_a_second_home_has_the_year_of_five_weeks_earlier(cigre: Case) -> None:
    case = next(
        one for one in (make_variant(cigre, k, 0).case for k in range(9)) if any("second" in n for n in one.feeder.load.name)
    )
    name = next(name for name in case.feeder.load.name if name.endswith(" second"))
    second = case.series.load_p_kw[:, case.feeder.load.name.index(name)]
    first = cigre.series.load_p_kw[:, cigre.feeder.load.name.index(name.removesuffix(" second"))]
    back = 5 * STEPS_PER_WEEK
    assert np.array_equal(second[back:], first[:-back])
    assert np.array_equal(second[:back], first[back : 2 * back]), "the first weeks borrow from later ones"


@pytest.mark.parametrize("scenario", ["cigre_lv", "rural1"])
def test_longer_lines_are_those_of_pandapower(scenario: str) -> None:
    import pandapower

    from gridnet import network

    case = load_case(scenario)
    net = network._read(case.scenario)
    network._repair(net)
    factor = np.random.default_rng(0).uniform(0.5, 2.0, len(net.line))
    stretched = copy.deepcopy(net)
    stretched.line["length_km"] *= factor
    expected = network._solved_model(stretched, scenario)
    assert isinstance(stretched, pandapower.pandapowerNet)
    got = longer(case.feeder.model, factor)
    scale = np.abs(expected.admittance).max()
    assert np.abs(got.admittance - expected.admittance).max() < 1e-9 * scale
    assert np.abs(got.branch_admittance - expected.branch_admittance).max() < 1e-9 * scale
    assert np.abs(got.admittance - case.feeder.model.admittance).max() > 1e-3 * scale
    compile_power_flow(got)


@pytest.mark.long
def test_a_feeder_is_played_the_same_on_every_engine(cigre: Case) -> None:
    stock = Stock({"cigre_lv": cigre}, Plan(("rule",), (WEEK,), 1, 0))
    here = [play_feeder(stock, Feeder("cigre_lv", number)) for number in range(3)]
    lines: list[str] = []
    there = play_fleet(stock, 3, lines.append, Processes(2))
    assert there == here
    assert len({one.accounts["rule"][0][0].cost_eur for one in there}) == 3
    assert {line.partition(":")[0] for line in lines} == {f"{k} of 3 feeders" for k in (1, 2, 3)}


def _week(cost_eur: float, violations: int = 0) -> list[list[WeekAccount]]:
    return [[WeekAccount(cost_eur, violations, 1.0, 0.0, 0.0, 0.0, 0.0)]]


def test_the_verdict_is_over_feeders() -> None:
    costs = {"a": (100.0, 90.0, 80.0, 60.0), "b": (100.0, 90.0, 95.0, 80.0), "c": (50.0, 50.0, 50.0, 50.0)}
    fleet = {
        name: {
            "no_battery": _week(none, 2),
            "rule": _week(rule, 2),
            "rl": _week(rl, 3 if name == "b" else 0),
            "lp": _week(lp),
        }
        for name, (none, rule, rl, lp) in costs.items()
    }
    score = score_fleet(fleet, 0)
    learned = score.policies["rl"]
    assert learned.saving_eur == pytest.approx(25 / 3)
    assert learned.captured == pytest.approx(25 / 60)
    assert learned.saving_share == pytest.approx(25 / 250)
    assert (learned.worst_feeder, learned.worst_share) == ("c", 0.0)
    assert (learned.violation_steps, learned.feeders_worse) == (1.0, pytest.approx(1 / 3))
    assert learned.saving_eur_ci95[0] < learned.saving_eur < learned.saving_eur_ci95[1]
    assert score.beats == {"no_battery": pytest.approx(2.5 / 3), "rule": 0.5}
    assert score.policies["no_battery"].saving_eur_ci95 == (0.0, 0.0)


def test_a_fleet_is_asked_for_by_number(capsys: pytest.CaptureFixture[str]) -> None:
    asked = ["bench", "cigre_lv", "--fleet", "2", "--policies", "rule", "--weeks", str(WEEK), "--json", "-"]
    assert main(asked) == 0
    content = json.loads(capsys.readouterr().out)
    assert list(content) == ["scenarios", "feeders", "drawn_again", "weeks", "seed", "policies", "rl_beats"]
    assert list(content["policies"]) == ["no_battery", "rule"]
    assert content["policies"]["rule"]["captured"] is None


def test_what_a_fleet_has_not_is_refused_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "cigre_lv", "--fleet", "1", "--truth", "5", "--policies", "foo", "--engine", "dask"]) == 2
    message = capsys.readouterr().err
    for words in ("--fleet: got 1", "--truth: got 5", "'foo'", "'dask'"):
        assert words in message
