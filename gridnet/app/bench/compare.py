"""Policies in pairs, and their typical week: is one better, or were its weeks only easier?

Money alone is compared here; violations of limits stand beside it in the table and are never set off against it.

Intervals are percentile bootstrap intervals with the percentiles moved outwards as a t interval's would be (the "expanded
percentile" interval: T. Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69, 2015): the plain
one is too narrow for few weeks, and the fewer, the more it finds differences that are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from gridnet.app.bench.score import FORESIGHT, REFERENCE, RESAMPLES, Weeks, foresight_saving, rounded
from gridnet_policies.registry import LEARNED

Floats = NDArray[np.float64]

SHARE_FLOOR = 0.1
"""A week's saving is held against what `lp` saves in it, or this part of what `lp` saves in the mean week where that is more."""

_TIE_EUR = 1e-6


@dataclass(frozen=True)
class Comparison:
    """One policy against another over the same weeks."""

    policy: str
    against: str
    difference: float
    """captured(policy) - captured(against), means over training seeds."""
    difference_ci95: tuple[float, float] | None
    """95 % interval over weeks and training seeds; None for a single week, which says nothing of others."""
    better: float
    """Probability that `policy` costs less than `against` in a week: mean over weeks and pairs of seeds, a tie counts half."""

    @property
    def sure(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.difference_ci95 is not None and not self.difference_ci95[0] <= 0.0 <= self.difference_ci95[1]


@dataclass(frozen=True)
class Typical:
    """A policy's typical week."""

    iqm: float
    """Interquartile mean of the captured share over weeks and training seeds."""
    iqm_ci95: tuple[float, float] | None
    """95 % interval over training seeds, the weeks as they are; None where there is one seed."""


@dataclass(frozen=True)
class Verdict:
    """The learned policy against every other but the two that span the scale, and everyone's typical week."""

    comparisons: list[Comparison]
    typical: dict[str, Typical]

    def as_json(self) -> dict[str, object]:
        """Plain values, rounded to six digits after the point."""
        return {
            "comparisons": [plain(one) for one in self.comparisons],
            "typical_week": {name: plain(one) for name, one in self.typical.items()},
        }


def verdict(policies: Mapping[str, Weeks], seed: int) -> Verdict:
    """What the weeks of all `policies` say; empty where no share can be told. `seed` drives the bootstrap."""
    others = [name for name in policies if name not in (LEARNED, REFERENCE, FORESIGHT)]
    pairs = [compare(policies, LEARNED, other, seed) for other in others if LEARNED in policies]
    weeks = {name: typical(policies, name, seed) for name in policies}
    return Verdict([one for one in pairs if one is not None], {name: one for name, one in weeks.items() if one is not None})


def compare(policies: Mapping[str, Weeks], policy: str, against: str, seed: int) -> Comparison | None:
    """The difference of captured shares between two of `policies`; None where there is no share to be told.

    Bootstrap over weeks, the same weeks drawn for both policies and for `lp`, and over the training seeds of each.
    """
    foresight = foresight_saving(policies)
    if foresight is None:
        return None
    costs, others = policies[policy].costs(), policies[against].costs()
    return Comparison(
        policy=policy,
        against=against,
        difference=float((others.mean(axis=0) - costs.mean(axis=0)).sum() / foresight.sum()),
        difference_ci95=_paired_interval(costs, others, foresight, seed),
        better=_probability_of_less(costs, others),
    )


def typical(policies: Mapping[str, Weeks], name: str, seed: int) -> Typical | None:
    """The interquartile mean (IQM) over weeks and training seeds of a policy's weekly captured share; None where there is none.

    R. Agarwal and others, "Deep Reinforcement Learning at the Edge of the Statistical Precipice", NeurIPS 2021, define it
    as the mean of the middle half of all scores, runs and tasks together; a run is a training seed, a task a week here.
    The bootstrap is stratified as theirs: each resample holds every week once and draws seeds. It differs in one
    point: the seeds drawn are the same for all weeks, since one training serves all weeks here, whereas they train for each
    task anew. So the interval is about training; of how far other weeks would differ, the paired comparison tells.

    A week's share is that of `week_shares`.
    """
    share = week_shares(policies, name)
    if share is None:
        return None
    seeds = len(share)
    interval = None
    if seeds > 1:
        drawn = share[np.random.default_rng(seed).integers(seeds, size=(RESAMPLES, seeds))]
        interval = expanded_interval(interquartile_mean(drawn.reshape(RESAMPLES, -1)), seeds)
    return Typical(float(interquartile_mean(share.reshape(-1))), interval)


def week_shares(policies: Mapping[str, Weeks], name: str) -> Floats | None:
    """A policy's captured share of each week, (seeds, weeks); None where there is none to be told.

    Its saving over `lp`'s in that week, `SHARE_FLOOR` of `lp`'s mean saving at least: a week with next to nothing to save
    counts, but can't outweigh the others by a small divisor.
    """
    foresight = foresight_saving(policies)
    if foresight is None:
        return None
    saving = policies[REFERENCE].costs() - policies[name].costs()
    share: Floats = saving / np.maximum(foresight, SHARE_FLOOR * foresight.mean())
    return share


def interquartile_mean(values: Floats) -> Floats:
    """Mean of the middle half of the last axis: of n values, n // 4 are left out at either end."""
    cut = values.shape[-1] // 4
    middle: Floats = np.sort(values, axis=-1)[..., cut : values.shape[-1] - cut].mean(axis=-1)
    return middle


def expanded_interval(drawn: Floats, sample: int) -> tuple[float, float]:
    """95 % interval from bootstrap draws, `(draws,)`, of a statistic of `sample` >= 2 observations.

    In place of the percentiles of the normal, those that lie sqrt(n / (n - 1)) quantiles of Student's t with n - 1 degrees
    of freedom from the middle.
    """
    outwards = np.sqrt(sample / (sample - 1)) * stdtrit(sample - 1, 0.975)
    low, high = np.percentile(drawn, [100 * ndtr(-outwards), 100 * ndtr(outwards)])
    return float(low), float(high)


def plain(one: Comparison | Typical) -> dict[str, object]:
    """Its fields for JSON, rounded to six digits after the point."""
    return {key: rounded(value) for key, value in asdict(one).items()}


def coverage_at_most(weeks: int) -> float:
    """How often an interval over so few weeks can hold the truth at all, whatever its name: where every week errs to the same
    side of the median, which happens once in 2^(weeks - 1) times, no resample of them reaches it."""
    return 1.0 - 0.5 ** (weeks - 1)


def _paired_interval(costs: Floats, others: Floats, foresight: Floats, seed: int) -> tuple[float, float] | None:
    weeks = len(foresight)
    if weeks == 1:
        return None
    rng = np.random.default_rng(seed)
    week = rng.integers(weeks, size=(RESAMPLES, weeks))
    drawn = _sums(others, week, rng) - _sums(costs, week, rng)
    total = foresight[week].sum(axis=1)
    return expanded_interval(drawn[total > 0] / total[total > 0], weeks)


def _sums(costs: Floats, week: NDArray[np.int64], rng: np.random.Generator) -> Floats:
    """Cost (seeds, weeks) of each resample of weeks, (resamples,), as means over as many seeds drawn."""
    row = rng.integers(len(costs), size=(len(week), len(costs)))
    sums: Floats = costs[row[:, :, None], week[:, None, :]].mean(axis=1).sum(axis=1)
    return sums


def _probability_of_less(costs: Floats, others: Floats) -> float:
    gap = others[None] - costs[:, None]
    return float(np.where(np.abs(gap) <= _TIE_EUR, 0.5, gap > 0).mean())
