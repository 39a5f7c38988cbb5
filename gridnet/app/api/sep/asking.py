"""Who asks for which part of what."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar

from fastapi import Request, Response

from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service
from gridnet.errors import Fault, InputError

T = TypeVar("T")

MOST_ITEMS = 255
"""Longest page, whatever is asked for."""
_MOST = 2**32 - 1


@dataclass(frozen=True)
class Page:
    """A part of a list: the query's `s` (start), `l` (limit, 1 where nothing is said) and `a` (after, seconds since 1970)."""

    start: int = 0
    limit: int = 1
    after_s: int = 0

    def cut(self, items: Sequence[T]) -> list[T]:
        """The part of a whole list."""
        return list(items[self.start : self.start + self.limit])

    def since(self, items: Sequence[T], time: Callable[[T], datetime | None]) -> list[T]:
        """Those whose time is later than `a`."""
        if not self.after_s:
            return list(items)
        return [each for each in items if (at := time(each)) is not None and at.timestamp() > self.after_s]


@dataclass(frozen=True)
class Asking:
    """A request, or a notification in the name of its subscriber."""

    service: Service
    by: Principal
    page: Page


@dataclass(frozen=True)
class View:
    """A resource that can be read. `make(asking, **names)`: `names` are those in the path. `topic`: what is published when it
    changes; without one, nobody can subscribe to it."""

    path: str
    make: Callable[..., object]
    topic: str | None = None


@dataclass(frozen=True)
class Action:
    """Something a client sends: `act(asking, reader, **names)`, without a reader where the method has no body."""

    method: str
    path: str
    act: Callable[..., Response]

    @property
    def has_body(self) -> bool:
        """Whether the client sends a document along."""
        return self.method != "DELETE"


async def page_of(request: Request) -> Page:
    """The part that a query asks for. Raises `InputError` for what is no number."""
    values, faults = {}, []
    for name in ("s", "l", "a"):
        text = request.query_params.get(name)
        if text is None:
            continue
        if not (text.isascii() and text.isdigit() and int(text[:11]) <= _MOST):
            faults.append(Fault(name, repr(text[:40]), f"0 to {_MOST}"))
            continue
        values[name] = int(text)
    if faults:
        raise InputError("no such part of a list:", faults)
    return Page(values.get("s", 0), min(values.get("l", 1), MOST_ITEMS), values.get("a", 0))
