"""The bound is true at any multipliers, tight at good ones, and worked out by hand where that can be done."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.errors import InputError
from gridnet.scenario import shipped_scenarios
from gridnet.tariff import StoredValue
from gridnet_policies.bound import conic, lower_bound
from gridnet_policies.bound.conic import ConicSolver
from gridnet_policies.lp.rounds import make_plan
from gridnet_policies.lp.task import Task, make_task
from tests.policies.gridnet_policies.bound.networks import meshed_case, one_node_values, played, priced, with_devices

Floats = NDArray[np.float64]

DAY = 96
EPS_EUR = 1e-6
"""What the power flow's own tolerance can be worth."""


@cache
def case_of(name: str) -> Case:
    return meshed_case() if name == "meshed" else load_case(name)


def task_of(name: str, day: int, steps: int) -> Task:
    return make_task(case_of(name), day * DAY + (36 if steps < DAY else 0), steps)


def level(task: Task, eur_per_kwh: float) -> Floats:
    """The same value at all times for all batteries."""
    return np.full((task.steps, task.params.fleet.batteries), eur_per_kwh)


# --- true ----------------------------------------------------------------------------------------------------------

PRICES = {
    "as they are": lambda rng, buy, sell: (buy, sell),
    "negative": lambda rng, buy, sell: (buy - rng.uniform(0.0, 1.0, len(buy)), sell - rng.uniform(0.0, 1.0, len(buy))),
    "export dearer": lambda rng, buy, sell: (rng.uniform(-0.3, 0.3, len(buy)), rng.uniform(0.0, 0.5, len(buy))),
}


@settings(max_examples=120)
@given(
    name=st.sampled_from(["tiny", "rural1", "cigre_lv", "meshed"]),
    prices=st.sampled_from(sorted(PRICES)),
    seed=st.integers(0, 2**32 - 1),
    spread=st.sampled_from([0.0, 0.05, 1.0]),
    peak_eur_per_kw=st.sampled_from([0.0, 2.0]),
)
def test_no_schedule_costs_less(name: str, prices: str, seed: int, spread: float, peak_eur_per_kw: float) -> None:
    rng = np.random.default_rng(seed)
    task = task_of(name, int(rng.integers(0, 34)), int(rng.integers(1, 9)))
    buy, sell = PRICES[prices](rng, task.import_eur_per_kwh, task.export_eur_per_kwh)
    task = priced(task, buy, sell)
    task = replace(task, prices=task.prices._replace(peak_eur_per_kw=peak_eur_per_kw), reactive=bool(rng.integers(2)))
    fleet = task.params.fleet
    value = rng.uniform(0.0, 0.3) + spread * rng.normal(size=(task.steps, fleet.batteries))
    share = rng.dirichlet(np.ones(task.steps)) * peak_eur_per_kw * rng.uniform(0.5, 1.0)

    bound = lower_bound(task, value, share)

    assert np.isfinite(bound.cost_eur)
    # One schedule does what the bound's own steps would like best, as far as the stores allow; the others do anything.
    liked = np.zeros((task.steps, 2, fleet.devices))
    stored = bound.moved_kwh / fleet.dt_h
    liked[:, 0, : fleet.batteries] = -np.where(stored > 0, stored / fleet.efficiency[0], stored * fleet.efficiency[1])
    liked[:, 0, fleet.batteries :] = np.inf
    for trial in range(6):
        asked = liked if trial == 0 else np.zeros((task.steps, 2, fleet.devices))
        if trial:
            asked[:, 0] = rng.uniform(-1, 1) * fleet.s_kva * rng.uniform(0, 1, (task.steps, fleet.devices))
            asked[:, 0, fleet.batteries :] = np.abs(asked[:, 0, fleet.batteries :]) if rng.integers(2) else np.inf
            if task.reactive:
                asked[:, 1] = rng.uniform(-0.5, 0.5, (task.steps, 1)) * fleet.s_kva
        cost, kept, _ = played(task, asked)
        if kept:
            assert bound.cost_eur <= cost + EPS_EUR


@pytest.mark.parametrize("name", shipped_scenarios())
def test_it_stays_below_the_optimiser(name: str) -> None:
    task = task_of(name, 12, DAY)
    plan = make_plan(task)
    assert plan.violations == ()
    bound = lower_bound(task, one_node_values(task)).cost_eur
    assert bound <= plan.cost_eur + EPS_EUR
    # The values know of no loss and no limit; and yet.
    assert bound >= plan.cost_eur - 0.02 * abs(plan.cost_eur)


