"""The outlook: held against the same plan written out in plain Python, and against what it may know."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY
from gridnet.forecast.forecaster import hourly_totals, make_forecaster
from gridnet.losses import compile_losses
from gridnet.scenario import Tariff
from gridnet.tariff import Prices, make_prices
from gridnet_envs.outlook import (
    AS_FORECAST,
    BY_PRICE,
    BY_SUN,
    HIGHER_EUR_PER_KWH,
    HOURS,
    MORE_SUN,
    SEGMENTS,
    VIEWS,
    OneBattery,
    Outlook,
    cheapest_p_kw,
    look_ahead,
    make_outlook,
)

Floats = NDArray[np.float64]
DAYS = 12
steps = st.integers(0, DAYS * STEPS_PER_DAY - 1)


def with_series(case: Case, **changed: Floats) -> Case:
    """The case with other series, cut to its first days."""
    length = DAYS * STEPS_PER_DAY
    names = ("load_p_kw", "load_q_kvar", "pv_p_kw", "price_eur_per_mwh", "carbon_g_per_kwh")
    arrays = {name: changed.get(name, getattr(case.series, name))[:length] for name in names}
    series = dataclasses.replace(case.series, clock=dataclasses.replace(case.clock, steps=length), **arrays)
    return dataclasses.replace(case, series=series, params=case.params._replace(**{name: arrays[name] for name in names[:3]}))


def seen_from(case: Case) -> tuple[Outlook, Prices]:
    prices = make_prices(case.scenario, case.series)
    return make_outlook(case, prices, compile_losses(case.power_flow, case.feeder, case.params.device_bus)), prices


@cache
def short(name: str) -> Case:
    """A shipped case's first days, with a price on carbon."""
    case = load_case(name)
    tariff = case.scenario.tariff.model_copy(update={"co2_price_eur_per_t": 60.0})
    return with_series(dataclasses.replace(case, scenario=case.scenario.model_copy(update={"tariff": tariff})))


@cache
def outlook_of(name: str) -> tuple[Outlook, Prices]:
    return seen_from(short(name))


def views(outlook: Outlook, prices: Prices, step: int) -> Floats:
    named = np.full((VIEWS, SEGMENTS), np.nan)
    look_ahead(outlook, prices, step, named)
    return named


def values(outlook: Outlook, prices: Prices, step: int) -> Floats:
    return np.asarray(views(outlook, prices, step)[AS_FORECAST])


# --- the same plan, written out again ------------------------------------------------------------------------------


def stages_by_hand(case: Case, step: int, sun: float = 0.0, price: float = 0.0) -> list[tuple[float, float, float, float]]:
    """Surplus kW, import and export EUR/kWh and length in h of 24 stages that begin after `step` and end on clock hours, with
    PV larger by a share `sun` and unpublished prices higher by `price`."""
    spot, tariff = case.series.price_eur_per_mwh / 1e3, case.scenario.tariff
    of_day = case.clock.local_step_of_day(step)
    published = min(step - of_day + (2 if of_day >= 48 else 1) * 96, case.clock.steps)
    forecast, middles = hourly_totals(case, 25)[step], step + 2 + 4 * np.arange(25)
    forecast = forecast + sun * make_forecaster(case).pv.hourly(25)[step]
    carbon = tariff.co2_price_eur_per_t / 1e3 * case.series.carbon_g_per_kwh[step] / 1e3
    stages, first = [], step + 1
    for _ in range(24):
        last = first + 1
        while case.clock.time_of(last).minute != 0:
            last += 1
        priced = first
        while priced >= published:
            priced -= 96
        guessed = price if priced != first else 0.0
        here = spot[max(priced, 0)] + guessed
        export = here if tariff.feed_in_eur_per_mwh is None else tariff.feed_in_eur_per_mwh / 1e3 + guessed
        surplus = float(np.interp((first + last) / 2, middles, forecast))
        stages.append((surplus, here + tariff.grid_fee_eur_per_mwh / 1e3 + carbon, export, (last - first) / 4))
        first = last
    return stages


def cost_of_stage(battery: OneBattery, stage: tuple[float, float, float, float], power: float) -> float:
    surplus, buy, sell, hours = stage
    net = surplus + power - battery.own_loss * power**2 - battery.beside_loss * power * surplus
    earned = min(max(net, 0.0), battery.rated_kw) * max(sell, 0.0)
    return (max(-net, 0.0) * buy - earned + abs(power) * battery.wear_eur_per_kwh) * hours


