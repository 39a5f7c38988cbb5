"""What a home has earned of trust, made again from what the ledger records.

The service's own beliefs live as long as its process; the ledger's records stay. A record is a doubt or a probe. That a day's
balance passed is not recorded, and follows: the day was closed, its quarter-hours were verified, and no doubt of the head stands in
the ledger. So the figure here is `Reputation` over the whole ledger, and may differ from what the running service goes by, which
forgets what is older than its windows.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import cast

from sqlalchemy import func, select

from gridnet.app.run import DAY_CLOSES
from gridnet.app.service.ledger_view import LedgerView
from gridnet.clock import STEPS_PER_DAY
from gridnet.metering.points import HEAD
from gridnet.verification.findings import stated_confidence
from gridnet.verification.reputation import Reputation, after_day
from gridnet.verification.verdict import Level, Outcome, Verdict
from gridnet_contracts.ledger.actions.base import HOUR, QUARTER, instant, moment
from gridnet_contracts.ledger.rows import Judgement, Verification
from gridnet_contracts.ledger.schema import table_of

FEWEST_QUARTERS = STEPS_PER_DAY // 4
"""Of a day, verified: of fewer no balance is drawn up."""
_CLOSING = timedelta(hours=DAY_CLOSES[0], minutes=DAY_CLOSES[1]) - 2 * QUARTER
"""After midnight begins the quarter-hour with which a day before is closed: it arrives in the next and is judged at its end."""
_UNDECIDED = "too few intervals to decide"
_PPM_OF_PERCENT = 10_000


@dataclass(frozen=True)
class Standing:
    """A home's belief, and of how many closed days it is made."""

    belief: Reputation
    days: int


def standings(view: LedgerView, community: str, homes: Iterable[str]) -> Mapping[str, Standing]:
    """By home's meter. Raises `NotFound` where no ledger is kept."""
    table, judged = table_of(Verification), table_of(Judgement)
    verified = select(func.substr(table.c.start, 1, 10), func.substr(table.c.start, 12, 5), func.count())
    per_quarter = verified.where(table.c.community == community).group_by(*verified.selected_columns[:2])
    own = judged.c.device.like(f"{community}:%")
    with view.read() as connection:
        quarters = {(date.fromisoformat(day), at) for day, at, _ in connection.execute(per_quarter)}
        rows = [Judgement(*row) for row in connection.execute(select(judged).where(own).order_by(judged.c.entry))]
    return weighed(homes, closed_days(quarters), rows)


def closed_days(quarters: Iterable[tuple[date, str]]) -> list[date]:
    """Days that were closed and had enough quarter-hours, in order; `quarters`: (day, `HH:MM`) of what was verified."""
    known = set(quarters)
    counts = Counter(day for day, _ in known)
    closing = instant(datetime.combine(date.min.replace(year=2000), time(), UTC) + _CLOSING)[11:16]
    return sorted(day for day, count in counts.items() if count >= FEWEST_QUARTERS and (day + timedelta(days=1), closing) in known)


def weighed(homes: Iterable[str], days: Iterable[date], rows: Iterable[Judgement]) -> Mapping[str, Standing]:
    """The beliefs in homes after these days and records, which are in the order of their entries."""
    by_day: defaultdict[date, list[Verdict]] = defaultdict(list)
    persons = []
    for row in rows:
        verdict = _verdict(row)
        if verdict.level is Level.REVIEWED:
            persons.append(verdict)
        elif moment(row.end) - moment(row.start) == HOUR:
            by_day[verdict.start.date()].append(verdict)
    beliefs, closed = {home: Reputation() for home in homes}, list(days)
    for day in closed:
        told = by_day[day]
        if not any(each.device == HEAD and each.level is Level.BALANCED for each in told):
            start = datetime.combine(day, time(), UTC)
            told = [*told, Verdict(HEAD, start, Level.BALANCED, "pass", "nothing is recorded against this day", {})]
        beliefs = after_day(beliefs, told, HEAD)
    for verdict in persons:
        if verdict.device in beliefs:
            beliefs[verdict.device] = beliefs[verdict.device].after(verdict)
    return {home: Standing(belief, len(closed)) for home, belief in beliefs.items()}


def _verdict(row: Judgement) -> Verdict:
    """The verdict of a record. Of its evidence the record has a hash; what weighs stands in its words too."""
    confidence = stated_confidence(row.finding)
    evidence: dict[str, int | str] = {"decided": int(_UNDECIDED not in row.finding)}
    if confidence is not None:
        evidence["confidence_ppm"] = confidence * _PPM_OF_PERCENT
    meter = row.device.rpartition(":")[2]
    return Verdict(meter, moment(row.start), Level(row.level), cast(Outcome, row.outcome), row.finding, evidence)
