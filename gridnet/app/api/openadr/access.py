"""Who may see and write what: an operator is OpenADR's business logic (BL), every owner of devices a virtual end node (VEN).

A VEN sees what it wrote itself, and of what the BL published the programs and events that have no targets or one of its own. Its
own targets are its client id, the ids of its devices, and whatever the BL put on its VENs and resources: never a name that it
chose, or it could name itself after its neighbour.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from gridnet.app.api.openadr.shapes import Kind, Version
from gridnet.app.service.errors import Forbidden, NotAuthenticated, NotFound
from gridnet.app.service.model import Document, Principal, Role
from gridnet.app.service.service import Service

_BL = ("read_all", "read_bl", "write_programs", "write_events", "write_subscriptions", "write_vens")
_VEN = ("read_all", "read_targets", "read_ven_objects", "write_reports", "write_subscriptions", "write_vens")
SCOPES: Mapping[Role, tuple[str, ...]] = {"operator": _BL, "aggregator": _VEN, "prosumer": _VEN, "device": _VEN, "auditor": ()}

WRITES: Mapping[Kind, str] = {
    "program": "write_programs",
    "event": "write_events",
    "report": "write_reports",
    "ven": "write_vens",
    "resource": "write_vens",
    "subscription": "write_subscriptions",
}
PUBLISHED: frozenset[Kind] = frozenset({"program", "event"})
"""What the BL writes for VENs to read."""

HOUSE = Principal("openadr", "operator")
"""Reads for a VEN what is published, before its targets are held against it."""
_READ_AT_ONCE = 200


def require(by: Principal, scope: str) -> None:
    """Raises `Forbidden` unless the asking party's role has the scope."""
    if scope not in SCOPES[by.role]:
        raise Forbidden(f"{scope} is not for the role {by.role}")


def words(targets: Any) -> frozenset[str]:
    """Targets without their types: 3.1 writes a list of strings, 3.0.1 one of named values."""
    values = ([each] if isinstance(each, str) else each["values"] for each in targets or ())
    return frozenset(str(value) for listed in values for value in listed)


class Access:
    """Objects of one version of the protocol, and whose eyes they are for."""

    def __init__(self, service: Service, version: Version) -> None:
        self._service = service
        self._prefix = f"openadr/{version}"

    def shelf(self, kind: Kind) -> str:
        """What documents of this kind are called in the service. The versions are two VTNs: neither sees the other's objects."""
        return f"{self._prefix}/{kind}"

    def all(self, by: Principal, kind: Kind) -> Iterator[Document]:
        """What `by` may see of a kind, oldest first."""
        hidden = kind in PUBLISHED and not by.operates
        found = self._pages(HOUSE if hidden else by, kind)
        if not hidden:
            yield from found
            return
        own = self.targets(by)
        programs = {each.id for each in self._pages(HOUSE, "program") if _matches(each.body, own)}
        for each in found:
            if _matches(each.body, own) and (kind == "program" or each.body["programID"] in programs):
                yield each

    def one(self, by: Principal, kind: Kind, name: str) -> Document:
        """Raises `NotFound`, also for what `by` may not see."""
        hidden = kind in PUBLISHED and not by.operates
        found = self._service.documents.get(HOUSE if hidden else by, self.shelf(kind), name)
        if hidden and not self.sees(by, kind, found.body):
            raise NotFound(f"no {kind} {name[:64]}")
        return found

    def sees(self, by: Principal, kind: Kind, body: Mapping[str, Any]) -> bool:
        """Whether a published object is for `by`'s eyes: an event needs its program to be, too."""
        if by.operates:
            return True
        own = self.targets(by)
        if not _matches(body, own) or kind == "program":
            return _matches(body, own)
        program = self._service.documents.get(HOUSE, self.shelf("program"), str(body["programID"]))
        return _matches(program.body, own)

    def targets(self, by: Principal) -> frozenset[str]:
        """What a VEN is targeted by."""
        start, total, own = 0, 1, {by.id}
        while start < total:
            devices, total = self._service.devices.page(by, start, _READ_AT_ONCE)
            own.update(device.id for device in devices)
            start += _READ_AT_ONCE
        kinds: tuple[Kind, ...] = ("ven", "resource")
        return frozenset(own).union(*(words(each.body.get("targets")) for kind in kinds for each in self._pages(by, kind)))

    def principal(self, name: str) -> Principal:
        """The owner of something, as one who asks. Raises `NotAuthenticated` for one that was revoked."""
        try:
            known = self._service.people.get(HOUSE, name)
        except NotFound:
            # A device that came with a certificate of ours and nobody has entered by hand.
            lfdi = name.removeprefix("lfdi:")
            return Principal(name, "device", lfdi if lfdi != name else None)
        if known.revoked:
            raise NotAuthenticated(f"{name} was revoked")
        return known.principal

    def _pages(self, by: Principal, kind: Kind) -> Iterator[Document]:
        start, total = 0, 1
        while start < total:
            found, total = self._service.documents.page(by, self.shelf(kind), None, start, _READ_AT_ONCE)
            yield from found
            start += _READ_AT_ONCE


def _matches(body: Mapping[str, Any], own: frozenset[str]) -> bool:
    wanted = words(body.get("targets"))
    return not wanted or bool(wanted & own)
