"""What a search asks for. Keys that are not known are ignored, as OpenADR's clients of one version send those of another."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

from fastapi.datastructures import QueryParams

from gridnet.app.api.openadr.access import words
from gridnet.app.api.openadr.shapes import Kind, Version
from gridnet.errors import Fault, InputError

MOST = 1000
"""Most objects in one answer."""

_FILTERS: Mapping[Kind, tuple[str, ...]] = {
    "program": (),
    "event": ("programID",),
    "report": ("programID", "eventID", "clientName"),
    "ven": ("venName",),
    "resource": ("venID", "resourceName"),
    "subscription": ("programID", "clientName"),
}
_NAMES: Mapping[str, str] = {
    "PROGRAM_NAME": "programName",
    "EVENT_NAME": "eventName",
    "VEN_NAME": "venName",
    "RESOURCE_NAME": "resourceName",
}
"""Target types of 3.0.1 that an object's own name answers, too."""


@dataclass(frozen=True)
class Query:
    """One search among the objects that the asking party may see."""

    members: Mapping[str, str]
    """What members must be."""
    targets: frozenset[str] = frozenset()
    """3.1: all of them must be among the object's."""
    named: tuple[str, frozenset[str]] | None = None
    """3.0.1: a type of target, and the values of which one must be among the object's."""
    skip: int = 0
    limit: int = MOST

    @classmethod
    def of(cls, version: Version, kind: Kind, params: QueryParams) -> Self:
        """From a request's query. Raises `InputError`."""
        members = {name: params[name] for name in _FILTERS[kind] if params.get(name)}
        targets, named = frozenset(params.getlist("targets")), None
        if version == "3.0.1":
            values = frozenset(params.getlist("targetValues"))
            targets, named = frozenset(), (params["targetType"], values) if params.get("targetType") and values else None
        return cls(members, targets, named, _count(params, "skip", 0), min(_count(params, "limit", MOST), MOST))

    def where(self, member: str, value: str) -> Self:
        """The same search, one more member given."""
        return replace(self, members={**self.members, member: value})

    def fits(self, found: Mapping[str, Any]) -> bool:
        """Whether it is what the search asks for."""
        if any(found.get(name) != value for name, value in self.members.items()):
            return False
        if self.named is not None:
            kind, values = self.named
            own = words([each for each in found.get("targets") or () if each["type"] == kind])
            return bool(values & own) or found.get(_NAMES.get(kind, "")) in values
        return self.targets <= words(found.get("targets"))


def _count(params: QueryParams, name: str, default: int) -> int:
    text = params.get(name, "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise InputError("this can't be searched for:", [Fault(name, text[:20], "a whole number, 0 or more")])
    return int(text)