def values_by_hand(case: Case, battery: OneBattery, step: int, sun: float = 0.0, price: float = 0.0) -> Floats:
    """Every level of charge against every level that can be reached, and against the powers where the cost has a kink; the day
    after is like the day, but as forecast."""
    scenario, day, next_day = case.scenario.battery, stages_by_hand(case, step, sun, price), stages_by_hand(case, step)
    full = (scenario.soc_max - scenario.soc_min) * case.fleet.e_kwh.sum()
    levels = np.linspace(0, full, SEGMENTS + 1)
    charge, discharge, most_kw = scenario.efficiency_charge, scenario.efficiency_discharge, case.fleet.p_kw.sum()
    mean_price = np.mean([stage[1] for stage in next_day]) / 2 + np.mean([stage[2] for stage in next_day]) / 2
    later = -discharge * mean_price * levels
    for stage in [*day, *next_day][::-1]:
        sooner = np.empty_like(later)
        hours = stage[3]
        for g, stored in enumerate(levels):
            lowest = -min(most_kw, (full - stored) / charge / hours)
            highest = min(most_kw, stored * discharge / hours)
            gains = levels - stored
            powers = np.where(gains > 0, -gains / charge, -gains * discharge) / hours
            kinks = np.clip([0.0, -stage[0], battery.rated_kw - stage[0], -np.inf, np.inf], lowest, highest)
            tried = np.concatenate([powers[(powers >= lowest - 1e-9) & (powers <= highest + 1e-9)], kinks])
            after = stored - np.where(tried < 0, tried * charge, tried / discharge) * hours
            now = np.array([cost_of_stage(battery, stage, power) for power in tried])
            sooner[g] = (now + np.interp(after, levels, later)).min()
        later = sooner
    return np.asarray((later[:-1] - later[1:]) / (levels[1] - levels[0]))


@pytest.mark.parametrize("name", ["tiny", "rural1", "ieee33"])
def test_it_is_the_plan_written_out_in_plain_python(name: str) -> None:
    case, (outlook, prices) = short(name), outlook_of(name)
    for step in (0, 1, 47, 48, 51, 430, 475, 623, DAYS * STEPS_PER_DAY - 2, DAYS * STEPS_PER_DAY - 1):
        told = values(outlook, prices, step)
        np.testing.assert_allclose(told, values_by_hand(case, outlook.battery, step), rtol=0, atol=1e-7, err_msg=f"{step}")


@pytest.mark.parametrize("name", ["tiny", "rural1"])
def test_what_beliefs_change_is_half_the_difference_of_two_such_plans(name: str) -> None:
    case, (outlook, prices) = short(name), outlook_of(name)
    for step in (430, 475, 620):
        told, battery = views(outlook, prices, step), outlook.battery
        more, less = (values_by_hand(case, battery, step, sun=share) for share in (MORE_SUN, -MORE_SUN))
        higher, lower = (values_by_hand(case, battery, step, price=rise) for rise in (HIGHER_EUR_PER_KWH, -HIGHER_EUR_PER_KWH))
        np.testing.assert_allclose(told[BY_SUN], (more - less) / 2, rtol=0, atol=1e-6)
        np.testing.assert_allclose(told[BY_PRICE], (higher - lower) / 2, rtol=0, atol=1e-6)
        assert np.abs(told[BY_SUN]).max() > 1e-4


@given(name=st.sampled_from(["rural1", "cigre_lv"]), step=steps)
def test_more_sun_never_makes_a_kwh_dearer_and_higher_prices_never_cheaper(name: str, step: int) -> None:
    told = views(*outlook_of(name), step)
    assert np.isfinite(told).all()
    assert told[BY_SUN].max() <= 0.001
    assert told[BY_PRICE].min() >= -0.001
    assert told[BY_PRICE].max() <= HIGHER_EUR_PER_KWH / 0.9


def test_where_every_price_of_the_plan_is_published_a_belief_about_prices_changes_nothing() -> None:
    outlook, prices = outlook_of("rural1")
    afternoon, morning = 5 * 96 + 52, 5 * 96 + 40
    np.testing.assert_array_equal(views(outlook, prices, afternoon)[BY_PRICE], 0.0)
    assert views(outlook, prices, morning)[BY_PRICE].max() > 0.0


