"""Rules of certificates. A certificate's status and party say in which account its Wh are (`account_of`)."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from gridnet_contracts.ledger.actions import certificates as actions
from gridnet_contracts.ledger.errors import CertificateExpired, NotMatched, NotYetExpired, StatusChangeRefused, UnknownCertificate
from gridnet_contracts.ledger.rows import Certificate, Device, Ending, Issuance
from gridnet_contracts.ledger.rules.context import CERTIFIED, CHAIN, Context, own

STATUSES: dict[str, frozenset[str]] = {
    "held": frozenset({"active", "withdrawn", "expired"}),
    "active": frozenset(
        {"active", "split", "cancelled", "claimed", "withdrawn", "locked", "reserved", "expired", "cancelled_for_storage"}
    ),
    "locked": frozenset({"active", "claimed", "withdrawn"}),
    "reserved": frozenset({"active", "claimed", "withdrawn", "expired"}),
    "split": frozenset(),
    "cancelled": frozenset(),
    "claimed": frozenset(),
    "withdrawn": frozenset(),
    "expired": frozenset(),
    "cancelled_for_storage": frozenset(),
}
"""Which status may follow which. A database trigger holds the same table."""
ACCOUNTS = {
    "held": "held",
    "active": "owned",
    "locked": "locked",
    "reserved": "reserved",
    "cancelled": "cancelled",
    "claimed": "retired",
    "withdrawn": "withdrawn",
    "expired": "expired",
}


def account_of(certificate: Certificate) -> str:
    """The account that a certificate's Wh are in; not for a split one (its children's) or one cancelled for storage (a lot)."""
    holder = certificate.beneficiary if certificate.status == "claimed" else certificate.party
    return f"{ACCOUNTS[certificate.status]}/{holder}"


def issue(context: Context, action: actions.Issue) -> None:
    """`source` to `held` or `owned`; one issuance, one certificate."""
    device = context.device(action.device)
    own(f"device {action.device}", device.owner, action.owner)
    if device.storage_wh:
        raise NotMatched(f"{action.device} stores: its certificates come of discharging records")
    within_capacity(device, action.wh, action.minutes)
    context.once(action.device, "issue", action.quarters())
    issuance = Issuance(
        issuance=f"{action.device}@{action.start}",
        device=action.device,
        start=action.start,
        end=action.end,
        wh=action.wh,
        from_storage=0,
        issued=context.time,
        expires=action.expires,
        evidence=action.evidence,
        dissemination=action.dissemination,
        disclosure=int(action.disclosure),
        emissions_mg_per_kwh=action.emissions_mg_per_kwh,
        emissions_method=action.emissions_method,
        entry=context.entry,
    )
    context.state.add(issuance)
    certificate = first_range(issuance, (0, action.wh), action.owner, action.held)
    context.state.add(certificate)
    context.move(CERTIFIED, f"source/{action.device}", account_of(certificate), action.wh)


def within_capacity(device: Device, wh: int, minutes: int) -> None:
    """Raises `NotMatched` where that much can't have gone through a device in that time."""
    most = device.capacity_w * minutes // 60
    if wh > most:
        raise NotMatched(
            f"{device.device} has a capacity for {most} Wh in {minutes} minutes, not for {wh}",
            device=device.device,
            expected=most,
            got=wh,
            unit="Wh",
        )


def first_range(issuance: Issuance, span: tuple[int, int], owner: str, held: bool, backing: str = "") -> Certificate:
    """A certificate that is not a split one's child."""
    lo, hi = span
    name = f"{issuance.issuance}/{lo}-{hi}"
    return Certificate(
        certificate=name,
        issuance=issuance.issuance,
        lo=lo,
        hi=hi,
        status="held" if held else "active",
        party=owner,
        beneficiary="",
        parent="",
        backing=backing,
        chain=chained(name, backing, issuance.evidence, str(issuance.entry)),
        entry=issuance.entry,
    )


def chained(*links: str) -> str:
    """SHA-256 over a certificate's name and what it comes from, a line each, in hexadecimal."""
    return hashlib.sha256("\n".join(links).encode()).hexdigest()


def owned(context: Context, action: actions.CertificateAction, status: str) -> Certificate:
    """The action's certificate, if it is the owner's and may take that status. Raises the error that says why not."""
    certificate = context.state.find(Certificate, action.certificate)
    if certificate is None:
        raise UnknownCertificate(f"there is no certificate {action.certificate}")
    own(f"certificate {action.certificate}", certificate.party, action.owner)
    if status not in STATUSES[certificate.status]:
        raise StatusChangeRefused(f"certificate {action.certificate} is {certificate.status}: {action.kind} is not possible")
    return certificate


def in_time(context: Context, certificate: Certificate) -> Certificate:
    """Raises `CertificateExpired` where its time is over."""
    expires = context.state.held(Issuance, certificate.issuance).expires
    if context.is_over(expires):
        raise CertificateExpired(f"certificate {certificate.certificate} expired at {expires}")
    return certificate


