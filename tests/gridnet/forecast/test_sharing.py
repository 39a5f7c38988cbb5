"""Devices share a total."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.forecast.climatology import same_time_mean
from gridnet.forecast.sharing import Devices

RATED = np.array([1.0, 3.0])


def devices(actual: np.ndarray, days: int = 7) -> Devices:
    return Devices(actual, RATED, days)


def test_devices_of_one_sign_take_part_in_proportion() -> None:
    shared, factor = devices(np.zeros((1, 2))).shared(np.array([[-1.0, -3.0]]), np.array([-6.0]))
    np.testing.assert_allclose(shared, [[-1.5, -4.5]])
    np.testing.assert_allclose(factor, [[1.5, 1.5]])


def test_a_home_that_feeds_in_does_not_blow_the_others_up() -> None:
    shared, _ = devices(np.zeros((1, 2))).shared(np.array([[-2.0, 2.0]]), np.array([-1.0]))
    np.testing.assert_allclose(shared, [[-2.5, 1.5]])


@pytest.mark.parametrize(("rated", "parts"), [([1.0, 3.0], [2.0, 6.0]), ([-1.0, -3.0], [2.0, 6.0]), ([0.0, 0.0], [4.0, 4.0])])
def test_where_no_device_has_a_mean_the_rating_shares(rated: list[float], parts: list[float]) -> None:
    shared, _ = Devices(np.zeros((1, 2)), np.array(rated), 7).shared(np.zeros((1, 2)), np.array([8.0]))
    np.testing.assert_allclose(shared, [parts])


def test_no_devices_share_nothing() -> None:
    nobody = Devices(np.zeros((500, 0)), np.zeros(0), 7)
    assert nobody.shared(nobody.base(300, 10), np.zeros(10))[0].shape == (10, 0)


@pytest.mark.parametrize("step", [96, 100, 500, 768, 1000, 1199])
def test_the_base_is_the_same_time_mean_of_all_that_is_known(step: int) -> None:
    actual = np.random.default_rng(0).random((1200, 2))
    base = devices(actual).base(step, 150)
    whole = same_time_mean(actual[:step], step + np.arange(150) % 96, 7)
    np.testing.assert_array_equal(base, whole)


def test_on_the_first_day_the_last_value_stands() -> None:
    actual = np.random.default_rng(0).random((1200, 2))
    np.testing.assert_array_equal(devices(actual).base(0, 5), np.zeros((5, 2)))
    np.testing.assert_array_equal(devices(actual).base(10, 86), np.tile(actual[9], (86, 1)))
