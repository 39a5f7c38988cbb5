"""What verification recorded in the ledger, what waits for a person, and what persons made of it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from sqlalchemy import ColumnElement, func, select

from gridnet.app.review import Recorded
from gridnet.app.service.ledger_view import LedgerView
from gridnet.verification.review import ReviewQueue
from gridnet.verification.verdict import Level
from gridnet_contracts.ledger.rows import Judgement
from gridnet_contracts.ledger.schema import table_of
from gridnet_contracts.ledger.store import stored_rows

_Z95 = NormalDist().inv_cdf(0.975)


@dataclass(frozen=True)
class Wanted:
    """Which records are looked for; None and empty where it does not matter. `since` and `until` are the ledger's instants."""

    level: int | None = None
    outcome: str = ""
    device: str = ""
    since: str = ""
    until: str = ""

    def conditions(self) -> list[ColumnElement[bool]]:
        """What a row of these holds to."""
        table = table_of(Judgement)
        found = [] if self.level is None else [table.c.level == self.level]
        if self.outcome:
            found.append(table.c.outcome == self.outcome)
        if self.device:
            found.append(table.c.device.contains(self.device, autoescape=True))
        if self.since:
            found.append(table.c.start >= self.since)
        if self.until:
            found.append(table.c.start < self.until)
        return found


@dataclass(frozen=True)
class Share:
    """So many of so many, with Wilson's 95 % interval (J. Am. Stat. Assoc. 22, 1927): 0 to 1, all of it where there were none."""

    count: int
    of: int

    @property
    def interval(self) -> tuple[float, float]:
        """What the rate may be behind a count as small as this."""
        if not self.of:
            return 0.0, 1.0
        share, z2 = self.count / self.of, _Z95**2 / self.of
        middle, half = share + z2 / 2.0, _Z95 * math.sqrt(share * (1.0 - share) / self.of + z2 / (4.0 * self.of))
        return max(0.0, (middle - half) / (1.0 + z2)), min(1.0, (middle + half) / (1.0 + z2))


@dataclass(frozen=True)
class Decided:
    """A person's decision, and the doubts that it closed. `level`: the highest rung that doubted, None where none is recorded."""

    record: Judgement
    level: Level | None
    doubts: int

    @property
    def cleared(self) -> bool:
        """Whether the person found nothing wrong: the doubt was a false alarm."""
        return self.record.outcome == "pass"


@dataclass(frozen=True)
class Docket:
    """What is open, and what was decided, in the order of entries."""

    open: ReviewQueue
    decided: tuple[Decided, ...]

    def false_alarms(self) -> list[tuple[str, Share]]:
        """Of the decisions those that cleared, of all and by the highest rung that had doubted."""
        levels = sorted({each.level for each in self.decided if each.level is not None})
        rows = [("all levels", self.decided)]
        rows += [(f"L{int(level)}", tuple(each for each in self.decided if each.level is level)) for level in levels]
        return [(name, Share(sum(each.cleared for each in own), len(own))) for name, own in rows]


def records(view: LedgerView, wanted: Wanted, limit: int) -> tuple[list[Judgement], int]:
    """The newest records that are wanted, and how many there are. Raises `NotFound` where no ledger is kept."""
    table = table_of(Judgement)
    newest = select(table).where(*wanted.conditions()).order_by(table.c.entry.desc()).limit(limit)
    with view.read() as connection:
        found = [Judgement(*row) for row in connection.execute(newest)]
        return found, connection.execute(select(func.count()).select_from(table).where(*wanted.conditions())).scalar_one()


def docket(view: LedgerView) -> tuple[Docket, Counter[tuple[int, str]]]:
    """The ledger's doubts and decisions, and its records counted by level and outcome. Raises `NotFound`."""
    with view.read() as connection:
        rows = sorted(stored_rows(connection, Judgement), key=lambda row: row.entry)
    return weighed(rows), Counter((row.level, row.outcome) for row in rows)


def weighed(rows: Iterable[Judgement]) -> Docket:
    """Doubts and decisions of records in the order of their entries."""
    queue, decided = ReviewQueue(), list[Decided]()
    for row in rows:
        if row.level != Level.REVIEWED:
            queue = queue.with_verdicts([Recorded.of(row)])
            continue
        doubt = queue.about(row.device)
        decided.append(Decided(row, None if doubt is None else doubt.level, 0 if doubt is None else len(doubt.verdicts)))
        queue = queue.without(row.device)
    return Docket(queue, tuple(decided))


def findings(view: LedgerView, devices: Sequence[str]) -> dict[str, list[Judgement]]:
    """By device: the records that hold or reject, newest first. Raises `NotFound`."""
    table = table_of(Judgement)
    query = select(table).where(table.c.device.in_(list(devices)), table.c.outcome != "pass").order_by(table.c.entry.desc())
    found: dict[str, list[Judgement]] = {device: [] for device in devices}
    with view.read() as connection:
        for row in connection.execute(query):
            found[row.device].append(Judgement(*row))
    return found
