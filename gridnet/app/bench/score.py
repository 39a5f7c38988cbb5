"""From weeks to a verdict: totals, savings, the share of the perfect-foresight saving, and how sure it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.app.bench.evaluate import WeekAccount

Floats = NDArray[np.float64]

RESAMPLES = 10_000
REFERENCE, FORESIGHT = "no_battery", "lp"
_LEAST_EUR = 1e-6


@dataclass(frozen=True)
class Score:
    """A policy over all weeks. Money, energy and carbon are sums over weeks; `captured` compares sums."""

    cost_eur: float
    saving_eur: float
    """Against the reference policy, `no_battery`."""
    captured: float | None
    """Share of the perfect-foresight saving (`lp`); None where that was not run or saves nothing."""
    captured_ci95: tuple[float, float] | None
    """95 % interval by bootstrap over weeks (and training seeds, where there are several)."""
    violation_steps: float
    worst_voltage_pu: float
    worst_loading_percent: float
    loss_kwh: float
    co2_kg: float
    peak_kw: float
    decision_ms: float
    """Median over weeks."""


@dataclass(frozen=True)
class Weeks:
    """Accounts of one policy: `accounts[seed][week]`, one seed for a policy that has none, and its decision times."""

    accounts: Sequence[Sequence[WeekAccount]]
    decision_ms: Sequence[float]

    def costs(self) -> Floats:
        """(seeds, weeks) EUR."""
        return np.array([[week.cost_eur for week in seed] for seed in self.accounts])


def score(policies: Mapping[str, Weeks], seed: int) -> dict[str, Score]:
    """Scores every policy; needs the reference among them. `seed` drives the bootstrap."""
    reference, foresight = policies[REFERENCE].costs()[0], foresight_saving(policies)
    scores = {}
    for name, weeks in policies.items():
        saving = reference - weeks.costs()
        flat = [week for one in weeks.accounts for week in one]
        voltages = np.array([week.worst_voltage_pu for week in flat])
        scores[name] = Score(
            cost_eur=float(weeks.costs().mean(axis=0).sum()),
            saving_eur=float(saving.mean(axis=0).sum()),
            captured=float(saving.mean(axis=0).sum() / foresight.sum()) if foresight is not None else None,
            captured_ci95=_interval(saving, foresight, seed) if foresight is not None else None,
            violation_steps=sum(week.violation_steps for week in flat) / len(weeks.accounts),
            worst_voltage_pu=float(voltages[np.argmax(np.abs(voltages - 1.0))]),
            worst_loading_percent=max(week.worst_loading_percent for week in flat),
            loss_kwh=sum(week.loss_kwh for week in flat) / len(weeks.accounts),
            co2_kg=sum(week.co2_kg for week in flat) / len(weeks.accounts),
            peak_kw=max(week.peak_kw for week in flat),
            decision_ms=float(np.median(weeks.decision_ms)),
        )
    return scores


def foresight_saving(policies: Mapping[str, Weeks]) -> Floats | None:
    """What `lp` saves against the reference, (weeks,) EUR; None where it was not run or saves nothing in all."""
    if FORESIGHT not in policies:
        return None
    saving: Floats = policies[REFERENCE].costs()[0] - policies[FORESIGHT].costs()[0]
    return saving if saving.sum() > _LEAST_EUR else None


def _interval(saving: Floats, foresight: Floats, seed: int) -> tuple[float, float]:
    """Percentile bootstrap of the ratio of sums: weeks are drawn with their own foresight saving (paired), seeds alone."""
    rng = np.random.default_rng(seed)
    seeds, weeks = saving.shape
    week = rng.integers(weeks, size=(RESAMPLES, weeks))
    row = rng.integers(seeds, size=(RESAMPLES, seeds))
    drawn = saving[row[:, :, None], week[:, None, :]].mean(axis=1).sum(axis=1)
    total = foresight[week].sum(axis=1)
    ratio = drawn[total > 0] / total[total > 0]
    low, high = np.percentile(ratio, [2.5, 97.5])
    return float(low), float(high)


def as_json(scenario: str, weeks: Sequence[int], seed: int, scores: Mapping[str, Score], bound_eur: float) -> dict[str, object]:
    """The benchmark's machine-readable form."""
    figures = {name: {key: rounded(value) for key, value in asdict(one).items()} for name, one in scores.items()}
    return {
        "scenario": scenario,
        "weeks": list(weeks),
        "seed": seed,
        "lower_bound_eur": rounded(bound_eur),
        "policies": figures,
    }


def rounded(value: object) -> object:
    """A float, or each of a tuple, to six digits after the point; anything else as it is."""
    if isinstance(value, float):
        return round(value, 6)
    if isinstance(value, tuple):
        return [rounded(part) for part in value]
    return value
