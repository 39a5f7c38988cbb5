"""OpenADR's objects: made, read, searched for, changed and removed. What the service publishes itself stands before the others."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

from gridnet.app.api.openadr.access import WRITES, Access, require
from gridnet.app.api.openadr.live import EVENT_PREFIX, PROGRAM, PROGRAM_NAME, Live
from gridnet.app.api.openadr.notices import Notices, without_token
from gridnet.app.api.openadr.queries import Query
from gridnet.app.api.openadr.reports import measurements, units_of
from gridnet.app.api.openadr.shapes import Kind, Version, check
from gridnet.app.api.openadr.times import iso_time
from gridnet.app.service.errors import Conflict, Forbidden, NotFound
from gridnet.app.service.model import Device, Document, Measurement, Principal
from gridnet.app.service.service import Service

MOST_OF_A_KIND = 1000
"""Objects of one kind that a VEN may have; of reports the oldest go when there are more."""

_PARTS: Mapping[Kind, tuple[Kind, str]] = {"program": ("event", "programID"), "ven": ("resource", "venID")}
"""What goes with an object that is removed, and the member that names it."""
_UNIQUE: Mapping[Kind, tuple[str, ...]] = {
    "program": ("programName",),
    "ven": ("venName",),
    "resource": ("venID", "resourceName"),
}
_PROVISIONED = ("id", "createdDateTime", "modificationDateTime", "objectType")
_BL_ONLY = ("clientID", "targets")

Wire = dict[str, Any]


class Objects:
    """Objects of one version of the protocol."""

    def __init__(self, service: Service, version: Version, access: Access, live: Live) -> None:
        self._service = service
        self._version = version
        self._access = access
        self._live = live
        self._notices = Notices(service, version, access, live)

    def search(self, by: Principal, kind: Kind, query: Query) -> list[Wire]:
        """What `by` may see and the query asks for. Raises `Forbidden`."""
        require(by, "read_all")
        parts = [self._own(by, kind, query)]
        # In the service's own program there is nobody else's event.
        if kind != "event" or query.members.get("programID") != PROGRAM:
            parts.append(_shown(by, kind, each) for each in self._access.all(by, kind))
        fitting = (each for part in parts for each in part if query.fits(each))
        return list(islice(fitting, query.skip, query.skip + query.limit))

    def read(self, by: Principal, kind: Kind, name: str) -> Wire:
        """Raises `Forbidden`, `NotFound`."""
        require(by, "read_all")
        if _is_own(kind, name):
            return self._live.program() if kind == "program" else self._live.event(by, name)
        return _shown(by, kind, self._access.one(by, kind, name))

    def create(self, by: Principal, kind: Kind, sent: Wire) -> Wire:
        """Raises `Forbidden`, `NotFound` for what it refers to, `Conflict`, `InputError`."""
        require(by, WRITES[kind])
        check(self._version, kind, sent)
        body = _clean(by, kind, sent, {})
        owner = self._owner(by, kind, body)
        measure = self._placed(by, kind, body)
        self._check_unique(by if kind == "program" else owner, kind, body, None)
        self._make_room(by, kind)
        name, now = secrets.token_hex(16), iso_time(self._service.clock())
        body = _provisioned(body, kind, {"id": name, "createdDateTime": now, "modificationDateTime": now}, owner.id)
        measure()
        self._service.documents.put(owner, self._access.shelf(kind), name, body)
        if kind == "subscription":
            self._notices.follow(owner.id, body)
        self._notices.tell(kind, "CREATE", body, owner.id)
        return body

    def replace(self, by: Principal, kind: Kind, name: str, sent: Wire) -> Wire:
        """Raises `Forbidden`, `NotFound`, `Conflict`, `InputError`."""
        before = self._mine(by, kind, name)
        check(self._version, kind, sent)
        body = _clean(by, kind, sent, before.body)
        measure = self._placed(by, kind, body)
        self._check_unique(by, kind, body, before)
        kept = {"id": name, "createdDateTime": str(before.body["createdDateTime"])}
        body = _provisioned(body, kind, {**kept, "modificationDateTime": iso_time(self._service.clock())}, before.owner)
        measure()
        self._service.documents.put(by, self._access.shelf(kind), name, body)
        if kind == "subscription":
            self._notices.drop(by, name)
            self._notices.follow(before.owner, body)
        self._notices.tell(kind, "UPDATE", body, before.owner)
        return body

    def remove(self, by: Principal, kind: Kind, name: str) -> Wire:
        """The object as it was; what belongs to it goes with it. Raises `Forbidden`, `NotFound`, `Conflict`."""
        before = self._mine(by, kind, name)
        if kind in _PARTS:
            part, member = _PARTS[kind]
            for each in [each for each in self._access.all(by, part) if each.body[member] == name]:
                self.remove(by, part, each.id)
        if kind == "subscription":
            self._notices.drop(by, name)
        # Told while the program of an event that goes is still there to say who may hear of it.
        self._notices.tell(kind, "DELETE", before.body, before.owner)
        self._service.documents.remove(by, self._access.shelf(kind), name)
        return _shown(by, kind, before)

    def _own(self, by: Principal, kind: Kind, query: Query) -> Iterator[Wire]:
        if kind == "program":
            yield self._live.program()
        elif kind == "event" and query.members.get("programID", PROGRAM) == PROGRAM:
            yield from self._live.events(by)

    def _mine(self, by: Principal, kind: Kind, name: str) -> Document:
        require(by, WRITES[kind])
        if _is_own(kind, name):
            raise Conflict(f"{name} is the service's own: it changes when the dispatch does")
        return self._access.one(by, kind, name)

    def _owner(self, by: Principal, kind: Kind, body: Wire) -> Principal:
        """Whose the object is: what the BL makes for a VEN is the VEN's."""
        if by.operates and kind == "ven" and body.get("clientID"):
            return self._access.principal(body["clientID"])
        if by.operates and kind == "resource":
            return self._access.principal(self._access.one(by, "ven", body["venID"]).owner)
        return by

    def _placed(self, by: Principal, kind: Kind, body: Wire) -> Callable[[], None]:
        """Checks what an object refers to; gives what is to be done when all else is in order."""
        if kind == "event":
            if body["programID"] == PROGRAM:
                raise Conflict(f"program {PROGRAM} is the service's own: dispatch through the service")
            self._access.one(by, "program", body["programID"])
        elif kind == "resource":
            self._access.one(by, "ven", body["venID"])
        elif kind == "subscription":
            if body.get("programID"):
                self.read(by, "program", body["programID"])
            self._notices.check(body)
        elif kind == "report":
            # Where 3.1 leaves the program out, searches still ask for it.
            body["programID"] = self.read(by, "event", body["eventID"])["programID"]
            return partial(self._measure, by, self._measured(by, body))
        return lambda: None

    def _measure(self, by: Principal, found: list[tuple[Device, list[Measurement]]]) -> None:
        for device, values in found:
            self._service.telemetry.measure(by, device.id, values)

    def _measured(self, by: Principal, report: Wire) -> list[tuple[Device, list[Measurement]]]:
        found, units, now = [], units_of(report), self._service.clock()
        for reported in report["resources"]:
            device = self._reporter(by, reported["resourceName"], report["eventID"])
            if device is not None:
                found.append((device, measurements(device, reported, units, now)))
        return found

    def _reporter(self, by: Principal, resource: str, event: str) -> Device | None:
        """The device that a part of a report speaks of: the one it names, or else the one whose event it answers."""
        try:
            return self._service.devices.get(by, resource)
        except NotFound:
            if not _is_own("event", event):
                return None
        return self._live.device(by, event)

    def _make_room(self, by: Principal, kind: Kind) -> None:
        if by.operates:
            return
        first, total = self._service.documents.page(by, self._access.shelf(kind), None, 0, 1)
        if total >= MOST_OF_A_KIND and kind != "report":
            raise Conflict(f"{total} of this kind are there, {MOST_OF_A_KIND} at most")
        if total >= MOST_OF_A_KIND:
            self._service.documents.remove(by, self._access.shelf(kind), first[0].id)

    def _check_unique(self, by: Principal, kind: Kind, body: Wire, before: Document | None) -> None:
        """Among the operator's programs, or among what one VEN has."""
        members = _UNIQUE.get(kind)
        if members is None:
            return
        if kind == "program" and body["programName"] == PROGRAM_NAME:
            raise Conflict(f"{PROGRAM_NAME!r} is the service's own program")
        others = self._access.all(by, kind)
        if before is not None:
            others = (each for each in others if each.id != before.id and (kind == "program" or each.owner == before.owner))
        if any(all(each.body[member] == body[member] for member in members) for each in others):
            raise Conflict(f"a {kind} with {' and '.join(f'{member} {body[member]!r}' for member in members)} is there already")


