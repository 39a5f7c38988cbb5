"""A service with three parties and two batteries, and its VTNs over HTTP."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient

from gridnet.app.service.config import Config
from gridnet.app.service.model import Device, Principal, Setpoint
from gridnet.app.service.service import Service
from gridnet_contracts.ledger.database import Database, sqlite_engine

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
DATABASE = "service.db"
SECRET = "a secret of the tests"
PEOPLE = {
    "boss": Principal("boss", "operator"),
    "ann": Principal("ann", "prosumer"),
    "bob": Principal("bob", "prosumer"),
    "eve": Principal("eve", "prosumer"),
}
BOSS = PEOPLE["boss"]
METERS = {"bat-a": "bat-00", "bat.b": "bat-01"}


@dataclass
class Clock:
    """A clock that stands still."""

    now: datetime = START + timedelta(minutes=5)

    def __call__(self) -> datetime:
        return self.now


@dataclass
class Vtn:
    """What a test needs of the service, and one version of its VTN."""

    service: Service
    http: TestClient
    clock: Clock
    version: str

    def call(self, by: str, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """One request; the answer."""
        url = f"/openadr3/{self.version}{path}"
        return self.http.request(method, url, json=body, params=params, headers={"authorization": f"Bearer {by}"} if by else {})

    def get(self, by: str, path: str, **params: Any) -> Any:
        """What a successful GET answers."""
        answer = self.call(by, "GET", path, **params)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, by: str, path: str, body: Any) -> Any:
        """What a successful POST answers."""
        answer = self.call(by, "POST", path, body)
        assert answer.status_code == 201, answer.text
        return answer.json()

    def put(self, by: str, path: str, body: Any) -> Any:
        """What a successful PUT answers."""
        answer = self.call(by, "PUT", path, body)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def status(self, by: str, method: str, path: str, body: Any = None) -> int:
        """What a request is answered with."""
        return int(self.call(by, method, path, body).status_code)

    def decide(self, device: str, *powers_kw: float) -> None:
        """The policy's setpoint of the quarter-hour that runs, and those that it plans after it."""
        decide(self.service, device, START, *powers_kw)

    def targets(self, *values: str) -> list[Any]:
        """Targets as the version writes them."""
        return list(values) if self.version == "3.1.0" else [{"type": "GROUP", "values": list(values)}]

    def program(self, name: str = "tariff", **members: Any) -> Any:
        """A program of the operator's."""
        return self.post("boss", "/programs", {"programName": name, **members})

    def event(self, program: str, **members: Any) -> Any:
        """An event of the operator's."""
        interval = {"id": 0, "payloads": [{"type": "PRICE", "values": [0.17]}]}
        return self.post("boss", "/events", {"programID": program, "intervals": [interval], **members})


def decide(service: Service, device: str, start: datetime, *powers_kw: float) -> None:
    """The policy's setpoint of the quarter-hour that begins at `start`, and those that it plans after it."""
    made = [
        Setpoint(METERS[device], start + number * QUARTER, start + (number + 1) * QUARTER, p_kw, 0.0, "rule", "")
        for number, p_kw in enumerate(powers_kw)
    ]
    service.controls.decided(made[:1], made[1:])


def make_service(folder: Path, clock: Any, secret: str | None = None, **config: Any) -> Service:
    """A service with `boss`, who operates, `ann` with `bat-a`, `bob` with `bat.b`, and `eve` with nothing."""
    path = folder / DATABASE
    # Requests come in threads of their own; nothing here needs to outlive the machine.
    engine = sqlite_engine(lambda: sqlite3.connect(path, check_same_thread=False, timeout=30))
    service = Service.on(Database(f"sqlite:///{path}", engine), Config(**config), frozenset(METERS.values()), clock=clock)
    for each in PEOPLE.values():
        service.people.add(BOSS, each, secret)
    for name, owner in (("bat-a", "ann"), ("bat.b", "bob")):
        service.devices.add(BOSS, Device(name, owner, "battery", 5.0, 5.0, 5.0, 10.0, meter=METERS[name]))
    return service
