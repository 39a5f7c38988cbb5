"""Actions that say who and what there is: the registry, assets, devices and their efficiency."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from gridnet_contracts.ledger.actions.base import Action, Amount, Digest, Instant, Name, Party, Share, Words


class Found(Action):
    """The first entry of every ledger: whose it is and by which rules certificates are issued."""

    kind = "found"
    origin: Words
    """Name of the log; stands in every checkpoint."""
    issuer: Words
    country: Words
    market_zone: Words
    legal_status: Words
    purpose: Words
    """What the certificates may be used for, e.g. disclosure."""
    quality_scheme: Words
    configuration: Words
    """Version of the registry's rules."""


class OpenAsset(Action):
    """An asset that may be moved freely, e.g. `eur` in micro-euro. Wh of certificates move with certificates alone."""

    kind = "open_asset"
    asset: Name
    unit: Words


class RegisterDevice(Action):
    """A device that certificates are issued for, or that stores. What would name a home stands outside, as a salted hash."""

    kind = "register_device"
    device: Name
    owner: Party
    carrier: Words
    """Energy carrier that leaves it, e.g. electricity."""
    source: Words
    """Energy source, e.g. solar."""
    technology: Words
    capacity_w: Amount
    commissioned: Instant
    grid_operator: Words
    grid_connection: Words
    """Level of the network it feeds, e.g. low voltage."""
    support: Words
    """Support received, e.g. none, feed-in tariff."""
    private: Digest
    """Salted hash of name, location and meter id (`gridnet_contracts.ledger.privacy`)."""
    storage_wh: int = Field(0, ge=0, le=2**53 - 1)
    """Storage capacity; 0 = not a storage device."""
    efficiency_ppm: Share = 0
    """Round trip: what is given back of what was charged. Above 0 for storage alone."""


class SetEfficiency(Action):
    """A storage device's measured round-trip efficiency, from here on."""

    kind = "set_efficiency"
    device: Name
    efficiency_ppm: Share
    start: Instant
    """The months it was measured over."""
    end: Instant
    method: Words
    evidence: Digest


Dissemination = Literal["self-consumed", "private grid", "public grid"]