def test_it_is_that_plan_behind_a_transformer_that_binds_and_with_negative_prices() -> None:
    given = load_case("rural1")
    wild = np.random.default_rng(5).normal(40, 90, given.clock.steps)
    case = with_series(given, pv_p_kw=np.roll(given.series.pv_p_kw, -170 * 96, axis=0), price_eur_per_mwh=wild)
    outlook, prices = seen_from(case)
    assert case.series.pv_p_kw.sum(axis=1).max() > 160
    for step in range(300, 700, 57):
        told, by_hand = values(outlook, prices, step), values_by_hand(case, outlook.battery, step)
        # Where selling costs money and buying earns it the cost has several valleys, of which the search walks one.
        np.testing.assert_allclose(told, by_hand, rtol=0, atol=0.02)
        assert np.abs(told - by_hand).mean() < 0.002


def test_stages_end_on_the_hours_of_the_clock() -> None:
    """A dear clock hour is seen from every quarter-hour of the hour before alike, wherever in an hour the clock starts."""
    tiny = load_case("tiny")
    for late in (0, 1, 2, 3):
        cut = with_series(tiny)
        clock = dataclasses.replace(cut.clock, start=cut.clock.start + timedelta(minutes=15 * late))
        series = dataclasses.replace(cut.series, clock=clock)
        case = dataclasses.replace(cut, series=series)
        outlook, prices = seen_from(case)
        for step in range(500, 504):
            told = values(outlook, prices, step)
            np.testing.assert_allclose(told, values_by_hand(case, outlook.battery, step), rtol=0, atol=1e-7)
            assert outlook.quarter[step] == case.clock.time_of(step).minute // 15


def test_the_fleet_stands_for_its_batteries() -> None:
    case, (outlook, _) = short("rural1"), outlook_of("rural1")
    one, model = outlook.battery, case.scenario.battery
    assert one.p_kw == pytest.approx(case.fleet.p_kw.sum())
    assert one.e_kwh == pytest.approx(case.fleet.e_kwh.sum())
    assert (one.charge, one.discharge) == (model.efficiency_charge, model.efficiency_discharge)
    assert (one.low, one.high, one.wear_eur_per_kwh) == (model.soc_min, model.soc_max, model.wear_eur_per_kwh)
    assert one.rated_kw == pytest.approx(160.0)
    assert 0 < one.own_loss < one.beside_loss < 0.01
    assert np.isposinf(outlook_of("ieee33")[0].battery.rated_kw), "no transformer caps its export"


# --- worked out by hand --------------------------------------------------------------------------------------------


def test_on_tiny_a_kwh_is_worth_what_it_will_replace() -> None:
    """Seen from 17:45 of a day like the others: 16 kWh replace import at 0.35, the last 4 are sold at 0.25."""
    outlook, prices = outlook_of("tiny")
    told = values(outlook, prices._replace(co2_eur_per_kg=0.0), 8 * 96 + 71)
    np.testing.assert_allclose(told[:16], 0.35, atol=0.005)
    np.testing.assert_allclose(told[16:], 0.25, atol=0.005)
    # From 09:45 on noon fills all but the last few kWh of room from a surplus that sells at 0.05 otherwise.
    told = values(outlook, prices._replace(co2_eur_per_kg=0.0), 8 * 96 + 39)
    np.testing.assert_allclose(told[4:], 0.05 / 0.9, atol=0.001)
    assert told[0] > 0.1


# --- what holds always ---------------------------------------------------------------------------------------------


@given(name=st.sampled_from(["tiny", "rural1", "cigre_lv", "ieee33"]), step=steps)
def test_values_are_numbers_that_fall_as_the_batteries_fill(name: str, step: int) -> None:
    told = values(*outlook_of(name), step)
    assert np.isfinite(told).all()
    assert (np.diff(told) <= 1e-9).all()


