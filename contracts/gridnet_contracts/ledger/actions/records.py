"""Facts that reports need and nobody owns: consumption, grid factors, impact."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from gridnet_contracts.ledger.actions.base import Digest, Emissions, Grams, Interval, Name, Party, Share, Words
from gridnet_contracts.ledger.canonical import MAX_AMOUNT

Count = Annotated[int, Field(ge=0, le=MAX_AMOUNT)]


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


class Verify(Interval):
    """What verification made of a community's readings of an interval. The readings stay with the auditor's role."""

    kind = "verify"
    community: Name
    messages: Digest
    """SHA-256 over the hashes of the signed messages, in order of device and sequence."""
    verdicts: Digest
    """SHA-256 over the digests of all verdicts, those that passed too."""
    accepted: Count
    rejected: Count
    missing: Count
    """Meters without an accepted reading, whose energy is substituted."""


class Verdict(Interval):
    """One verdict with the hash of its evidence: one that did not pass, or one that a person or a probe gave."""

    kind = "verdict"
    device: Name
    level: int = Field(ge=0, le=5)
    """Rung of the ladder of checks (L0 to L5)."""
    outcome: Literal["pass", "hold", "reject"]
    finding: Words
    evidence: Digest
