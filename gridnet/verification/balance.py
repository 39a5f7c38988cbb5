"""Level 2: does the feeder's head agree with its homes, and does each voltage follow the grid?

The head's residual among honest meters is not white. Each meter has a gain error that lasts, so the residual follows the homes'
own powers; so it does the head's, and the losses where impedances differ from the model's:

    z = X b + noise,  b ~ N(0, prior),  X = (each home's power, a constant, the head's power, each branch's losses)

Noise and X are first divided by the Cholesky factor of the noise's own covariance, which makes the noise 1: it is not diagonal, for
what a display in whole Wh keeps back in one interval it shows in the next. Given the prior, the covariance of z is known then: `C =
1 + X diag(prior) X'`. With its Cholesky factor `L`, the innovations `L^-1 z` are white among honest meters, whatever their gains
are, and a CUSUM on them (Page 1954, both ways) sees a change. The scan asks of each home whether a gain beyond the prior explains
z: the score `x' C^-1 z / sqrt(x' C^-1 x)` is N(0, 1) among honest meters. It sees what was there from the first interval on.

There are two such balances, of active and of reactive power, whose honest errors don't know of each other but for the impedances;
scores add what both say of a hypothesis. Each home is asked whether it has a gain of both (a shunted transformer) or of the active
power alone, and if it injects also for a gain that has opposite signs for the two directions of flow. The reactive balance
has little noise, as homes take little of it, and sees small homes that the active one does not. The constant, which no honest error
is, stands for a meter that shifts; it says that somebody does, not who.

A voltage that does not follow the grid's (a replayed, stuck or swapped meter) shows in the mean square of its own residual.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.verification.grid import DISPLAY_KW, ROUNDING_KW, Grid, Residual
from gridnet.verification.settings import Settings, constant_sd, interval_sd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_STEPS = 24
"""A voltage is judged from so many intervals on, 6 hours."""
_PRIOR_FLOOR = 1e-6
_NOTHING = 1e-12
_CONSTANT_KW = 0.001
_STARTED_KW = DISPLAY_KW / 2.0
"""What a home's register shows too little, on average, in its very first interval, if it starts at a whole Wh."""
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
    white, asked = innovations(model), len(model.home)
    seen = []
    for end in ends:
        height, since = cusum(white[0][:end, 0], settings.cusum_slack)
        stands_out = scores([each[:end] for each in white])
        # Of a home's hypotheses, the one that stands out more.
        of_homes = stands_out[: grid.homes].copy()
        for hypothesis in range(grid.homes, asked):
            home = model.home[hypothesis]
            of_homes[home] = max(of_homes[home], stands_out[hypothesis], key=abs)
        one = Balance(
            cusum=height,
            cusum_limit=settings.cusum_limit(),
            since=since,
            score=of_homes,
            shift_score=float(stands_out[-1]),
            score_limit=settings.scan_limit(asked),
            follows=_follows(residual.off_pu[:end], residual.vm_pu[:end], settings),
            follows_limit=settings.voltage_ratio,
        )
        seen.append(one)
    return seen


class Model(NamedTuple):
    """What the head's residuals are made of, active and reactive, and what is asked of them.

    Unknowns: the gain of each home's active power; of its reactive power; its angle; the gain of the magnitude of the active power,
    for homes that inject; a constant; the head's gains and angle; each branch's impedance.
    """

    z: tuple[Floats, Floats]
    """(steps,) each: residual with unit noise; zeros where nothing is known."""
    columns: tuple[Floats, Floats]
    """(steps, unknowns) each: what 1 of an unknown adds to z."""
    prior: Floats
    """(unknowns,) variances among honest meters."""
    asked: Floats
    """(unknowns, hypotheses): each home's active gain, each home's gain of both, uneven gains, the constant last."""
    home: Ints
    """Home of each hypothesis but the last."""


