"""A certificate's way through the ledger: which entries made it what it is, and what stands behind them.

Entries of a quarter-hour's certificates have keys that begin as its settlement's does, so they are found without a search. What was
done under other keys is seen by the end not fitting: then all later entries are read.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select

from gridnet.app.pipeline import RELEASE_AFTER
from gridnet.app.service import marks
from gridnet.app.service.errors import NotFound
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.names import MAIN, qualified
from gridnet.app.service.readings import of_meter
from gridnet.app.service.store import seconds
from gridnet.app.service.telemetry import QUARTER_S
from gridnet.metering.cose import parse_sign1
from gridnet.metering.points import HEAD
from gridnet.metering.reading import Reading
from gridnet_contracts.chain.export import WORDS
from gridnet_contracts.ledger.actions.base import HOUR, QUARTER, instant, moment
from gridnet_contracts.ledger.rows import Allocation, Certificate, Device, Ending, Issuance, Judgement, Verification
from gridnet_contracts.ledger.schema import entries, table_of
from gridnet_contracts.ledger.state import R
from gridnet_contracts.ledger.store import StoredRows, log_size, streamed

KINDS = (
    *("issue", "release", "withdraw", "transfer", "split", "cancel", "claim", "lock", "unlock", "reserve", "unreserve", "expire"),
    *("charge", "discharge"),
)
_AFTER = {
    "release": "active",
    "withdraw": "withdrawn",
    "cancel": "cancelled",
    "claim": "claimed",
    "lock": "locked",
    "unlock": "active",
    "reserve": "reserved",
    "unreserve": "active",
    "expire": "expired",
    "charge": "cancelled_for_storage",
}


@dataclass(frozen=True)
class Told:
    """An entry as the log holds it."""

    seq: int
    key: str
    kind: str
    time: str
    body: Mapping[str, Any]

    @property
    def words(self) -> str:
        """Its content in a line, without what stands beside it anyway."""
        told = {name: value for name, value in self.body.items() if name != "certificate" and value is not None}
        left = ", ".join(f"{name} {value if isinstance(value, str) else json.dumps(value)}" for name, value in told.items())
        return left if len(left) <= 300 else f"{left[:297]}..."


@dataclass(frozen=True)
class Kept:
    """A signed reading that the service keeps. `matches`: whether the certificate's evidence is its digest."""

    sequence: int
    injected_wh: int
    drawn_wh: int
    message: str
    """SHA-256 of the signed message."""
    digest: str
    """SHA-256 of the reading in it."""
    matches: bool


@dataclass(frozen=True)
class OnChain:
    """Where a certificate went on a chain, as the words of its lock say."""

    entry: int
    chain_id: str
    contract: str
    batch: str
    leaf: str
    owner: str


@dataclass(frozen=True)
class Story:
    """All that is known of a certificate, in the order in which it came to be."""

    certificate: Certificate
    issuance: Issuance
    device: Device
    readings: tuple[Kept, ...]
    verifications: tuple[Verification, ...]
    judgements: tuple[Judgement, ...]
    settlements: tuple[Told, ...]
    entries: tuple[Told, ...]
    chain: OnChain | None
    size: int
    """Entries of the log now."""

    @property
    def complete(self) -> bool:
        """Whether these entries lead to what the ledger's table says of the certificate."""
        return _ending(self.certificate.certificate, self.entries) == (self.certificate.status, self.certificate.party)

    @property
    def proven(self) -> list[int]:
        """The entries that a proof is worth having of, in order."""
        told = [each.seq for each in (*self.settlements, *self.entries)]
        recorded = [each.entry for each in self.verifications] + [each.entry for each in self.judgements]
        return sorted({*told, *recorded})


def story(view: LedgerView, name: str) -> Story:
    """A certificate's way. Raises `NotFound`."""
    with view.read() as connection:
        rows = StoredRows(connection)
        certificate = rows.row(Certificate, name)
        if certificate is None:
            raise NotFound(f"no certificate {name[:140]}")
        issuance = rows.row(Issuance, certificate.issuance)
        assert issuance is not None, "a certificate refers to an issuance that is there"
        device = rows.row(Device, issuance.device)
        assert device is not None, "an issuance refers to a device that is there"
        return _told(connection, certificate, issuance, device)


def _told(connection: Connection, certificate: Certificate, issuance: Issuance, device: Device) -> Story:
    community, _, meter = issuance.device.rpartition(":")
    lineage = _lineage(connection, certificate)
    around = _by_keys(connection, f"settle:{community}:{issuance.start}", f"settle:{community}:{_next(issuance.start)}")
    moves = tuple(each for each in around if each.kind == "move")
    known = {each.seq: each for each in around if _concerns(each, lineage, issuance)}
    known |= {each.seq: each for each in _by_numbers(connection, _numbers(connection, lineage, issuance))}
    known |= {each.seq: each for each in _by_keys(connection, "review:0", "review:g") if _concerns(each, lineage, issuance)}
    chain = next((each for each in map(_on_chain, known.values()) if each is not None), None)
    given = [each.key.removesuffix(":lock") + ":give" for each in known.values() if each.kind == "lock"]
    known |= {each.seq: each for each in _of(connection, entries.c.key.in_(given))}
    found = Story(
        certificate=certificate,
        issuance=issuance,
        device=device,
        readings=tuple(_readings(connection, qualified(_feeder(connection, community), meter), issuance)),
        verifications=tuple(_at(connection, Verification, "community", [community], issuance.start)),
        judgements=tuple(_judgements(connection, [issuance.device, f"{community}:{HEAD}"], issuance.start)),
        settlements=moves,
        entries=tuple(known[seq] for seq in sorted(known)),
        chain=chain,
        size=log_size(connection),
    )
    return found if found.complete else replace(found, entries=tuple(_searched(connection, lineage, issuance)))


