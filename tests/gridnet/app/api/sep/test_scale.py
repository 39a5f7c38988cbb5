"""Scaled integers: exact as long as they can be, and never wider than what was asked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.sep.scale import MOST_VALUE, hundredths_of_percent, kilo_of, scaled, unscaled
from gridnet.errors import InputError


@pytest.mark.parametrize(
    ("kilo", "value", "multiplier"),
    [
        (0.0, 0, 0),
        (1.75, 1750, 0),
        (-1.75, -1750, 0),
        (0.0019, 1, 0),
        (-0.0019, -1, 0),
        (32.767, 32767, 0),
        (32.768, 3276, 1),
        (100.0, 10000, 1),
        (-99.999, -9999, 1),
        (1e6, 10000, 5),
    ],
)
def test_a_number_becomes_the_nearest_smaller_one_that_fits(kilo: float, value: int, multiplier: int) -> None:
    assert scaled(kilo) == (value, multiplier)


@given(st.floats(-1e6, 1e6))
def test_nothing_is_widened_and_little_is_lost(kilo: float) -> None:
    value, multiplier = scaled(kilo)

    back = kilo_of(value, multiplier, "here")

    assert abs(value) <= MOST_VALUE
    assert abs(back) <= abs(kilo) * (1 + 1e-12)
    assert abs(kilo) - abs(back) <= 1e-3 * 10**multiplier
    assert back * kilo >= 0.0


@given(st.integers(-MOST_VALUE, MOST_VALUE))
def test_whole_watts_are_exact(watts: int) -> None:
    assert scaled(watts / 1000) == (watts, 0)


@given(st.floats(-20, 20), st.floats(0.1, 10))
def test_a_percentage_is_never_more_than_was_asked_nor_more_than_all(kilo: float, of_kilo: float) -> None:
    part = hundredths_of_percent(kilo, of_kilo)

    assert -10_000 <= part <= 10_000
    assert abs(part) <= abs(kilo) / of_kilo * 10_000 + 1e-6
    assert abs(part) >= min(10_000, abs(kilo) / of_kilo * 10_000) - 1
    assert part * kilo >= 0


def test_a_power_of_ten_beyond_the_standard_is_refused() -> None:
    assert unscaled(3, 9, "here") == 3e9
    with pytest.raises(InputError, match="power of ten"):
        unscaled(3, 10, "here")
