"""Marginal prices held against what they promise: the change in cost when a load somewhere changes by half a kilowatt and
everything is planned again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import load_case
from gridnet.errors import InputError
from gridnet.powerflow import compile_power_flow
from gridnet_policies.lp import Task, make_task
from gridnet_policies.lp.dlmp import Dlmp, prices_of
from gridnet_policies.lp.plan import Plan
from gridnet_policies.lp.pyomo_engine import PyomoEngine
from gridnet_policies.lp.rounds import make_plan
from tests.policies.gridnet_policies.stretches import NOON, WINTER, by_mean_prices, changed, flow_of, repriced, with_load
from tests.policies.gridnet_policies.test_lp import Street, case_of

Floats = NDArray[np.float64]

STEP_KW = 0.5
EUR_PER_MWH = 0.6
"""How far a price may lie from the differences: half a percent of a fee, and losses and limits curve over a kilowatt."""


def priced(task: Task) -> tuple[Plan, Dlmp]:
    plan = make_plan(task)
    return plan, prices_of(task, plan)


def differences(task: Task, bus: int, k: int) -> tuple[float, float]:
    """What a MWh less and a MWh more, drawn at `bus` in step `k`, change the re-optimised objective by, EUR/MWh."""
    less, same, more = (make_plan(with_load(task, bus, k, kw)).objective_eur for kw in (-STEP_KW, 0.0, STEP_KW))
    scale = 1e3 / (STEP_KW * task.params.fleet.dt_h)
    return (same - less) * scale, (more - same) * scale


def assert_marginal(task: Task, places: list[tuple[int, int]], within: float = EUR_PER_MWH) -> None:
    """The objective is all but convex in a load, so its price lies between the differences on both sides."""
    _, price = priced(task)
    for k, bus in places:
        below, above = differences(task, bus, k)
        low, high = min(below, above) - within, max(below, above) + within
        assert low <= price.total[k, bus] <= high, (k, bus, below, above)


def rural1(limits: dict[str, float] | None = None, start: int = NOON, steps: int = 24) -> Task:
    return by_mean_prices(make_task(changed(load_case("rural1"), limits), start, steps))


# --- against differences -------------------------------------------------------------------------------------------


def test_a_price_is_what_another_kilowatt_costs_where_the_transformer_binds() -> None:
    task = rural1()
    plan, price = priced(task)
    binding = {key.step for key in plan.shadow.limits_eur_per_percent} if plan.shadow else set()
    assert {2, 10} <= binding
    assert 20 not in binding
    assert price.congestion[[2, 10]].min() < -10.0
    assert_marginal(task, [(2, 3), (2, 14), (10, 8), (20, 8)])


def test_a_price_is_what_another_kilowatt_costs_where_a_line_binds() -> None:
    task = rural1({"line_percent": 20.0, "trafo_percent": 150.0})
    plan, price = priced(task)
    assert plan.shadow is not None
    assert plan.shadow.limits_eur_per_percent
    k = next(iter(plan.shadow.limits_eur_per_percent)).step
    worst = int(np.argmin(price.congestion[k]))
    # What is drawn behind the line relieves it, what is drawn before it does not.
    assert np.ptp(price.congestion[k]) > 5.0
    assert_marginal(task, [(k, worst), (k, int(np.argmax(price.congestion[k])))])


def test_a_price_is_what_another_kilowatt_costs_where_a_voltage_binds() -> None:
    task = rural1({"vm_max_pu": 1.02, "trafo_percent": 150.0})
    _, price = priced(task)
    assert price.voltage[2, 14] < -1.5
    assert (price.congestion == 0.0).all()
    assert_marginal(task, [(2, 14), (10, 14), (20, 8)])


def test_a_price_is_what_another_kilowatt_costs_on_a_winter_evening() -> None:
    assert_marginal(rural1(start=WINTER), [(2, 3), (10, 8), (23, 14)], 1.0)


def test_a_price_is_what_another_kilowatt_costs_under_a_lower_voltage_limit() -> None:
    # A street of homes whose battery must give, for the voltage's sake, what it would rather keep.
    street = Street([100, 90, 100], [2, 110, 2], [0] * 3, {"soc_start": 0.9, "wear_eur_per_kwh": 0.05})
    task = make_task(case_of(replace(street, limits={"vm_min_pu": 0.9974, "line_percent": 150.0})), 0, 3)
    plan, price = priced(task)
    assert plan.violations == ()
    assert price.voltage[1].max() > 1.0
    assert (price.voltage[[0, 2]] == 0.0).all()
    assert_marginal(task, [(1, 2), (1, 3), (0, 3)])


@pytest.mark.parametrize("k", [4, 30])
def test_tiny_has_the_price_of_its_connection_point(k: int) -> None:
    assert_marginal(make_task(load_case("tiny"), 0, 40), [(k, 2), (k, 3)])


def test_a_peak_charge_is_in_the_price_of_the_step_that_sets_the_peak() -> None:
    street = Street([100] * 4, [3, 15, 3, 3], [0] * 4, {"soc_start": 0.0}, {"peak_eur_per_kw": 2.0}, batteries=0)
    task = make_task(case_of(street), 0, 4)
    _, price = priced(task)
    # 2 EUR/kW over a quarter-hour is 8 EUR/kWh.
    assert price.energy[:, 2] == pytest.approx([100.0, 8100.0, 100.0, 100.0], abs=1e-3)
    assert_marginal(task, [(1, 2), (0, 2)], 1.0)
    past = replace(task, reached_kw=20.0)
    assert priced(past)[1].energy[:, 2] == pytest.approx([100.0] * 4, abs=1e-3)


# --- components ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("limits", "start"),
    [({}, NOON), ({}, WINTER), ({"vm_max_pu": 1.02, "trafo_percent": 150.0}, NOON), ({"line_percent": 20.0}, NOON)],
)
def test_components_add_up_and_stand_where_something_binds(limits: dict[str, float], start: int) -> None:
    task = rural1(limits, start)
    plan, price = priced(task)
    assert plan.shadow is not None
    assert price.total == pytest.approx(price.energy + price.loss + price.congestion + price.voltage)
    binding = {kind: {key.step for key in plan.shadow.limits_eur_per_percent if key.kind in kinds}
               for kind, kinds in (("congestion", {"loading"}), ("voltage", {"vm_min", "vm_max"}))}  # fmt: skip
    flow = flow_of(task, plan)
    at_limit = {
        "congestion": (flow.loading_percent >= task.limits.percent - 0.5).any(axis=1),
        "voltage": (np.nan_to_num(flow.vm_pu, nan=1.0) >= task.limits.vm_max_pu - 5e-4).any(axis=1),
    }
    for kind, steps in binding.items():
        used = np.flatnonzero((np.abs(getattr(price, kind)) > 1e-9).any(axis=1)).tolist()
        assert set(used) <= steps
        strong = np.flatnonzero((np.abs(getattr(price, kind)) > 0.5).any(axis=1))
        assert at_limit[kind][strong].all(), (kind, strong)


def test_at_the_connection_point_energy_is_all_of_the_price() -> None:
    task = rural1()
    _, price = priced(task)
    model = task.case.feeder.model
    slack = np.flatnonzero(model.bus_node == model.slack_node)
    assert len(slack)
    for part in (price.loss, price.congestion, price.voltage):
        assert part[:, slack] == pytest.approx(0.0, abs=1e-9)


def test_energy_costs_the_import_price_while_importing_and_earns_the_export_price_while_exporting() -> None:
    street = Street([100, 100, 100], [5, 0, 5], [0, 8, 0], tariff={"grid_fee_eur_per_mwh": 60.0}, batteries=0)
    _, price = priced(make_task(case_of(street), 0, 3))
    assert price.energy[:, 0] == pytest.approx([160.0, 100.0, 160.0], abs=1e-6)


@settings(max_examples=15)
@given(st.lists(st.tuples(st.floats(0, 300), st.floats(0, 15), st.floats(0, 11)), min_size=1, max_size=8), st.floats(0, 150))
def test_energy_lies_between_export_and_import_price(rows: list[tuple[float, float, float]], fee: float) -> None:
    spot, load, sun = (list(column) for column in zip(*rows, strict=True))
    street = Street(spot, load, sun, {"soc_start": 0.5, "wear_eur_per_kwh": 0.01}, {"grid_fee_eur_per_mwh": fee})
    task = by_mean_prices(make_task(case_of(street), 0, len(rows)))
    plan, price = priced(task)
    slack = flow_of(task, plan).slack_p_kw
    energy, low, high = price.energy[:, 0], 1e3 * task.export_eur_per_kwh, 1e3 * task.import_eur_per_kwh
    assert (energy >= low - 1e-6).all()
    assert (energy <= high + 1e-6).all()
    assert energy[slack > 0.01] == pytest.approx(high[slack > 0.01], abs=1e-6)
    assert energy[slack < -0.01] == pytest.approx(low[slack < -0.01], abs=1e-6)


def test_dead_buses_have_the_price_of_energy_alone() -> None:
    task = dead_end()
    _, price = priced(task)
    vm = flow_of(task, make_plan(task)).vm_pu
    dead = np.flatnonzero(np.isnan(vm[0]))
    assert len(dead)
    assert np.isfinite(price.total).all()
    assert price.total[:, dead] == pytest.approx(price.energy[:, dead])


def dead_end() -> Task:
    """`tiny` with its last line open: bus 4 is dead, its home has moved to bus 3."""
    case = load_case("tiny")
    model, params = case.feeder.model, case.params
    near, far = model.branch_node[3]
    admittance = model.admittance.copy()
    admittance[near, near] -= model.branch_admittance[3][0]
    kept = np.delete(np.arange(5), far)
    assert far == 4
    ends, bus_node = model.branch_node.copy(), model.bus_node.copy()
    ends[3], bus_node[4] = -1, -1
    open_model = model._replace(admittance=admittance[np.ix_(kept, kept)], branch_node=ends, bus_node=bus_node)
    power_flow = compile_power_flow(open_model)
    params = params._replace(network=power_flow.network, load_bus=np.array([3, 3]))
    feeder = replace(case.feeder, model=open_model)
    return make_task(replace(case, feeder=feeder, power_flow=power_flow, params=params), 0, 4)


def test_both_engines_name_the_same_prices() -> None:
    task = rural1(steps=12)
    readable = prices_of(task, make_plan(task, PyomoEngine))
    _, fast = priced(task)
    for part in ("energy", "loss", "congestion", "voltage"):
        assert getattr(fast, part) == pytest.approx(getattr(readable, part), abs=0.1)


def test_a_price_is_the_same_whatever_the_length_of_the_stretch_that_is_linearised() -> None:
    # More steps than are linearised at a time.
    case = load_case("tiny")
    _, price = priced(make_task(case, 0, 200))
    assert price.energy.shape == (200, len(case.feeder.bus_name))
    task = make_task(case, 0, 200)
    spread = 1e3 * (task.import_eur_per_kwh - task.export_eur_per_kwh)
    assert (price.energy[:, 0] >= 1e3 * task.export_eur_per_kwh - 1e-6).all()
    assert (price.energy[:, 0] <= 1e3 * task.export_eur_per_kwh + spread + 1e-6).all()


def test_a_plan_out_of_time_has_no_prices() -> None:
    task = rural1(steps=8)
    with pytest.raises(InputError, match="more time"):
        prices_of(task, make_plan(task, time_limit_s=0.0))


def test_a_negative_price_is_a_price_too() -> None:
    task = replace(rural1(steps=12), reactive=False)
    wave = -0.05 * (1 + np.sin(np.arange(12.0)))
    task = repriced(task, wave + 0.2, wave)
    _, price = priced(task)
    assert np.isfinite(price.total).all()
    assert (price.energy[:, 0] >= 1e3 * wave - 1e-6).all()
    assert (price.energy[:, 0] <= 1e3 * (wave + 0.2) + 1e-6).all()
