from __future__ import annotations

import numpy as np
import pytest

from gridnet.clock import STEPS_PER_DAY
from gridnet.series.profiles import SIMBENCH_CLOCK, Profiles, on_days


def test_every_shape_of_a_low_voltage_grid_is_there_for_a_whole_leap_year(profiles: Profiles) -> None:
    expected = {"H0-A", "H0-L", "G1-C", "L2-A", "Air_Parallel_1", "Soil_Alternative_2", "HLS_A_11.0", "APLS_A_3.7"}
    assert expected <= set(profiles.load_p)
    assert set(profiles.load_p) == set(profiles.load_q)
    assert set(profiles.pv) == {f"PV{number}" for number in range(1, 9)}
    assert len(profiles.wind) == 12
    for group in (profiles.load_p, profiles.load_q, profiles.pv, profiles.wind, profiles.other):
        assert all(values.shape == (SIMBENCH_CLOCK.steps,) and np.isfinite(values).all() for values in group.values())


def test_generation_is_never_negative_and_dark_at_night(profiles: Profiles) -> None:
    midnight = np.arange(0, SIMBENCH_CLOCK.steps, STEPS_PER_DAY)
    assert min(values.min() for values in profiles.pv.values()) >= 0
    assert profiles.pv_mean()[midnight].max() == 0
    assert min(values.min() for values in profiles.wind.values()) >= -1e-5


def test_profiles_can_not_be_written_to(profiles: Profiles) -> None:
    with pytest.raises(ValueError, match="read-only"):
        profiles.load_p["H0-A"][0] = 1.0


def test_on_days_takes_whole_days_in_the_order_asked_for(profiles: Profiles) -> None:
    sun = profiles.pv["PV1"]
    taken = on_days(sun, np.array([5, 5, 0]))
    np.testing.assert_array_equal(taken[:STEPS_PER_DAY], sun[5 * STEPS_PER_DAY : 6 * STEPS_PER_DAY])
    np.testing.assert_array_equal(taken[STEPS_PER_DAY : 2 * STEPS_PER_DAY], taken[:STEPS_PER_DAY])
    np.testing.assert_array_equal(taken[2 * STEPS_PER_DAY :], sun[:STEPS_PER_DAY])
