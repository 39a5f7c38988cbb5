from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridnet.clock import STEPS_PER_DAY, Clock
from gridnet.errors import InputError
from gridnet.scenario import Households
from gridnet.series.households import LoadTable, coincidence_factor, household_loads
from gridnet.series.profiles import SIMBENCH_CLOCK, Profiles

SHAPES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-L")
A_MONTH = Clock(start=SIMBENCH_CLOCK.start, steps=28 * STEPS_PER_DAY)


def homes(*profile: str | None, p_rated_kw: float = 3.0) -> LoadTable:
    count = len(profile)
    names = tuple(f"home {index}" for index in range(count))
    return LoadTable(names, profile, np.full(count, p_rated_kw), np.full(count, 0.4 * p_rated_kw))


def test_without_bootstrap_a_load_is_its_profile_with_the_sign_turned(profiles: Profiles) -> None:
    p_kw, q_kvar = household_loads(homes("H0-A", "G1-B"), profiles, Households(bootstrap=False), SIMBENCH_CLOCK)
    np.testing.assert_allclose(p_kw[:, 0], -3.0 * profiles.load_p["H0-A"])
    np.testing.assert_allclose(q_kvar[:, 1], -1.2 * profiles.load_q["G1-B"])


def test_a_street_of_homes_is_less_coincident_than_its_clones_and_keeps_its_energy(profiles: Profiles) -> None:
    street = homes(*(SHAPES[index % 5] for index in range(60)))
    clones, _ = household_loads(street, profiles, Households(bootstrap=False), SIMBENCH_CLOCK)
    drawn, _ = household_loads(street, profiles, Households(), SIMBENCH_CLOCK)
    assert coincidence_factor(clones) > 0.40
    assert 0.15 < coincidence_factor(drawn) < 0.30
    energy = drawn.sum(axis=0) / clones.sum(axis=0)
    assert 0.8 < energy.min() <= energy.max() < 1.2
    assert energy.mean() == pytest.approx(1.0, abs=0.02)


def test_a_home_draws_only_from_days_of_its_type(profiles: Profiles) -> None:
    office = homes("G1-A")
    p_kw, _ = household_loads(office, profiles, Households(sigma=0, shift_steps=0), SIMBENCH_CLOCK)
    drawn, shipped = p_kw.reshape(366, STEPS_PER_DAY), -3.0 * profiles.load_p["G1-A"].reshape(366, STEPS_PER_DAY)
    monday = 3  # 4 January 2016
    sources = [day for day in range(366) if np.array_equal(drawn[monday], shipped[day])]
    assert sources
    assert all(min(day, 366 - day) <= 3 + 14 and (day + 4) % 7 < 5 for day in sources)


def test_reactive_power_comes_from_the_days_of_active_power(profiles: Profiles) -> None:
    p_kw, q_kvar = household_loads(homes("Air_Parallel_1"), profiles, Households(), A_MONTH)
    # This heat pump's two profiles are the same, so only a draw of different days could part them.
    np.testing.assert_allclose(q_kvar, 0.4 * p_kw)


def test_a_heat_pump_keeps_its_own_days(profiles: Profiles) -> None:
    p_kw, _ = household_loads(homes("Soil_Alternative_1"), profiles, Households(shift_steps=0), SIMBENCH_CLOCK)
    runs = p_kw[:, 0] < 0
    np.testing.assert_array_equal(runs, profiles.load_p["Soil_Alternative_1"] > 0)


@pytest.mark.parametrize("machine", ["Air_Parallel_1", "Soil_Alternative_1", "HLS_A_11.0", "APLS_A_3.7"])
def test_a_machine_never_exceeds_its_rating(profiles: Profiles, machine: str) -> None:
    p_kw, _ = household_loads(homes(machine, p_rated_kw=11.0), profiles, Households(sigma=1.0), SIMBENCH_CLOCK)
    assert p_kw.min() >= -11.0


