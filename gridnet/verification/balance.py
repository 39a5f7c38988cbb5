"""Level 2: does the feeder's head agree with its homes, and does each voltage follow the grid?

The head's residual among honest meters is not white. Each meter has a gain error that lasts, so the residual follows the homes'
own powers; so it does the head's, and the losses where impedances differ from the model's:

    z = X b + noise,  b ~ N(0, prior),  X = (each home's power, a constant, the head's power, each branch's losses) / sd

with unit noise once divided by its standard deviation. Given the prior, the covariance of z is known: `C = 1 + X diag(prior) X'`.
With its Cholesky factor `L`, the innovations `L^-1 z` are white among honest meters, whatever their gains are, and a CUSUM on them
(Page 1954, both ways) sees a change. The scan asks of each home whether a gain beyond the prior explains z: the score
`x' C^-1 z / sqrt(x' C^-1 x)` is N(0, 1) among honest meters. It sees what was there from the first interval on. Homes
that inject are asked twice, for a gain and for one that has opposite signs for the two directions of flow. The constant, which
no honest error is, stands for a meter that shifts; it says that somebody does, not who.

A voltage that does not follow the grid's (a replayed, stuck or swapped meter) shows in the mean square of its own residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.verification.grid import Grid, Residual
from gridnet.verification.settings import Settings, constant_sd, interval_sd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_STEPS = 24
"""A voltage is judged from so many intervals on, 6 hours."""
_PRIOR_FLOOR = 1e-6
_NOTHING = 1e-12
_CONSTANT_KW = 0.001
_UNEVEN = 1e-4


@dataclass(frozen=True)
class Balance:
    """What level 2 saw in a window."""

    cusum: float
    """Highest CUSUM of either side."""
    cusum_limit: float
    since: int
    """Interval (row of the residual) at which the highest CUSUM began to rise."""
    score: Floats
    """(homes,) standard deviations by which a home's gain stands out; > 0: it reports more injection, or less draw, than is."""
    shift_score: float
    """Standard deviations by which a constant imbalance stands out; > 0: the head gives more than the homes say."""
    score_limit: float
    follows: Floats
    """(homes,) mean square of the voltage residual over the meter's own, about 1; NaN where too few readings came."""
    follows_limit: float

    @property
    def fired(self) -> bool:
        """Whether anything stands out."""
        return self.unbalanced or bool((np.nan_to_num(self.follows) > self.follows_limit).any())

    @property
    def unbalanced(self) -> bool:
        """Whether the head disagrees with the homes."""
        return self.cusum > self.cusum_limit or self.highest > self.score_limit

    @property
    def highest(self) -> float:
        """The highest score, of a home or of the constant, either way."""
        return max(float(np.abs(self.score).max(initial=0.0)), abs(self.shift_score))


def balance(grid: Grid, residual: Residual) -> Balance:
    """Level 2 over a window."""
    return growing(grid, residual, [len(residual.step)])[0]


def growing(grid: Grid, residual: Residual, ends: Sequence[int]) -> list[Balance]:
    """Level 2 over each of the windows `[0, end)` of rows: what it would have said then. One factorisation serves all."""
    settings, model = grid.settings, whitened(grid, residual)
    white, suspected = innovations(model), len(model.home)
    seen = []
    for end in ends:
        height, since = cusum(white[:end, 0], settings.cusum_slack)
        stands_out = scores(white[:end])
        # Of a home's two columns, the one that stands out more.
        of_homes = stands_out[: grid.homes].copy()
        for column in range(grid.homes, suspected):
            home = model.home[column]
            of_homes[home] = max(of_homes[home], stands_out[column], key=abs)
        one = Balance(
            cusum=height,
            cusum_limit=settings.cusum_limit(),
            since=since,
            score=of_homes,
            shift_score=float(stands_out[-1]),
            score_limit=settings.scan_limit(suspected),
            follows=_follows(residual.off_pu[:end], residual.vm_pu[:end], settings),
            follows_limit=settings.voltage_ratio,
        )
        seen.append(one)
    return seen


