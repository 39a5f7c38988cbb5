"""What devices answer to controls."""

from __future__ import annotations

from datetime import UTC, datetime

from envoy_schema.server.schema.sep2.response import Response as SepResponse
from envoy_schema.server.schema.sep2.response import ResponseListResponse, ResponseType
from fastapi import Response

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Action, Asking, View
from gridnet.app.api.sep.incoming import LAST_S, LFDI_DIGITS, MRID_DIGITS, Reader
from gridnet.app.api.sep.outgoing import made
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Ack, AckStatus, Device

MEANINGS: dict[int, AckStatus] = {
    ResponseType.EVENT_RECEIVED: "received",
    ResponseType.EVENT_STARTED: "started",
    ResponseType.EVENT_COMPLETED: "completed",
    ResponseType.USER_CHOSE_OPT_OUT: "opt_out",
    ResponseType.USER_CHOSE_OPT_IN: "opt_in",
    ResponseType.EVENT_CANCELLED: "cancelled",
    ResponseType.EVENT_SUPERSEDED: "superseded",
    ResponseType.EVENT_PARTIAL_COMPLETE_USER_OPT_OUT: "opt_out",
    ResponseType.EVENT_PARTIAL_COMPLETE_USER_OPT_IN: "opt_in",
    ResponseType.EVENT_COMPLETE_NO_USER_PARTICIPATION: "opt_out",
    ResponseType.USER_ACKNOWLEDGED_EVENT: "received",
    ResponseType.EVENT_ABORTED_DUE_TO_ALTERNATE_SERVER_EVENT: "superseded",
    ResponseType.EVENT_ABORTED_DUE_TO_ALTERNATE_PROGRAM_EVENT: "superseded",
    ResponseType.REJECTED_CONTROL_PARAM_NOT_APPLICABLE: "rejected",
    ResponseType.REJECTED_INVALID_EVENT: "rejected",
    ResponseType.REJECTED_EVENT_RECEIVED_LATE: "rejected",
}
"""IEEE 2030.5, table 27. 12 (can't be displayed) is about text messages, of which there are none."""


def response_list(asking: Asking, device: str) -> ResponseListResponse:
    """What the device answered, oldest first. Raises `NotFound`."""
    known = asking.service.devices.get(asking.by, device)
    answers = asking.page.since(asking.service.controls.acks(asking.by, device), lambda ack: ack.at)
    page = [_response(known, each) for each in asking.page.cut(answers)]
    return ResponseListResponse(href=hrefs.edev(device, "rsp"), all_=len(answers), results=len(page), Response_=page)


def response(asking: Asking, device: str, name: str) -> SepResponse:
    """One answer. Raises `NotFound`."""
    known = asking.service.devices.get(asking.by, device)
    answers = asking.service.controls.acks(asking.by, device)
    found = next((each for each in answers if _name(each) == name), None)
    if found is None:
        raise NotFound(f"no response {name[:64]}")
    return _response(known, found)


def respond(asking: Asking, reader: Reader, device: str) -> Response:
    """Keeps an answer. Raises `InputError` for what is missing or wrong, `NotFound` for a control that the device never got."""
    known = asking.service.devices.get(asking.by, device)
    lfdi = reader.hexadecimal("endDeviceLFDI", LFDI_DIGITS, needed=True)
    subject = reader.hexadecimal("subject", MRID_DIGITS, needed=True)
    code = reader.integer("status", 0, 255, needed=True)
    at_s = reader.integer("createdDateTime", 0, LAST_S)
    if lfdi is not None and known.lfdi is not None and lfdi.lower() != known.lfdi:
        reader.refuse("endDeviceLFDI", lfdi, known.lfdi.upper())
    if code is not None and code not in MEANINGS:
        reader.refuse("status", str(code), f"one of {', '.join(map(str, map(int, MEANINGS)))}")
    reader.done()
    assert subject is not None, "done() let a missing subject pass"
    assert code is not None, "done() let a missing status pass"
    at = asking.service.clock() if at_s is None else datetime.fromtimestamp(at_s, UTC)
    ack = Ack(subject.lower(), device, MEANINGS[code], at, code)
    asking.service.controls.acknowledge(asking.by, ack)
    return made(hrefs.edev(device, "rsp", _name(ack)))


def _response(device: Device, ack: Ack) -> SepResponse:
    return SepResponse(
        href=hrefs.edev(device.id, "rsp", _name(ack)),
        createdDateTime=int(ack.at.timestamp()),
        endDeviceLFDI=(device.lfdi or "").upper() or "00",
        status=None if ack.code not in MEANINGS else ResponseType(ack.code),
        subject=ack.control.upper(),
    )


def _name(ack: Ack) -> str:
    return f"{ack.control}-{ack.status}"


_PATH = hrefs.EDEVS + "/{device}/rsp"
VIEWS = (View(_PATH, response_list), View(_PATH + "/{name}", response))
ACTIONS = (Action("POST", _PATH, respond),)
