"""Scores worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.forecast.skill import coverage, mean_absolute_error, pinball_loss, skill, skill_interval


def test_absolute_error_by_hand() -> None:
    assert mean_absolute_error(np.array([1.0, -2.0]), np.array([3.0, -1.0])) == 1.5


def test_pinball_loss_by_hand() -> None:
    quantiles, actual = np.array([[1.0, 6.0], [2.0, 8.0]]), np.array([4.0, 5.0])
    # level 0.1: 0.1 * 3 and 0.9 * 1; level 0.9: 0.9 * 2 and 0.1 * 3
    assert pinball_loss(quantiles, actual, (0.1, 0.9)) == pytest.approx((0.3 + 0.9 + 1.8 + 0.3) / 4)


def test_the_median_loses_half_its_absolute_error() -> None:
    forecast, actual = np.random.default_rng(0).normal(size=(2, 3, 5))
    assert pinball_loss(forecast[None], actual, (0.5,)) == pytest.approx(mean_absolute_error(forecast, actual) / 2)


def test_a_band_covers_with_both_its_ends() -> None:
    assert coverage(np.zeros(4), np.ones(4), np.array([0.0, 1.0, 1.01, -0.01])) == 0.5


def test_skill_by_hand() -> None:
    assert skill(np.array([1.0, 2.0]), np.array([2.0, 4.0])) == 0.5
    assert skill(np.array([3.0]), np.array([2.0])) == -0.5
    assert skill(np.array([0.0]), np.array([0.0])) is None


def test_the_interval_holds_the_skill_and_repeats_with_its_seed() -> None:
    reference = np.array([2.0, 4.0, 3.0, 5.0])
    errors = reference * [0.5, 0.9, 0.7, 0.6]
    interval, score = skill_interval(errors, reference, 0), skill(errors, reference)
    assert interval is not None
    assert score is not None
    assert 0.1 <= interval[0] < score < interval[1] <= 0.5
    assert interval == skill_interval(errors, reference, 0)


def test_weeks_are_drawn_with_their_reference() -> None:
    reference = np.array([1.0, 100.0, 10_000.0])
    interval = skill_interval(reference / 2, reference, 0)
    assert interval == pytest.approx((0.5, 0.5))
    assert skill_interval(np.zeros(2), np.zeros(2), 0) is None
