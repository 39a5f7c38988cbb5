"""Level 3: if the feeder does not balance, whose meter would explain it?

The residuals of the head and of all voltages are regressed together on what may be wrong, each with the honest size of its error
as prior (Bayesian linear regression, closed form):

| unknown | moves the head by | moves the voltages by | prior |
|---|---|---|---|
| gain of home i, and of its magnitude | its power | its power times the sensitivities to bus i | the class of the meter |
| gain of the head | the head's power | nothing | the class of the head |
| constant | 1 | nothing | 1 W |
| impedance of branch l | its losses | its flow times the difference of the sensitivities to its ends | `impedance_error` |

What a meter's voltage is off by for life is taken out with the mean over time. The branches are what makes this usable: without
them impedances that are 5 % wrong move voltages more than a thief does. They are also the assumption to name beside every result.

For each home in turn the hypothesis "this one is not honest" widens its prior; the Bayes factors against "all are honest", compared
over the homes, give each one's confidence. The one that explains most is then set free and the question asked again. A constant
shift of one meter can't be located so: a constant is the same at whichever home, and voltages are known up to a constant.

Scaling a branch's impedance by 1 + e leaves e times its flow at one end and takes it at the other, which is how the
sensitivities to injections serve for impedances, in meshes too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.verification.balance import whitened
from gridnet.verification.grid import Grid, Residual
from gridnet.verification.settings import interval_sd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MOST_SUSPECTS = 3
LEAST_CONFIDENCE = 0.1
"""A home less likely than this, among all, is not named."""
SLAB = 0.3
"""Standard deviation of the gain of a meter that is not honest."""
_VOLTAGE_FLOOR = 1e-5


class Suspect(NamedTuple):
    """One home that may be the cause."""

    home: int
    confidence: float
    """Share of the belief among all homes that this one is the cause, given that one is."""
    gain: float
    """By how much its reported power is off, as a share of the true power: -0.1 reports 10 % less, estimated."""
    gain_sd: float
    score: float
    """Standard deviations by which it stands out."""


@dataclass(frozen=True)
class Located:
    """Answer of level 3. `suspects` are ordered by round, then confidence; empty where nobody stands out."""

    suspects: tuple[Suspect, ...]
    likeliest: int
    """The home that explains most, whether or not it stands out."""
    likeliest_score: float
    limit: float


class Evidence(NamedTuple):
    """Normal equations: `gram` (unknowns, unknowns), `pull` (unknowns,), `prior` variances; in the order of `balance.Model`."""

    gram: Floats
    pull: Floats
    prior: Floats
    home: Ints
    """Home of each of the first unknowns."""


class _Weighed(NamedTuple):
    """For each home, of its unknown that explains most: log Bayes factor of "this one is not honest", score, gain, deviation."""

    log_factor: Floats
    score: Floats
    gain: Floats
    gain_sd: Floats


def locate(grid: Grid, residual: Residual) -> Located:
    """Level 3 over a window."""
    evidence = gather(grid, residual)
    limit = grid.settings.scan_limit(len(evidence.home))
    suspects: list[Suspect] = []
    first = (0, 0.0)
    freed: set[int] = set()
    for turn in range(MOST_SUSPECTS):
        weighed = _weigh(evidence, grid.homes)
        weighed.log_factor[sorted(freed)] = -np.inf
        best = int(weighed.log_factor.argmax())
        if turn == 0:
            first = (best, float(weighed.score[best]))
        if abs(weighed.score[best]) <= limit:
            break
        suspects += [each for each in _named(weighed, best) if each.home not in {suspect.home for suspect in suspects}]
        freed.add(best)
        evidence = evidence._replace(prior=_widened(evidence, best))
    return Located(tuple(suspects), *first, limit)


def gather(grid: Grid, residual: Residual) -> Evidence:
    """What head and voltages say together."""
    settings, homes, model = grid.settings, grid.homes, whitened(grid, residual)
    flows = grid.branches(residual)
    buses, ends = grid.case.params.buses, grid.case.power_flow.network.branch_node
    space = [
        np.hstack([grid.d_vm[:, offset + grid.bus[model.home]], np.zeros((homes, 2)), _between(each, ends)])
        for offset, each in zip((0, buses), grid.node_columns(), strict=True)
    ]
    nothing = np.zeros((len(model.z), 2))
    # The sign of the active power, so that a gain on its magnitude takes the reactive power with it.
    turn = np.where(np.arange(len(model.home)) < homes, 1.0, np.where(residual.p_kw[:, model.home] < 0.0, -1.0, 1.0))
    time = [
        np.hstack([-turn * residual.p_kw[:, model.home], nothing, flows.p_from]),
        np.hstack([-turn * residual.q_kvar[:, model.home], nothing, flows.q_from]),
    ]
    off = residual.off_pu
    known = ~np.isnan(off)
    mean = np.where(known, off, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    gram, pull = _separable(time, space, np.where(known, off - mean, 0.0))
    variance = interval_sd(settings.meter.voltage) ** 2 + _VOLTAGE_FLOOR**2
    columns = model.columns
    return Evidence(columns.T @ columns + gram / variance, columns.T @ model.z + pull / variance, model.prior, model.home)


def _named(weighed: _Weighed, best: int) -> Iterator[Suspect]:
    """The best home and those that come near it, by belief."""
    belief = np.exp(weighed.log_factor - weighed.log_factor[best])
    belief /= belief.sum()
    # The regression has the error as a share of what was reported; a share of the truth is what is wanted.
    of_truth = 1.0 / np.maximum(1.0 - weighed.gain, 0.1)
    for home in np.argsort(-belief)[:MOST_SUSPECTS].tolist():
        if belief[home] >= LEAST_CONFIDENCE:
            yield Suspect(
                home,
                float(belief[home]),
                float(weighed.gain[home] * of_truth[home]),
                float(weighed.gain_sd[home] * of_truth[home] ** 2),
                float(weighed.score[home]),
            )


def _widened(evidence: Evidence, home: int) -> Floats:
    """The priors with everything of one home set free."""
    prior = evidence.prior.copy()
    prior[np.flatnonzero(evidence.home == home)] = SLAB**2
    return prior


def _between(columns: Floats, ends: NDArray[np.int64]) -> Floats:
    """(homes, branches) from (homes, nodes): an injection at a branch's from end, taken out at its to end."""
    live = (ends >= 0).all(axis=1)
    return np.where(live, columns[:, np.where(live, ends[:, 0], 0)] - columns[:, np.where(live, ends[:, 1], 0)], 0.0)


