"""What an operator dispatches by hand."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Header, Response

from gridnet.app.api.answering import AnsweringRoute, Asking
from gridnet.app.api.identity import Serving
from gridnet.app.api.problems import RESPONSES
from gridnet.app.api.schemas import DispatchBody, DispatchOut, IntervalOut
from gridnet.app.service.model import Control, Order
from gridnet.app.service.service import Service

router = APIRouter(prefix="/api/v1/dispatches", tags=["dispatches"], responses=RESPONSES, route_class=AnsweringRoute)


@router.post("", status_code=201, summary="Dispatch")
def dispatch(
    body: DispatchBody,
    by: Asking,
    service: Serving,
    response: Response,
    idempotency_key: Annotated[str | None, Header(max_length=128)] = None,
) -> DispatchOut:
    """An order that counts more than the policy's setpoint. With an `Idempotency-Key` the same order is made once."""
    order = Order(
        program=body.program,
        device=body.device,
        fields=body.fields.fields(),
        start=body.start,
        end=body.end,
        reason=body.reason,
        randomize_start_s=body.randomize_start_s,
        key=idempotency_key,
    )
    made = service.controls.dispatch(by, order)
    response.headers["location"] = f"/api/v1/dispatches/{made.id}"
    return _out(made, service)


@router.get("/{control}", summary="One dispatch")
def one(control: str, by: Asking, service: Serving) -> DispatchOut:
    """And where it stands."""
    return _out(service.controls.get(by, control), service)


@router.post("/{control}/cancel", summary="Take it back")
def cancel(control: str, by: Asking, service: Serving) -> DispatchOut:
    """At once."""
    return _out(service.controls.cancel(by, control), service)


def _out(control: Control, service: Service) -> DispatchOut:
    return DispatchOut(device=control.device, **IntervalOut.of(control, service.clock()).model_dump())