def whitened(grid: Grid, residual: Residual) -> Model:
    """The head's residuals and what explains them. A gain on the magnitude is what an error of one direction of flow alone adds to
    a gain: no honest one."""
    settings, flows, homes = grid.settings, grid.branches(residual), grid.homes
    injecting = np.flatnonzero((residual.p_kw > 0.0).any(axis=0))
    power, reactive, one = -grid.d_head * residual.p_kw, residual.q_kvar, np.ones((len(residual.step), 1))
    uneven, head_kw, head_kvar = np.abs(power[:, injecting]), residual.head_kw[:, None], residual.head_kvar[:, None]
    no, none = np.zeros_like(power), np.zeros_like(one)
    active_parts = [power, no, no, uneven, one, head_kw, none, none, flows.p_from + flows.p_to]
    reactive_parts = [no, reactive, residual.p_kw, 0.0 * uneven, none, none, head_kvar, head_kw, flows.q_from + flows.q_to]
    home_sd, head_sd = (constant_sd(each.power, each.lasting) for each in (settings.meter, settings.head))
    # Of a meter whose phase is off by a small angle, that share of the active power counts as reactive.
    sizes = [home_sd, home_sd, home_sd, _UNEVEN, _CONSTANT_KW, head_sd, head_sd, head_sd, settings.impedance_error]
    prior = np.concatenate(
        [np.full(part.shape[1], max(size, _PRIOR_FLOOR)) for part, size in zip(active_parts, sizes, strict=True)]
    )
    balances = [
        unit_noise(np.column_stack([off, *parts]), sd, residual.step, homes)
        for off, parts, sd in (
            (residual.off_kw, active_parts, residual.sd_kw),
            (residual.off_kvar, reactive_parts, residual.sd_kvar),
        )
    ]
    every = np.eye(len(prior))[:, : 3 * homes + len(injecting) + 1]
    asked = np.hstack([every[:, :homes], every[:, :homes] + every[:, homes : 2 * homes], every[:, 3 * homes :]])
    home = np.concatenate([np.arange(homes), np.arange(homes), injecting])
    z, columns = ((balances[0][:, 0], balances[1][:, 0]), (balances[0][:, 1:], balances[1][:, 1:]))
    return Model(z, columns, prior**2, asked, home)


def innovations(model: Model) -> list[Floats]:
    """`L^-1 [z, X asked]` (steps, 1 + hypotheses) of each balance: row k depends on rows up to k."""
    white = []
    for z, columns in zip(model.z, model.columns, strict=True):
        covariance = np.eye(len(z)) + (columns * model.prior) @ columns.T
        white.append(np.linalg.solve(np.linalg.cholesky(covariance), np.column_stack([z, columns @ model.asked])))
    return white


def scores(white: Sequence[Floats]) -> Floats:
    """(hypotheses,) how far each stands out, in standard deviations, from the innovations of a window of each balance."""
    power = np.sqrt(sum((each[:, 1:] ** 2).sum(axis=0) for each in white))
    pull = sum(each[:, 1:].T @ each[:, 0] for each in white)
    return np.asarray(np.where(power > _NOTHING, pull / np.maximum(power, _NOTHING), 0.0))


def unit_noise(columns: Floats, sd: Floats, step: Ints, homes: int) -> Floats:
    """`columns` (steps, any) over the Cholesky factor of the noise's covariance, which is tridiagonal; `sd` (steps,) is the root of
    its diagonal. Rows of infinite `sd` become zeros."""
    variance = sd**2
    # Registers may have started together at a whole Wh; then the first interval is off by what all of them keep back.
    variance[:1] += (homes * _STARTED_KW) ** 2
    tied = np.where(np.diff(step, append=-1) == 1, -0.5 * (homes + 1) * ROUNDING_KW**2, 0.0)
    white, below = np.zeros_like(columns), 0.0
    for row in range(len(columns)):
        own = np.sqrt(variance[row] - below**2)
        white[row] = (columns[row] - below * white[row - 1]) / own
        below = tied[row] / own
    return white


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
    own = interval_sd(settings.meter.voltage, settings.meter.anew) ** 2 + settings.impedance_error**2 * moves + 1e-10
    return np.where(count >= LEAST_STEPS, square / own, np.nan)
