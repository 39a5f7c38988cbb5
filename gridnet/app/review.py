"""`gridnet ledger review`: what waits for a person, read from the ledger's verdicts alone, and what the person decides (level 5).

A decision is one transaction: the verdict, and the release or withdrawal of the held certificates that the doubts about a device
cover. A record of a quarter-hour covers that one, a record of a whole hour its UTC day (`gridnet.app.pipeline`); a home's covers
the plants behind its meter, the feeder's head covers all. Where level 3 named homes the imbalance is theirs, and the head's covers
nobody. What another open doubt covers too is not released with it; what is withdrawn is withdrawn.

The simulation holds what it doubted and never comes back to it, so that a decision disturbs no later run of it. A decision has the
time of the ledger's last entry, the ledger's own clock, for the same reason. Its evidence are the digests of the verdicts that it
closes, and who decided.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import cast

from gridnet.app.bench.table import aligned
from gridnet.errors import Fault, InputError
from gridnet.metering.points import HEAD
from gridnet.verification.review import Decision as Outcome
from gridnet.verification.review import ReviewQueue
from gridnet.verification.verdict import Level
from gridnet.verification.verdict import Outcome as Said
from gridnet_contracts.ledger.actions.base import HOUR, QUARTER, instant, moment
from gridnet_contracts.ledger.actions.records import Verdict
from gridnet_contracts.ledger.canonical import read_canonical
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.privacy import PARTY
from gridnet_contracts.ledger.rows import Certificate, Device, Judgement
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.store import StoredRows, last_time, stored_rows
from gridnet_contracts.ledger.stored import check_version, stored_disclosures
from gridnet_contracts.settlement.certificates import Decision, reviewed_orders

DECIDING = {"--decide": "decide", "--outcome": "outcome", "--who": "who", "--why": "why", "--seal": "seal"}


@dataclass(frozen=True)
class Recorded:
    """A verdict as the ledger holds it. `device` is the ledger's name of it, `COMMUNITY:METER`."""

    device: str
    start: datetime
    level: Level
    outcome: Said
    finding: str
    evidence: str
    whole_day: bool

    @classmethod
    def of(cls, row: Judgement) -> Recorded:
        """The verdict of a row."""
        start, end = moment(row.start), moment(row.end)
        return cls(
            device=row.device,
            start=start,
            level=Level(row.level),
            outcome=cast(Said, row.outcome),
            finding=row.finding,
            evidence=row.evidence,
            whole_day=end - start == HOUR,
        )

    def digest(self) -> str:
        """SHA-256 of the verdict as it was given."""
        return self.evidence

    def covers(self, start: datetime) -> bool:
        """Whether it speaks of the quarter-hour that starts then."""
        return self.start.date() == start.date() if self.whole_day else self.start == start


@dataclass(frozen=True)
class Records:
    """The verdicts of a ledger, what is still open of them, and who is behind which meter."""

    queue: ReviewQueue
    located: frozenset[tuple[str, date]]
    """Communities and days in which level 3 named homes."""
    homes: Mapping[str, str]
    """By party: the ledger's name of its home's meter."""

    def doubted(self, certificate: Certificate, device: str) -> bool:
        """Whether an open doubt about `device` covers a certificate."""
        produced, _, begin = certificate.issuance.partition("@")
        community, start = produced.rpartition(":")[0], moment(begin)
        head = f"{community}:{HEAD}"
        if device not in {produced, self.homes.get(certificate.party), head}:
            return False
        doubt = self.queue.about(device)
        verdicts = cast(tuple[Recorded, ...], () if doubt is None else doubt.verdicts)
        blamed = device == head and (community, start.date()) in self.located
        return any(each.covers(start) and not (blamed and each.whole_day) for each in verdicts)


