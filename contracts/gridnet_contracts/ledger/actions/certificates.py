"""Actions on granular certificates: hourly or shorter, per device, as half-open ranges of Wh.

A certificate is named `DEVICE@START/LO-HI`: the Wh from LO up to, not including, HI of what the device produced in the interval.
Every action that spends names the owner, who must be the certificate's.
"""

from __future__ import annotations

from gridnet_contracts.ledger.actions.base import (
    Action,
    Amount,
    CertificateName,
    Digest,
    Emissions,
    Instant,
    Interval,
    Name,
    Party,
    Words,
)
from gridnet_contracts.ledger.actions.registry import Dissemination


class Issue(Interval):
    """One certificate over all a device produced in an interval. Unique per device and quarter-hour."""

    kind = "issue"
    device: Name
    owner: Party
    wh: Amount
    """Measured at the device's terminals, after conversion; whole Wh, rounded down."""
    held: bool
    """Not verified yet: can be released or withdrawn, nothing else."""
    expires: Instant
    evidence: Digest
    """Of the signed readings and the verdict behind it."""
    dissemination: Dissemination = "public grid"
    disclosure: bool = True
    """Whether it may be used for disclosure."""
    emissions_mg_per_kwh: Emissions = 0
    emissions_method: Words = "none"


class CertificateAction(Action):
    """An action on one certificate by its owner."""

    certificate: CertificateName
    owner: Party


class Release(CertificateAction):
    """Held credits turn active: verification has passed."""

    kind = "release"
    evidence: Digest


class Withdraw(CertificateAction):
    """Taken back by the issuer: the energy was not what it was said to be."""

    kind = "withdraw"
    reason: Words


class Transfer(CertificateAction):
    """To another owner."""

    kind = "transfer"
    to: Party


class Split(CertificateAction):
    """Two certificates that partition it: `[lo, lo + wh)` and `[lo + wh, hi)`."""

    kind = "split"
    wh: Amount


class Cancel(CertificateAction):
    """Taken out of use without a claim."""

    kind = "cancel"
    reason: Words


class Claim(CertificateAction):
    """Retired for a beneficiary: the one use that a certificate has."""

    kind = "claim"
    beneficiary: Party
    purpose: Words


class Lock(CertificateAction):
    """Set aside, e.g. while it is held on a chain; nothing but its unlocking, claim or withdrawal is possible."""

    kind = "lock"
    reason: Words


class Unlock(CertificateAction):
    """Ends a lock: active again."""

    kind = "unlock"


class Reserve(CertificateAction):
    """Promised to a beneficiary, who alone it can be claimed for."""

    kind = "reserve"
    beneficiary: Party


class Unreserve(CertificateAction):
    """Takes a promise back: active again."""

    kind = "unreserve"


class Expire(CertificateAction):
    """Its time is over."""

    kind = "expire"
