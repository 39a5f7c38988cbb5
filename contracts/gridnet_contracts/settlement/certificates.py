"""A settlement's granular certificates (EnergyTag-shaped), in two steps.

1. With the settlement, each PV plant's Wh are issued to its home, **held**. The ledger lets a held certificate do nothing but wait,
   so that no Wh is sold, stored or claimed as green before it is verified.
2. Once verification's window has passed, and from the readings as they then stand: what was verified is released; what was not is
   withdrawn; what was sold goes to the buyers; batteries take what their home has left or has
   bought, and give storage certificates.

A quarter-hour can be issued once per device, so a correction can only lower it: where more was verified than was issued, the
surplus never becomes a certificate. After the release certificates are final here; the registry can still withdraw one wherever it
is, and what its holder is owed for that is a `Move` between the two.

What is in doubt at the release stays held, until a person decides (`reviewed_orders`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from gridnet.errors import InputError
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Issue, Release, Split, Transfer, Withdraw
from gridnet_contracts.ledger.actions.storage import Charge, Discharge
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.rows import Certificate
from gridnet_contracts.settlement.booking import Booking, Quarter
from gridnet_contracts.settlement.matching import Sale, sales


@dataclass(frozen=True, slots=True)
class Production:
    """What a PV plant's own meter says of a quarter-hour."""

    device: str
    owner: str
    wh: int
    evidence: str
    """SHA-256 of the signed readings and the verdict, in hexadecimal."""


@dataclass(frozen=True, slots=True)
class Storage:
    """What a battery's own meter says of a quarter-hour, at its terminals."""

    device: str
    owner: str
    charged_wh: int
    discharged_wh: int
    evidence: str


@dataclass(frozen=True, slots=True)
class Verified:
    """What stands at the end of verification's window, for one quarter-hour."""

    productions: Sequence[Production]
    storages: Sequence[Storage]
    issued_wh: Mapping[str, int]
    """What was issued, by device; a device that is missing here is issued now."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """Orders that hand certificates to buyers; the sales, or parts of them, that the sellers had no certificates for; and the
    certificates that each buyer got and did not store, by party."""

    orders: list[Order]
    unmet: list[Sale]
    bought: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person decided about held certificates."""

    passed: bool
    words: str
    evidence: str
    """SHA-256 of the verdict, in hexadecimal."""


def issue_orders(quarter: Quarter, productions: Iterable[Production]) -> list[Order]:
    """Held certificates of what was produced; none for a plant that gave nothing. By device."""
    return [_issue(quarter, each, held=True) for each in sorted(productions, key=_device) if each.wh]


def release_orders(booking: Booking, verified: Verified) -> Delivery:
    """Ends the wait of a quarter-hour's certificates, as the module says. `booking` holds its last settlement.

    Sales come before the home's own battery: who bought was promised the Wh as they were produced. All orders belong into one
    commit, so that a certificate which is about to be withdrawn in part is never for a moment free. Quarter-hours are released in
    the order of time, since lots are drawn in the order in which they were recorded. Raises `InputError` for Wh below zero.
    """
    low = [each.device for each in verified.productions if each.wh < 0]
    low += [each.device for each in verified.storages if min(each.charged_wh, each.discharged_wh) < 0]
    if low:
        raise InputError(f"energies are 0 Wh or more; below: {', '.join(sorted(low))}")
    stock = _Stock(booking.quarter)
    for production in sorted(verified.productions, key=_device):
        stock.admit(production, verified.issued_wh.get(production.device))
    unmet = stock.deliver(sales(booking.settlement.matched))
    for storage in sorted(verified.storages, key=_device):
        stock.store(storage)
    return Delivery(stock.orders, unmet, stock.bought())


def reviewed_orders(held: Iterable[Certificate], decision: Decision) -> list[Order]:
    """Ends the wait of certificates that a doubt held, by a person's decision: all released to their owners, or all withdrawn. What
    was sold of them stays sold as energy: nobody is made to take a certificate long after."""
    orders = []
    for each in sorted(held, key=lambda certificate: certificate.certificate):
        name, owner = each.certificate, each.party
        release = Release(certificate=name, owner=owner, evidence=decision.evidence)
        action = release if decision.passed else Withdraw(certificate=name, owner=owner, reason=decision.words)
        orders.append(Order(f"review:{decision.evidence[:16]}:{name}", action))
    return orders


def deliver(quarter: Quarter, sold: Sequence[Sale], certificates: Mapping[str, Sequence[str]]) -> Delivery:
    """Hands active certificates, by owner, to the buyers of `sold`: for storage certificates, whose names are known once the
    discharge is recorded, against the `unmet` sales of its quarter-hour."""
    stock = _Stock(quarter)
    for owner, names in certificates.items():
        for name in names:
            stock.hold(owner, name)
    return Delivery(stock.orders, stock.deliver(sold))


