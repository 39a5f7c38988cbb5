"""What only an operator does: who may come in, programmes, rates, PINs, cancelling all. Each goes into the operators' record."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import asdict
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import BaseModel, Field

from gridnet.app.api.identity import Serving, principal_of
from gridnet.app.api.problems import RESPONSES
from gridnet.app.api.schemas import FieldsBody, Name, Request
from gridnet.app.api.sep import connection_point, log_events, mirror, rates
from gridnet.app.api.sep.der import KINDS
from gridnet.app.service.errors import Conflict, NotFound
from gridnet.app.service.model import DISPATCH, Principal, Program, Role
from gridnet.app.service.operations import operator_only
from gridnet.app.service.service import Service

Topic = Literal["controls", "default", "programs", "device"]
Identity = Annotated[str, Path(min_length=1, max_length=64)]
LEFT_BY_CLIENTS = (mirror.KIND, mirror.READING, connection_point.KIND, log_events.KIND, *(f"sep-{kind}" for kind in KINDS))
"""Kinds of documents that a device's clients leave."""
_AT_ONCE = 500


class PrincipalBody(Request):
    """Somebody who shall be known."""

    id: Annotated[str, Field(min_length=1, max_length=64, examples=["aggregator-1"])]
    role: Role
    lfdi: str | None = Field(None, pattern=r"^[0-9A-Fa-f]{40}$", description="of the client certificate")
    party: str | None = Field(None, max_length=64, description="pseudonym in the ledger")
    secret: str | None = Field(None, min_length=16, max_length=200, description="for bearer tokens; never shown again")


class PrincipalOut(BaseModel):
    """Somebody who is known."""

    id: str
    role: Role
    lfdi: str | None
    party: str | None
    revoked: bool = False


class AccessBody(Request):
    """Whether a principal or a certificate may come in."""

    granted: bool


class PinBody(Request):
    """A registration PIN: five digits and the last digit of their sum (IEEE 2030.5, 6.3.5)."""

    pin: Annotated[int, Field(ge=0, le=999_999, examples=[111_115])]


class ProgramBody(Request):
    """A programme of controls; `fsa` names the function set assignment that clients of IEEE 2030.5 find it under."""

    primacy: Annotated[int, Field(ge=0, le=255, description="the lower, the more it counts")]
    device: str | None = Field(None, max_length=64, description="whose it is; null: everybody's")
    fsa: Name = DISPATCH
    description: str = Field("", max_length=200)
    default: FieldsBody | None = None


class ProgramOut(ProgramBody):
    """A programme that is there."""

    id: str


class RateBody(Request):
    """Seconds between a client's requests (`poll_s`) and reports (`post_s`) to a resource of IEEE 2030.5."""

    poll_s: Annotated[int, Field(ge=1, le=86_400)] | None = None
    post_s: Annotated[int, Field(ge=1, le=86_400)] | None = None


class AnnouncementBody(Request):
    """What subscribers shall look at again."""

    topic: Topic
    device: str | None = Field(None, max_length=64)


class Count(BaseModel):
    """How many it were."""

    count: int


class OperationOut(BaseModel):
    """One line of the operators' record."""

    number: int
    at: datetime
    principal: str
    action: str
    object: str
    detail: str


def operator(by: Annotated[Principal, Depends(principal_of)]) -> Principal:
    """Whoever asks, if it is an operator. Raises `Forbidden`."""
    operator_only(by, "administration")
    return by


Operator = Annotated[Principal, Depends(operator)]


def make_router(service: Service) -> APIRouter:
    """The operator's router over a service."""
    router = APIRouter(prefix="/api/v1/admin", tags=["administration"], responses=RESPONSES, dependencies=[Depends(operator)])
    _add_people(router)
    _add_devices(router)
    _add_programs(router)
    _add_rates(router)
    return router


