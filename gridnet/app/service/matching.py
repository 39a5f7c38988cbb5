"""How much of what was drawn is covered by certificates of the same hour: sums by hour, for one consumer or for all.

An hour of a consumer counts up to its load (`gridnet_contracts.reports.consumer`), so a consumer's surplus covers nobody else.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import case, func, select

from gridnet.app.service.ledger_view import LedgerView
from gridnet_contracts.ledger.report_queries import Span
from gridnet_contracts.ledger.rows import Certificate, Consumption, Issuance
from gridnet_contracts.ledger.schema import table_of


@dataclass(frozen=True)
class MatchedHour:
    """One clock hour, `2018-06-01T10`, of one consumer or of several together."""

    hour: str
    load_wh: int
    matched_wh: int

    @property
    def share(self) -> float | None:
        """0 to 1; None without load."""
        return self.matched_wh / self.load_wh if self.load_wh else None


def matched_hours(view: LedgerView, span: Span, consumer: str | None = None) -> list[MatchedHour]:
    """The hours of a span with load or claims, in order. Raises `NotFound` where no ledger is kept."""
    used = table_of(Consumption)
    hour = func.substr(used.c.start, 1, 13)
    loads = select(used.c.consumer, hour, func.sum(used.c.wh)).where(used.c.start >= span[0], used.c.start < span[1])
    one, made = table_of(Certificate), table_of(Issuance)
    produced = func.substr(made.c.start, 1, 13)
    counts = case((made.c.dissemination == "self-consumed", 0), else_=made.c.disclosure)
    claims = (
        select(one.c.beneficiary, produced, func.sum(one.c.hi - one.c.lo))
        .join_from(one, made, one.c.issuance == made.c.issuance)
        .where(one.c.status == "claimed", counts == 1, made.c.start >= span[0], made.c.start < span[1])
    )
    if consumer is not None:
        loads, claims = loads.where(used.c.consumer == consumer), claims.where(one.c.beneficiary == consumer)
    with view.read() as connection:
        drawn = {(who, at): int(wh) for who, at, wh in connection.execute(loads.group_by(used.c.consumer, hour))}
        claimed = {(who, at): int(wh) for who, at, wh in connection.execute(claims.group_by(one.c.beneficiary, produced))}
    sums: defaultdict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (who, at), wh in drawn.items():
        sums[at][0] += wh
        sums[at][1] += min(wh, claimed.get((who, at), 0))
    return [MatchedHour(at, load, matched) for at, (load, matched) in sorted(sums.items())]
