"""The environment's core: what it observes and when, what it pays, where episodes lie."""

from __future__ import annotations

import dataclasses
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, split_of
from gridnet.dispatch import idle
from gridnet.errors import InputError
from gridnet.forecast.forecaster import hourly_totals
from gridnet.scenario import Forecast, Limits, Tariff
from gridnet.simulate import State
from gridnet.simulate import step as simulate_step
from gridnet_envs.actions import BELIEFS, answer_value, believe
from gridnet_envs.core import SEAT_STEPS, Core, Seat, episode_starts
from gridnet_envs.options import Options
from gridnet_envs.outlook import SEGMENTS, VIEWS, look_ahead
from gridnet_envs.reward import TERMS, Penalties
from gridnet_envs.slots import BOUND, layout, offset, table

Floats = NDArray[np.float64]


def with_series(case: Case, days: int | None = None, **changed: Floats) -> Case:
    """The case with other series, cut to its first days."""
    steps = case.clock.steps if days is None else days * STEPS_PER_DAY
    names = ("load_p_kw", "load_q_kvar", "pv_p_kw", "price_eur_per_mwh", "carbon_g_per_kwh")
    arrays = {name: changed.get(name, getattr(case.series, name))[:steps] for name in names}
    series = dataclasses.replace(case.series, clock=dataclasses.replace(case.clock, steps=steps), **arrays)
    params = case.params._replace(**{name: arrays[name] for name in names[:3]})
    return dataclasses.replace(case, series=series, params=params)


def slot(core: Core, name: str) -> Any:
    first = offset(core.slots, name)
    width = next(slot.width for slot in core.slots if slot.name == name)
    return core.observation[0, first : first + width]


# --- forecasts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["climatology", "persistence"])
def test_the_agent_sees_the_forecast_that_the_scenario_names(method: Any) -> None:
    case = with_series(load_case("tiny"), load_p_kw=-np.random.default_rng(0).uniform(1, 3, (35 * STEPS_PER_DAY, 2)))
    case = dataclasses.replace(case, scenario=case.scenario.model_copy(update={"forecast": Forecast(method=method)}))
    core = Core(case, Options(), batch=1)
    step = 4 * STEPS_PER_WEEK
    core.reset_at(0, step, 0.0)

    np.testing.assert_allclose(slot(core, "surplus_forecast"), hourly_totals(case)[step] / 10.0, rtol=1e-6)


# --- episodes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("days", range(1, 8))
@pytest.mark.parametrize("split", ["training", "validation", "held-out"])
def test_no_episode_touches_a_week_of_another_split(days: int, split: Any) -> None:
    case = load_case("rural1")
    starts = episode_starts(case, Options(days=days, weeks=split))

    first, last = starts // STEPS_PER_WEEK, (starts + days * STEPS_PER_DAY - 1) // STEPS_PER_WEEK
    assert {split_of(week) for week in {*first.tolist(), *last.tolist()}} == {split}
    np.testing.assert_array_equal(first, last)
    assert (starts + days * STEPS_PER_DAY <= case.clock.steps).all()
    assert {case.clock.local_step_of_day(int(start)) for start in starts} == {0}
    weeks = [week for week in range(case.clock.weeks) if split_of(week) == split]
    assert len(starts) == len(set(starts.tolist())) == len(weeks) * (8 - days)


def test_all_weeks_are_the_three_splits_together() -> None:
    case = load_case("rural1")
    parts = [episode_starts(case, Options(weeks=split)) for split in ("training", "validation", "held-out")]
    together = np.sort(np.concatenate(parts))
    np.testing.assert_array_equal(together, episode_starts(case, Options(weeks="all")))


def test_a_clock_without_a_week_of_the_split_is_refused() -> None:
    case = with_series(load_case("rural1"), days=13)
    with pytest.raises(InputError, match="1 whole weeks and none of them is 'held-out'"):
        Core(case, Options(weeks="held-out"), 1)


@pytest.mark.parametrize(("start", "soc"), [(-1, 0.5), (35_136 - 95, 0.5), (0, 0.04), (0, 0.96), (0, float("nan"))])
def test_an_impossible_start_is_refused(start: int, soc: float) -> None:
    with pytest.raises(InputError, match="can't start"):
        Core(load_case("rural1"), Options(), 1).reset_at(0, start, soc)


