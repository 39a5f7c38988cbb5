"""What each service counts, and what it does not."""

from __future__ import annotations

from datetime import UTC, datetime

from gridnet_contracts.rewards.programme import Terms
from gridnet_contracts.rewards.services import available_quarters, curtailed_wh, shifted_wh, support_varh

TERMS = Terms(peak_hours=(18,), low_mv=220_000, high_mv=240_000, tolerance_wh=5, tolerance_ppm=100_000)
PEAK = datetime(2018, 6, 1, 17, 0, tzinfo=UTC)  # 18 hours at UTC+1


def test_energy_is_shifted_against_the_baseline_in_the_peak_alone() -> None:
    assert shifted_wh([(PEAK, -100, -500), (PEAK.replace(minute=45), 300, 0)], TERMS) == 700
    assert shifted_wh([(PEAK.replace(hour=16, minute=45), 300, 0), (PEAK.replace(hour=18), 300, 0)], TERMS) == 0


def test_moving_load_within_the_peak_earns_nothing_and_drawing_more_is_below_zero() -> None:
    assert shifted_wh([(PEAK, 0, -500), (PEAK.replace(minute=30), -500, 0)], TERMS) == 0
    assert shifted_wh([(PEAK, -500, -100)], TERMS) == -400


def test_curtailed_is_what_was_held_back_up_to_what_was_asked() -> None:
    assert curtailed_wh([(300, 1000, 800), (300, 1000, 100)]) == 200 + 300
    assert curtailed_wh([(0, 1000, 0), (300, 1000, 1100)]) == 0


def test_reactive_energy_counts_where_it_moves_the_voltage_back() -> None:
    assert support_varh([(219_999, 30), (240_001, -50)], TERMS) == 80
    assert support_varh([(219_999, -30), (240_001, 50)], TERMS) == -80
    assert support_varh([(220_000, 30), (240_000, -50), (230_000, 99)], TERMS) == 0


def test_a_device_is_available_within_its_tolerance() -> None:
    assert available_quarters([(0, 5), (0, -5), (100, 115), (-100, -115)], TERMS) == 4
    assert available_quarters([(0, 6), (100, 116), (-100, 100)], TERMS) == 0
