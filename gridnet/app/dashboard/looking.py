"""Who looks at which page of the console, and what a page is made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.model import ROLES, Principal, Role
from gridnet.app.service.service import Service


@dataclass(frozen=True)
class Looking:
    """One look at a page, of somebody known. `query`: what stands behind the question mark of the address."""

    service: Service
    live: LiveFeeder
    by: Principal
    query: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Page:
    """A page that is read. `view(looking, **names)` gives what its template shows; `names` are those in the path."""

    path: str
    """Below /console, with names in braces."""
    title: str
    """In the menu, where the path has no names."""
    template: str
    view: Callable[..., Mapping[str, object]]
    roles: tuple[Role, ...] = ROLES
    """Who may see it."""


@dataclass(frozen=True)
class Feed:
    """What a page's script reads while the page is open: `view(looking, **names)` gives an object of JSON."""

    path: str
    view: Callable[..., Mapping[str, Any]]
    roles: tuple[Role, ...] = ROLES


@dataclass(frozen=True)
class Deed:
    """What a page's form does: `act(looking, form, **names)` gives the path of the page to go on to. Raises `GridnetError`, whose
    words the page shows."""

    path: str
    act: Callable[..., str]
    roles: tuple[Role, ...] = ROLES
