"""Facts that reports need and nobody owns: consumption, grid factors, impact."""

from __future__ import annotations

from pydantic import Field

from gridnet_contracts.ledger.actions.base import Digest, Emissions, Grams, Interval, Name, Party, Share, Words
from gridnet_contracts.ledger.canonical import MAX_AMOUNT


class Consume(Interval):
    """What a consumer drew in an interval; 0 says that nothing was drawn, which no record does not say."""

    kind = "consume"
    consumer: Party
    wh: int = Field(ge=0, le=MAX_AMOUNT)
    evidence: Digest


class GridFactor(Interval):
    """Emissions and carbon-free share of the grid's energy in an hour."""

    kind = "grid_factor"
    zone: Name
    emissions_mg_per_kwh: Emissions
    """Location-based: the grid's average."""
    residual_mg_per_kwh: Emissions
    """Market-based: of energy that nobody has claimed."""
    carbon_free_ppm: Share
    origin: Words


class Impact(Interval):
    """Emissions saved against a stated baseline. Below zero where they rose."""

    kind = "impact"
    community: Name
    saved_g: Grams
    baseline: Words
    evidence: Digest
