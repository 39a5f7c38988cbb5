"""The auditor's reports: is every watt-hour accounted for, and how much of each hour's load is covered by its own certificates."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from gridnet.app.dashboard import asked
from gridnet.app.dashboard.certificate import AUDITING
from gridnet.app.dashboard.looking import Looking, Page
from gridnet.app.service.errors import NotFound
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.matching import MatchedHour, matched_hours
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.reports.reconciliation import STATUSES, Reconciliation, reconcile

HOURS = range(24)


def reports(looking: Looking) -> Mapping[str, object]:
    """Reconciliation of the whole ledger, with the months' lines of one month, and the matching of that month. Raises
    `InputError`."""
    today = looking.service.clock().date()
    month = asked.month(looking.query, "month", today)
    consumer = asked.text(looking.query, "consumer")
    following = asked.next_month(month)
    view = LedgerView(looking.service.store)
    reconciled, hours = _read(looking, view, (month, following), consumer)
    shown = f"{month:%Y-%m}"
    return {
        "month": shown,
        "consumer": consumer,
        "statuses": STATUSES,
        "reconciled": reconciled,
        "months": [] if reconciled is None else [each for each in reconciled.months if each.month == shown],
        "hours": list(HOURS),
        "days": _grid(hours, month, following),
        "load_wh": sum(each.load_wh for each in hours),
        "matched_wh": sum(each.matched_wh for each in hours),
    }


def _read(
    looking: Looking, view: LedgerView, span: tuple[date, date], consumer: str
) -> tuple[Reconciliation | None, list[MatchedHour]]:
    first, last = (instant(asked.midnight(each)) for each in span)
    try:
        hours = matched_hours(view, (first, last), consumer or None)
    except NotFound:
        return None, []
    return reconcile(looking.service.store.database), hours


def _grid(hours: list[MatchedHour], first: date, end: date) -> list[tuple[date, list[MatchedHour | None]]]:
    """By day of the month: its 24 hours, None where nothing is recorded. Days after the last that is recorded are left out."""
    known = {each.hour: each for each in hours}
    recorded = [date.fromisoformat(each.hour[:10]) for each in hours]
    last = max(recorded, default=first - timedelta(days=1))
    days = [first + timedelta(days=k) for k in range((min(last, end) - first).days + 1)]
    return [(day, [known.get(f"{day.isoformat()}T{hour:02d}") for hour in HOURS]) for day in days]


PAGES = (Page("/audit/reports", "Reports", "reports.html.j2", reports, AUDITING),)