def _feeder(connection: Connection, community: str) -> str:
    """The feeder whose community it is: further ones give theirs their name."""
    return community if marks.marked(connection, marks.of(community, marks.FIRST)) is not None else MAIN


def _next(start: str) -> str:
    return instant(moment(start) + QUARTER)


def _lineage(connection: Connection, certificate: Certificate) -> list[str]:
    """The certificate and those that it was split from."""
    rows, found = StoredRows(connection), [certificate.certificate]
    parent = certificate.parent
    while parent:
        found.append(parent)
        row = rows.row(Certificate, parent)
        parent = "" if row is None else row.parent
    return found


def _numbers(connection: Connection, lineage: Sequence[str], issuance: Issuance) -> set[int]:
    """Entries that the ledger's tables name."""
    one, ending, draw = table_of(Certificate), table_of(Ending), table_of(Allocation)
    found = {issuance.entry}
    found |= set(connection.execute(select(one.c.entry).where(one.c.certificate.in_(lineage))).scalars())
    found |= set(connection.execute(select(ending.c.entry).where(ending.c.certificate.in_(lineage))).scalars())
    found |= set(connection.execute(select(draw.c.entry).where(draw.c.storage_certificate.in_(lineage))).scalars())
    return found


def _concerns(told: Told, lineage: Sequence[str], issuance: Issuance) -> bool:
    body = told.body
    made = told.kind in ("issue", "discharge") and (body["device"], body["start"]) == (issuance.device, issuance.start)
    return made or body.get("certificate") in lineage or bool(set(body.get("certificates", ())) & set(lineage))


def _ending(name: str, told: Iterable[Told]) -> tuple[str, str]:
    """Status and party that a certificate's entries lead to."""
    status, party = "", ""
    for each in told:
        body = each.body
        if each.kind in ("issue", "discharge"):
            status, party = "held" if body["held"] else "active", body["owner"]
        elif each.kind == "transfer":
            party = body["to"]
        elif each.kind == "split":
            status = "split" if body["certificate"] == name else status
        else:
            status = _AFTER.get(each.kind, status)
    return status, party


def _by_keys(connection: Connection, low: str, high: str) -> list[Told]:
    return _of(connection, (entries.c.key >= low) & (entries.c.key < high))


def _by_numbers(connection: Connection, numbers: set[int]) -> list[Told]:
    return _of(connection, entries.c.seq.in_(sorted(numbers)))


def _of(connection: Connection, which: Any) -> list[Told]:
    return [_read(row) for row in connection.execute(select(entries).where(which).order_by(entries.c.seq))]


def _searched(connection: Connection, lineage: Sequence[str], issuance: Issuance) -> Iterator[Told]:
    query = select(entries).where(entries.c.seq >= issuance.entry, entries.c.kind.in_(KINDS)).order_by(entries.c.seq)
    named = [name.encode() for name in (issuance.issuance, issuance.device)]
    for row in streamed(connection, query):
        if any(name in row.leaf for name in named):
            told = _read(row)
            if _concerns(told, lineage, issuance):
                yield told


def _read(row: Any) -> Told:
    return Told(row.seq, row.key, row.kind, row.time, json.loads(row.leaf)["body"])


def _on_chain(told: Told) -> OnChain | None:
    words = WORDS.fullmatch(told.body["reason"]) if told.kind == "lock" else None
    return None if words is None else OnChain(told.seq, *words.groups())


def _at(connection: Connection, kind: type[R], column: str, names: Sequence[str], start: str) -> list[R]:
    table = table_of(kind)
    query = select(table).where(table.c[column].in_(names), table.c.start == start).order_by(table.c.entry)
    return [kind(*row) for row in connection.execute(query)]


def _judgements(connection: Connection, devices: Sequence[str], start: str) -> list[Judgement]:
    """Of the quarter-hour, and of its whole day."""
    table = table_of(Judgement)
    day = start[:10]
    query = select(table).where(table.c.device.in_(devices), table.c.start >= f"{day}T00:00Z", table.c.start <= f"{day}T23:59Z")
    found = [Judgement(*row) for row in connection.execute(query.order_by(table.c.entry))]
    return [each for each in found if each.start == start or moment(each.end) - moment(each.start) == HOUR]


def _readings(connection: Connection, meter: str, issuance: Issuance) -> Iterator[Kept]:
    quarter = seconds(moment(issuance.start)) // QUARTER_S
    for raw in of_meter(connection, meter, quarter, quarter + RELEASE_AFTER):
        reading = Reading.decode(parse_sign1(raw).payload)
        if reading.start == moment(issuance.start):
            digest = sha256(reading.encode()).hexdigest()
            matches = digest == issuance.evidence
            yield Kept(reading.sequence, reading.injected_wh, reading.drawn_wh, sha256(raw).hexdigest(), digest, matches)
