"""Setpoints as operation modes and factors: sign, nearest, reachable."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from s2python.common import CommodityQuantity, PowerValue

from gridnet.app.api.s2.fill_rate import Choice, choose, measured_kw, soc_of
from tests.gridnet.app.api.s2.batteries import (
    ACTUATOR,
    BOOST,
    CHARGE,
    DISCHARGE,
    IDLE,
    PHASES,
    SYMMETRIC,
    battery,
    mode,
    system,
    transition,
)

FULL_RANGE = battery()


def test_a_battery_that_shall_discharge_has_a_power_below_zero_there() -> None:
    # From -5 kW, a quarter of the way up is -2.5 kW of consumption: 2.5 kW of generation.
    assert choose(FULL_RANGE, 50.0, None, 2.5) == Choice(ACTUATOR, CHARGE, 0.25, 2.5)
    assert choose(FULL_RANGE, 50.0, None, -2.5) == Choice(ACTUATOR, CHARGE, 0.75, -2.5)


def test_modes_with_one_sign_each_are_told_apart() -> None:
    modes = (mode(IDLE, (0.0, 0.0)), mode(CHARGE, (500.0, 4000.0)), mode(DISCHARGE, (-4000.0, -500.0)))

    chosen = [choose(system(*modes), 50.0, None, p_kw) for p_kw in (3.0, 0.1, -3.0)]

    assert [each and each.mode for each in chosen] == [DISCHARGE, IDLE, CHARGE]
    assert [each and each.p_kw for each in chosen] == pytest.approx([3.0, 0.0, -3.0], abs=1e-5)


@given(st.floats(-50.0, 50.0))
def test_what_can_t_be_done_becomes_the_nearest_that_can(p_kw: float) -> None:
    chosen = choose(FULL_RANGE, 50.0, None, p_kw)

    assert chosen is not None
    assert 0.0 <= chosen.factor <= 1.0
    assert chosen.p_kw == pytest.approx(min(max(p_kw, -5.0), 5.0), abs=1e-4)


def test_a_mode_runs_at_its_fill_levels_alone() -> None:
    described = system(mode(CHARGE, (0.0, 5000.0), (0.0, 90.0)), mode(DISCHARGE, (-5000.0, 0.0), (10.0, 100.0)))

    full, empty = choose(described, 95.0, None, -2.0), choose(described, 5.0, None, 2.0)

    assert full is not None
    assert (full.mode, full.p_kw) == (DISCHARGE, 0.0)
    assert empty is not None
    assert (empty.mode, empty.p_kw) == (CHARGE, 0.0)
    assert choose(described, 101.0, None, 2.0) is None


def test_a_mode_must_be_reachable_from_the_one_that_is_active() -> None:
    modes = (mode(IDLE, (0.0, 0.0)), mode(CHARGE, (0.0, 4000.0)), mode(DISCHARGE, (-4000.0, 0.0)))
    described = system(*modes, transitions=(transition(IDLE, CHARGE), transition(CHARGE, DISCHARGE, abnormal=True)))

    reached = {active: choose(described, 50.0, active, 3.0) for active in (None, IDLE, CHARGE, DISCHARGE)}

    assert reached[None] is not None
    assert reached[None].mode == DISCHARGE
    assert reached[IDLE] is not None
    # From idling, discharge is out of reach; idling on is as near as charging with nothing.
    assert reached[IDLE].mode == IDLE
    assert reached[CHARGE] is not None
    assert (reached[CHARGE].mode, reached[CHARGE].p_kw) == (CHARGE, 0.0)
    assert reached[DISCHARGE] is not None
    assert reached[DISCHARGE].mode == DISCHARGE


def test_a_mode_for_emergencies_is_left_alone() -> None:
    described = system(mode(CHARGE, (0.0, 1000.0)), mode(BOOST, (0.0, 9000.0), abnormal=True))

    chosen = choose(described, 50.0, None, -9.0)

    assert chosen is not None
    assert (chosen.mode, chosen.p_kw) == (CHARGE, -1.0)


def test_a_power_that_is_no_number_is_no_mode() -> None:
    assert choose(system(mode(CHARGE, (0.0, math.inf))), 50.0, None, 1.0) is None


def test_phases_of_a_measurement_are_added_and_turned() -> None:
    phases = [PowerValue(commodity_quantity=phase, value=-500.0) for phase in PHASES]

    assert measured_kw(phases) == 1.5
    assert measured_kw([PowerValue(commodity_quantity=SYMMETRIC, value=2000.0)]) == -2.0
    assert measured_kw([PowerValue(commodity_quantity=CommodityQuantity.HEAT_THERMAL_POWER, value=2000.0)]) is None


@pytest.mark.parametrize(("label", "soc"), [("%", 0.5), ("Percent", 0.5), ("kWh", 0.5), (None, 0.5)])
def test_half_full_is_half_full(label: str | None, soc: float) -> None:
    assert soc_of(system(mode(IDLE, (0.0, 0.0)), label=label).storage, 50.0) == soc


@pytest.mark.parametrize(("label", "soc"), [("%", 0.2), ("kWh", 0.0)])
def test_a_percentage_is_not_a_share_of_its_range(label: str, soc: float) -> None:
    assert soc_of(system(mode(IDLE, (0.0, 0.0)), label=label).storage, 20.0) == soc
