"""How good a forecast is: absolute error, pinball loss, coverage, and skill against a reference, with an interval over weeks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from gridnet.series.profiles import FloatArray

RESAMPLES = 10_000


def mean_absolute_error(forecast: FloatArray, actual: FloatArray) -> float:
    """Mean absolute error of arrays of one shape, in their unit."""
    return float(np.abs(forecast - actual).mean())


def pinball_loss(quantiles: FloatArray, actual: FloatArray, levels: Sequence[float]) -> float:
    """Pinball loss (Koenker and Bassett, Econometrica 46, 1978), mean over `levels` and values, in the unit of `actual`.

    `quantiles` is `(levels, *actual.shape)`. At level 0.5 it is half the mean absolute error.
    """
    level = np.reshape(levels, (-1, *[1] * actual.ndim))
    short = actual - quantiles
    return float(np.maximum(level * short, (level - 1) * short).mean())


def coverage(low: FloatArray, high: FloatArray, actual: FloatArray) -> float:
    """Share of `actual` from `low` to `high`, both ends in."""
    return float(((low <= actual) & (actual <= high)).mean())


def skill(errors: FloatArray, reference: FloatArray) -> float | None:
    """1 less the ratio of the error sums over weeks, `(weeks,)` each: 1 is perfect, 0 no better than the reference.

    None where the reference makes no error.
    """
    return float(1 - errors.sum() / reference.sum()) if reference.sum() > 0 else None


def skill_interval(errors: FloatArray, reference: FloatArray, seed: int) -> tuple[float, float] | None:
    """95 % percentile bootstrap of `skill`: weeks are drawn with their reference. None where no reference drawn errs."""
    weeks = np.random.default_rng(seed).integers(len(errors), size=(RESAMPLES, len(errors)))
    drawn, against = errors[weeks].sum(axis=1), reference[weeks].sum(axis=1)
    fair = against > 0
    if not fair.any():
        return None
    low, high = np.percentile(1 - drawn[fair] / against[fair], [2.5, 97.5])
    return float(low), float(high)