def turn(context: Context, before: Certificate, after: Certificate) -> None:
    """One certificate from one status or party to another, its Wh with it."""
    context.state.change(after)
    context.move(CERTIFIED, account_of(before), account_of(after), before.wh)


def say(context: Context, action: actions.CertificateAction, words: str) -> None:
    """Keeps the words that came with the action."""
    context.state.add(Ending(action.certificate, context.entry, action.kind, words))


def release(context: Context, action: actions.Release) -> None:
    """`held` to `owned`."""
    before = owned(context, action, "active")
    if before.status != "held":
        raise StatusChangeRefused(f"certificate {action.certificate} is {before.status}: only a held one can be released")
    turn(context, before, replace(before, status="active"))


def withdraw(context: Context, action: actions.Withdraw) -> None:
    """To `withdrawn`, from wherever it is."""
    before = owned(context, action, "withdrawn")
    turn(context, before, replace(before, status="withdrawn"))
    say(context, action, action.reason)


def transfer(context: Context, action: actions.Transfer) -> None:
    """`owned` to another party's `owned`."""
    before = usable(context, action, "active")
    if action.to == before.party:
        raise NotMatched(f"certificate {action.certificate} is {action.to}'s already")
    turn(context, before, replace(before, party=action.to))


def usable(context: Context, action: actions.CertificateAction, status: str) -> Certificate:
    """The action's certificate: active, the owner's, in time."""
    before = owned(context, action, status)
    if before.status != "active":
        raise StatusChangeRefused(f"certificate {action.certificate} is {before.status}: {action.kind} is not possible")
    return in_time(context, before)


def split(context: Context, action: actions.Split) -> None:
    """Two certificates in place of one; no account changes."""
    parent = usable(context, action, "split")
    if action.wh >= parent.wh:
        raise NotMatched(f"certificate {action.certificate} has {parent.wh} Wh: no part of {action.wh} can be split off")
    cut = parent.lo + action.wh
    context.state.change(replace(parent, status="split"))
    for lo, hi in ((parent.lo, cut), (cut, parent.hi)):
        name = f"{parent.issuance}/{lo}-{hi}"
        chain = chained(name, parent.chain)
        context.state.add(
            replace(parent, certificate=name, lo=lo, hi=hi, parent=parent.certificate, chain=chain, entry=context.entry)
        )


def cancel(context: Context, action: actions.Cancel) -> None:
    """`owned` to `cancelled`."""
    before = usable(context, action, "cancelled")
    turn(context, before, replace(before, status="cancelled"))
    say(context, action, action.reason)


def claim(context: Context, action: actions.Claim) -> None:
    """To the beneficiary's `retired`. What is locked for a chain is used up there, so here for the contract's own party alone."""
    before = in_time(context, owned(context, action, "claimed"))
    if is_on_chain(before) and before.party != action.beneficiary:
        raise NotMatched(f"certificate {before.certificate} is locked for {before.party}, not for {action.beneficiary}")
    if before.status == "reserved" and before.beneficiary != action.beneficiary:
        raise NotMatched(f"certificate {before.certificate} is reserved for {before.beneficiary}, not for {action.beneficiary}")
    turn(context, before, replace(before, status="claimed", beneficiary=action.beneficiary))
    say(context, action, action.purpose)


def lock(context: Context, action: actions.Lock) -> None:
    """`owned` to `locked`."""
    before = usable(context, action, "locked")
    turn(context, before, replace(before, status="locked"))
    say(context, action, action.reason)


def unlock(context: Context, action: actions.Unlock) -> None:
    """`locked` to `owned`; never what is locked for a chain."""
    if is_on_chain(owned(context, action, "active")):
        raise StatusChangeRefused(f"certificate {action.certificate} is locked for {action.owner}: nothing comes back from a chain")
    _back(context, action, "locked")


def is_on_chain(certificate: Certificate) -> bool:
    """Whether it is locked for a contract on a chain. The ledger can't see whether its owner there has it yet, or spent it, and
    who holds the anchorer's key can anchor it at any time: so there is no way back, not even for what no contract holds."""
    return certificate.status == "locked" and certificate.party.startswith(CHAIN)


def reserve(context: Context, action: actions.Reserve) -> None:
    """`owned` to `reserved`."""
    before = usable(context, action, "reserved")
    turn(context, before, replace(before, status="reserved", beneficiary=action.beneficiary))


def unreserve(context: Context, action: actions.Unreserve) -> None:
    """`reserved` to `owned`."""
    _back(context, action, "reserved")


def _back(context: Context, action: actions.CertificateAction, status: str) -> None:
    before = owned(context, action, "active")
    if before.status != status:
        raise StatusChangeRefused(f"certificate {action.certificate} is {before.status}, not {status}")
    turn(context, before, replace(before, status="active", beneficiary=""))


def expire(context: Context, action: actions.Expire) -> None:
    """To `expired`."""
    before = owned(context, action, "expired")
    expires = context.state.held(Issuance, before.issuance).expires
    if not context.is_over(expires):
        raise NotYetExpired(f"certificate {action.certificate} is good until {expires}")
    turn(context, before, replace(before, status="expired"))
