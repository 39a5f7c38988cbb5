"""The auditor's pages: search, one certificate, reports, and the whole ledger to take away."""

from __future__ import annotations

from collections.abc import Mapping

from gridnet.app.dashboard import asked, certificate, reports
from gridnet.app.dashboard.certificate import AUDITING
from gridnet.app.dashboard.downloads import ZIP, Attachment, Download
from gridnet.app.dashboard.looking import Deed, Feed, Looking, Page
from gridnet.app.service.certificate_search import Sought, sought
from gridnet.app.service.errors import NotFound
from gridnet.app.service.exporting import exported
from gridnet.app.service.ledger_view import LedgerView
from gridnet_contracts.ledger.actions.base import instant
from gridnet_contracts.ledger.rules.certificates import STATUSES
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note

_MOST = 100


def audit(looking: Looking) -> Mapping[str, object]:
    """The search, and where the log stands. Raises `InputError`."""
    view, today = LedgerView(looking.service.store), looking.service.clock().date()
    given = {name: asked.text(looking.query, name) for name in ("name", "device", "party", "status", "since", "until")}
    times = {name: instant(asked.midnight(asked.day(given, name, today))) if given[name] else "" for name in ("since", "until")}
    what = Sought(given["name"], given["device"], given["party"], given["status"], **times)
    try:
        head = Checkpoint.parse(Note.decode(view.checkpoint().encode()).text)
        found = sought(view, what, _MOST)
    except NotFound:
        head, found = None, []
    return {
        "given": given,
        "statuses": list(STATUSES),
        "found": found,
        "most": _MOST,
        "head": head,
    }


def export(looking: Looking) -> Attachment:
    """The whole ledger as `gridnet ledger export` writes it, without disclosures. Raises `NotFound`, `LedgerError`."""
    return Attachment("gridnet-export.zip", ZIP, exported(LedgerView(looking.service.store)))


PAGES = (Page("/audit", "Audit", "audit.html.j2", audit, AUDITING), *reports.PAGES, *certificate.PAGES)
FEEDS: tuple[Feed, ...] = certificate.FEEDS
DEEDS: tuple[Deed, ...] = ()
DOWNLOADS = (Download("/audit/export.zip", export, AUDITING), *certificate.DOWNLOADS)
