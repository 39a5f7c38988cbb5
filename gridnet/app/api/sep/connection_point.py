"""Where a device is connected: the CSIP-AUS connection point with its National Metering Identifier."""

from __future__ import annotations

from envoy_schema.server.schema.csip_aus.connection_point import ConnectionPointResponse
from fastapi import Response

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Action, Asking, View
from gridnet.app.api.sep.incoming import Reader
from gridnet.app.api.sep.outgoing import made

KIND = "sep-cp"
NMI = "10 letters (but I and O) and digits, and the check digit if it is given"


def connection_point(asking: Asking, device: str) -> ConnectionPointResponse:
    """What the device said. Raises `NotFound` before it said it."""
    body = asking.service.documents.get(asking.by, KIND, device).body
    return ConnectionPointResponse(href=hrefs.edev(device, "cp"), id=str(body["id"]))


def put_connection_point(asking: Asking, reader: Reader, device: str) -> Response:
    """Keeps it. Raises `InputError` for what is no NMI, `NotFound`."""
    # CSIP-AUS 1.1 called the element `id`.
    tag = "connectionPointId" if reader.child("connectionPointId") is not None else "id"
    nmi = reader.text(tag, 32, needed=True)
    if nmi is not None and not is_nmi(nmi.upper()):
        reader.refuse(tag, nmi, NMI)
    reader.done()
    asking.service.documents.put(asking.by, KIND, device, {"id": nmi}, device)
    return made(hrefs.edev(device, "cp"), 204)


def is_nmi(text: str) -> bool:
    """Whether it is a National Metering Identifier (AEMO's NMI procedure), with its check digit or without."""
    if len(text) not in (10, 11) or not (text.isascii() and text.isalnum()) or set("IO") & set(text):
        return False
    return len(text) == 10 or text[10] == str(check_digit(text[:10]))


def check_digit(nmi: str) -> int:
    """Of every character's ASCII code, from the right each other one doubled, the digits are added up; the check digit makes the
    sum a multiple of ten."""
    codes = [ord(each) * (2 - place % 2) for place, each in enumerate(reversed(nmi))]
    return -sum(int(digit) for code in codes for digit in str(code)) % 10


_PATH = hrefs.EDEVS + "/{device}/cp"
VIEWS = (View(_PATH, connection_point),)
ACTIONS = (Action("PUT", _PATH, put_connection_point),)
