"""From action to setpoints: shares of ratings, and the worth of stored energy that the whole fleet answers as one."""

from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.losses import compile_losses
from gridnet_envs.actions import (
    BELIEFS,
    KNOTS,
    REACH,
    add_reactive,
    answer_setpoints,
    answer_value,
    believe,
    share_power,
    surplus_kw,
)
from gridnet_envs.core import Core
from gridnet_envs.options import Options
from gridnet_envs.outlook import AS_FORECAST, SEGMENTS, VIEWS, OneBattery

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


@pytest.fixture(scope="module")
def lossless(core: Core) -> OneBattery:
    """The fleet as one battery whose power loses nothing on its way and meets no rating."""
    return core.world.outlook.battery._replace(own_loss=0.0, beside_loss=0.0, rated_kw=np.inf)


# --- what an action believes ---------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1, 1), min_size=BELIEFS, max_size=BELIEFS), st.integers(0, 999))
def test_an_action_adds_what_sun_and_prices_would_linearly_between_knots(action: list[float], seed: int) -> None:
    outlook, named = np.random.default_rng(seed).normal(0, 0.1, (VIEWS, SEGMENTS)).astype(np.float32), np.empty(SEGMENTS)
    believe(np.array(action), outlook, named)
    middles = (np.arange(SEGMENTS) + 0.5) / SEGMENTS
    sun = np.interp(middles, np.linspace(0, 1, KNOTS), action[:KNOTS])
    value, by_sun, by_price = outlook.astype(np.float64)
    np.testing.assert_allclose(named, value + REACH * (sun * by_sun + action[KNOTS] * by_price), atol=1e-7)


def test_the_zero_action_follows_the_outlook(core: Core) -> None:
    case, rng = core.case, np.random.default_rng(8)
    battery, prices = core.world.outlook.battery, core.world.prices
    for step in rng.integers(case.clock.steps - 96, size=20):
        soc = np.full(case.fleet.batteries, rng.uniform(0.05, 0.95))
        core.step_index[0], core.soc[0], core.end[0] = step, soc, step + 96
        _, outlook = core.look(np.array([step]), soc[:1])
        expected = np.empty((2, case.fleet.devices))
        buy, sell = prices.import_eur_per_kwh[step], prices.export_eur_per_kwh[step]
        answer_value(case.params, battery, buy, sell, int(step), soc, outlook[0, AS_FORECAST].astype(np.float64), expected)

        core.step(np.zeros((1, BELIEFS), dtype=np.float32))

        np.testing.assert_array_equal(core.asked[0], expected)


@given(step=st.integers(0, 35_000), soc=st.floats(0.05, 0.95), lift=st.floats(0.001, 0.3))
def test_where_energy_is_worth_more_never_less_is_stored(step: int, soc: float, lift: float) -> None:
    core = value_core()
    case, battery, prices = core.case, core.world.outlook.battery, core.world.prices
    charge, powers = np.full(case.fleet.batteries, soc), []
    named = core.look(np.array([step]), np.array([soc]))[1][0, AS_FORECAST].astype(np.float64)
    for value in (named - lift, named, named + lift):
        asked = np.empty((2, case.fleet.devices))
        buy, sell = prices.import_eur_per_kwh[step], prices.export_eur_per_kwh[step]
        answer_value(case.params, battery, buy, sell, step, charge, value, asked)
        powers.append(asked[0, : case.fleet.batteries].sum())
    # The power is sought in halving steps, so a hair of it is left open.
    tolerance = 0.02 * case.fleet.p_kw.sum()
    assert powers[0] >= powers[1] - tolerance
    assert powers[1] >= powers[2] - tolerance


def test_who_believes_in_more_sun_makes_room_for_it(core: Core) -> None:
    """Early on a summer day, before its surplus."""
    step, batteries = 24 * 672 + 24, core.case.fleet.batteries
    powers = {}
    for action in (-1.0, 1.0):
        core.step_index[0], core.soc[0], core.end[0] = step, 0.5, step + 96
        core.step(np.r_[np.full(KNOTS, action), 0.0][None])
        powers[action] = core.asked[0, 0, :batteries].sum()
    assert powers[1.0] > powers[-1.0] + 1.0


# --- what the fleet answers ----------------------------------------------------------------------------------------


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
def test_a_value_is_weighed_against_both_prices(
    case: Case, lossless: OneBattery, value: float, surplus: float, expected: str
) -> None:
    # Buy 0.285, sell 0.10, efficiency 0.95 each way, wear 0.01. Charging from the grid pays at a value above
    # (0.285 + 0.01) / 0.95 = 0.311, storing the surplus above 0.116, covering the deficit below (0.285 - 0.01) * 0.95
    # = 0.261, selling from store below 0.0855.
    step, plants = 0, case.fleet.devices - case.fleet.batteries
    params = case.params._replace(load_p_kw=np.full((1, 1), min(surplus, 0.0)), pv_p_kw=np.zeros((1, plants)))
    params.pv_p_kw[0, 0] = max(surplus, 0.0)
    soc, asked = np.full(case.fleet.batteries, 0.5), np.empty((2, case.fleet.devices))
    lowest, highest = possible_kw(case, soc)
    assert surplus_kw(params, step) == surplus

    answer_value(params, lossless, 0.285, 0.10, step, soc, np.full(SEGMENTS, value), asked)

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