def test_a_solver_that_stops_early_or_fails_still_proves_something(monkeypatch: pytest.MonkeyPatch) -> None:
    task = task_of("rural1", 20, 4)
    whole = lower_bound(task, level(task, 0.1)).cost_eur
    monkeypatch.setattr(conic, "ITERATIONS", 3)
    early = lower_bound(task, level(task, 0.1)).cost_eur
    solve = ConicSolver.proven
    monkeypatch.setattr(ConicSolver, "proven", lambda self, problems, cost, z: solve(self, problems, cost, np.full_like(z, np.nan)))
    nothing = lower_bound(task, level(task, 0.1)).cost_eur
    assert -np.inf < nothing < early < whole


# --- tight ---------------------------------------------------------------------------------------------------------


def test_one_battery_worked_out_by_hand() -> None:
    # The battery of tiny, 10 kW and 20 kWh at 0.9, is empty; a home draws 10 kW; 0.10 is paid, then 0.50. Charging 10 kW for a
    # quarter-hour stores 2.25 kWh, which are worth 0.50 each: 10 * 0.25 * 0.6 + 0.25 - 2.25 * 0.5 = 0.625.
    task = hand_task(np.array([0.1, 0.5]), np.array([-10.0, -10.0]))
    bound = lower_bound(task, level(task, 0.5))
    assert bound.cost_eur == pytest.approx(0.625, abs=1e-3)
    # At 0.7 both steps charge: 0.25 + 1.25 + 2.5 * 0.6 - 2 * 2.25 * 0.7. At 0.1 / 0.9 the second gives 2.5 kWh it has not got.
    assert lower_bound(task, level(task, 0.7)).cost_eur == pytest.approx(-0.15, abs=2e-3)
    assert lower_bound(task, level(task, 0.1 / 0.9)).cost_eur == pytest.approx(0.25 + 2.5 * 0.1 / 0.9, abs=2e-3)


def hand_task(price: Floats, load_kw: Floats) -> Task:
    task = make_task(load_case("tiny"), 0, len(price))
    load = np.zeros_like(task.params.load_p_kw)
    load[: len(price), 0] = load_kw
    params = task.params._replace(load_p_kw=load, load_q_kvar=np.zeros_like(load), pv_p_kw=np.zeros_like(task.params.pv_p_kw))
    return replace(priced(task, price, price), params=params, stored=StoredValue(0.0, 0.0))


def test_it_is_tight_where_no_limit_binds_and_prices_are_positive() -> None:
    # At rest is best where the value of energy makes neither charging nor discharging worth it; then the whole bound is
    # one power flow a step, and the relaxation of that is exact.
    task = replace(task_of("rural1", 3, 12), reactive=False)
    task = priced(task, np.full(12, 0.2), np.full(12, 0.2))
    asked = np.zeros((12, 2, task.params.fleet.devices))
    asked[:, 0, task.params.fleet.batteries :] = np.inf
    cost, kept, _ = played(task, asked)
    worth = task.stored.shortfall_eur_per_kwh
    keep = task.params.fleet.keep ** np.arange(11, -1, -1)[:, None]
    bound = lower_bound(task, level(task, worth) * keep)
    assert kept
    assert bound.cost_eur == pytest.approx(cost, abs=2e-4 * abs(cost))


def test_the_peak_charge_counts_where_its_share_says() -> None:
    task = with_devices(hand_task(np.array([0.1, 0.1]), np.array([-10.0, -30.0])), 0, 0)
    task = replace(task, prices=task.prices._replace(peak_eur_per_kw=4.0))
    at_rest = level(task, 0.0)
    without, first, second = (
        lower_bound(task, at_rest, share).cost_eur for share in (None, np.array([4.0, 0]), np.array([0, 4.0]))
    )
    assert first - without == pytest.approx(40.0, abs=0.1)
    assert second - without == pytest.approx(120.0, abs=0.5)
    reached = replace(task, reached_kw=50.0)
    assert lower_bound(reached, at_rest).cost_eur - without == pytest.approx(200.0)
    assert lower_bound(reached, at_rest, np.array([0, 4.0])).cost_eur == pytest.approx(second)


