"""From feeders to a verdict: what a policy saves on the feeder next door, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.app.bench.compare import expanded_interval
from gridnet.app.bench.evaluate import WeekAccount
from gridnet.app.bench.score import FORESIGHT, REFERENCE, RESAMPLES, rounded
from gridnet.app.bench.table import aligned, with_interval
from gridnet_policies.registry import LEARNED

Floats = NDArray[np.float64]
Accounts = Mapping[str, Sequence[Sequence[WeekAccount]]]
"""Of one feeder: by policy, `[seed][week]`."""

_TIE_EUR = 1e-6


@dataclass(frozen=True)
class Across:
    """One policy over all feeders; means over its training seeds. Intervals are 95 %, over feeders."""

    saving_eur: float
    """Against `no_battery`, mean over feeders and weeks."""
    saving_eur_ci95: tuple[float, float]
    saving_share: float
    """Savings of all feeders over what they cost without batteries, both as sums."""
    captured: float | None
    """Savings of all feeders over those of perfect foresight (`lp`), both as sums; None where that was not run."""
    captured_ci95: tuple[float, float] | None
    worst_feeder: str
    """Where it saves least of what the feeder costs without batteries."""
    worst_share: float
    """That share."""
    violation_steps: float
    """Mean over feeders, all weeks together."""
    feeders_worse: float
    """Share of feeders on which it breaks limits in more steps than `no_battery` does."""


@dataclass(frozen=True)
class FleetScore:
    """The verdict over a fleet."""

    feeders: int
    policies: dict[str, Across]
    beats: dict[str, float]
    """By policy: share of feeders on which the learned one costs less, by the mean over its training seeds; a tie counts half."""


def score_fleet(fleet: Mapping[str, Accounts], seed: int) -> FleetScore:
    """Scores every policy over the feeders, by name; needs the reference among them. `seed` drives the bootstrap."""
    accounts, names = list(fleet.values()), list(fleet)
    costs = {policy: np.array([_costs(one[policy]) for one in accounts]) for policy in accounts[0]}
    weeks = len(accounts[0][REFERENCE][0])
    drawn = np.random.default_rng(seed).integers(len(names), size=(RESAMPLES, len(names)))
    reference, broken = costs[REFERENCE], _broken(accounts, REFERENCE)
    foresight = reference - costs[FORESIGHT] if FORESIGHT in costs else None
    policies = {}
    for policy, cost in costs.items():
        saving, violations = reference - cost, _broken(accounts, policy)
        share = saving / np.maximum(np.abs(reference), 1e-9)
        known = foresight is not None and float(foresight.sum()) > 0.0
        policies[policy] = Across(
            saving_eur=float(saving.mean()) / weeks,
            saving_eur_ci95=expanded_interval(saving[drawn].mean(axis=1) / weeks, len(names)),
            saving_share=float(saving.sum() / np.abs(reference).sum()),
            captured=float(saving.sum() / foresight.sum()) if foresight is not None and known else None,
            captured_ci95=_ratio_interval(saving, foresight, drawn) if foresight is not None and known else None,
            worst_feeder=names[int(np.argmin(share))],
            worst_share=float(share.min()),
            violation_steps=float(violations.mean()),
            feeders_worse=float((violations > broken).mean()),
        )
    return FleetScore(len(names), policies, _beats(costs))


def as_json(score: FleetScore) -> dict[str, object]:
    """The verdict for JSON, rounded to six digits after the point."""
    return {
        "policies": {name: {key: rounded(value) for key, value in asdict(one).items()} for name, one in score.policies.items()},
        f"{LEARNED}_beats": {name: rounded(share) for name, share in score.beats.items()},
    }


def fleet_table(score: FleetScore) -> str:
    """One policy a line, and who is beaten on how many feeders."""
    rows = [
        ["policy", "saving a feeder and week", "of cost", "captured", "worst feeder", "of cost", "violations", "more than none"],
        ["", "EUR [95 % interval]", "%", "[95 % interval]", "", "%", "steps a feeder", "% of feeders"],
    ]
    for name, one in score.policies.items():
        low, high = one.saving_eur_ci95
        rows.append(
            [
                name,
                f"{one.saving_eur:.2f} [{low:.2f}, {high:.2f}]",
                f"{100 * one.saving_share:.1f}",
                with_interval(one.captured, one.captured_ci95),
                one.worst_feeder,
                f"{100 * one.worst_share:.1f}",
                f"{one.violation_steps:.1f}",
                f"{100 * one.feeders_worse:.0f}",
            ]
        )
    lines = [f"{LEARNED} costs less than {name} on {100 * share:.0f} % of feeders" for name, share in score.beats.items()]
    return "\n".join([aligned(rows), *(["", *lines] if lines else [])])


def _costs(seeds: Sequence[Sequence[WeekAccount]]) -> float:
    """EUR over all weeks, mean over training seeds."""
    return float(np.mean([sum(week.cost_eur for week in weeks) for weeks in seeds]))


def _broken(accounts: Sequence[Accounts], policy: str) -> Floats:
    """(feeders,) steps that break a limit, all weeks together, mean over training seeds."""
    return np.array([np.mean([sum(week.violation_steps for week in weeks) for weeks in one[policy]]) for one in accounts])


def _ratio_interval(saving: Floats, foresight: Floats, drawn: NDArray[np.int64]) -> tuple[float, float] | None:
    total = foresight[drawn].sum(axis=1)
    ratio = saving[drawn].sum(axis=1)[total > 0] / total[total > 0]
    return expanded_interval(ratio, len(saving))


def _beats(costs: Mapping[str, Floats]) -> dict[str, float]:
    if LEARNED not in costs:
        return {}
    others = [name for name in costs if name not in (LEARNED, FORESIGHT)]
    gaps = {name: costs[name] - costs[LEARNED] for name in others}
    return {name: float(np.where(np.abs(gap) <= _TIE_EUR, 0.5, gap > 0).mean()) for name, gap in gaps.items()}
