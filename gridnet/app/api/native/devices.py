"""Devices, and what each shall do."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from dataclasses import replace
from functools import partial
from typing import Annotated, Any

from anyio import sleep, to_thread
from fastapi import APIRouter, Header, Query, Response
from fastapi.responses import StreamingResponse

from gridnet.app.api.answering import AnsweringRoute, Asking, Unidentified
from gridnet.app.api.identity import Serving, known_principal
from gridnet.app.api.problems import RESPONSES
from gridnet.app.api.schemas import (
    AckBody,
    AckOut,
    DeviceBody,
    DeviceChanges,
    DeviceOut,
    DevicesOut,
    FieldsBody,
    IntervalOut,
    OverrideBody,
    OverrideOut,
    ReceivedOut,
    ScheduleOut,
    SetpointOut,
    TelemetryBody,
    TelemetryOut,
    measurement,
)
from gridnet.app.service.errors import Forbidden, ServiceError
from gridnet.app.service.model import Ack, Device, Principal
from gridnet.app.service.service import Service

LONGEST_WAIT_S = 60
_LOOK_EVERY_S = 0.5
_STREAM: dict[int | str, dict[str, Any]] = {200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}}
router = APIRouter(prefix="/api/v1/devices", tags=["devices"], responses=RESPONSES, route_class=AnsweringRoute)


@router.post("", status_code=201, summary="Register a device")
def register(body: DeviceBody, by: Asking, service: Serving, response: Response) -> DeviceOut:
    """A device's own certificate registers that device, others what they own. Binding one to a meter of the live feeder is the
    operator's."""
    if (body.meter is not None or body.meter_key is not None) and not by.operates:
        raise Forbidden("meter and meter_key are set by the operator")
    given = body.model_dump(exclude={"owner"})
    device = Device(**given, owner=body.owner or by.id, default=service.default_of(body.kind, body.discharge_kw))
    if by.role == "device" and device.lfdi is None:
        device = replace(device, lfdi=by.lfdi)
    made = service.devices.add(by, device)
    response.headers["location"] = f"/api/v1/devices/{made.id}"
    return DeviceOut.of(made)


@router.get("", summary="Your devices")
def listed(
    by: Asking,
    service: Serving,
    start: Annotated[int, Query(ge=0, le=2**31)] = 0,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> DevicesOut:
    """In the order of registration; an operator sees all."""
    found, total = service.devices.page(by, start, limit)
    return DevicesOut(devices=[DeviceOut.of(each) for each in found], total=total, start=start)


@router.get("/{device}", summary="One device")
def one(device: str, by: Asking, service: Serving) -> DeviceOut:
    """Its nameplate, limits and default."""
    return DeviceOut.of(service.devices.get(by, device))


@router.patch("/{device}", summary="Change a device")
def change(device: str, body: DeviceChanges, by: Asking, service: Serving) -> DeviceOut:
    """What is left out stays."""
    changes: dict[str, Any] = body.model_dump(exclude_none=True)
    return DeviceOut.of(service.devices.change(by, device, **changes))


@router.delete("/{device}", status_code=204, summary="Deregister a device")
def remove(device: str, by: Asking, service: Serving) -> None:
    """What it reported and what was settled stays."""
    service.devices.remove(by, device)


@router.get("/{device}/setpoint", summary="What it shall do now", response_model=SetpointOut)
async def setpoint(
    device: str,
    by: Unidentified,
    service: Serving,
    if_none_match: Annotated[str | None, Header()] = None,
    prefer: Annotated[str | None, Header(examples=["wait=30"])] = None,
) -> Response:
    """With `If-None-Match` 304 where nothing changed; with `Prefer: wait=N` not before something did, or N seconds went by."""
    tag, content = await to_thread.run_sync(by.answer, partial(_tagged, service, device))
    known = _tags(if_none_match)
    waits = _waits(prefer) if known else 0.0
    while tag in known and waits > 0:
        await sleep(_LOOK_EVERY_S)
        waits -= _LOOK_EVERY_S
        tag, content = await to_thread.run_sync(lambda: _tagged(service, device, known_principal(by.request)))
    headers = {"etag": tag, "cache-control": "private, no-cache"}
    if tag in known or "*" in known:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type="application/json", headers=headers)