@given(step=steps, seed=st.integers(0, 999), most=st.floats(0.001, 0.3))
def test_dearer_prices_never_make_a_stored_kwh_worth_less(step: int, seed: int, most: float) -> None:
    outlook, prices = outlook_of("rural1")
    rng = np.random.default_rng(seed)
    rise = rng.uniform(0, most, len(prices.import_eur_per_kwh)) * rng.integers(0, 2, len(prices.import_eur_per_kwh))
    dearer = prices._replace(
        import_eur_per_kwh=prices.import_eur_per_kwh + rise, export_eur_per_kwh=prices.export_eur_per_kwh + rise
    )
    # On a grid of levels a price can shift a value by a little of its neighbour's.
    assert (values(outlook, dearer, step) >= values(outlook, prices, step) - 0.03 * most - 1e-9).all()
    assert (values(outlook, dearer, step).mean() - values(outlook, prices, step).mean()) >= -1e-9


@given(step=steps, rise=st.floats(0.001, 0.3))
def test_a_rise_of_all_prices_is_felt_in_full_but_for_efficiency(step: int, rise: float) -> None:
    outlook, prices = outlook_of("rural1")
    dearer = prices._replace(
        import_eur_per_kwh=prices.import_eur_per_kwh + rise, export_eur_per_kwh=prices.export_eur_per_kwh + rise
    )
    gained = values(outlook, dearer, step) - values(outlook, prices, step)
    assert gained.min() >= 0.9 * rise
    # 0.95 for charging, and up to 7 % of losses at the margin: a kWh in store saves what would have been lost on its way, too.
    assert gained.max() <= rise / 0.88


def test_without_batteries_nothing_is_worth_anything_and_nothing_is_done() -> None:
    outlook, prices = outlook_of("rural1")
    none = outlook._replace(battery=outlook.battery._replace(p_kw=0.0, e_kwh=0.0))
    np.testing.assert_array_equal(views(none, prices, 100), 0.0)
    assert cheapest_p_kw(none.battery, -30.0, 0.3, 0.1, 0.25, 0.0, np.full(SEGMENTS, 0.9)) == 0.0


def test_a_feeder_without_batteries_has_an_outlook() -> None:
    case = short("rural1")
    fleet, batteries = case.fleet, case.fleet.batteries
    none = fleet._replace(p_kw=np.zeros(0), e_kwh=np.zeros(0), s_kva=fleet.s_kva[batteries:])
    params = case.params._replace(fleet=none, device_bus=case.params.device_bus[batteries:])
    outlook, prices = seen_from(dataclasses.replace(case, params=params))
    np.testing.assert_array_equal(values(outlook, prices, 100), 0.0)


# --- what it may know ----------------------------------------------------------------------------------------------


