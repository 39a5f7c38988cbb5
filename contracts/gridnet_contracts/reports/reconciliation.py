"""Is every watt-hour accounted for, once? Sums over the whole ledger that must agree; each that doesn't is listed as a fault.

    1. certificates  per device and month of production: issued = the certificates of every status together
    2. storage       per device, certified and grey apart: charged = discharged + loss + remaining
    3. records       per storage device: charging records = certified + grey charge; certified charge = certificates cancelled
                     for it; what lots gave = what the discharging records say
    4. accounts      the same quantities as the double-entry accounts hold them: certificates per status, what came from each
                     device, what each storage device holds, lost and delivered

Sums can agree where single rows do not: that every row follows from the log is for the ledger's replay to show.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from typing import Any

from gridnet_contracts.ledger import report_queries as ask
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.rules.certificates import ACCOUNTS
from gridnet_contracts.ledger.rules.context import CERTIFIED, GREY
from gridnet_contracts.ledger.state import Place
from gridnet_contracts.reports.table import CERTIFICATES, aligned, kwh


@dataclass(frozen=True, slots=True)
class Month:
    """What a device produced, or gave from storage, in a month, in Wh: issued, and where it is now."""

    device: str
    month: str
    issued: int = 0
    active: int = 0
    held: int = 0
    locked: int = 0
    reserved: int = 0
    claimed: int = 0
    expired: int = 0
    withdrawn: int = 0
    cancelled: int = 0
    cancelled_for_storage: int = 0

    @property
    def difference(self) -> int:
        """Issued less all that is found; must be 0."""
        found: int = sum(getattr(self, status) for status in STATUSES)
        return self.issued - found


STATUSES = tuple(each.name for each in fields(Month) if each.name not in {"device", "month", "issued"})
"""Where a certificate's Wh can be; those of a split one are with its children."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A storage device's charge of one colour (`gc`: certified, `grey`: the rest), in Wh.

    `discharged`: certified, the storage certificates issued; grey, what the discharging records say.
    """

    device: str
    asset: str
    charged: int
    discharged: int
    loss: int
    remaining: int

    @property
    def difference(self) -> int:
        """Charged less all that became of it; must be 0."""
        return self.charged - self.discharged - self.loss - self.remaining


@dataclass(frozen=True, slots=True)
class Mismatch:
    """Two figures, in Wh, that should be one."""

    where: str
    expected: int
    got: int

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected} Wh, got {self.got} Wh"


@dataclass(frozen=True)
class Reconciliation:
    """The whole ledger at one moment. `unbacked_wh`: discharged without a charge in the lots; no certificate came of it."""

    months: tuple[Month, ...]
    stored: tuple[Stored, ...]
    unbacked_wh: int
    savings: tuple[ask.SavedG, ...]
    faults: tuple[Mismatch, ...]

    @property
    def balanced(self) -> bool:
        """Whether there is no fault."""
        return not self.faults

    @cached_property
    def total(self) -> Month:
        """All devices and months together."""
        sums = {name: sum(getattr(month, name) for month in self.months) for name in ("issued", *STATUSES)}
        return Month("all", "", **sums)

    def as_json(self) -> dict[str, Any]:
        """The reconciliation as plain JSON values."""
        return {
            "balanced": self.balanced,
            "faults": [asdict(fault) for fault in self.faults],
            "total": _with_difference(self.total),
            "months": [_with_difference(month) for month in self.months],
            "storage": [_with_difference(row) for row in self.stored],
            "unbacked_discharge_wh": self.unbacked_wh,
            "savings": [asdict(row) for row in self.savings],
            "certificates": CERTIFICATES,
        }

    def table(self) -> str:
        """Certificates, storage, savings against their baselines, and the faults; energy in kWh."""
        names = ("issued", *STATUSES, "difference")
        rows = [["device", "month", *(name.replace("_", " ") for name in names)]]
        rows += [[m.device, m.month, *(kwh(getattr(m, name)) for name in names)] for m in (*self.months, self.total)]
        parts = [f"energy in kWh, by {CERTIFICATES}", aligned(rows)]
        if self.stored:
            rows = [["storage", "energy", "charged", "discharged", "loss", "remaining", "difference"]]
            for s in self.stored:
                energy = (s.charged, s.discharged, s.loss, s.remaining, s.difference)
                rows.append([s.device, _COLOURS[s.asset], *map(kwh, energy)])
            parts += [aligned(rows), f"discharged without a charge behind it, not certified: {kwh(self.unbacked_wh)} kWh"]
        if self.savings:
            rows = [["community", "baseline", "from", "until", "saved g CO2e", "of it below 0"]]
            rows += [[s.community, s.baseline, s.start, s.end, f"{s.saved_g:+}", str(s.risen_g)] for s in self.savings]
            parts.append(aligned(rows))
        if self.faults:
            parts.append("\n".join([f"{len(self.faults)} faults:", *(f"  - {fault}" for fault in self.faults)]))
        else:
            parts.append("every watt-hour is accounted for: all differences are 0")
        return "\n\n".join(parts)


_COLOURS = {CERTIFIED: "certified", GREY: "grey"}


def reconcile(database: Database) -> Reconciliation:
    """The reconciliation of what the ledger holds now, from one state of it. Raises `LedgerError`.

    Memory grows with devices x months, not with certificates.
    """
    with database.read() as connection:
        sums = _Sums(
            issued=list(ask.issued_wh(connection)),
            certificates=list(ask.certificate_wh(connection)),
            drawn=ask.drawn_wh(connection),
            charged=ask.charging_records_wh(connection),
            discharged=ask.discharging_records_wh(connection),
            cancelled=ask.cancelled_for_lots_wh(connection),
            accounts=_accounts(ask.energy_balances(connection)),
        )
        savings = ask.savings(connection)
    months, stored = tuple(_months(sums)), tuple(_stored(sums))
    differences = [
        Mismatch(f"certificates of {m.device or 'no device'}, {m.month}", m.issued, m.issued - m.difference) for m in months
    ]
    differences += [Mismatch(f"{_COLOURS[s.asset]} charge of {s.device}", s.charged, s.charged - s.difference) for s in stored]
    checks = [*differences, *_record_checks(sums), *_account_checks(sums)]
    return Reconciliation(
        months=months,
        stored=stored,
        unbacked_wh=sum(unbacked for _, _, unbacked in sums.discharged.values()),
        savings=tuple(sorted(savings, key=lambda row: (row.community, row.baseline))),
        faults=tuple(check for check in checks if check.expected != check.got),
    )


@dataclass(frozen=True, slots=True)
class _Sums:
    """What the database added up; `ledger.report_queries` says of what."""

    issued: list[tuple[str, str, bool, int]]
    certificates: list[tuple[str, str, str, int]]
    drawn: dict[Place, ask.DrawnWh]
    charged: dict[str, int]
    discharged: dict[str, tuple[int, int, int]]
    cancelled: dict[str, int]
    accounts: Mapping[Place, int]

    def storages(self) -> list[str]:
        return sorted({device for device, _ in self.drawn} | set(self.charged) | set(self.discharged))

    def stored(self, device: str, asset: str) -> ask.DrawnWh:
        return self.drawn.get((device, asset), ask.DrawnWh())


_PER_DEVICE = ("source", "lot", "loss", "delivered")


def _accounts(balances: Iterator[tuple[str, str, int]]) -> Mapping[Place, int]:
    """Balances by (account, asset), all owners of one kind of account together: `owned`, but `lot/DEVICE`."""
    sums: defaultdict[Place, int] = defaultdict(int)
    for account, asset, amount in balances:
        kind = account.partition("/")[0]
        sums[account if kind in _PER_DEVICE else kind, asset] += amount
    return sums


def _months(sums: _Sums) -> Iterator[Month]:
    found: defaultdict[tuple[str, str], defaultdict[str, int]] = defaultdict(lambda: defaultdict(int))
    for device, month, _, wh in sums.issued:
        found[device, month]["issued"] += wh
    for device, month, status, wh in sums.certificates:
        found[device, month][status] += wh
    for device, month in sorted(found):
        here = found[device, month]
        yield Month(device, month, **{name: here[name] for name in ("issued", *STATUSES)})


def _stored(sums: _Sums) -> Iterator[Stored]:
    issued: defaultdict[str, int] = defaultdict(int)
    for device, _, _, wh in sums.issued:
        issued[device] += wh
    for device in sums.storages():
        for asset, given in ((CERTIFIED, issued[device]), (GREY, sums.discharged.get(device, (0, 0, 0))[1])):
            lots = sums.stored(device, asset)
            yield Stored(device, asset, lots.charged_wh, given, lots.loss_wh, lots.remaining_wh)


def _record_checks(sums: _Sums) -> Iterator[Mismatch]:
    for device in sums.storages():
        green, grey = sums.stored(device, CERTIFIED), sums.stored(device, GREY)
        recorded = sums.discharged.get(device, (0, 0, 0))
        yield Mismatch(f"charging records of {device}", green.charged_wh + grey.charged_wh, sums.charged.get(device, 0))
        yield Mismatch(f"certificates cancelled for {device}", green.charged_wh, sums.cancelled.get(device, 0))
        yield Mismatch(f"certified discharging records of {device}", green.discharged_wh, recorded[0])
        yield Mismatch(f"grey discharging records of {device}", grey.discharged_wh, recorded[1])


def _account_checks(sums: _Sums) -> Iterator[Mismatch]:
    by_status: defaultdict[str, int] = defaultdict(int)
    for _, _, status, wh in sums.certificates:
        by_status[status] += wh
    for status, kind in ACCOUNTS.items():
        yield Mismatch(
            f"accounts '{kind}' against certificates {status}", by_status[status], sums.accounts.get((kind, CERTIFIED), 0)
        )
    expected: defaultdict[Place, int] = defaultdict(int)
    for device, _, from_storage, wh in sums.issued:
        expected[f"source/{device}", CERTIFIED] -= 0 if from_storage else wh
    for row in _stored(sums):
        expected[f"lot/{row.device}", row.asset] = row.remaining
        expected[f"loss/{row.device}", row.asset] = row.loss
        if row.asset == GREY:
            expected[f"source/{row.device}", GREY] = -row.charged
            expected[f"delivered/{row.device}", GREY] = row.discharged
    per_device = {place for place in sums.accounts if "/" in place[0]}
    for place in sorted(per_device | set(expected)):
        yield Mismatch(f"account {place[0]}, {_COLOURS[place[1]]}", expected[place], sums.accounts.get(place, 0))


def _with_difference(row: Month | Stored) -> dict[str, Any]:
    return {**asdict(row), "difference": row.difference}
