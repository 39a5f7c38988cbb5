"""How far a policy's money would spread, were the weeks and training seeds drawn anew."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.app.bench.score import REFERENCE, RESAMPLES, Weeks

Floats = NDArray[np.float64]


class Spread(NamedTuple):
    """95 % intervals, EUR over as many weeks as were run; both ends equal where nothing can be drawn."""

    cost_eur: tuple[float, float]
    saving_eur: tuple[float, float]


def spreads(policies: Mapping[str, Weeks], seed: int) -> dict[str, Spread]:
    """The spread of every policy; needs the reference among them. Percentile bootstrap over weeks and training seeds; a
    saving is drawn with the reference's cost of the same weeks. `seed` drives it, the same weeks for every policy."""
    reference = policies[REFERENCE].costs()[0]
    return {
        name: Spread(_interval(weeks.costs(), seed), _interval(reference - weeks.costs(), seed)) for name, weeks in policies.items()
    }


def _interval(money: Floats, seed: int) -> tuple[float, float]:
    """Of the sum over weeks of the mean over seeds; `money` is (seeds, weeks) EUR."""
    rng = np.random.default_rng(seed)
    seeds, weeks = money.shape
    week = rng.integers(weeks, size=(RESAMPLES, weeks))
    row = rng.integers(seeds, size=(RESAMPLES, seeds))
    low, high = np.percentile(money[row[:, :, None], week[:, None, :]].mean(axis=1).sum(axis=1), [2.5, 97.5])
    return float(low), float(high)
