"""For whoever runs the service: is it alive, is it ready, what does it measure, which version is it."""

from __future__ import annotations

from datetime import timedelta
from importlib.metadata import PackageNotFoundError, version

from fastapi import APIRouter, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from gridnet.app.api.identity import Serving
from gridnet.app.api.schemas import Health
from gridnet.app.service.errors import Unavailable

TOO_OLD = timedelta(minutes=31)
"""Two quarter-hours without a decision, and a minute."""
router = APIRouter(tags=["operations"])


@router.get("/healthz", summary="Alive?")
def alive() -> Health:
    """It answers, so it is."""
    return Health(status="ok")


@router.get("/readyz", summary="Ready?", response_model=Health, responses={503: {"model": Health}})
def ready(service: Serving) -> JSONResponse:
    """Whether the database answers, and a policy decided within the last half hour, where one ever did."""
    try:
        decided = service.controls.last_decided()
        detail = {"decided": None if decided is None else decided.isoformat(), "webhooks_waiting": service.webhooks.waiting()}
    except Unavailable as error:
        return JSONResponse(Health(status="not ready", detail={"database": str(error)}).model_dump(), 503)
    if decided is not None and service.clock() - decided > TOO_OLD:
        return JSONResponse(Health(status="not ready", detail={**detail, "problem": "nobody decides"}).model_dump(), 503)
    return JSONResponse(Health(status="ok", detail=detail).model_dump())


@router.get("/metrics", summary="Figures for Prometheus", response_class=PlainTextResponse)
def metrics(request: Request) -> Response:
    """In its text format."""
    return Response(generate_latest(request.app.state.registry), media_type=CONTENT_TYPE_LATEST)


@router.get("/version", summary="Which version")
def shown() -> dict[str, str]:
    """Of the service."""
    try:
        return {"version": version("gridnet-dispatch")}
    except PackageNotFoundError:
        return {"version": "not installed"}