def test_values_that_fall_stop_the_charge_where_the_next_kwh_no_longer_pays(case: Case, lossless: OneBattery) -> None:
    # Values fall linearly from 0.6 (empty) to 0 (full); charging pays at 0.311 and above: up to 48 % of the window.
    params = case.params._replace(load_p_kw=np.zeros((1, 1)), pv_p_kw=np.zeros_like(case.params.pv_p_kw[:1]))
    named = 0.6 * (1 - (np.arange(SEGMENTS) + 0.5) / SEGMENTS)
    window_kwh = 0.9 * case.fleet.e_kwh.sum()
    soc, asked = np.full(case.fleet.batteries, 0.05 + 0.9 * 0.42), np.empty((2, case.fleet.devices))

    answer_value(params, lossless, 0.285, 0.10, 0, soc, named, asked)

    stored_kwh = 0.42 * window_kwh - 0.25 * 0.95 * asked[0, : case.fleet.batteries].sum()
    threshold = (1 - (0.285 + 0.01) / 0.95 / 0.6) * window_kwh
    assert possible_kw(case, soc)[0] < asked[0, : case.fleet.batteries].sum() < 0
    assert stored_kwh == pytest.approx(threshold, abs=window_kwh / SEGMENTS / 2)


def test_charge_below_its_window_counts_as_empty(case: Case, lossless: OneBattery) -> None:
    """Self-discharge may bring a battery there."""
    params = case.params._replace(load_p_kw=np.full((1, 1), -50.0), pv_p_kw=np.zeros_like(case.params.pv_p_kw[:1]))
    asked = np.empty((2, case.fleet.devices))
    answer_value(params, lossless, 0.285, 0.10, 0, np.full(case.fleet.batteries, 0.0499), np.full(SEGMENTS, 0.1), asked)
    np.testing.assert_array_equal(asked[0, : case.fleet.batteries], 0.0)


def test_pv_is_curtailed_to_the_rest_s_need_where_export_costs_money(case: Case, lossless: OneBattery) -> None:
    plants = case.fleet.devices - case.fleet.batteries
    sun = np.linspace(10.0, 40.0, plants)[None]
    params = case.params._replace(load_p_kw=np.array([[-30.0]]), pv_p_kw=sun)
    soc, asked = np.full(case.fleet.batteries, 0.95), np.empty((2, case.fleet.devices))

    answer_value(params, lossless, 0.135, -0.05, 0, soc, np.full(SEGMENTS, 0.05), asked)  # full: nothing to store

    pv_kw = asked[0, case.fleet.batteries :]
    moved = asked[0, : case.fleet.batteries].sum()
    assert pv_kw.sum() + moved == pytest.approx(30.0)
    np.testing.assert_allclose(pv_kw / sun[0], pv_kw[0] / sun[0, 0])


# --- reactive power ------------------------------------------------------------------------------------------------


@given(step=st.integers(0, 35_135), seed=st.integers(0, 999))
def test_reactive_power_takes_the_room_that_active_power_leaves(step: int, seed: int) -> None:
    core = value_core()
    case, losses = core.case, core.world.losses
    fleet, rng = case.fleet, np.random.default_rng(seed)
    asked = np.full((2, fleet.devices), np.nan)
    asked[0, : fleet.batteries] = rng.uniform(-1, 1, fleet.batteries) * fleet.p_kw
    asked[0, fleet.batteries :] = np.where(rng.integers(0, 2, fleet.devices - fleet.batteries), np.inf, 1.0)
    active = asked[0].copy()

    add_reactive(case.params, losses, step, asked)

    np.testing.assert_array_equal(asked[0], active)
    done_kw = asked[0].copy()
    done_kw[fleet.batteries :] = np.minimum(done_kw[fleet.batteries :], case.params.pv_p_kw[step])
    assert (asked[1] ** 2 <= np.maximum(fleet.s_kva**2 - done_kw**2, 0) + 1e-9).all()
    assert np.abs(asked[1]).max() > 0


def test_reactive_power_covers_the_loads_near_by(case: Case) -> None:
    """Where nothing else flows, inverters give what loads take."""
    losses = compile_losses(case.power_flow, case.feeder, case.params.device_bus)
    loads = len(case.params.load_bus)
    for sign in (-1.0, 1.0):
        params = case.params._replace(load_q_kvar=np.full((1, loads), sign), pv_p_kw=np.zeros_like(case.params.pv_p_kw[:1]))
        asked = np.zeros((2, case.fleet.devices))
        add_reactive(params, losses, 0, asked)
        assert 0.3 * loads < -sign * asked[1].sum() < 1.7 * loads


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
