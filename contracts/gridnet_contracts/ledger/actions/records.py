"""Facts that reports need and nobody owns: consumption, grid factors, impact."""

from __future__ import annotations

from gridnet_contracts.ledger.actions.base import Amount, Digest, Emissions, Grams, Interval, Name, Party, Share, Words


class Consume(Interval):
    """What a consumer drew in an interval."""

    kind = "consume"
    consumer: Party
    wh: Amount
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
