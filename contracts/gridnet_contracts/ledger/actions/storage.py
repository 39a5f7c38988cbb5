"""Actions of storage devices. Certified and other energy are two assets, and no action moves one into the other.

What is charged makes lots: one for each certificate that is cancelled for it (asset `gc`), one for the rest (asset `grey`). What
is discharged draws lots whose charging began earlier, in the order they were recorded (FIFO; of one charging record the grey one
first, so that a doubt delays green energy and never advances it). A lot's Wh are charge: each draw gives `floor(Wh x efficiency)`
back, the rest is loss.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from gridnet_contracts.ledger.actions.base import Action, Amount, CertificateName, Digest, Instant, Interval, Name, Party, Words
from gridnet_contracts.ledger.actions.registry import Dissemination


class Charge(Interval):
    """Charging record: what a storage device took, and which certificates are cancelled for it."""

    kind = "charge"
    device: Name
    owner: Party
    """Of the device and of the certificates."""
    wh: Amount
    """All that was charged, at the terminals."""
    certificates: Annotated[tuple[CertificateName, ...], Field(strict=False, max_length=1000)] = ()
    """Active ones, produced in the clock hour of the charging, together no more than `wh`."""
    evidence: Digest


class Discharge(Interval):
    """Discharging record: what a storage device gave, and the storage certificates that come of it."""

    kind = "discharge"
    device: Name
    owner: Party
    """Of the device; gets the storage certificates."""
    wh: Amount
    held: bool
    expires: Instant
    evidence: Digest
    dissemination: Dissemination = "public grid"


class WriteOff(Action):
    """Charge that is in the lots and not in the battery: it becomes loss, oldest lots first."""

    kind = "write_off"
    device: Name
    wh: Amount
    reason: Words
    evidence: Digest
