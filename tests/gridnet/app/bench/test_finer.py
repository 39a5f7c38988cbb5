"""A week at a finer truth: the same account where nothing varies, decisions each quarter-hour, feedback between them."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gridnet.app.bench import run as bench_run
from gridnet.app.bench.evaluate import WeekRun, account, run_week
from gridnet.app.bench.finer import account_finer, finer_case, run_week_finer
from gridnet.app.bench.run import Plan, run_benchmark
from gridnet.app.cli import main
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.errors import PowerFlowDiverged
from gridnet.foresight import worth_after
from gridnet.series.subinterval import CloudModel, HomeModel, Truth
from gridnet.simulate import Params
from gridnet_policies.lp import PerfectForesightLp
from gridnet_policies.mpc import Mpc
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.policy import Feedback, Policy
from gridnet_policies.rule import Rule

Floats = NDArray[np.float64]
WEEK = 14
FIVES = Truth(5, seed=1)
QUIET = Truth(5, 0, HomeModel(spread=0.0), CloudModel(partly=(1.0, 1.0)))


class Held:
    """Another policy, without its feedback."""

    def __init__(self, policy: Policy) -> None:
        self._policy, self.name = policy, policy.name

    def prepare(self, case: Case, start: int, steps: int) -> None:
        self._policy.prepare(case, start, steps)

    def decide(self, step: int, soc: Floats) -> Floats:
        return self._policy.decide(step, soc)


class Recorder:
    """Asks each quarter-hour for other powers, ceilings and reactive powers, and keeps what it was told and asked."""

    name = "recorder"

    def prepare(self, case: Case, start: int, steps: int) -> None:
        self.prepared = (case, start, steps)
        self.told: list[tuple[int, Floats]] = []
        self.asked: list[Floats] = []
        self._fleet, self._rng = case.fleet, np.random.default_rng(0)

    def decide(self, step: int, soc: Floats) -> Floats:
        self.told.append((step, soc.copy()))
        asked = self._rng.uniform(-0.2, 0.2, (2, self._fleet.devices))
        asked[0, self._fleet.batteries :] = 0.5
        self.asked.append(asked)
        return asked


class Follower(Recorder):
    """The same, but told of every step."""

    def decide_within(self, step: int, soc: Floats, params: Params, fine_step: int) -> Floats:
        self.params, asked = params, self.decide(step, soc)
        assert fine_step == len(self.told) - 1
        return asked


class _NoBound:
    """In the place of the bound, which takes seconds and knows nothing of the truth."""

    def __init__(self, case: Case, week: int, plan: object) -> None:
        self._week, self.plan = week, plan or self

    def bound_eur(self) -> float:
        return -float(self._week)


@pytest.fixture(scope="module")
def rural1() -> Case:
    return load_case("rural1")


@pytest.fixture(scope="module")
def tiny() -> Case:
    return load_case("tiny")


@pytest.fixture(scope="module")
def roomy(rural1: Case) -> Case:
    """`rural1` with a network that carries anything, so that no shield acts: it would, by the step."""
    limits = rural1.scenario.limits.model_copy(update={"trafo_percent": 1e3, "line_percent": 1e3})
    return replace(rural1, scenario=rural1.scenario.model_copy(update={"limits": limits}))


def _without_self_discharge(case: Case) -> Case:
    return replace(case, params=case.params._replace(fleet=case.fleet._replace(keep=1.0)))


@pytest.mark.parametrize("policy", [NoBattery(), Held(Rule()), PerfectForesightLp()], ids=["no_battery", "rule", "lp"])
def test_where_nothing_varies_a_held_week_is_the_quarter_hour_week(roomy: Case, policy: Policy) -> None:
    case = _without_self_discharge(roomy)
    finer = finer_case(case, WEEK, QUIET)
    coarse, fine = run_week(case, policy, WEEK), run_week_finer(case, finer, policy, WEEK)
    np.testing.assert_allclose(fine.soc[::3], coarse.soc, atol=1e-9)
    np.testing.assert_allclose(fine.done, np.repeat(coarse.done, 3, axis=0), atol=1e-6)
    expected, got = account(case, coarse), account_finer(case, finer, fine)
    for name in ("cost_eur", "loss_kwh", "co2_kg", "peak_kw", "worst_voltage_pu"):
        assert getattr(got, name) == pytest.approx(getattr(expected, name), rel=1e-9), name
    assert got.violation_steps == 3 * expected.violation_steps


def test_self_discharge_compounds_to_that_of_the_quarter_hour(roomy: Case) -> None:
    assert roomy.fleet.keep < 1
    finer = finer_case(roomy, WEEK, QUIET)
    assert finer.fleet.keep**3 == pytest.approx(roomy.fleet.keep, abs=1e-15)
    coarse, fine = run_week(roomy, NoBattery(), WEEK), run_week_finer(roomy, finer, NoBattery(), WEEK)
    np.testing.assert_allclose(fine.soc[::3], coarse.soc, atol=1e-12)
    held = run_week_finer(roomy, finer, Held(Rule()), WEEK)
    np.testing.assert_allclose(held.soc[::3], run_week(roomy, Rule(), WEEK).soc, atol=1e-4)


def test_a_step_of_fifteen_minutes_is_the_quarter_hour_week_itself(roomy: Case) -> None:
    finer = finer_case(roomy, WEEK, Truth(15, seed=3))
    fine = run_week_finer(roomy, finer, Rule(), WEEK)
    coarse = run_week(roomy, Rule(), WEEK)
    np.testing.assert_allclose(fine.soc, coarse.soc, atol=1e-9)
    assert account_finer(roomy, finer, fine).cost_eur == pytest.approx(account(roomy, coarse).cost_eur, abs=1e-6)


def test_energy_is_kept_at_every_finer_step(rural1: Case) -> None:
    finer = finer_case(rural1, WEEK, FIVES)
    run, fleet = run_week_finer(rural1, finer, Rule(), WEEK), finer.fleet
    load_kw = finer.series.load_p_kw.sum(axis=1)
    np.testing.assert_allclose(run.slack_p_kw + load_kw + run.done[:, 0].sum(axis=1), run.loss_kw, atol=1e-6)
    p_kw = run.done[:, 0, : fleet.batteries]
    stored_kw = np.where(p_kw >= 0, -p_kw / fleet.efficiency[1], -p_kw * fleet.efficiency[0])
    np.testing.assert_allclose(run.soc[1:], run.soc[:-1] * fleet.keep + stored_kw / 12 / fleet.e_kwh, atol=1e-12)
    assert (run.done[:, 0, fleet.batteries :] <= finer.series.pv_p_kw + 1e-9).all()


def test_the_account_adds_up_step_by_step(rural1: Case) -> None:
    finer = finer_case(rural1, WEEK, FIVES)
    run = run_week_finer(rural1, finer, Rule(), WEEK)
    spot = np.repeat(rural1.series.price_eur_per_mwh[WEEK * STEPS_PER_WEEK : (WEEK + 1) * STEPS_PER_WEEK] / 1e3, 3)
    energy_kwh = run.slack_p_kw / 12
    paid = energy_kwh @ spot + np.maximum(energy_kwh, 0).sum() * 0.107
    wear = np.abs(run.done[:, 0, : finer.fleet.batteries]).sum() / 12 * 0.01
    gained_kwh = (run.soc[-1] - run.soc[0]) @ finer.fleet.e_kwh
    worth = worth_after(rural1, (WEEK + 1) * STEPS_PER_WEEK)  # what follows the week is the case's, not the finer clock's
    got = account_finer(rural1, finer, run)
    assert got.cost_eur == pytest.approx(paid + wear + worth.cost_eur(gained_kwh), abs=1e-6)
    assert got.loss_kwh == pytest.approx(run.loss_kw.sum() / 12)


def test_a_peak_is_charged_by_the_quarter_hour_and_shown_by_the_step(tiny: Case) -> None:
    tariff = tiny.scenario.tariff.model_copy(update={"peak_eur_per_kw": 2.0})
    charged = replace(tiny, scenario=tiny.scenario.model_copy(update={"tariff": tariff}))
    free, finer = finer_case(tiny, 4, FIVES), finer_case(charged, 4, FIVES)
    slack_p_kw = np.zeros(3 * STEPS_PER_WEEK)
    slack_p_kw[3:6] = 9.0, 0.0, -30.0
    slack_p_kw[8:10] = 6.0
    idle = run_week_finer(tiny, free, NoBattery(), 4)
    run: WeekRun = replace(idle, slack_p_kw=slack_p_kw)
    # The three fives of the second quarter-hour import 3 kW on average; what is exported in between is not set against it.
    assert account_finer(charged, finer, run).cost_eur - account_finer(tiny, free, run).cost_eur == pytest.approx(2.0 * 3.0)
    assert account_finer(charged, finer, run).peak_kw == 30.0


def test_a_policy_without_feedback_decides_each_quarter_hour_and_is_held(roomy: Case) -> None:
    recorder, finer = Recorder(), finer_case(roomy, WEEK, FIVES)
    run = run_week_finer(roomy, finer, recorder, WEEK)
    start = WEEK * STEPS_PER_WEEK
    assert recorder.prepared == (roomy, start, STEPS_PER_WEEK)
    assert [step for step, _ in recorder.told] == list(range(start, start + STEPS_PER_WEEK))
    np.testing.assert_array_equal(np.array([soc for _, soc in recorder.told]), run.soc[:-1:3])
    held = np.repeat(np.array(recorder.asked), 3, axis=0)
    np.testing.assert_allclose(run.done[:, 1], held[:, 1])
    np.testing.assert_allclose(run.done[:, 0, : roomy.fleet.batteries], held[:, 0, : roomy.fleet.batteries])
    np.testing.assert_allclose(run.done[:, 0, roomy.fleet.batteries :], np.minimum(finer.series.pv_p_kw, 0.5))


def test_a_policy_with_feedback_is_asked_at_every_step_with_the_finer_series(rural1: Case) -> None:
    follower, finer = Follower(), finer_case(rural1, WEEK, FIVES)
    run = run_week_finer(rural1, finer, follower, WEEK)
    start = WEEK * STEPS_PER_WEEK
    assert [step for step, _ in follower.told] == [start + fine // 3 for fine in range(3 * STEPS_PER_WEEK)]
    assert follower.params is finer.params
    assert follower.params.fleet.dt_h == pytest.approx(1 / 12)
    np.testing.assert_array_equal(np.array([soc for _, soc in follower.told]), run.soc[:-1])


def test_who_has_feedback() -> None:
    assert isinstance(Rule(), Feedback)
    assert not any(isinstance(policy, Feedback) for policy in (NoBattery(), Mpc(), PerfectForesightLp(), Held(Rule())))


def test_the_rule_follows_its_meter_and_gains_by_it(roomy: Case) -> None:
    finer = finer_case(roomy, WEEK, FIVES)
    follows, held = (run_week_finer(roomy, finer, policy, WEEK) for policy in (Rule(), Held(Rule())))
    exchanged_kwh = [np.abs(run.slack_p_kw).sum() / 12 for run in (follows, held)]
    assert exchanged_kwh[0] < exchanged_kwh[1] - 5
    assert account_finer(roomy, finer, follows).cost_eur < account_finer(roomy, finer, held).cost_eur
    surplus_kw = finer.series.load_p_kw.sum(axis=1) + finer.series.pv_p_kw.sum(axis=1)
    fleet_kw = follows.done[:, 0, : roomy.fleet.batteries].sum(axis=1)
    assert (np.abs(fleet_kw) <= np.abs(surplus_kw) + 1e-9).all(), "it never charges from the grid, at no step"


def test_the_same_seed_gives_the_same_week_and_another_seed_another(rural1: Case) -> None:
    costs = []
    for seed in (1, 1, 2):
        finer = finer_case(rural1, WEEK, Truth(5, seed))
        costs.append(account_finer(rural1, finer, run_week_finer(rural1, finer, Rule(), WEEK)).cost_eur)
    assert costs[0] == costs[1]
    assert 0.001 < abs(costs[0] - costs[2]) < 5


def test_a_step_without_an_ac_solution_is_an_error_that_names_the_quarter_hour(tiny: Case) -> None:
    load_p_kw = tiny.series.load_p_kw.copy()
    load_p_kw[4 * STEPS_PER_WEEK + 7] = -1e6
    broken = replace(tiny, series=replace(tiny.series, load_p_kw=load_p_kw))
    with pytest.raises(PowerFlowDiverged, match=f"step {4 * STEPS_PER_WEEK + 7} of tiny") as caught:
        run_week_finer(tiny, finer_case(broken, 4, FIVES), NoBattery(), 4)
    assert caught.value.step == 4 * STEPS_PER_WEEK + 7


def test_the_benchmark_runs_every_policy_at_the_truth_asked_for(rural1: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench_run, "Yardstick", _NoBound)
    plan = Plan(("rule",), (WEEK,), 1, 0, FIVES)
    outcome = run_benchmark(rural1, plan, lambda line: None)
    finer = finer_case(rural1, WEEK, FIVES)
    for policy in (NoBattery(), Rule()):
        expected = account_finer(rural1, finer, run_week_finer(rural1, finer, policy, WEEK))
        assert outcome.scores[policy.name].cost_eur == pytest.approx(expected.cost_eur, abs=1e-9)
    assert not any(outcome.runs.values())
    assert outcome.bound_eur == -WEEK


def test_the_command_says_at_what_truth_it_ran(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    target = tmp_path / "figures.json"
    words = ["bench", "tiny", "--weeks", "4", "--policies", "rule,lp", "--json", str(target)]
    assert main([*words, "--truth", "5"]) == 0
    shown = capsys.readouterr().out
    assert "AC power flow at 5 min" in shown
    assert "EUR at the truth of 15 min (proven lower bound)" in shown
    assert "setpoints are held" in shown
    assert json.loads(target.read_text(encoding="utf-8"))["truth_minutes"] == 5
    assert main([*words, "--truth", "15"]) == 0
    shown = capsys.readouterr().out
    assert "AC power flow at 15 min" in shown
    assert "held" not in shown.replace("held out", "")
    assert "truth_minutes" not in json.loads(target.read_text(encoding="utf-8"))


def test_the_seed_draws_the_minutes(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(bench_run, "Yardstick", _NoBound)
    costs = []
    for seed in ("0", "0", "1"):
        words = ["bench", "rural1", "--weeks", str(WEEK), "--policies", "no_battery", "--truth", "5", "--json", "-"]
        assert main([*words, "--seed", seed]) == 0
        costs.append(json.loads(capsys.readouterr().out)["policies"]["no_battery"]["cost_eur"])
    assert costs[0] == costs[1] != costs[2]


def test_a_truth_or_an_output_that_does_not_fit_is_refused_before_any_week_is_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def refused(*arguments: object) -> None:
        raise AssertionError("a week was run before the arguments were checked")

    monkeypatch.setattr(bench_run, "finer_case", refused)
    monkeypatch.setattr(bench_run, "run_week", refused)
    for minutes in ("3", "0", "-1", "60"):
        assert main(["bench", "tiny", "--truth", minutes, "--policies", "foo"]) == 2
        message = capsys.readouterr().err
        assert f"--truth: got {minutes}, expected one of 15, 5, 1 minutes" in message
        assert "'foo'" in message
    assert main(["bench", "tiny", "--truth", "1", "--report", str(tmp_path / "page"), "--dlmp", str(tmp_path / "prices.csv")]) == 2
    message = capsys.readouterr().err
    assert "--report: got" in message
    assert "--dlmp: got" in message
    assert message.count("none beside --truth 1") == 2