def test_the_last_episode_of_the_series_can_be_played_to_its_end() -> None:
    core = Core(load_case("rural1"), Options(), 1)
    core.reset_at(0, 35_136 - 96, 0.5)
    for _ in range(95):
        assert not core.step(np.zeros((1, core.actions)))[1][0]
    terminated, truncated = core.step(np.zeros((1, core.actions)))
    assert truncated[0]
    assert not terminated[0]
    assert np.isfinite(core.observation).all()


# --- what is observed ----------------------------------------------------------------------------------------------


def test_the_first_observation_shows_a_solved_power_flow_at_rest() -> None:
    case = load_case("rural1")
    core = Core(case, Options(), 2)
    core.reset_at(0, 50, 0.5)
    _, did = simulate_step(case.start(50), idle(1, case.fleet.batteries, case.fleet.devices), case.params)

    assert np.isfinite(core.observation).all()
    assert slot(core, "vm_low")[0] == pytest.approx((did.vm_pu.min() - 1) / 0.1, rel=1e-6)
    assert slot(core, "vm_high")[0] == pytest.approx((did.vm_pu.max() - 1) / 0.1, rel=1e-6)
    assert slot(core, "loading")[0] == pytest.approx(did.loading_percent.max() / 100, rel=1e-6)
    assert core.soc[0].tolist() == [0.5] * case.fleet.batteries


def test_slots_show_the_hour_the_charge_the_sun_and_the_prices_they_name() -> None:
    case = load_case("rural1")
    core, step = Core(case, Options(), 1), 3 * STEPS_PER_WEEK + 5 * STEPS_PER_DAY + 13 * 4  # 13:00 of a day
    core.reset_at(0, step, 0.5)
    core.soc[0] = np.linspace(0.1, 0.9, case.fleet.batteries)
    core.step(np.zeros((1, core.actions)))
    step += 1
    spot = case.series.price_eur_per_mwh
    mean = spot[step : step + 96].mean()  # after noon all of the next 24 hours are published
    load, sun = case.series.load_p_kw[step].sum(), case.series.pv_p_kw[step]
    hour = 2 * np.pi * 13.25 / 24

    def shows(name: str, value: Any) -> None:
        np.testing.assert_allclose(slot(core, name), np.clip(value, -BOUND, BOUND), rtol=0, atol=2e-5, err_msg=name)

    shows("day", [np.sin(hour), np.cos(hour)])
    shows("weekend", float(case.clock.weekday(step) >= 5))
    shows("surplus", (load + sun.sum()) / case.fleet.p_kw.sum())
    shows("spot", (spot[step] - mean) / 30)
    shows("spot_ahead", (spot[step : step + 96].reshape(24, 4).mean(axis=1) - mean) / 30)
    shows("spot_mean", mean / 100)
    shows("hours_known", (48 - 13.25) / 36)
    shows("margin", case.scenario.tariff.grid_fee_eur_per_mwh / 200)
    shows("fleet_hours", case.fleet.e_kwh.sum() / case.fleet.p_kw.sum() / 4)
    shows("fleet_share", case.fleet.p_kw.sum() / 160)
    shows("soc", core.soc[0] @ case.fleet.e_kwh / case.fleet.e_kwh.sum())
    shows("battery_soc", core.soc[0])
    shows("pv_available", sun / case.fleet.s_kva[case.fleet.batteries :])


def test_the_table_of_slots_counts_every_number_once() -> None:
    core = Core(load_case("rural1"), Options(), 1)
    lines = table(core.slots).splitlines()[2:]
    spans = [line.split("|")[1].strip().split("-") for line in lines]
    covered = [index for span in spans for index in range(int(span[0]), int(span[-1]) + 1)]
    assert covered == list(range(core.observation.shape[1]))
    assert all(f"`{slot.name}`" in line and slot.meaning in line for slot, line in zip(core.slots, lines, strict=True))


def test_with_value_actions_the_observation_does_not_depend_on_the_devices() -> None:
    one, other = (Core(load_case(name), Options(action="value"), 1) for name in ("rural1", "ieee33"))
    assert one.slots == other.slots == layout(load_case("rural1"), devices=False)
    assert one.actions == other.actions == BELIEFS


