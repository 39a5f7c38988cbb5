"""Emissions saved by dispatch: the community's exchange with the grid beside that of the same homes without dispatch.

Saved is what the counterfactual imported more, times the intensity of the grid's energy then. Exports count with the same
intensity, below zero: what the community sends out is taken to displace what it would else have imported. Where dispatch imports
more, or at dirtier times, the figure is negative and is recorded so.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions.records import Impact
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.settlement.booking import Quarter

UG_PER_G = 1_000_000
"""Wh times mg per kWh are micrograms."""
BASELINE = "the same homes without dispatch"


@dataclass(frozen=True, slots=True)
class Exchange:
    """Net import of a community in one quarter-hour (below zero: export), as it was and as it would have been."""

    quarter: Quarter
    dispatched_wh: int
    baseline_wh: int
    average_mg_per_kwh: int
    """The grid's mean intensity."""
    marginal_mg_per_kwh: int | None = None
    """Of the plants that answer to a change, where known."""
    evidence: str = "0" * 64
    """SHA-256 of the two runs, in hexadecimal."""


def saved_g(saved_ug: Sequence[int]) -> list[int]:
    """Whole grams of each quarter-hour, of micrograms. What is left below a gram is carried on, so that any sum from the first on
    is the exact sum rounded down: rounding never adds up."""
    grams, total, booked = [], 0, 0
    for ug in saved_ug:
        total += ug
        grams.append(total // UG_PER_G - booked)
        booked += grams[-1]
    return grams


def impact_orders(exchanges: Sequence[Exchange]) -> list[Order]:
    """Records of what dispatch saved: by mean intensity under the community's name; by marginal intensity, where every quarter-hour
    has one, under `NAME:marginal`, since a community has one record for a quarter-hour.

    `exchanges` in the order of time, of one community. Raises `InputError` for others, and where some have a marginal intensity.
    """
    names = {exchange.quarter.community.name for exchange in exchanges}
    starts = [exchange.quarter.start for exchange in exchanges]
    marginal = [exchange.marginal_mg_per_kwh for exchange in exchanges if exchange.marginal_mg_per_kwh is not None]
    if len(names) > 1 or starts != sorted(set(starts)):
        raise InputError("savings are recorded for one community, each quarter-hour once and in the order of time")
    if marginal and len(marginal) != len(exchanges):
        raise InputError(f"{len(marginal)} of {len(exchanges)} quarter-hours have a marginal intensity; give all or none")
    less = [exchange.baseline_wh - exchange.dispatched_wh for exchange in exchanges]
    average = [exchange.average_mg_per_kwh for exchange in exchanges]
    orders = _impacts(exchanges, less, average, "average")
    return orders + (_impacts(exchanges, less, marginal, "marginal") if marginal else [])


def _impacts(exchanges: Sequence[Exchange], less_wh: Sequence[int], mg_per_kwh: Sequence[int], intensity: str) -> list[Order]:
    suffix = "" if intensity == "average" else f":{intensity}"
    grams = saved_g([wh * mg for wh, mg in zip(less_wh, mg_per_kwh, strict=True)])
    return [
        Order(
            f"impact:{exchange.quarter.community.name}{suffix}:{exchange.quarter.begin}",
            Impact(
                start=exchange.quarter.begin,
                end=exchange.quarter.end,
                community=f"{exchange.quarter.community.name}{suffix}",
                saved_g=saved,
                baseline=f"{BASELINE}, {intensity} intensity",
                evidence=exchange.evidence,
            ),
        )
        for exchange, saved in zip(exchanges, grams, strict=True)
    ]