def test_export_dearer_than_import_is_no_money_pump() -> None:
    # Bought at 0.10, sold at 0.40: buying and selling at once would earn without end. What is used is 10, then -4 kW.
    task = hand_task(np.array([0.1, 0.1]), np.array([-10.0, 0.0]))
    task = with_devices(priced(task, np.full(2, 0.1), np.full(2, 0.4)), 0, 1)
    sun = np.array([[0.0], [4.0]])
    task = replace(task, params=task.params._replace(pv_p_kw=sun))
    assert lower_bound(task, level(task, 0.0)).step_eur == pytest.approx([0.25, -0.4], abs=2e-3)


def test_self_discharge_takes_its_share() -> None:
    # Half of 20 kWh, of which a fifth is gone after each step; a kWh at the end is worth 1 EUR, far more than energy is.
    task = hand_task(np.full(2, 0.1), np.full(2, -10.0))
    task = replace(task, params=task.params._replace(fleet=task.params.fleet._replace(keep=0.8)))
    task = replace(task, soc=np.array([0.5]), stored=StoredValue(1.0, 1.0))
    bound = lower_bound(task, np.array([[0.8], [1.0]]))
    asked = np.zeros((2, 2, 2))
    asked[:, 0, 0] = -10.0
    assert bound.cost_eur == pytest.approx(played(task, asked)[0], abs=5e-3)
    assert bound.cost_eur == pytest.approx(4 * 0.25 - (((10 * 0.8 + 2.25) * 0.8 + 2.25) - 10), abs=5e-3)


# --- where there is little to bound, or no way to keep the limits --------------------------------------------------


@pytest.mark.parametrize(("batteries", "plants"), [(0, 0), (0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("reactive", [True, False])
def test_devices_may_be_missing(batteries: int, plants: int, steps: int, reactive: bool) -> None:
    task = replace(with_devices(hand_task(np.full(steps, 0.1), np.full(steps, -10.0)), batteries, plants), reactive=reactive)
    # An empty battery does best to stay so: between 0.1 and 0.1 / 0.9 EUR/kWh nothing pays.
    bound = lower_bound(task, level(task, 0.1 / 0.95))
    assert bound.step_eur.shape == (steps,)
    assert bound.cost_eur == pytest.approx(0.25 * 0.1 * steps * (6.0 if plants else 10.0), abs=2e-3)


def test_a_step_whose_limits_nothing_keeps_is_bounded_without_them() -> None:
    task = hand_task(np.array([0.1, 0.1, 0.1]), np.array([-10.0, -300.0, -10.0]))
    bound = lower_bound(task, level(task, 0.0))
    cost, kept, _ = played(task, np.zeros((3, 2, 2)))
    assert not kept
    assert bound.widened.tolist() == [False, True, False]
    # The battery is empty, which the bound does not know in the steps: at no value it gives its 10 kW for nothing.
    assert cost - 3 * 0.25 <= bound.cost_eur + 0.01 <= cost + 0.01


def test_negative_prices_do_not_unbound_it_where_limits_are_broken() -> None:
    task = hand_task(np.array([-0.5]), np.array([-300.0]))
    bound = lower_bound(task, level(task, 0.0))
    assert bound.widened.all()
    assert -300.0 < bound.cost_eur <= played(task, np.zeros((1, 2, 2)))[0]


def test_a_missing_kwh_may_be_worth_less_than_a_surplus_one() -> None:
    task = replace(hand_task(np.array([0.1]), np.array([-10.0])), soc=np.array([0.5]), stored=StoredValue(0.1, 0.4))
    bound = lower_bound(task, level(task, 0.1))
    for power in (-10.0, 0.0, 10.0):
        asked = np.zeros((1, 2, 2))
        asked[0, 0, 0] = power
        assert bound.cost_eur <= played(task, asked)[0]


@pytest.mark.parametrize(
    ("shape", "fill", "share"),
    [((3, 1), 0.1, None), ((2, 2), 0.1, None), ((2, 1), np.nan, None), ((2, 1), 0.1, [1.0, 2.0]), ((2, 1), 0.1, [-1.0, 1.0])],
)
def test_multipliers_that_prove_nothing_are_refused(shape: tuple[int, int], fill: float, share: list[float] | None) -> None:
    task = hand_task(np.array([0.1, 0.5]), np.array([-10.0, -10.0]))
    task = replace(task, prices=task.prices._replace(peak_eur_per_kw=2.0))
    with pytest.raises(InputError, match="must be"):
        lower_bound(task, np.full(shape, fill), None if share is None else np.array(share))


def test_the_same_task_gives_the_same_number() -> None:
    task = task_of("rural1", 5, 8)
    assert lower_bound(task, level(task, 0.1)).cost_eur == lower_bound(task, level(task, 0.1)).cost_eur