def played(case: Case, start: int, steps: int, **options: Any) -> list[bytes]:
    """Observations from the reset to `steps` later, under varied actions."""
    return seen_by(Core(case, Options(weeks="all", days=7, **options), 1), start, steps)


@cache
def unchanged(scenario: str, action: Any) -> Core:
    """Of the first days as they are; made once, as forecasting them is slow."""
    return Core(with_series(load_case(scenario), 12), Options(weeks="all", days=7, action=action), 1)


def seen_by(core: Core, start: int, steps: int) -> list[bytes]:
    core.reset_at(0, start, 0.5)
    seen = [core.observation.tobytes()]
    for k in range(steps):
        core.step(np.full((1, core.actions), np.sin(k)))
        seen.append(core.observation.tobytes())
    return seen


@given(
    start=st.integers(3 * 96, 5 * 96),
    steps=st.integers(0, 8),
    bump=st.floats(50.0, 400.0),
    devices=st.booleans(),
    seed=st.integers(0, 99),
)
def test_a_price_that_is_not_published_never_changes_an_observation(
    start: int, steps: int, bump: float, devices: bool, seed: int
) -> None:
    """The next day's prices come out at 12:00: before that they are nobody's to see."""
    case, now = load_case("rural1"), start + steps
    known_until = (now // 96 + (2 if now % 96 >= 48 else 1)) * 96
    noise = np.random.default_rng(seed).choice([-1, 1], case.clock.steps) * bump
    hidden, shown = case.series.price_eur_per_mwh.copy(), case.series.price_eur_per_mwh.copy()
    hidden[known_until:] += noise[known_until:]
    visible = min(known_until, now + 96) - 1
    shown[visible] += bump
    action = "setpoints" if devices else "value"

    plain = seen_by(unchanged("rural1", action), start, steps)

    assert played(with_series(case, 12, price_eur_per_mwh=hidden), start, steps, action=action) == plain
    assert played(with_series(case, 12, price_eur_per_mwh=shown), start, steps, action=action)[-1] != plain[-1]


@given(
    scenario=st.sampled_from(["rural1", "cigre_lv"]),
    start=st.integers(0, 5 * 96),
    steps=st.integers(0, 8),
    devices=st.booleans(),
    which=st.sampled_from(["load_p_kw", "load_q_kvar", "pv_p_kw", "carbon_g_per_kwh"]),
)
def test_the_future_of_load_sun_and_carbon_never_changes_an_observation(
    scenario: str, start: int, steps: int, devices: bool, which: str
) -> None:
    case, now = load_case(scenario), start + steps
    plain_series = getattr(case.series, which)
    future, present = plain_series.copy(), plain_series.copy()
    future[now + 1 :] = future[now + 1 :] * 0.3 - (5.0 if which == "load_p_kw" else 0.0)
    present[now] = present[now] * 0.3 - (5.0 if which == "load_p_kw" else 0.0)
    action = "setpoints" if devices else "value"

    plain = seen_by(unchanged(scenario, action), start, steps)

    assert played(with_series(case, 12, **{which: future}), start, steps, action=action) == plain
    if which == "load_p_kw":
        assert played(with_series(case, 12, **{which: present}), start, steps, action=action)[-1] != plain[-1]


def test_the_future_of_load_never_changes_an_observation_without_a_transformer() -> None:
    case = load_case("ieee33")
    future = case.series.load_p_kw.copy()
    future[500:] *= 3
    assert played(with_series(case, 12, load_p_kw=future), 96, 3) == played(with_series(case, 12), 96, 3)


def test_the_outlook_is_seen_around_each_knot_less_the_mean_price() -> None:
    case, step = load_case("rural1"), 96 * 120 + 36
    core = Core(case, Options(action="value", weeks="all"), 1)
    core.reset_at(0, step, 0.3)
    named = np.empty((VIEWS, SEGMENTS))
    look_ahead(core.world.outlook, core.world.prices, step, named)
    value, sun, price = named
    mean = 100.0 * float(slot(core, "spot_mean")[0])

    # 20 parts and 5 knots: 2.5 parts to either side of a knot, rounded down.
    around = [value[0:2], value[2:7], value[7:12], value[12:17], value[17:20]]
    np.testing.assert_allclose(slot(core, "outlook"), [(1e3 * part.mean() - mean) / 100.0 for part in around], atol=1e-5)
    np.testing.assert_allclose(slot(core, "outlook_sun"), 1e3 * sun.mean() / 20.0, atol=1e-5)
    np.testing.assert_allclose(slot(core, "outlook_price"), 1e3 * price.mean() / 20.0, atol=1e-5)
    assert np.abs(slot(core, "outlook")).max() > 0.05
    assert slot(core, "outlook_sun")[0] != 0.0 != slot(core, "outlook_price")[0]


def test_a_look_is_what_an_episode_shows_and_what_its_action_shifts() -> None:
    case = load_case("rural1")
    core, looking = (Core(case, Options(action="value", weeks="all"), 1) for _ in range(2))
    steps, soc = np.array([100, 7000, 20_000]), np.array([0.1, 0.5, 0.9])
    seen, outlook = looking.look(steps, soc)
    named = np.empty((VIEWS, SEGMENTS))
    for row, step in enumerate(steps):
        core.reset_at(0, int(step), float(soc[row]))
        np.testing.assert_array_equal(seen[row], core.observation[0])
        look_ahead(core.world.outlook, core.world.prices, int(step), named)
        np.testing.assert_allclose(outlook[row], named, atol=1e-7)


def test_the_outlook_is_remembered_and_the_memory_is_each_core_s_own() -> None:
    one, other = (Core(load_case("rural1"), Options(action="value", weeks="all"), 1) for _ in range(2))
    one.reset_at(0, 400, 0.5)
    assert np.isfinite(one.world.values[400]).all()
    assert np.isnan(one.world.values[401:]).all()
    assert np.isnan(other.world.values).all()
    one.world.values[400] = 7.0
    one.reset_at(0, 400, 0.5)
    np.testing.assert_array_equal(slot(one, "outlook"), BOUND)


def test_with_setpoints_no_outlook_is_kept() -> None:
    assert Core(load_case("rural1"), Options(), 1).world.values.shape == (0, VIEWS, SEGMENTS)


@given(step=st.integers(0, 35_000), charge=st.floats(0.05, 0.95), seed=st.integers(0, 99), reactive=st.booleans())
def test_a_seat_asks_for_what_the_environment_does(step: int, charge: float, seed: int, reactive: bool) -> None:
    core, seat = seated(reactive)
    core.step_index[0], core.soc[0], core.end[0] = step, charge, step + 96
    soc, action = core.soc[0].copy(), np.random.default_rng(seed).uniform(-1, 1, BELIEFS)

    seen = seat.observe(step, soc)
    asked = seat.answer(seat.value(action), soc, core.case.params, step)

    core.step(action[None])
    np.testing.assert_array_equal(asked, core.asked[0])
    assert len(seen) == core.observation.shape[1]
    assert (np.abs(asked[1]).max() > 0) == reactive


@cache
def seated(reactive: bool) -> tuple[Core, Seat]:
    options = Options(action="value", weeks="all", reactive=reactive)
    return Core(load_case("rural1"), options, 1), Seat(load_case("rural1"), options)


def test_a_seat_names_what_is_believed_beside_the_outlook_and_keeps_its_memory_clean() -> None:
    core, seat = seated(True)
    seat.observe(900, np.full(5, 0.5))
    action, named = np.linspace(-0.9, 0.8, BELIEFS), np.empty(SEGMENTS)
    _, outlook = core.look(np.array([900]), np.array([0.5]))
    believe(action, outlook[0], named)
    np.testing.assert_array_equal(seat.value(action), named)
    np.testing.assert_array_equal(seat.value(np.zeros(BELIEFS)), outlook[0, 0])
    assert seat.actions == BELIEFS
    assert seat.slots == layout(load_case("rural1"), devices=False)


@pytest.mark.parametrize("steps", [[0, SEAT_STEPS - 1, SEAT_STEPS], [30_000, 12, 20_000 + SEAT_STEPS, 35_135]])
def test_a_seat_sees_at_any_step_what_a_core_sees(steps: list[int]) -> None:
    core, seat = seated(True)
    soc = np.full(len(steps), 0.4)
    seen, outlook = core.look(np.array(steps), soc)
    for row, step in enumerate(steps):
        np.testing.assert_array_equal(seat.observe(step, np.full(5, 0.4)), seen[row])
        np.testing.assert_array_equal(seat.value(np.zeros(BELIEFS)), outlook[row, 0])


def test_a_seat_keeps_what_is_known_at_few_steps() -> None:
    _, seat = seated(True)
    seat.observe(5000, np.full(5, 0.5))
    world = seat._core.world
    for rows in (world.features, world.outlook.surplus_kw, world.outlook.pv_kw):
        assert rows[5000].any()
        assert not rows[:5000].any()
        assert not rows[5000 + SEAT_STEPS :].any()


def test_a_seat_answers_at_the_prices_of_the_step_it_observed() -> None:
    """`answer` may look at the load and sun of a finer clock, whose steps have other numbers."""
    core, seat = seated(False)
    case, soc, observed, other = core.case, np.full(5, 0.5), 900, 20_000
    seat.observe(observed, soc)
    named = seat.value(np.zeros(BELIEFS))
    expected, prices = np.empty((2, case.fleet.devices)), core.world.prices
    buy, sell = prices.import_eur_per_kwh[observed], prices.export_eur_per_kwh[observed]
    answer_value(case.params, core.world.outlook.battery, buy, sell, other, soc, named, expected)
    np.testing.assert_array_equal(seat.answer(named, soc, case.params, other), expected)


# --- what is paid --------------------------------------------------------------------------------------------------


@cache
def strained() -> Core:
    """rural1 with narrow limits, a price on carbon and reactive setpoints: every term is at work. Made once, as that forecasts
    a year; `reset_at` begins anew."""
    case = load_case("rural1")
    changed = {
        "limits": Limits(vm_min_pu=0.99, vm_max_pu=1.02, line_percent=40, trafo_percent=60),
        "tariff": Tariff(grid_fee_eur_per_mwh=120.0, co2_price_eur_per_t=90.0),
    }
    case = dataclasses.replace(case, scenario=case.scenario.model_copy(update=changed))
    penalties = Penalties(voltage_eur_per_pu_h=70.0, loading_eur_per_percent_h=0.3, collapse_eur=50.0)
    return Core(case, Options(curtailment=True, reactive=True, penalties=penalties), 1)


@given(start=st.integers(0, 35_000), seed=st.integers(0, 999))
def test_every_term_is_what_a_hand_computes_from_the_flow(start: int, seed: int) -> None:
    core = strained()
    case = core.case
    core.reset_at(0, start, 0.5)
    action = np.random.default_rng(seed).uniform(-1, 1, (1, core.actions))

    core.step(action)

    spot, carbon = case.series.price_eur_per_mwh[start], case.series.carbon_g_per_kwh[start]
    vm_pu, percent = core.flow[0, :15], core.flow[0, 15:29]
    slack_kwh = core.flow[0, -3] * 0.25
    moved_kwh = np.abs(core.done[0, 0, : case.fleet.batteries]).sum() * 0.25
    watched = np.delete(vm_pu, case.feeder.slack_bus)
    high, low = watched - 1.02, 0.99 - watched
    over_pu = high[high > 1e-4].sum() + low[low > 1e-4].sum()
    over_percent = percent - np.array([40.0] * 13 + [60.0])
    price = spot + 120.0 if slack_kwh > 0 else spot
    expected = {
        "energy_eur": -slack_kwh * price / 1e3,
        "wear_eur": -0.01 * moved_kwh,
        "carbon_eur": -max(slack_kwh, 0.0) * carbon / 1e6 * 90.0,
        "voltage_eur": -70.0 * over_pu * 0.25,
        "loading_eur": -0.3 * over_percent[over_percent > 0.1].sum() * 0.25,
        "collapse_eur": 0.0,
    }
    np.testing.assert_allclose(core.terms[0], [expected[name] for name in TERMS], rtol=0, atol=1e-9)
    assert core.reward[0] == pytest.approx(sum(expected.values()), abs=1e-9)


def test_a_collapse_costs_once_ends_the_episode_and_is_observed_in_bounds() -> None:
    case = load_case("rural1")
    load = case.series.load_p_kw.copy()
    load[100] = -1e4
    core = Core(with_series(case, load_p_kw=load), Options(), 2)
    core.reset_at(0, 99, 0.5)
    core.reset_at(1, 98, 0.5)
    core.step(np.zeros((2, core.actions)))

    terminated, truncated = core.step(np.zeros((2, core.actions)))

    assert terminated.tolist() == [True, False]
    assert truncated.tolist() == [False, False]
    np.testing.assert_array_equal(core.terms[0], [0, 0, 0, 0, 0, -100.0])
    assert core.reward[0] == -100.0
    assert core.terms[1, 5] == 0.0
    assert np.isfinite(core.observation).all()
    assert np.abs(core.observation).max() <= BOUND


@pytest.mark.parametrize("shield", [True, False])
def test_idle_behaviour_saves_nothing_against_idle(shield: bool) -> None:
    """At rest each step's saving is 0, also where the sun alone breaks a limit, but where the shield itself moves a battery."""
    case = load_case("rural1")
    core = Core(case, Options(against_idle=True, shield=shield, weeks="all", days=7), 1)
    moved = 0
    for start in (0, 20 * STEPS_PER_WEEK, 25 * STEPS_PER_WEEK):
        core.reset_at(0, start, 0.5)
        for _ in range(STEPS_PER_WEEK):
            core.soc[0] = 0.5
            core.step(np.zeros((1, core.actions)))
            if shield and core.done[0, :, : case.fleet.batteries].any():
                moved += 1
            else:
                assert core.reward[0] == pytest.approx(0.0, abs=1e-9)
    assert moved < 0.1 * 3 * STEPS_PER_WEEK


def test_against_idle_is_the_reward_less_what_resting_earns() -> None:
    case, start = load_case("rural1"), 3 * STEPS_PER_WEEK
    plain, saving, resting = (Core(case, Options(against_idle=against, days=2), 1) for against in (False, True, False))
    for core in (plain, saving, resting):
        core.reset_at(0, start, 0.5)
    for k in range(150):
        action = np.full((1, plain.actions), np.sin(k / 5))
        plain.step(action)
        saving.step(action)
        resting.step(np.zeros((1, plain.actions)))
        if not resting.terms[0, 3:].any():  # where resting breaks a limit, see above
            assert saving.reward[0] == pytest.approx(plain.reward[0] - resting.reward[0], abs=1e-9)
        np.testing.assert_array_equal(saving.terms, plain.terms)


def test_the_environment_takes_the_one_transition() -> None:
    """Charge, setpoints and flow are those of gridnet.simulate, bit for bit."""
    case = load_case("rural1")
    core = Core(case, Options(curtailment=True, reactive=True), 3)
    for row, start in enumerate((0, 1000, 20_000)):
        core.reset_at(row, start, 0.3)
    rng = np.random.default_rng(1)
    for _ in range(20):
        before = State(core.step_index.copy(), core.soc.copy())
        core.step(rng.uniform(-1, 1, (3, core.actions)))
        after, did = simulate_step(before, core.asked, case.params)
        assert after.soc.tobytes() == core.soc.tobytes()
        assert did.done.tobytes() == core.done.tobytes()
        assert did.flow.tobytes() == core.flow.tobytes()


def test_a_nan_action_is_refused_and_a_large_one_cut() -> None:
    core = Core(load_case("rural1"), Options(), 1)
    core.reset_at(0, 0, 0.5)
    with pytest.raises(InputError, match="NaN"):
        core.step(np.full((1, core.actions), np.nan))
    core.step(np.full((1, core.actions), 9.0))
    np.testing.assert_array_equal(core.asked[0, 0, : core.actions], core.case.fleet.p_kw)


def test_a_plant_without_power_is_observed_as_a_number() -> None:
    case = load_case("rural1")
    s_kva = case.fleet.s_kva.copy()
    s_kva[-1] = 0.0
    sun = case.series.pv_p_kw.copy()
    sun[:, -1] = 0.0
    empty = with_series(case, pv_p_kw=sun)
    empty = dataclasses.replace(empty, params=empty.params._replace(fleet=empty.fleet._replace(s_kva=s_kva)))
    core = Core(empty, Options(), 1)
    core.reset_at(0, 0, 0.5)
    assert np.isfinite(core.observation).all()