def review(arguments: argparse.Namespace) -> None:
    """Lists the open doubts; with `--decide`, enters a decision first. Raises `InputError`, `LedgerError`."""
    given = {option: getattr(arguments, name) for option, name in DECIDING.items()}
    faults = [Fault(option, "nothing", "a value: a decision needs all five") for option, value in given.items() if not value]
    if any(given.values()) and faults:
        raise InputError("can't decide:", faults)
    if arguments.decide:
        _decide(arguments)
    database = Database.reading(arguments.db)
    try:
        print(waiting(read_records(database).queue))
    finally:
        database.close()


def waiting(queue: ReviewQueue) -> str:
    """The open doubts as a table: what to look at first comes first."""
    rows = [[each.device, f"L{int(each.level)}", instant(each.since), each.finding] for each in queue.pending()]
    if not rows:
        return "nothing waits for a person"
    rows.insert(0, ["in doubt", "level", "since", "found last"])
    lines = aligned([row[:3] for row in rows]).splitlines()
    width = max(map(len, lines))
    return "\n".join(f"{line:{width}}  {row[3]}" for line, row in zip(lines, rows, strict=True))


def read_records(database: Database) -> Records:
    """What the ledger's verdicts come to, in the order of their entry."""
    with database.read() as connection:
        check_version(connection)
        rows = sorted(stored_rows(connection, Judgement), key=lambda row: row.entry)
        homes = {
            each.subject: read_canonical(each.content)["name"].replace("/", ":")
            for each in stored_disclosures(connection)
            if each.kind == PARTY
        }
    queue = ReviewQueue()
    for verdict in map(Recorded.of, rows):
        decided = verdict.level is Level.REVIEWED
        queue = queue.without(verdict.device) if decided else queue.with_verdicts([verdict])
    located = {(row.device.rpartition(":")[0], moment(row.start).date()) for row in rows if row.level == Level.LOCATED}
    return Records(queue, frozenset(located), homes)


def _decide(arguments: argparse.Namespace) -> None:
    ledger = Ledger.open(arguments.db, Seal.at(Path(arguments.seal)))
    try:
        records = read_records(ledger.database)
        outcome = cast(Outcome, arguments.outcome)
        _, verdict = records.queue.decide(arguments.decide, outcome, arguments.who, arguments.why)
        with ledger.database.read() as connection:
            _check_known(StoredRows(connection), records, arguments.decide)
            held = [each for each in stored_rows(connection, Certificate) if each.status == "held"]
            now = last_time(connection)
        concerned = _concerned(records, held, arguments.decide, outcome)
        begin, digest = instant(verdict.start), verdict.digest()
        recorded = Verdict(
            start=begin,
            end=instant(verdict.start + QUARTER),
            device=verdict.device,
            level=int(verdict.level),
            outcome=verdict.outcome,
            finding=verdict.finding,
            evidence=digest,
        )
        orders = [Order(f"verdict:{verdict.device}:{begin}:{digest[:16]}", recorded)]
        orders += reviewed_orders(concerned, Decision(outcome == "pass", arguments.why, digest))
        ledger.commit(orders, None if now is None else datetime.fromisoformat(now))
    finally:
        ledger.close()
    done = "released" if outcome == "pass" else "withdrawn"
    print(f"{len(concerned)} certificates {done}, {sum(each.wh for each in concerned):,} Wh; sha256 of the verdict {digest}\n")


def _concerned(records: Records, held: Iterable[Certificate], device: str, outcome: Outcome) -> Sequence[Certificate]:
    """Of the held certificates those that a decision about `device` ends."""
    mine = [each for each in held if records.doubted(each, device)]
    if outcome == "reject":
        return mine
    others = [doubt.device for doubt in records.queue.doubts if doubt.device != device]
    return [each for each in mine if not any(records.doubted(each, other) for other in others)]


def _check_known(rows: StoredRows, records: Records, device: str) -> None:
    """Raises `InputError` for a home whose pseudonym was forgotten: nobody can say any more which certificates are its own."""
    known = rows.row(Device, device) is not None or device.rpartition(":")[2] == HEAD or device in records.homes.values()
    if not known:
        raise InputError("can't decide:", [Fault("--decide", device, "a device, or a home whose pseudonym is still disclosed")])