class Model(NamedTuple):
    """What the head's residual is made of. Columns: the power of each home; its magnitude, for homes that inject; a constant; the
    head's power; each branch's losses."""

    z: Floats
    """(steps,) residual over its standard deviation."""
    columns: Floats
    """(steps, columns) over the same."""
    prior: Floats
    """(columns,) variances among honest meters."""
    home: Ints
    """Home of each of the first columns."""


def whitened(grid: Grid, residual: Residual) -> Model:
    """The head's residual and what explains it. A gain on the magnitude is what an error of one direction of flow alone adds to a
    gain: no honest one."""
    settings, sd, flows = grid.settings, residual.sd_kw[:, None], grid.branches(residual)
    injecting = np.flatnonzero((residual.p_kw > 0.0).any(axis=0))
    home = np.concatenate([np.arange(grid.homes), injecting])
    losses, power = flows.p_from + flows.p_to, -grid.d_head * residual.p_kw
    parts = [power, np.abs(power[:, injecting]), np.ones_like(sd), residual.head_kw[:, None], losses]
    sizes = [constant_sd(settings.meter.power), _UNEVEN, _CONSTANT_KW, constant_sd(settings.head.power), settings.impedance_error]
    prior = np.concatenate([np.full(part.shape[1], max(size, _PRIOR_FLOOR)) for part, size in zip(parts, sizes, strict=True)])
    return Model(residual.off_kw / residual.sd_kw, np.hstack(parts) / sd, prior**2, home)


def innovations(model: Model) -> Floats:
    """`L^-1 [z, X]` (steps, 1 + homes' columns + 1) of what nobody honest explains: row k depends on rows up to k."""
    kept = model.columns[:, : len(model.home) + 1]
    covariance = np.eye(len(model.z)) + (model.columns * model.prior) @ model.columns.T
    return np.asarray(np.linalg.solve(np.linalg.cholesky(covariance), np.column_stack([model.z, kept])))


def scores(white: Floats) -> Floats:
    """(columns,) how far each column stands out, in standard deviations, from the innovations of a window."""
    power = np.sqrt((white[:, 1:] ** 2).sum(axis=0))
    return np.where(power > _NOTHING, (white[:, 1:].T @ white[:, 0]) / np.maximum(power, _NOTHING), 0.0)


def cusum(white: Floats, slack: float) -> tuple[float, int]:
    """Highest CUSUM of `white` (steps,) and its mirror image, and the interval where that rise began."""
    best, began = 0.0, 0
    for sign in (1.0, -1.0):
        walk = np.concatenate([[0.0], np.cumsum(sign * white - slack)])
        lowest = np.minimum.accumulate(walk)
        height = walk - lowest
        top = int(height.argmax())
        if height[top] > best:
            best, began = float(height[top]), int(walk[: top + 1].argmin())
    return best, began


def _follows(off_pu: Floats, vm_pu: Floats, settings: Settings) -> Floats:
    """(homes,) how far each voltage is from following the grid's, from residuals and predictions (steps, homes)."""
    known = ~np.isnan(off_pu)
    count = known.sum(axis=0)
    mean = np.where(known, off_pu, 0.0).sum(axis=0) / np.maximum(count, 1)
    square = np.where(known, (off_pu - mean) ** 2, 0.0).sum(axis=0) / np.maximum(count - 1, 1)
    # Rounding to mV, and what the grid's own uncertainty leaves: never nothing, or exact meters would be held to the last bit.
    # Impedances that are wrong by a share change what a voltage moves by that share.
    moves = np.nanvar(vm_pu, axis=0) if len(vm_pu) else np.zeros(vm_pu.shape[1])
    own = interval_sd(settings.meter.voltage) ** 2 + settings.impedance_error**2 * moves + 1e-10
    return np.where(count >= LEAST_STEPS, square / own, np.nan)
