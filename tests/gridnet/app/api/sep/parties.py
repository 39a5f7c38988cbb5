"""A service, and parties that ask it with certificates, without the TLS around them."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

from fastapi import FastAPI
from fastapi.testclient import TestClient
from httpx import Response
from pydantic_xml import BaseXmlModel

from gridnet.app.api.app import make_app
from gridnet.app.service.config import Config
from gridnet.app.service.model import Control, Device, Fields, Order, Principal, sfdi_of
from gridnet.app.service.service import Service
from gridnet_contracts.ledger.database import Database, sqlite_engine

START = datetime(2026, 3, 1, 12, 5, tzinfo=UTC)
BOSS = Principal("boss", "operator", "0" * 39 + "f")
ANN, BOB, CAROL = "a1" * 20, "b2" * 20, "c3" * 20
"""LFDIs: of ann's device, of bob's, and of one that nobody registered."""
AGGREGATOR = Principal("fleet", "aggregator", "d4" * 20)
SECRET = "a secret of the tests"
DATABASE, FILLED = "service.db", "filled.db"
NS = 'xmlns="urn:ieee:std:2030.5:ns" xmlns:csipaus="https://csipaus.org/ns"'
PayloadT = TypeVar("PayloadT", bound=BaseXmlModel)


@dataclass
class Clock:
    """A clock that is moved by hand."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Party:
    """Somebody with a certificate."""

    http: TestClient
    lfdi: str

    def get(self, model: type[PayloadT], path: str, **query: int) -> PayloadT:
        """What it reads."""
        answer = self.send("GET", path, **query)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"] == "application/sep+xml"
        return model.from_xml(answer.content)

    def post(self, path: str, body: str) -> str:
        """Where what it made is."""
        answer = self.send("POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def put(self, path: str, body: str) -> None:
        """Changes something."""
        answer = self.send("PUT", path, body)
        assert answer.status_code == 204, answer.text

    def status(self, method: str, path: str, body: str | bytes = "") -> int:
        """What it is answered with; an error is one of 2030.5's."""
        answer = self.send(method, path, body)
        if answer.status_code >= 400:
            assert b"<reasonCode>" in answer.content, answer.text
            assert answer.headers["content-type"] == "application/sep+xml"
        return answer.status_code

    def send(self, method: str, path: str, body: str | bytes = "", **query: int) -> Response:
        """One request."""
        return self.http.request(method, path, content=body, params=query or None, headers={"x-lfdi": self.lfdi})


@dataclass(frozen=True)
class World:
    """The service and those who ask it. `ann` and `bob` are batteries of 5 kW with certificates of their own."""

    service: Service
    http: TestClient
    clock: Clock

    def party(self, lfdi: str) -> Party:
        """Whoever has this certificate."""
        return Party(self.http, lfdi)

    @property
    def ann(self) -> Party:
        return self.party(ANN)

    @property
    def bob(self) -> Party:
        return self.party(BOB)

    @property
    def boss(self) -> Party:
        return self.party(str(BOSS.lfdi))

    def fleet(self) -> Party:
        """An aggregator."""
        self.service.people.add(BOSS, AGGREGATOR)
        return self.party(str(AGGREGATOR.lfdi))

    def dispatch(self, device: str | None, start_s: int = 0, length_s: int = 900, **fields: Any) -> Control:
        """An operator's order that begins in `start_s` seconds."""
        start = self.clock.now + timedelta(seconds=start_s)
        order = Order("operator", device, Fields(**fields), start, start + timedelta(seconds=length_s), "for the test")
        return self.service.controls.dispatch(BOSS, order)


class WithCertificate:
    """What the server does at the end of a connection: it says in the scope whose certificate it was."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        lfdi = dict(scope.get("headers", ())).get(b"x-lfdi", b"").decode()
        if lfdi:
            scope["extensions"] = {"tls": {"client_lfdi": lfdi}}
        await self.app(scope, receive, send)


def open_service(folder: Path, clock: Any, **config: Any) -> Service:
    """The service in a folder; its tables are made where they are not there."""
    path = folder / DATABASE
    engine = sqlite_engine(lambda: sqlite3.connect(path, check_same_thread=False, timeout=30))
    return Service.on(Database(f"sqlite:///{path}", engine), Config(**config), frozenset({"bat-00"}), clock=clock)


@contextmanager
def standing(folder: Path) -> Iterator[Callable[[], World]]:
    """The whole application. What it gives makes the world new: the same application on a fresh copy of its database.

    Ann's battery is on the live feeder, bob's is not."""
    _fill(folder)
    shutil.copyfile(folder / DATABASE, folder / FILLED)
    clock = Clock()
    settings = {"webhook_private": True, "webhook_plain_http": True, "requests_per_minute": 10**6}
    service = open_service(folder, clock, poll_s=60, post_s=300, **settings)
    world = World(service, TestClient(WithCertificate(make_app(service))), clock)

    def renew() -> World:
        service.store.database.close()
        shutil.copyfile(folder / FILLED, folder / DATABASE)
        clock.now = START
        return world

    with world.http:
        yield renew
    service.store.database.close()


def _fill(folder: Path) -> None:
    service = open_service(folder, Clock())
    service.people.add(BOSS, BOSS, SECRET)
    for name, lfdi, meter in (("ann-bat", ANN, "bat-00"), ("bob-bat", BOB, None)):
        device = Device(name, f"lfdi:{lfdi}", "battery", 5.0, 5.0, 5.0, 10.0, meter=meter, lfdi=lfdi, pin=111115)
        service.devices.add(BOSS, device)
    service.store.database.close()


def end_device(lfdi: str, sfdi: int | None = None, category: str = "02000000") -> str:
    """What a device sends to be registered."""
    short = sfdi_of(lfdi) if sfdi is None else sfdi
    return (
        f"<EndDevice {NS}><deviceCategory>{category}</deviceCategory><lFDI>{lfdi.upper()}</lFDI><sFDI>{short}</sFDI>"
        "<changedTime>1772366700</changedTime></EndDevice>"
    )
