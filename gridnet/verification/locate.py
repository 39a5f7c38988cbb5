"""Level 3: if the feeder does not balance, whose meter would explain it?

The residuals of the head (active and reactive power) and of all voltages are regressed together on what may be wrong, each with the
honest size of its error as prior (Bayesian linear regression, closed form):

| unknown | moves the head by | moves the voltages by | prior |
|---|---|---|---|
| active gain of home i, and of its magnitude | its power | its power times the sensitivities to bus i | the class of the meter |
| reactive gain of home i | its reactive power | the same | the class of the meter |
| angle of home i, which makes reactive power of active | its active power | the same | the class of the meter |
| gains of the head, active and reactive, and its angle | its power | nothing | the class of the head |
| constant | 1 | nothing | 1 W |
| impedance of branch l | its losses | its flow times the difference of the sensitivities to its ends | `impedance_error` |

What a meter's voltage is off by for life is taken out with the mean over time. The branches are what makes this usable: without
them impedances that are 5 % wrong move voltages more than a thief does. They are also the assumption to name beside every result.

For each home in turn the hypotheses of level 2, a gain of its active power or of both, widen its prior; the Bayes factors against
"all are honest", compared over the homes, give each one's confidence. The one that explains most is then set free and the question
asked again. A constant shift of one meter can't be located so: a constant is the same at whichever home, and voltages are known up
to a constant.

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
_NOTHING = 1e-9


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
    """Normal equations: `gram` (unknowns, unknowns), `pull` (unknowns,), `prior` variances; in the order of `balance.Model`, as are
    the hypotheses, without the constant."""

    gram: Floats
    pull: Floats
    prior: Floats
    asked: Floats
    """(unknowns, hypotheses)"""
    home: Ints
    """(hypotheses,)"""


class _Weighed(NamedTuple):
    """For each home, of its hypothesis that explains most: log Bayes factor of "this one is not honest", score, gain, deviation."""

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
    flows, injecting = grid.branches(residual), model.home[2 * homes :]
    buses, ends = grid.case.params.buses, grid.case.power_flow.network.branch_node
    # Of each unknown before the constant, its home: in the order of `Model`.
    bus = grid.bus[np.concatenate([np.tile(np.arange(homes), 3), injecting])]
    space = [
        np.hstack([grid.d_vm[:, offset + bus], np.zeros((homes, 4)), _between(each, ends)])
        for offset, each in zip((0, buses), grid.node_columns(), strict=True)
    ]
    p_kw, q_kvar, no, nothing = residual.p_kw, residual.q_kvar, np.zeros_like(residual.p_kw), np.zeros((len(residual.step), 4))
    uneven = np.abs(p_kw[:, injecting])
    time = [
        np.hstack([-p_kw, no, no, -uneven, nothing, flows.p_from]),
        np.hstack([no, -q_kvar, -p_kw, 0.0 * uneven, nothing, flows.q_from]),
    ]
    off = residual.off_pu
    known = ~np.isnan(off)
    mean = np.where(known, off, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    gram, pull = _separable(time, space, np.where(known, off - mean, 0.0))
    variance = interval_sd(settings.meter.voltage, settings.meter.anew) ** 2 + _VOLTAGE_FLOOR**2
    gram, pull = gram / variance, pull / variance
    for z, columns in zip(model.z, model.columns, strict=True):
        gram, pull = gram + columns.T @ columns, pull + columns.T @ z
    return Evidence(gram, pull, model.prior, model.asked[:, :-1], model.home)


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
    prior[evidence.asked[:, evidence.home == home].any(axis=1)] = SLAB**2
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
    settled = np.linalg.solve(evidence.gram + np.diag(1.0 / evidence.prior), np.column_stack([evidence.gram, evidence.pull]))
    # What is left for a hypothesis once all unknowns, with their priors, are in the noise.
    precision = ((evidence.gram - evidence.gram @ settled[:, :-1]) @ evidence.asked * evidence.asked).sum(axis=0)
    pull = evidence.asked.T @ (evidence.pull - evidence.gram @ settled[:, -1])
    precision = np.maximum(precision, _NOTHING)
    widened = SLAB**2 / (1.0 + precision * SLAB**2)
    each = np.stack(
        [0.5 * pull**2 * widened - 0.5 * np.log1p(precision * SLAB**2), pull / np.sqrt(precision), pull * widened, widened**0.5]
    )
    best = each[:, :homes].copy()
    for hypothesis in range(homes, len(evidence.home)):
        home = evidence.home[hypothesis]
        if each[0, hypothesis] > best[0, home]:
            best[:, home] = each[:, hypothesis]
    return _Weighed(*best)
