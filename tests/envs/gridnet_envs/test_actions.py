"""From action to setpoints: shares of ratings, and one price that every battery answers alike."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet_envs.actions import answer_setpoints, answer_value, share_power, surplus_kw
from gridnet_envs.core import Core, value_of_action
from gridnet_envs.options import Options

Floats = NDArray[np.float64]


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


@cache
def value_core() -> Core:
    return Core(load_case("rural1"), Options(action="value", weeks="all"), batch=1)


@pytest.fixture(scope="module")
def core() -> Core:
    return value_core()


def possible_kw(case: Case, soc: Floats) -> tuple[float, float]:
    """What the fleet can take and give in one step, written out again."""
    model = case.scenario.battery
    kept = soc * (1 - model.self_discharge_per_day) ** (1 / 96)
    room = np.maximum(0, model.soc_max - kept) * case.fleet.e_kwh / model.efficiency_charge / 0.25
    stock = np.maximum(0, kept - model.soc_min) * case.fleet.e_kwh * model.efficiency_discharge / 0.25
    return -float(np.minimum(room, case.fleet.p_kw).sum()), float(np.minimum(stock, case.fleet.p_kw).sum())


def test_setpoints_are_shares_of_each_rating(case: Case) -> None:
    batteries, devices = case.fleet.batteries, case.fleet.devices
    pvs = devices - batteries
    action = np.linspace(-1, 1, batteries + pvs + devices)
    asked = np.empty((2, devices))

    answer_setpoints(case.fleet, action, True, True, asked)

    np.testing.assert_allclose(asked[0, :batteries], action[:batteries] * case.fleet.p_kw)
    ceiling = (action[batteries:devices] + 1) / 2 * case.fleet.s_kva[batteries:]
    np.testing.assert_allclose(asked[0, batteries:], ceiling)
    np.testing.assert_allclose(asked[1], action[devices:] * case.fleet.s_kva)


def test_without_curtailment_and_reactive_power_pv_is_free_and_q_is_zero(case: Case) -> None:
    batteries, devices = case.fleet.batteries, case.fleet.devices
    asked = np.empty((2, devices))
    answer_setpoints(case.fleet, np.ones(batteries), False, False, asked)
    np.testing.assert_array_equal(asked[0, batteries:], np.inf)
    np.testing.assert_array_equal(asked[1], 0.0)

    answer_setpoints(case.fleet, np.r_[np.ones(batteries), np.full(devices, -1.0)], False, True, asked)
    np.testing.assert_allclose(asked[0, :batteries], case.fleet.p_kw)
    np.testing.assert_allclose(asked[1], -case.fleet.s_kva)


@given(seed=st.integers(0, 5000), p_kw=st.one_of(st.floats(-400, 400), st.sampled_from([0.0, np.inf, -np.inf])))
def test_power_is_shared_so_that_none_holds_the_others_back(seed: int, p_kw: float) -> None:
    case = load_case("rural1")
    soc = np.random.default_rng(seed).choice([0.05, 0.06, 0.3, 0.94, 0.95], case.fleet.batteries)
    lowest, highest = possible_kw(case, soc)
    asked = np.empty(case.fleet.batteries)

    total = share_power(case.fleet, soc, p_kw, asked)

    assert total == pytest.approx(np.clip(p_kw, lowest, highest), abs=1e-9)
    assert asked.sum() == pytest.approx(total, abs=1e-9)
    assert (np.abs(asked) <= case.fleet.p_kw + 1e-12).all()
    assert (asked * total >= 0).all()


@given(step=st.integers(0, 35_135), soc=st.floats(0.05, 0.95))
def test_the_middle_action_is_self_consumption_under_the_default_tariff(step: int, soc: float) -> None:
    """But for quarter-hours so cheap or dear that trading pays both ways: those are asserted to be rare below."""
    core = value_core()
    case = core.case
    assume(is_ordinary()[step])
    core.step_index[0], core.soc[0], core.end[0] = step, soc, step + 96
    surplus = float(case.series.load_p_kw[step].sum() + case.series.pv_p_kw[step].sum())
    lowest, highest = possible_kw(case, np.full(case.fleet.batteries, soc))

    core.step(np.zeros((1, 1), dtype=np.float32))

    batteries = case.fleet.batteries
    assert core.done[0, 0, :batteries].sum() == pytest.approx(np.clip(-surplus, lowest, highest), abs=1e-9)
    np.testing.assert_array_equal(core.done[0, 0, batteries:], case.series.pv_p_kw[step])
    np.testing.assert_array_equal(core.done[0, 1], 0.0)


@cache
def is_ordinary() -> NDArray[np.bool_]:
    """Quarter-hours in which, at a value half-way between mean export and mean import price, storing the surplus and
    covering the deficit pay, and neither charging from the grid nor selling from store does; and export is no loss."""
    case = load_case("rural1")
    spot, fee = case.series.price_eur_per_mwh / 1e3, case.scenario.tariff.grid_fee_eur_per_mwh / 1e3
    mean = spot_means(spot)
    value, wear, eta = mean + fee / 2, 0.01, 0.95
    keeps = eta * value - wear
    gives = value / eta + wear
    return (keeps < spot + fee) & (spot < gives) & (keeps > spot) & (spot + fee > gives) & (spot >= 0)


def spot_means(spot: Floats) -> Floats:
    """Mean of the next 24 hours of prices as published, EUR/kWh, written out again."""
    steps = len(spot)
    step = np.arange(steps)
    known_until = np.minimum((step // 96 + 1 + (step % 96 >= 48)) * 96, steps)
    total = np.zeros(steps)
    for ahead in range(96):
        wanted = step + ahead
        days_back = np.maximum(0, -(-(wanted - known_until + 1) // 96))
        total += spot[np.maximum(0, wanted - 96 * days_back)]
    return total / 96


def test_almost_every_quarter_hour_is_ordinary() -> None:
    assert is_ordinary().mean() > 0.95


def test_value_actions_span_from_never_store_to_always_charge(case: Case, core: Core) -> None:
    prices, step = core.world.prices, 1234
    low, high = (value_of_action(prices, 0.04, step, action) for action in (-1.0, 1.0))
    spread = prices.import_eur_per_kwh[step] - prices.export_eur_per_kwh[step]
    assert low == pytest.approx(0.04 - 0.05)
    assert high == pytest.approx(0.04 + spread + 0.05)


@pytest.mark.parametrize(
    ("value", "surplus", "expected"),
    [
        (0.60, 50.0, "charge in full"),
        (0.02, 50.0, "discharge in full"),
        (0.15, 50.0, "store the surplus"),
        (0.15, -50.0, "cover the deficit"),
        (0.30, -50.0, "rest"),
        (0.27, -50.0, "rest"),
        (0.114, 50.0, "rest"),
        (0.305, 50.0, "store the surplus"),
        (0.09, -50.0, "cover the deficit"),
    ],
)
def test_a_value_is_weighed_against_both_prices(case: Case, core: Core, value: float, surplus: float, expected: str) -> None:
    # Buy 0.285, sell 0.10, efficiency 0.95 each way, wear 0.01. Charging from the grid pays at a value above
    # (0.285 + 0.01) / 0.95 = 0.311, storing the surplus above 0.116, covering the deficit below (0.285 - 0.01) * 0.95
    # = 0.261, selling from store below 0.0855.
    step, plants = 0, case.fleet.devices - case.fleet.batteries
    params = case.params._replace(load_p_kw=np.full((1, 1), min(surplus, 0.0)), pv_p_kw=np.zeros((1, plants)))
    params.pv_p_kw[0, 0] = max(surplus, 0.0)
    prices = core.world.prices._replace(import_eur_per_kwh=np.array([0.285]), export_eur_per_kwh=np.array([0.10]))
    soc, asked = np.full(case.fleet.batteries, 0.5), np.empty((2, case.fleet.devices))
    lowest, highest = possible_kw(case, soc)
    assert surplus_kw(params, step) == surplus

    answer_value(params, prices, step, soc, value, asked)

    total = {
        "charge in full": lowest,
        "discharge in full": highest,
        "store the surplus": -50.0,
        "cover the deficit": 50.0,
        "rest": 0.0,
    }[expected]
    assert asked[0, : case.fleet.batteries].sum() == pytest.approx(total)
    np.testing.assert_array_equal(asked[1], 0.0)
    assert np.isposinf(asked[0, case.fleet.batteries :]).all()


def test_pv_is_curtailed_to_the_rest_s_need_where_export_costs_money(case: Case, core: Core) -> None:
    plants = case.fleet.devices - case.fleet.batteries
    sun = np.linspace(10.0, 40.0, plants)[None]
    params = case.params._replace(load_p_kw=np.array([[-30.0]]), pv_p_kw=sun)
    prices = core.world.prices._replace(import_eur_per_kwh=np.array([0.135]), export_eur_per_kwh=np.array([-0.05]))
    soc, asked = np.full(case.fleet.batteries, 0.95), np.empty((2, case.fleet.devices))

    answer_value(params, prices, 0, soc, 0.05, asked)  # batteries are full: nothing to store

    pv_kw = asked[0, case.fleet.batteries :]
    moved = asked[0, : case.fleet.batteries].sum()
    assert pv_kw.sum() + moved == pytest.approx(30.0)
    np.testing.assert_allclose(pv_kw / sun[0], pv_kw[0] / sun[0, 0])


def test_an_edited_device_model_is_not_answered_from_a_stale_cache(tmp_path: Path) -> None:
    """Else `make test` may pass on physics that are no longer in the tree. `share_power` calls `battery_range`."""
    root = Path(__file__).resolve().parents[3]
    for package in ("gridnet", "envs/gridnet_envs"):
        shutil.copytree(root / package, tmp_path / Path(package).name, ignore=shutil.ignore_patterns("__pycache__"))
    script = """
        import numpy as np
        from gridnet.devices import Fleet
        from gridnet_envs.actions import share_power
        one, two = np.array([5.0]), np.array([0.9, 0.9])
        fleet = Fleet(one, one * 9, one, two, 1.0, np.array([0.0, 1.0]), 0.25)
        print(share_power(fleet, np.array([0.5]), 99.0, np.zeros(1)))
    """

    def answered() -> float:
        command = [sys.executable, "-c", textwrap.dedent(script)]
        ran = subprocess.run(command, check=True, cwd=tmp_path, capture_output=True, text=True, env={"PYTHONPATH": "."})
        return float(ran.stdout)

    assert answered() == 5.0
    model = tmp_path / "gridnet" / "devices.py"
    text = model.read_text()
    assert "    return lowest, highest" in text
    model.write_text(text.replace("    return lowest, highest", "    return lowest, 0.5 * highest"))
    assert answered() == 2.5
