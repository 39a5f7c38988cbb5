"""Gradient-boosted quantile regression on top of climatology, fitted walk-forward: nothing after `t` enters a forecast of `t`.

Every four weeks one model per quantile is fitted to all that the series held by then, and serves the four weeks that follow;
before the first fit climatology stands. So a forecast may have learnt from held-out weeks that had passed when it was
issued, as a service's would have, and never from its own week or a later one.

A model gives the error of climatology relative to a known height, by the hour ahead, from `gridnet.forecast.past`. One model
serves all hours ahead (direct forecasts, the hour is a feature). Trees: scikit-learn's HistGradientBoostingRegressor (Ke et
al., LightGBM, NIPS 2017) with the pinball loss (Koenker and Bassett, Econometrica 46, 1978). `LOAD_TREES` and `PV_TREES` were
chosen on training and validation weeks (docs/decisions/008-forecasts.md).
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gridnet import cache
from gridnet.clock import STEPS_PER_DAY, Clock
from gridnet.forecast import climatology
from gridnet.forecast.climatology import STEPS_PER_HOUR, Float32Array, ForecastMethod, PointTotal, forecast_at
from gridnet.forecast.past import FEATURES, HOURS_AHEAD, Height, Past
from gridnet.series.days import IntArray
from gridnet.series.profiles import FloatArray

QUANTILES = (0.1, 0.5, 0.9)
REFIT_STEPS = 28 * STEPS_PER_DAY

_FIRST_ISSUE = 8 * STEPS_PER_DAY
_DARK = 0.02
_CANDIDATES = 3
_ROWS_AT_ONCE = 200_000


@dataclass(frozen=True)
class Trees:
    """How the trees of one total are grown.

    `pairs` of issue time and hour ahead are drawn for each fit; the hour is drawn as a power `early` of a uniform number,
    so that the first hours, where the last error tells most, are seen often. `features` are names out of `FEATURES`.
    """

    method: ForecastMethod
    height: Height
    features: tuple[str, ...]
    leaves: int
    trees: int
    least_in_leaf: int
    early: float
    pairs: int = 20_000
    rate: float = 0.08


LOAD_TREES = Trees(
    method=climatology.LOAD,
    height=Height(days=7, highest=False),
    features=FEATURES,
    leaves=15,
    trees=60,
    least_in_leaf=200,
    early=2.0,
)
PV_TREES = Trees(
    method=climatology.PV,
    height=Height(days=10, highest=True),
    # Without the calendar: one sunny month would teach the trees a rule about it.
    features=("hours ahead", "mean of the same time", *(f"error over {steps} steps" for steps in (1, 4, 16, 96))),
    leaves=6,
    trees=40,
    least_in_leaf=1000,
    early=3.0,
)


class _Corrections(NamedTuple):
    relative: Float32Array


class BoostedTotal:
    """Forecasts of one total, `actual`, `(steps,)`: climatology and a correction that is learnt as the series goes by.

    Corrections are computed for the whole series at once and kept on disk, one entry per quantile, when first asked for.
    """

    levels: tuple[float, ...] = QUANTILES

    def __init__(self, actual: FloatArray, clock: Clock, trees: Trees) -> None:
        self.actual, self._clock, self._trees = actual, clock, trees
        self._past = Past(actual, clock, trees.method, trees.height)
        self._relative: dict[float, Float32Array] = {}

    def at(self, step: int, horizon: int) -> FloatArray:
        """The median forecast issued at the start of `step`, `(horizon,)`."""
        return self._quantile(step, horizon, 0.5)

    def quantiles(self, step: int, horizon: int) -> FloatArray:
        """The quantiles of `levels`, `(levels, horizon)`. They never cross: outer ones stay outside the median."""
        low, median, high = (self._quantile(step, horizon, level) for level in QUANTILES)
        return np.stack([np.minimum(low, median), median, np.maximum(high, median)])

    def hourly(self, hours: int) -> Float32Array:
        """Hourly means of the medians issued at every step, `(steps, hours)`."""
        forecasts = PointTotal(self.actual, self._trees.method).hourly(hours)
        relative = self.relative(0.5)
        issued = np.arange(min(REFIT_STEPS, len(self.actual)), len(self.actual))
        for hour in range(min(hours, HOURS_AHEAD)):
            total = np.zeros(len(issued))
            for ahead in range(hour * STEPS_PER_HOUR, (hour + 1) * STEPS_PER_HOUR):
                height = self._past.height[issued + ahead % STEPS_PER_DAY]
                total += _corrected(self._past.climate.at(issued, ahead), height * relative[issued, hour])
            forecasts[issued, hour] = total / STEPS_PER_HOUR
        return forecasts

    def relative(self, level: float) -> Float32Array:
        """What the models of quantile `level` add to climatology, in heights, `(steps, HOURS_AHEAD)`, 0 before the first fit."""
        if level not in self._relative:
            key = _key(self.actual, self._clock, self._trees, level)
            stored = cache.fetch(key, _Corrections)
            if stored is None:
                stored = _Corrections(_walk_forward(self._past, self._trees, level))
                # A cache that can't be written costs the fit again at the next start, nothing else.
                with contextlib.suppress(OSError):
                    cache.store(key, stored)
            self._relative[level] = stored.relative
        return self._relative[level]

    def _quantile(self, step: int, horizon: int, level: float) -> FloatArray:
        forecast = forecast_at(self.actual, step, horizon, self._trees.method)
        ahead = np.arange(min(horizon, HOURS_AHEAD * STEPS_PER_HOUR))
        height = self._past.height[step + ahead % STEPS_PER_DAY]
        correction = height * self.relative(level)[step, ahead // STEPS_PER_HOUR]
        return np.concatenate([_corrected(forecast[: len(ahead)], correction), forecast[len(ahead) :]])


def _corrected(forecast: FloatArray, correction: FloatArray) -> FloatArray:
    """The sum of both, cut at 0 where it would change sign: loads don't feed in, the sun doesn't draw."""
    both = forecast + correction
    signed: FloatArray = np.where(forecast > 0, np.maximum(both, 0.0), np.minimum(both, 0.0))
    return np.where(forecast == 0, 0.0, signed)


def _walk_forward(past: Past, trees: Trees, level: float) -> Float32Array:
    steps = len(past.actual)
    relative = np.zeros((steps, HOURS_AHEAD), dtype=np.float32)
    for fitted_at in range(REFIT_STEPS, steps, REFIT_STEPS):
        until = min(fitted_at + REFIT_STEPS, steps)
        relative[fitted_at:until] = _fit_and_predict(past, trees, level, np.arange(fitted_at, until))
    return relative


def _fit_and_predict(past: Past, trees: Trees, level: float, issued: IntArray) -> FloatArray:
    """Corrections of the steps `issued`, `(issued, HOURS_AHEAD)`, by a model that knows what came before the first of them."""
    # Imported here because scikit-learn takes a second to load, and only this method needs it.
    from sklearn.ensemble import HistGradientBoostingRegressor

    features, target = _examples(past, trees, int(issued[0]))
    if not len(target):
        return np.zeros((len(issued), HOURS_AHEAD))
    model = HistGradientBoostingRegressor(
        loss="quantile",
        quantile=level,
        learning_rate=trees.rate,
        max_iter=trees.trees,
        max_leaf_nodes=trees.leaves,
        min_samples_leaf=trees.least_in_leaf,
        early_stopping=False,
        random_state=0,
    )
    model.fit(features, target)
    predicted = []
    for some in np.array_split(issued, -(-len(issued) * HOURS_AHEAD // _ROWS_AT_ONCE)):
        hour = np.tile(np.arange(HOURS_AHEAD), len(some))
        predicted.append(model.predict(_chosen(past, trees, np.repeat(some, HOURS_AHEAD), hour)))
    return np.concatenate(predicted).reshape(len(issued), HOURS_AHEAD)


def _examples(past: Past, trees: Trees, known: int) -> tuple[FloatArray, FloatArray]:
    """Features and targets of pairs drawn from the first `known` steps, each as often as its height is high.

    Drawing by height makes the loss count kW. Weights would do the same, but scikit-learn takes ten times as long with them.
    """
    rng = np.random.default_rng(known)
    candidates = _CANDIDATES * trees.pairs
    issued = rng.integers(_FIRST_ISSUE, known - STEPS_PER_HOUR, candidates)
    hours_known = np.minimum(HOURS_AHEAD, (known - issued) // STEPS_PER_HOUR)
    hour = (rng.random(candidates) ** trees.early * hours_known).astype(np.int64)
    ahead = hour * STEPS_PER_HOUR + rng.integers(STEPS_PER_HOUR, size=candidates)
    height = past.height[issued + ahead % STEPS_PER_DAY]
    chance = np.where(height > _DARK * past.height[:known].max(), height, 0.0)
    drawn = rng.choice(candidates, trees.pairs, p=chance / chance.sum()) if chance.any() else np.zeros(0, dtype=np.int64)
    issued, hour, ahead, height = issued[drawn], hour[drawn], ahead[drawn], height[drawn]
    target = (past.actual[issued + ahead] - past.climate.at(issued, ahead)) / height
    return _chosen(past, trees, issued, hour), target


def _chosen(past: Past, trees: Trees, issued: IntArray, hour: IntArray) -> FloatArray:
    columns = [FEATURES.index(name) for name in trees.features]
    return past.features(issued, hour)[:, columns]


def _key(actual: FloatArray, clock: Clock, trees: Trees, level: float) -> str:
    """Hash of all that corrections depend on: series, clock, recipe, the code of this folder, scikit-learn and numpy."""
    digest = hashlib.sha256(np.ascontiguousarray(actual).tobytes())
    digest.update(repr((clock, trees, level)).encode())
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(path.read_bytes())
    for distribution in ("scikit-learn", "numpy"):
        digest.update(f"{distribution}={version(distribution)}".encode())
    return digest.hexdigest()