@router.get("/{device}/schedule", summary="What it shall do next")
def schedule(device: str, by: Asking, service: Serving) -> ScheduleOut:
    """Contiguous intervals of the policy's setpoints, two or more of them ahead, dispatches over them, and the default."""
    now = service.clock()
    found = [IntervalOut.of(each, now) for each in service.controls.of_device(by, device)]
    return ScheduleOut(device=device, intervals=found, default_control=FieldsBody.of(service.controls.default(by, device)))


@router.get("/{device}/stream", summary="Setpoints as they change", response_class=StreamingResponse, responses=_STREAM)
async def stream(device: str, by: Unidentified, service: Serving) -> StreamingResponse:
    """Server-sent events, `setpoint` each, the first one at once. It ends when whoever asked may not know any more."""
    first = await to_thread.run_sync(by.answer, partial(_tagged, service, device))

    async def events() -> AsyncIterator[bytes]:
        tag, content = first
        while True:
            yield b"event: setpoint\nid: " + tag.strip('"').encode() + b"\ndata: " + content + b"\n\n"
            last, quiet_s = tag, 0.0
            while tag == last:
                await sleep(_LOOK_EVERY_S)
                quiet_s += _LOOK_EVERY_S
                if quiet_s >= 15.0:
                    quiet_s = 0.0
                    yield b": still here\n\n"
                try:
                    tag, content = await to_thread.run_sync(lambda: _tagged(service, device, known_principal(by.request)))
                except ServiceError:
                    return

    return StreamingResponse(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})


@router.post("/{device}/telemetry", summary="Report readings and measurements")
def telemetry(device: str, body: TelemetryBody, by: Asking, service: Serving) -> TelemetryOut:
    """On disk when this answers. A reading that was sent before is not counted again, so a report may be repeated."""
    received = service.telemetry.report(by, device, body.readings) if body.readings else []
    if body.measurements:
        service.telemetry.measure(by, device, [measurement(each) for each in body.measurements])
    next_one = SetpointOut.of(service.controls.effective(by, device))
    kept = [ReceivedOut(**vars(each)) for each in received]
    return TelemetryOut(readings=kept, measurements=len(body.measurements), setpoint=next_one)


@router.post("/{device}/acks", status_code=201, summary="Acknowledge a control")
def acknowledge(device: str, body: AckBody, by: Asking, service: Serving) -> AckOut:
    """Said again, it is kept once."""
    service.controls.acknowledge(by, Ack(body.control, device, body.status, body.at))
    return AckOut(device=device, **body.model_dump())


@router.get("/{device}/acks", summary="What it acknowledged")
def acknowledged(device: str, by: Asking, service: Serving) -> list[AckOut]:
    """Oldest first."""
    return [
        AckOut(control=each.control, device=device, status=each.status, at=each.at) for each in service.controls.acks(by, device)
    ]


@router.put("/{device}/default-control", summary="What it does when nothing is said")
def default_control(device: str, body: FieldsBody, by: Asking, service: Serving) -> FieldsBody:
    """Must be safe for grid and battery: it is what a lost link leads to."""
    return FieldsBody.of(service.devices.change(by, device, default=body.fields()).default)


@router.post("/{device}/override", summary="Opt out")
def override(device: str, body: OverrideBody, by: Asking, service: Serving) -> OverrideOut:
    """Until then the device follows its default control."""
    return OverrideOut.of(service.controls.override(by, device, body.until, body.reason))


@router.delete("/{device}/override", status_code=204, summary="Opt in again")
def end_override(device: str, by: Asking, service: Serving) -> None:
    """Before the override ends by itself."""
    service.controls.end_override(by, device)


def _tagged(service: Service, device: str, by: Principal) -> tuple[str, bytes]:
    """The setpoint and its tag. A default begins now, at every look: that alone is no change."""
    made = SetpointOut.of(service.controls.effective(by, device))
    same = made.model_dump_json(exclude={"valid_from"} if made.is_default else set())
    return f'"{hashlib.sha256(same.encode()).hexdigest()[:32]}"', made.model_dump_json().encode()


def _tags(if_none_match: str | None) -> frozenset[str]:
    """The tags of the header; weak ones count as well."""
    return frozenset(each.strip().removeprefix("W/") for each in (if_none_match or "").split(",") if each.strip())


def _waits(prefer: str | None) -> float:
    for part in (prefer or "").split(","):
        name, _, value = part.strip().partition("=")
        if name == "wait" and value.isdecimal() and len(value) <= 4:
            return float(min(int(value), LONGEST_WAIT_S))
    return 0.0
