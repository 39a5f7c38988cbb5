"""One certificate's page: its way from the reading to the signed head of the log, each step with what proves it.

Auditors and operators see any, a prosumer those that it holds or that were claimed for it; of those it sees its own entries, not
the settlement, which names its neighbours' amounts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from hashlib import sha256

from gridnet.app.dashboard import asked
from gridnet.app.dashboard.downloads import ZIP, Attachment, Download, zipped
from gridnet.app.dashboard.looking import Feed, Looking, Page
from gridnet.app.service.errors import Forbidden, NotFound
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.model import Role
from gridnet.app.service.story import Story, story
from gridnet_contracts.log.canonical import to_base64
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.note import Note

AUDITING: tuple[Role, ...] = ("auditor", "operator")
HOLDING: tuple[Role, ...] = (*AUDITING, "prosumer")
_READ_ME = """Each .tlog-proof file proves that one entry is in the log under the signed checkpoint inside it:

    gridnet audit verify FILE --key KEY

KEY is the log's key; take it from the operator's publication, not from where this archive came from.
What was done to the certificate later only the whole ledger shows: ask for the export.
"""


def certificate(looking: Looking, name: str) -> Mapping[str, object]:
    """A certificate's way. Raises `NotFound`, `Forbidden` for another's."""
    told = _story(looking, name)
    view = LedgerView(looking.service.store)
    try:
        note = view.checkpoint()
    except NotFound:
        note = None
    return {
        "told": told,
        "checkpoint": None if note is None else Checkpoint.parse(Note.decode(note.encode()).text),
        "checkpoint_digest": None if note is None else sha256(Note.decode(note.encode()).text.encode()).hexdigest(),
        "signatures": [] if note is None else [(each.name, each.key_id.hex()) for each in Note.decode(note.encode()).signatures],
        "audits": looking.by.role in AUDITING,
        "backing": told.certificate.backing,
    }


def proof(looking: Looking) -> Mapping[str, object]:
    """The proof file of an entry. A prosumer names the certificate of its own that the entry is about. Raises `NotFound`,
    `Forbidden`, `InputError`."""
    entry = asked.whole(looking.query, "entry")
    if looking.by.role not in AUDITING:
        own = _story(looking, asked.text(looking.query, "certificate"))
        if entry not in own.proven:
            raise Forbidden("an entry that is not of a certificate of yours is for auditors and operators")
    return {"entry": entry, "proof": LedgerView(looking.service.store).proof(entry).decode()}


def consistency(looking: Looking) -> Mapping[str, object]:
    """Hashes that lead from one size of the log to a later one. They tell nothing of any entry. Raises `NotFound`, `InputError`."""
    old, new = (asked.whole(looking.query, name) for name in ("old", "new"))
    return {"hashes": [to_base64(each) for each in LedgerView(looking.service.store).consistency(old, new)]}


def proofs(looking: Looking, name: str) -> Attachment:
    """All proofs of one certificate's entries, as a zip. Raises `NotFound`, `Forbidden`."""
    told, view = _story(looking, name), LedgerView(looking.service.store)
    files = {"README.txt": _READ_ME.encode(), "checkpoint": view.checkpoint().encode()}
    files |= {f"entry-{entry}.tlog-proof": view.proof(entry) for entry in told.proven}
    file = "".join(each if each.isalnum() or each in "-." else "_" for each in name)
    return Attachment(f"{file}.zip", ZIP, [zipped(files)])


def _story(looking: Looking, name: str) -> Story:
    told = story(LedgerView(looking.service.store), name)
    if looking.by.role in AUDITING:
        return told
    own = looking.by.party
    if own is None or own not in (told.certificate.party, told.certificate.beneficiary):
        raise NotFound(f"no certificate {name[:140]}")
    return replace(told, settlements=(), verifications=(), judgements=())


PAGES = (Page("/audit/certificates/{name:path}", "Certificate", "certificate.html.j2", certificate, HOLDING),)
FEEDS = (Feed("/audit/proof", proof, HOLDING), Feed("/audit/consistency", consistency, HOLDING))
DOWNLOADS = (Download("/audit/proofs/{name:path}", proofs, HOLDING),)
