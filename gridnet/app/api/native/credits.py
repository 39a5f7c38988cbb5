"""The auditor's side: credits, certificates, the log's checkpoint and proofs, an export. What it shows can be verified offline."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi.responses import PlainTextResponse, StreamingResponse

from gridnet.app.api.answering import AnsweringRoute, Asking
from gridnet.app.api.identity import Serving
from gridnet.app.api.problems import RESPONSES
from gridnet.app.api.schemas import BalanceOut, CertificateOut, CertificatesOut, CreditsOut
from gridnet.app.service.errors import Forbidden, NotFound
from gridnet.app.service.exporting import exported as zipped_export
from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.model import Principal

router = APIRouter(prefix="/api/v1", tags=["credits"], responses=RESPONSES, route_class=AnsweringRoute)
_ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {"schema": {"type": "string", "format": "binary"}}}}}


@router.get("/credits", summary="What a party holds")
def balances(by: Asking, service: Serving, party: Annotated[str | None, Query(max_length=64)] = None) -> CreditsOut:
    """Your own; auditors and operators name any party."""
    whose = _party(by, party)
    found = LedgerView(service.store).balances(whose)
    return CreditsOut(party=whose, balances=[BalanceOut(account=name, asset=asset, amount=of) for name, asset, of in found])


@router.get("/certificates", summary="Certificates")
def certificates(
    by: Asking,
    service: Serving,
    party: Annotated[str | None, Query(max_length=64)] = None,
    after: Annotated[str, Query(max_length=200)] = "",
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> CertificatesOut:
    """By name, those of a party; auditors and operators may leave the party out and see all."""
    whose = None if party is None and _sees_all(by) else _party(by, party)
    found = LedgerView(service.store).certificates(whose, after, limit)
    shown = [
        CertificateOut(
            certificate=each.certificate,
            issuance=each.issuance,
            wh=each.wh,
            status=each.status,
            party=each.party,
            beneficiary=each.beneficiary,
            entry=each.entry,
        )
        for each in found
    ]
    return CertificatesOut(certificates=shown, next=shown[-1].certificate if len(shown) == limit else None)


@router.get("/log/checkpoint", summary="The log's newest signed head", response_class=PlainTextResponse)
def checkpoint(by: Asking, service: Serving) -> PlainTextResponse:
    """A C2SP checkpoint."""
    return PlainTextResponse(LedgerView(service.store).checkpoint())


@router.get("/log/proof", summary="Proof of an entry", response_class=PlainTextResponse)
def proof(by: Asking, service: Serving, entry: Annotated[int, Query(ge=0, le=2**53 - 1)]) -> PlainTextResponse:
    """A C2SP tlog-proof with the entry inside: `gridnet audit verify` takes it as it is. For auditors and operators: an entry may
    be anybody's."""
    if not _sees_all(by):
        raise Forbidden("proofs of any entry are for auditors and operators")
    return PlainTextResponse(LedgerView(service.store).proof(entry).decode())


@router.get("/audit/export", summary="The whole ledger for an auditor", response_class=StreamingResponse, responses=_ZIP)
def exported(by: Asking, service: Serving) -> StreamingResponse:
    """A zip of the folder that `gridnet ledger export` writes."""
    if not _sees_all(by):
        raise Forbidden("the export is for auditors and operators")
    headers = {"content-disposition": 'attachment; filename="gridnet-export.zip"'}
    return StreamingResponse(zipped_export(LedgerView(service.store)), media_type="application/zip", headers=headers)


def _sees_all(by: Principal) -> bool:
    return by.role in ("operator", "auditor")


def _party(by: Principal, asked: str | None) -> str:
    """Whose credits are meant. Raises `Forbidden`, `NotFound`."""
    if asked is not None and asked != by.party and not _sees_all(by):
        raise Forbidden("another party's credits are for auditors and operators")
    whose = asked if asked is not None else by.party
    if whose is None:
        raise NotFound("you are no party of the ledger: name one, or ask the operator")
    return whose