def _separable(time: list[Floats], space: list[Floats], off: Floats) -> tuple[Floats, Floats]:
    """Normal equations of regressors `sum over kinds of time (steps, unknowns) times space (homes, unknowns)`, centred in time.

    Products of small matrices, because a regressor's time and place part: nothing of (steps, homes, unknowns) is made.
    """
    centred = [each - each.mean(axis=0) for each in time]
    unknowns = time[0].shape[1]
    gram, pull = np.zeros((unknowns, unknowns)), np.zeros(unknowns)
    for when, where in zip(centred, space, strict=True):
        pull += ((when.T @ off) * where.T).sum(axis=1)
        for other_when, other_where in zip(centred, space, strict=True):
            gram += (when.T @ other_when) * (where.T @ other_where)
    return gram, pull


def _weigh(evidence: Evidence, homes: int) -> _Weighed:
    """Asks of each home in turn whether it is not honest."""
    covariance = np.linalg.inv(evidence.gram + np.diag(1.0 / evidence.prior))
    unknowns = len(evidence.home)
    mean, after, prior = (covariance @ evidence.pull)[:unknowns], np.diag(covariance)[:unknowns], evidence.prior[:unknowns]
    learned = np.maximum(prior - after, 1e-9 * prior)
    precision, pull = learned / prior**2, mean / prior
    # `pull` and `precision` are those of the home's gain with its own prior left in the noise: widen it by the slab.
    widened = SLAB**2 / (1.0 + precision * SLAB**2)
    each = np.stack(
        [0.5 * pull**2 * widened - 0.5 * np.log1p(precision * SLAB**2), mean / np.sqrt(learned), pull * widened, widened**0.5]
    )
    best = each[:, :homes].copy()
    for column in range(homes, unknowns):
        home = evidence.home[column]
        if each[0, column] > best[0, home]:
            best[:, home] = each[:, column]
    return _Weighed(*best)