@pytest.mark.parametrize("homes_per_load", [1, 20])
def test_a_load_without_profile_peaks_at_its_rating(profiles: Profiles, homes_per_load: int) -> None:
    households = Households(homes_per_load=homes_per_load)
    p_kw, q_kvar = household_loads(homes(None, None, p_rated_kw=90.0), profiles, households, SIMBENCH_CLOCK)
    np.testing.assert_allclose(p_kw.min(axis=0), -90.0)
    np.testing.assert_allclose(q_kvar, 0.4 * p_kw)
    assert not np.array_equal(p_kw[:, 0], p_kw[:, 1])


def test_more_homes_to_a_load_make_it_smoother(profiles: Profiles) -> None:
    one, many = (
        household_loads(homes(None, p_rated_kw=1.0), profiles, Households(homes_per_load=count), SIMBENCH_CLOCK)[0]
        for count in (1, 40)
    )
    assert many.mean() < 1.5 * one.mean() < 0


@settings(max_examples=20, deadline=None)
@given(
    chosen=st.lists(
        st.sampled_from([*SHAPES, "G3-A", "L2-A", "HLS_A_3.7", "HLS_C_3.7", "Air_Parallel_1", None]),
        min_size=1,
        max_size=5,
    ),
    households=st.builds(
        Households,
        seed=st.integers(0, 2**32),
        window_days=st.integers(1, 60),
        shift_steps=st.integers(0, 16),
        sigma=st.floats(0, 1),
        homes_per_load=st.integers(1, 3),
    ),
)  # fmt: skip
def test_consumption_is_negative_repeatable_and_blind_to_other_loads(
    profiles: Profiles, chosen: list[str | None], households: Households
) -> None:
    p_kw, q_kvar = household_loads(homes(*chosen), profiles, households, A_MONTH)
    again, _ = household_loads(homes(*chosen), profiles, households, A_MONTH)
    with_more, _ = household_loads(homes(*chosen, "H0-A", None), profiles, households, A_MONTH)
    assert p_kw.shape == q_kvar.shape == (A_MONTH.steps, len(chosen))
    assert p_kw.max() <= 0
    np.testing.assert_array_equal(p_kw, again)
    np.testing.assert_array_equal(p_kw, with_more[:, : len(chosen)])


def test_another_seed_gives_another_street(profiles: Profiles) -> None:
    street = homes("H0-A", "H0-B")
    ours, _ = household_loads(street, profiles, Households(seed=1), A_MONTH)
    theirs, _ = household_loads(street, profiles, Households(seed=2), A_MONTH)
    assert not np.array_equal(ours, theirs)


def test_loads_of_one_name_still_differ(profiles: Profiles) -> None:
    twins = LoadTable(("home", "home"), ("H0-A", "H0-A"), np.ones(2), np.ones(2))
    p_kw, _ = household_loads(twins, profiles, Households(), A_MONTH)
    assert not np.array_equal(p_kw[:, 0], p_kw[:, 1])


def test_every_unknown_profile_is_named_at_once(profiles: Profiles) -> None:
    with pytest.raises(InputError, match="H0-Z") as refused:
        household_loads(homes("H0-Z", "H0-A", "PV1"), profiles, Households(), A_MONTH)
    assert len(refused.value.faults) == 2


def test_profiles_do_not_fit_a_clock_of_hours(profiles: Profiles) -> None:
    hours = Clock(start=SIMBENCH_CLOCK.start, steps=48, dt_h=1.0)
    with pytest.raises(InputError, match="quarter-hours"):
        household_loads(homes("H0-A"), profiles, Households(), hours)


def test_coincidence_of_peaks_together_is_one_and_of_peaks_apart_one_half() -> None:
    assert coincidence_factor(np.array([[-2.0, -4.0], [0.0, 0.0]])) == 1.0
    assert coincidence_factor(np.array([[-3.0, 0.0], [0.0, -3.0]])) == 0.5
