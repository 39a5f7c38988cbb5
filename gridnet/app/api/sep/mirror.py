"""Mirror usage points: what a client measures, and the readings that it posts there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envoy_schema.server.schema.sep2.metering_mirror import MirrorUsagePoint, MirrorUsagePointListResponse
from envoy_schema.server.schema.sep2.types import ServiceKind
from fastapi import Response

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Action, Asking, View
from gridnet.app.api.sep.incoming import LFDI_DIGITS, MRID_DIGITS, Reader
from gridnet.app.api.sep.outgoing import gone, made
from gridnet.app.api.sep.rates import poll_s, post_s
from gridnet.app.api.sep.readings import Type, Value, is_site, values_of
from gridnet.app.service.errors import Conflict, NotFound
from gridnet.app.service.model import Document
from gridnet.errors import Fault, InputError

KIND, READING = "sep-mup", "sep-mmr"
"""Documents: a usage point, and a meter reading's mRID with the usage point that it belongs to."""
MOST_READINGS = 100
"""MirrorMeterReadings in one usage point."""
MOST_POINTS = 50
"""Usage points of one device."""


def count(asking: Asking) -> int:
    """How many usage points the client has."""
    return asking.service.documents.page(asking.by, KIND, None, 0, 0)[1]


def usage_points(asking: Asking) -> MirrorUsagePointListResponse:
    """The client's usage points, oldest first."""
    found, total = asking.service.documents.page(asking.by, KIND, None, asking.page.start, asking.page.limit)
    every_s = post_s(asking.service, "MirrorUsagePoint")
    return MirrorUsagePointListResponse(
        href=hrefs.MUPS,
        all_=total,
        results=len(found),
        pollRate=poll_s(asking.service, "MirrorUsagePointList"),
        mirrorUsagePoints=[_usage_point(each, every_s) for each in found],
    )


def usage_point(asking: Asking, mrid: str) -> MirrorUsagePoint:
    """One of them. Its meter readings are written and not read. Raises `NotFound`."""
    found = asking.service.documents.get(asking.by, KIND, mrid)
    return _usage_point(found, post_s(asking.service, "MirrorUsagePoint"))


def add_usage_point(asking: Asking, reader: Reader) -> Response:
    """Makes a usage point, or another of what has its mRID. Raises `InputError`, `NotFound` for its device, `Conflict` where an
    mRID is another client's."""
    mrid = reader.hexadecimal("mRID", MRID_DIGITS, needed=True)
    return _put(asking, reader, mrid)


def put_usage_point(asking: Asking, reader: Reader, mrid: str) -> Response:
    """Replaces a usage point. Raises `NotFound`, `InputError`, `Conflict`."""
    asking.service.documents.get(asking.by, KIND, mrid)
    said = reader.hexadecimal("mRID", MRID_DIGITS)
    if said not in (None, mrid):
        reader.refuse("mRID", str(said), mrid)
    return _put(asking, reader, mrid, 204)


def remove_usage_point(asking: Asking, mrid: str) -> Response:
    """Raises `NotFound`."""
    point = asking.service.documents.get(asking.by, KIND, mrid)
    for each in _types(point):
        asking.service.documents.remove(asking.by, READING, each)
    asking.service.documents.remove(asking.by, KIND, mrid)
    return gone()


def post_readings(asking: Asking, reader: Reader, mrid: str) -> Response:
    """Takes one MirrorMeterReading or a list of them. Raises `NotFound`, `InputError` where one is of no known type or too
    large."""
    point = asking.service.documents.get(asking.by, KIND, mrid)
    posted = [reader] if reader.name == "MirrorMeterReading" else reader.children("MirrorMeterReading")
    types, new, values = _types(point), dict[str, Type](), list[tuple[Type, Value]]()
    for each in posted:
        name = each.hexadecimal("mRID", MRID_DIGITS, needed=True)
        described = each.child("ReadingType")
        kind = types.get(name or "") if described is None else Type.read(described)
        if name is None or kind is None:
            each.refuse("mRID", name or "nothing", "one of the usage point's, or one with a ReadingType")
            continue
        if described is not None:
            new[name] = kind
        values += [(kind, value) for value in values_of(each)]
    reader.done()
    if new:
        _keep(asking, point, dict(point.body), {**types, **new})
    _measure(asking, point, values)
    return made(hrefs.mup(mrid))