def _is_own(kind: Kind, name: str) -> bool:
    return (kind == "program" and name == PROGRAM) or (kind == "event" and name.startswith(EVENT_PREFIX))


def _clean(by: Principal, kind: Kind, sent: Wire, before: Mapping[str, Any]) -> Wire:
    """What a client says, without what it has no say in. Raises `Forbidden` for a VEN that speaks as the BL."""
    body = {name: value for name, value in sent.items() if name not in _PROVISIONED}
    if by.operates or kind not in ("ven", "resource"):
        return body
    if str(sent.get("objectType", "")).startswith("BL_"):
        raise Forbidden(f"{sent['objectType'][:40]} is for the business logic")
    kept = {name: before[name] for name in _BL_ONLY if name in before}
    return {name: value for name, value in body.items() if name not in _BL_ONLY} | kept


def _provisioned(body: Wire, kind: Kind, given: Mapping[str, str], owner: str) -> Wire:
    client = {} if kind in ("program", "event") else {"clientID": owner}
    if kind == "subscription":
        body["objectOperations"] = [{"bearerToken": None, **each} for each in body["objectOperations"]]
    return {**given, "objectType": kind.upper(), **client, **{name: value for name, value in body.items() if name not in client}}


def _shown(by: Principal, kind: Kind, document: Document) -> Wire:
    """An object as `by` reads it: the secret that a subscriber wants to hear is for itself alone."""
    return without_token(document.body) if kind == "subscription" and document.owner != by.id else dict(document.body)
