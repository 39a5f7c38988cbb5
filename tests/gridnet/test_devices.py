"""One battery, one PV plant, numbers worked by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.devices import Fleet, battery_range, battery_soc, clip, inverter_q, make_fleet
from gridnet.scenario import BatteryModel, InverterModel, NetworkSource, Scenario


def fleet(*, self_discharge_per_day: float = 0.0, p_kw: float = 5.0) -> Fleet:
    """A battery of 10 kWh with 90 % charging and 80 % discharging efficiency, window 0.1 to 0.9, and 8 kW of PV."""
    battery = BatteryModel(
        efficiency_charge=0.9,
        efficiency_discharge=0.8,
        self_discharge_per_day=self_discharge_per_day,
        soc_min=0.1,
        soc_max=0.9,
    )
    network, inverter = NetworkSource(builtin="ieee33"), InverterModel(s_per_p=1.25)
    scenario = Scenario(name="own", title="t", network=network, battery=battery, inverter=inverter)
    return make_fleet(scenario, np.array([p_kw]), np.array([10.0]), np.array([8.0]), dt_h=0.25)


def done(asked_p: tuple[float, float], asked_q: tuple[float, float], sun_kw: float = 6.0) -> np.ndarray:
    out = np.empty((2, 2))
    clip(fleet(), np.array([0.5]), np.array([sun_kw]), np.array([asked_p, asked_q], dtype=float), out)
    return out


def test_a_fleet_is_batteries_then_pv_with_inverters_of_the_rating_asked_for() -> None:
    made = fleet()
    assert (made.batteries, made.devices) == (1, 2)
    np.testing.assert_allclose(made.s_kva, [6.25, 10.0])
    np.testing.assert_allclose(made.efficiency, [0.9, 0.8])
    np.testing.assert_allclose(made.soc_window, [0.1, 0.9])


def test_charging_and_discharging_each_lose_once_on_their_way() -> None:
    # 4 kW for a quarter of an hour: 1 kWh at the terminals.
    assert battery_soc(fleet(), 0, 0.5, -4.0) == pytest.approx(0.5 + 0.9 / 10)
    assert battery_soc(fleet(), 0, 0.5, 4.0) == pytest.approx(0.5 - 1 / 0.8 / 10)
    assert battery_soc(fleet(), 0, 0.5, 0.0) == 0.5


def test_a_round_trip_returns_the_product_of_both_efficiencies() -> None:
    stored = battery_soc(fleet(), 0, 0.5, -4.0) - 0.5
    returned_kw = stored * 10 * 0.8 / 0.25
    assert returned_kw == pytest.approx(4.0 * 0.9 * 0.8)
    assert battery_soc(fleet(), 0, 0.5 + stored, returned_kw) == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("soc", "lowest_kw", "highest_kw"),
    [
        (0.5, -5.0, 5.0),  # the power limit, both ways
        (0.1, -5.0, 0.0),  # empty
        (0.9, 0.0, 5.0),  # full
        (0.12, -5.0, 0.2 * 0.8 / 0.25),  # 0.2 kWh left, 80 % of it gets out
        (0.85, -0.5 / 0.9 / 0.25, 5.0),  # room for 0.5 kWh, 90 % of what is sent arrives
    ],
)
def test_a_battery_can_do_what_its_power_and_its_window_leave(soc: float, lowest_kw: float, highest_kw: float) -> None:
    np.testing.assert_allclose(battery_range(fleet(), 0, soc), (lowest_kw, highest_kw), atol=1e-12)


def test_the_range_leads_exactly_to_the_window() -> None:
    lowest, highest = battery_range(fleet(), 0, 0.85)[0], battery_range(fleet(), 0, 0.12)[1]
    assert battery_soc(fleet(), 0, 0.85, lowest) == pytest.approx(0.9, abs=1e-15)
    assert battery_soc(fleet(), 0, 0.12, highest) == pytest.approx(0.1, abs=1e-15)


def test_self_discharge_takes_its_daily_share_over_a_day_of_rest() -> None:
    resting, soc = fleet(self_discharge_per_day=0.04), 0.5
    for _ in range(96):
        soc = battery_soc(resting, 0, soc, 0.0)
    assert soc == pytest.approx(0.5 * 0.96)


def test_a_battery_at_its_floor_rests_below_it_but_never_discharges() -> None:
    resting = fleet(self_discharge_per_day=0.04)
    lowest, highest = battery_range(resting, 0, 0.1)
    assert highest == 0.0
    assert lowest == -5.0
    assert battery_soc(resting, 0, 0.1, 0.0) < 0.1


def test_a_battery_without_power_does_nothing() -> None:
    np.testing.assert_array_equal(battery_range(fleet(p_kw=0.0), 0, 0.5), (0.0, 0.0))


@pytest.mark.parametrize(
    ("asked", "expected"),
    [((9.0, np.inf), (5.0, 6.0)), ((-9.0, 2.0), (-5.0, 2.0)), ((np.inf, -3.0), (5.0, 0.0)), ((1.0, 7.0), (1.0, 6.0))],
)
def test_power_is_cut_to_the_battery_and_to_the_sun(asked: tuple[float, float], expected: tuple[float, float]) -> None:
    np.testing.assert_array_equal(done(asked, (0.0, 0.0))[0], expected)


def test_reactive_power_gets_what_active_power_leaves_of_the_circle() -> None:
    # battery: 6.25 kVA beside 5 kW leaves 3.75 kvar; PV: 10 kVA beside 6 kW leaves 8 kvar
    np.testing.assert_allclose(done((5.0, np.inf), (9.0, -9.0)), [[5.0, 6.0], [3.75, -8.0]])
    np.testing.assert_allclose(done((5.0, np.inf), (-1.0, 2.0))[1], [-1.0, 2.0])
    assert inverter_q(5.0, -3.0, np.inf) == pytest.approx(4.0)


def test_reactive_power_is_there_by_night_and_after_curtailment() -> None:
    np.testing.assert_allclose(done((0.0, np.inf), (0.0, 20.0), sun_kw=0.0)[1], [0.0, 10.0])
    np.testing.assert_allclose(done((0.0, 0.0), (0.0, 20.0), sun_kw=6.0), [[0.0, 0.0], [0.0, 10.0]])


def test_an_inverter_smaller_than_the_sun_gives_its_rating() -> None:
    np.testing.assert_allclose(done((0.0, np.inf), (0.0, 1.0), sun_kw=12.0), [[0.0, 10.0], [0.0, 0.0]])