def _put(asking: Asking, reader: Reader, mrid: str | None, status: int = 201) -> Response:
    lfdi = reader.hexadecimal("deviceLFDI", LFDI_DIGITS, exactly=True, needed=True)
    body: dict[str, Any] = {
        "roleFlags": reader.hexadecimal("roleFlags", 4, needed=True),
        "serviceCategoryKind": reader.integer("serviceCategoryKind", 0, max(ServiceKind)) or 0,
        "status": reader.integer("status", 0, 255) or 0,
        "description": reader.text("description", 32),
        "version": reader.integer("version", 0, 2**16 - 1),
        "deviceLFDI": lfdi,
    }
    types, values = dict[str, Type](), list[tuple[Type, Value]]()
    for each in reader.children("MirrorMeterReading"):
        name, described = each.hexadecimal("mRID", MRID_DIGITS, needed=True), each.child("ReadingType")
        kind = Type() if described is None else Type.read(described)
        types[name or ""] = kind
        values += [(kind, value) for value in values_of(each)]
    reader.done()
    assert lfdi is not None, "done() let a missing LFDI pass"
    assert mrid is not None, "done() let a missing mRID pass"
    device = asking.service.devices.by_lfdi(asking.by, lfdi)
    point = Document(KIND, mrid, asking.by.id, body, device.id)
    _keep(asking, point, body, types)
    _measure(asking, point, values)
    return made(hrefs.mup(mrid), status)


def _keep(asking: Asking, point: Document, body: dict[str, Any], types: dict[str, Type]) -> None:
    """Writes the usage point; first its meter readings, whose mRIDs nobody else may have. Those that it no longer has are free."""
    if len(types) > MOST_READINGS:
        raise InputError("too many meter readings:", [Fault("MirrorMeterReading", str(len(types)), f"{MOST_READINGS} at most")])
    documents = asking.service.documents
    try:
        before = _types(documents.get(asking.by, KIND, point.id))
    except NotFound:
        before = {}
        if documents.page(asking.by, KIND, point.device, 0, 0)[1] >= MOST_POINTS:
            raise Conflict(f"{MOST_POINTS} usage points are all that one device may have") from None
    for each in types:
        documents.put(asking.by, READING, each, {"mup": point.id}, point.device)
    body["readings"] = {name: kind.body() for name, kind in types.items()}
    documents.put(asking.by, KIND, point.id, body, point.device)
    for each in before.keys() - types.keys():
        documents.remove(asking.by, READING, each)


def _measure(asking: Asking, point: Document, values: Sequence[tuple[Type, Value]]) -> None:
    if not values or point.device is None:
        return
    now, site = asking.service.clock(), is_site(int(str(point.body["roleFlags"]), 16))
    measured = [value.measured(kind, now, site=site) for kind, value in values]
    asking.service.telemetry.measure(asking.by, point.device, measured)


def _types(point: Document) -> dict[str, Type]:
    stored: Any = point.body.get("readings", {})
    return {name: Type(**kind) for name, kind in stored.items()}


def _usage_point(point: Document, every_s: int) -> MirrorUsagePoint:
    body: dict[str, Any] = {name: value for name, value in point.body.items() if name != "readings"}
    return MirrorUsagePoint(href=hrefs.mup(point.id), mRID=point.id, postRate=every_s, **body)


VIEWS = (View(hrefs.MUPS, usage_points), View(hrefs.MUPS + "/{mrid}", usage_point))
ACTIONS = (
    Action("POST", hrefs.MUPS, add_usage_point),
    Action("PUT", hrefs.MUPS + "/{mrid}", put_usage_point),
    Action("DELETE", hrefs.MUPS + "/{mrid}", remove_usage_point),
    Action("POST", hrefs.MUPS + "/{mrid}", post_readings),
)