@given(name=st.sampled_from(["rural1", "ieee33"]), step=st.integers(3 * 96, 10 * 96), bump=st.floats(20.0, 400.0))
@settings(max_examples=20)
def test_a_price_that_is_not_published_changes_nothing_and_one_that_is_does(name: str, step: int, bump: float) -> None:
    case = short(name)
    known_until = (step // 96 + (2 if step % 96 >= 48 else 1)) * 96
    hidden, shown = case.series.price_eur_per_mwh.copy(), case.series.price_eur_per_mwh.copy()
    hidden[known_until:] = np.random.default_rng(step).normal(0, bump, len(hidden) - known_until)
    shown[step + 1 : known_until] += bump
    plain = views(*outlook_of(name), step)

    np.testing.assert_array_equal(views(*seen_from(with_series(case, price_eur_per_mwh=hidden)), step), plain)
    if known_until > step + 1:
        assert (values(*seen_from(with_series(case, price_eur_per_mwh=shown)), step) > plain[AS_FORECAST]).any()


@given(
    name=st.sampled_from(["rural1", "ieee33"]),
    step=st.integers(0, 10 * 96),
    which=st.sampled_from(["load_p_kw", "load_q_kvar", "pv_p_kw", "carbon_g_per_kwh"]),
)
@settings(max_examples=20)
def test_what_load_sun_and_carbon_will_be_changes_nothing(name: str, step: int, which: str) -> None:
    case = short(name)
    future = getattr(case.series, which).copy()
    later = future[step + 1 :]
    future[step + 1 :] = later * np.random.default_rng(step).uniform(0.2, 0.9, later.shape)
    changed: dict[str, Any] = {which: future}
    np.testing.assert_array_equal(views(*seen_from(with_series(case, **changed)), step), views(*outlook_of(name), step))


def test_the_carbon_of_now_counts_where_it_is_priced() -> None:
    outlook, prices = outlook_of("rural1")
    free = prices._replace(co2_eur_per_kg=0.0)
    assert (values(outlook, prices, 300) > values(outlook, free, 300)).all()


def test_a_fixed_feed_in_is_what_export_earns() -> None:
    case = short("tiny")
    tariff = Tariff(grid_fee_eur_per_mwh=100.0, feed_in_eur_per_mwh=80.0)
    fixed = dataclasses.replace(case, scenario=case.scenario.model_copy(update={"tariff": tariff}))
    outlook, prices = seen_from(fixed)
    assert values(outlook, prices, 8 * 96 + 71).min() < 0.25
    np.testing.assert_allclose(values(outlook, prices, 500), values_by_hand(fixed, outlook.battery, 500), rtol=0, atol=1e-7)


# --- the answer of one step ----------------------------------------------------------------------------------------


def cost_by_hand(
    battery: OneBattery, stage: tuple[float, float, float, float], stored: float, named: Floats, power: float
) -> float:
    """Cost of a step at `power` less the worth of what it leaves, values linear between the middles of the parts."""
    full = (battery.high - battery.low) * battery.e_kwh
    after = stored - (power * battery.charge if power < 0 else power / battery.discharge) * stage[3]
    fine = np.linspace(0, after, 4001)
    value = np.interp(fine / full * SEGMENTS - 0.5, np.arange(SEGMENTS), named)
    return cost_of_stage(battery, stage, power) - float(np.trapezoid(value, fine))


@given(
    seed=st.integers(0, 9999),
    surplus=st.floats(-250, 300),
    fill=st.floats(0.0, 1.0),
    spot=st.floats(-0.1, 0.4),
)
@settings(max_examples=30)
def test_the_cheapest_power_is_as_cheap_as_any(seed: int, surplus: float, fill: float, spot: float) -> None:
    battery = outlook_of("rural1")[0].battery
    rng = np.random.default_rng(seed)
    named = np.sort(rng.uniform(-0.05, 0.5, SEGMENTS))[::-1].copy()
    full = (battery.high - battery.low) * battery.e_kwh
    stored, stage = fill * full, (surplus, spot + 0.12, spot, 0.25)

    power = cheapest_p_kw(battery, surplus, stage[1], stage[2], 0.25, stored, named)

    lowest = -min(battery.p_kw, (full - stored) / battery.charge / 0.25)
    highest = min(battery.p_kw, stored * battery.discharge / 0.25)
    assert lowest - 1e-9 <= power <= highest + 1e-9
    best = min(cost_by_hand(battery, stage, stored, named, tried) for tried in np.linspace(lowest, highest, 201))
    # Within a fine part the value is taken as one: a few kWh by a hundredth of a euro.
    assert cost_by_hand(battery, stage, stored, named, power) <= best + 0.02


def test_losses_limit_what_is_bought() -> None:
    # A kWh stored is worth 0.40, bought 0.30: gain 0.95 * 0.40 - 0.01 - 0.30 = 0.07 a kWh; marginal losses of
    # 2 * 0.001 * P * 0.30 eat it at P = 117 kW.
    battery = outlook_of("rural1")[0].battery._replace(own_loss=0.001, beside_loss=0.0)
    power = cheapest_p_kw(battery, 0.0, 0.30, 0.10, 0.25, 100.0, np.full(SEGMENTS, 0.40))
    assert power == pytest.approx(-0.07 / (2 * 0.001 * 0.30), abs=1.0)


def test_nothing_is_discharged_that_the_transformer_cannot_carry() -> None:
    battery = outlook_of("rural1")[0].battery._replace(own_loss=0.0, beside_loss=0.0)
    named = np.full(SEGMENTS, 0.05)
    assert cheapest_p_kw(battery, 60.0, 0.4, 0.3, 0.25, 200.0, named) == pytest.approx(100.0)
    assert cheapest_p_kw(battery._replace(rated_kw=np.inf), 60.0, 0.4, 0.3, 0.25, 200.0, named) == pytest.approx(battery.p_kw)


def test_the_plan_reaches_a_day_ahead() -> None:
    outlook, _ = outlook_of("rural1")
    assert outlook.surplus_kw.shape == (DAYS * STEPS_PER_DAY, HOURS + 1)
    assert outlook.steps_known.max() == 144
    assert HOURS == 24