def _add_people(router: APIRouter) -> None:
    @router.post("/principals", status_code=201, summary="Make somebody known")
    def add_principal(body: PrincipalBody, by: Operator, service: Serving, response: Response) -> PrincipalOut:
        """With a certificate, a secret or both."""
        asked = Principal(body.id, body.role, body.lfdi, body.party)
        made = service.people.add(by, asked, body.secret)
        response.headers["location"] = f"/api/v1/admin/principals/{made.id}"
        return PrincipalOut(**asdict(made))

    @router.get("/principals/{principal}", summary="Somebody who is known")
    def principal(principal: Identity, by: Operator, service: Serving) -> PrincipalOut:
        """And whether it may come in."""
        known = service.people.get(by, principal)
        return PrincipalOut(**asdict(known.principal), revoked=known.revoked)

    @router.put("/access/{principal}", summary="Let somebody in, or keep it out")
    def access(principal: Identity, body: AccessBody, by: Operator, service: Serving) -> AccessBody:
        """By its id, or by its certificate's LFDI. It acts on the next request."""
        (service.people.restore if body.granted else service.people.revoke)(by, principal)
        return body

    @router.get("/operations", summary="The operators' record")
    def operations(
        by: Operator,
        service: Serving,
        start: Annotated[int, Query(ge=0, le=2**53)] = 0,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> list[OperationOut]:
        """Lines from `start` on, oldest first."""
        return [OperationOut(**asdict(each)) for each in service.operations.page(by, start, limit)]


def _add_devices(router: APIRouter) -> None:
    @router.get("/devices/{lfdi}", summary="The device of a certificate")
    def by_lfdi(lfdi: Identity, by: Operator, service: Serving) -> dict[str, str]:
        """Its id."""
        return {"id": service.devices.by_lfdi(by, lfdi).id}

    @router.put("/devices/{device}/pin", summary="Set a registration PIN")
    def pin(device: Identity, body: PinBody, by: Operator, service: Serving) -> PinBody:
        """The device's owner compares it."""
        service.devices.change(by, device, pin=body.pin)
        return body

    @router.delete("/devices/{device}/controls", summary="Cancel all of a device's controls")
    def cancel_all(device: Identity, by: Operator, service: Serving) -> Count:
        """Dispatched ones, active and to come; the policy's setpoints stay."""
        found = [each for each in service.controls.of_device(by, device) if each.program != DISPATCH and each.device == device]
        count = 0
        for each in found:
            # One that ends this very moment needs no cancelling.
            with suppress(Conflict):
                service.controls.cancel(by, each.id)
                count += 1
        return Count(count=count)

    @router.delete("/devices/{device}/documents", summary="Remove what a device's clients left")
    def clear(device: Identity, by: Operator, service: Serving, kind: Annotated[str | None, Query(max_length=64)] = None) -> Count:
        """Usage points, settings, log entries; of one kind or all."""
        count = 0
        for each in LEFT_BY_CLIENTS if kind is None else (kind,):
            found, _ = service.documents.page(by, each, device, 0, _AT_ONCE)
            for document in found:
                service.documents.remove(by, each, document.id)
            count += len(found)
        service.operations.record(by, "remove documents", device, kind or "all")
        return Count(count=count)


def _add_programs(router: APIRouter) -> None:
    @router.get("/devices/{device}/programs", summary="A device's programmes")
    def programs(device: Identity, by: Operator, service: Serving) -> list[ProgramOut]:
        """Everybody's and its own, by primacy."""
        return [_program_out(each) for each in service.controls.programs(by, device)]

    @router.put("/programs/{program}", summary="Make or replace a programme")
    def put_program(program: Name, body: ProgramBody, by: Operator, service: Serving) -> ProgramOut:
        """Subscribers hear of it, and of the default control that may come with it."""
        default = None if body.default is None else body.default.fields()
        put = service.controls.put_program(by, Program(program, body.primacy, body.device, body.fsa, body.description, default))
        service.webhooks.publish("default", body.device)
        return _program_out(put)

    @router.post("/announcements", status_code=202, summary="Have subscribers look again")
    def announce(body: AnnouncementBody, by: Operator, service: Serving) -> AnnouncementBody:
        """After something that the service could not see, such as a database that was restored."""
        service.webhooks.publish(body.topic, body.device)
        service.operations.record(by, "announce", body.topic, body.device or "")
        return body


def _add_rates(router: APIRouter) -> None:
    @router.put("/rates/{resource}", summary="Set how often clients come")
    def put_rate(resource: Name, body: RateBody, by: Operator, service: Serving) -> RateBody:
        """Of a resource by its name in IEEE 2030.5, `EndDeviceList`. Subscribers hear of it."""
        if resource not in (*rates.POLLED, *rates.POSTED):
            raise NotFound(f"no rate of {resource}: there are {', '.join((*rates.POLLED, *rates.POSTED))}")
        service.documents.put(by, rates.KIND, resource, body.model_dump(exclude_none=True))
        service.operations.record(by, "set rate", resource, body.model_dump_json(exclude_none=True))
        _tell(service, resource)
        return body

    @router.get("/rates/{resource}", summary="How often clients come")
    def rate(resource: Name, by: Operator, service: Serving) -> RateBody:
        """As it was set; 404 where the configuration says."""
        return RateBody.model_validate(service.documents.get(by, rates.KIND, resource).body)

    @router.delete("/rates/{resource}", status_code=204, summary="Leave it to the configuration")
    def remove_rate(resource: Name, by: Operator, service: Serving) -> None:
        """How often clients come."""
        service.documents.remove(by, rates.KIND, resource)
        service.operations.record(by, "unset rate", resource)
        _tell(service, resource)


def _tell(service: Service, resource: str) -> None:
    topics: dict[str, Topic] = {
        "EndDeviceList": "device",
        "FunctionSetAssignmentsList": "programs",
        "DERProgramList": "programs",
    }
    if resource in topics:
        service.webhooks.publish(topics[resource])


def _program_out(program: Program) -> ProgramOut:
    default = None if program.default is None else FieldsBody.of(program.default)
    return ProgramOut(
        id=program.id,
        primacy=program.primacy,
        device=program.device,
        fsa=program.fsa,
        description=program.description,
        default=default,
    )