@dataclass
class _Stock:
    """Active certificates of homes, on their way through the orders of one commit."""

    quarter: Quarter
    orders: list[Order] = field(default_factory=list)
    ranges: dict[str, list[tuple[str, int, int]]] = field(default_factory=dict)
    """By owner: issuance, first Wh, Wh after the last; next to be used last."""
    buyers: set[str] = field(default_factory=set)
    """Parties that certificates went to."""
    own: set[tuple[str, str]] = field(default_factory=set)
    """(owner, issuance) of what an owner produced itself."""

    def hold(self, owner: str, name: str) -> None:
        """Takes an active certificate in."""
        issuance, _, span = name.rpartition("/")
        lo, hi = span.split("-")
        self.ranges.setdefault(owner, []).insert(0, (issuance, int(lo), int(hi)))

    def admit(self, production: Production, issued_wh: int | None) -> None:
        """Releases what was verified of a production, withdraws the rest; issues it where it was not."""
        wh, owner, issuance = production.wh, production.owner, f"{production.device}@{self.quarter.begin}"
        self.own.add((owner, issuance))
        if not issued_wh:
            if wh:
                self.orders.append(_issue(self.quarter, production, held=False))
                self.hold(owner, f"{issuance}/0-{wh}")
            return
        whole, kept = f"{issuance}/0-{issued_wh}", min(wh, issued_wh)
        if kept:
            self._ask("release", whole, Release(certificate=whole, owner=owner, evidence=production.evidence))
        if kept < issued_wh:
            over = self._cut(whole, owner, kept)[1] if kept else whole
            self._ask("withdraw", over, Withdraw(certificate=over, owner=owner, reason=f"{wh} Wh of {issued_wh} verified"))
        if kept:
            self.hold(owner, f"{issuance}/0-{kept}")

    def deliver(self, sold: Sequence[Sale]) -> list[Sale]:
        """Transfers, up to what sellers have; gives what is left of the sales."""
        unmet, got = [], []
        for sale in sold:
            names, given = self._take(sale.seller, sale.wh)
            for name in names:
                self._ask("transfer", name, Transfer(certificate=name, owner=sale.seller, to=sale.buyer))
                got.append((sale.buyer, name))
            if given < sale.wh:
                unmet.append(Sale(sale.seller, sale.buyer, sale.wh - given))
        for buyer, name in got:  # after the last sale: who buys and sells does not pass on what it bought
            self.hold(buyer, name)
            self.buyers.add(buyer)
        return unmet

    def bought(self) -> dict[str, list[str]]:
        """What each buyer has of what it bought."""
        return {
            party: [f"{issuance}/{lo}-{hi}" for issuance, lo, hi in self.ranges[party] if (party, issuance) not in self.own]
            for party in sorted(self.buyers)
        }

    def store(self, storage: Storage) -> None:
        """Charge with what the home has left, then discharge."""
        begin, end = self.quarter.begin, self.quarter.end
        if storage.charged_wh:
            charge = Charge(
                start=begin,
                end=end,
                device=storage.device,
                owner=storage.owner,
                wh=storage.charged_wh,
                certificates=tuple(self._take(storage.owner, storage.charged_wh)[0]),
                evidence=storage.evidence,
            )
            self._ask("charge", storage.device, charge)
        if storage.discharged_wh:
            discharge = Discharge(
                start=begin,
                end=end,
                device=storage.device,
                owner=storage.owner,
                wh=storage.discharged_wh,
                held=False,
                expires=self.quarter.expires,
                evidence=storage.evidence,
            )
            self._ask("discharge", storage.device, discharge)

    def _take(self, owner: str, wh: int) -> tuple[list[str], int]:
        """Names of certificates of `wh` in all, or of all that the owner has, and their Wh. Splits the last where it must."""
        names, missing, ranges = [], wh, self.ranges.get(owner, [])
        while missing and ranges:
            issuance, lo, hi = ranges.pop()
            name = f"{issuance}/{lo}-{hi}"
            if hi - lo > missing:
                name = self._cut(name, owner, missing)[0]
                ranges.append((issuance, lo + missing, hi))
                hi = lo + missing
            names.append(name)
            missing -= hi - lo
        return names, wh - missing

    def _cut(self, name: str, owner: str, wh: int) -> tuple[str, str]:
        self._ask("split", name, Split(certificate=name, owner=owner, wh=wh))
        issuance, _, span = name.rpartition("/")
        lo, hi = map(int, span.split("-"))
        return f"{issuance}/{lo}-{lo + wh}", f"{issuance}/{lo + wh}-{hi}"

    def _ask(self, what: str, of: str, action: Action) -> None:
        self.orders.append(Order(_key(self.quarter, what, of), action))


def _issue(quarter: Quarter, production: Production, held: bool) -> Order:
    issue = Issue(
        start=quarter.begin,
        end=quarter.end,
        device=production.device,
        owner=production.owner,
        wh=production.wh,
        held=held,
        expires=quarter.expires,
        evidence=production.evidence,
    )
    return Order(_key(quarter, "issue", production.device), issue)


def _key(quarter: Quarter, what: str, of: str) -> str:
    """An idempotency key; a certificate's name without the instant, which is the quarter-hour's."""
    return f"{quarter.key}:{what}:{of.replace(f'@{quarter.begin}', '')}"


def _device(meter: Production | Storage) -> str:
    return meter.device
