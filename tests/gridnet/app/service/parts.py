"""What the service's tests share: a clock that is told what time it is, people, a service on a database of its own."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy import insert

from gridnet.app.api.app import make_app
from gridnet.app.service.config import Config
from gridnet.app.service.model import Device, Fields, Order, Principal, Setpoint
from gridnet.app.service.people import TOKEN_S
from gridnet.app.service.schema import tokens
from gridnet.app.service.service import Service
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.keys import DeviceKey
from gridnet.metering.reading import FIRST, Reading
from gridnet_contracts.ledger.database import Database

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
QUARTER = timedelta(minutes=15)
SECOND = timedelta(seconds=1)
METERS = frozenset({"bat-00", "bat-01", "pv-00"})
OPERATOR = Principal("boss", "operator")
ALICE = Principal("alice", "prosumer")
BOB = Principal("bob", "prosumer")
PEOPLE = {
    "boss": OPERATOR,
    "alice": ALICE,
    "bob": BOB,
    "many": Principal("many", "aggregator"),
    "auditor": Principal("auditor", "auditor"),
    "inverter": Principal("inverter", "device"),
}
OPEN_HOOKS = {"webhook_private": True, "webhook_plain_http": True}
KEY = DeviceKey.simulated(7, "alice's meter")


@dataclass
class Clock:
    """A clock that stands still until it is moved."""

    now: datetime = NOON + 5 * timedelta(minutes=1)

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **by: float) -> None:
        """Moves it."""
        self.now += timedelta(**by)


def secret_of(name: str) -> str:
    """What a principal of the tests comes with."""
    return f"{name}, a secret of the tests"


def service_on(url: str, clock: Clock, *, people: bool = True, **settings: Any) -> Service:
    """A service; scrypt is slow, so that only tests that need people's secrets make them."""
    config = Config(**{"requests_per_minute": 1_000_000, **settings})
    service = Service.on(Database(url), config, METERS, safe_pv_share=0.5, clock=clock)
    with service.store.write() as connection:
        for name, principal in PEOPLE.items():
            service.people.enter(connection, principal, secret_of(name) if people else None)
    return service


def battery(name: str = "alice-1", owner: str = "alice", **more: Any) -> Device:
    """A battery of 5 kW and 10 kWh."""
    return Device(name, owner, "battery", **{"discharge_kw": 5.0, "charge_kw": 5.0, "s_kva": 5.0, "e_kwh": 10.0, **more})


def metered(name: str = "alice-1", owner: str = "alice", meter: str = "bat-00", key: DeviceKey = KEY) -> Device:
    """A battery behind a meter of the feeder that signs with a key."""
    return battery(name, owner, meter=meter, meter_key=key.public_key.encode())


def order(start: datetime, minutes: float = 10.0, device: str | None = "alice-1", **more: Any) -> Order:
    """Dispatch of 1 kW, unless said otherwise."""
    said = {"program": "operator", "fields": Fields(p_kw=1.0), **more}
    return Order(device=device, start=start, end=start + timedelta(minutes=minutes), **said)


def setpoint(start: datetime, p_kw: float, meter: str = "bat-00", source: str = "rl") -> Setpoint:
    """A policy's, for a quarter-hour."""
    return Setpoint(meter, start, start + QUARTER, p_kw, 0.0, source, "")


@dataclass
class Meter:
    """A meter that signs one reading after the other."""

    key: DeviceKey = KEY
    name: str = "bat-00"
    sequence: int = 0
    previous: bytes = FIRST
    sent: list[bytes] = field(default_factory=list)

    def reads(self, start: datetime, injected_wh: int = 250, drawn_wh: int = 0, soc_ppm: int | None = 500_000) -> bytes:
        """The signed reading of the quarter-hour that begins at `start`."""
        reading = Reading(
            device=self.name,
            sequence=self.sequence,
            previous=self.previous,
            start=start,
            minutes=15,
            injected_wh=injected_wh,
            drawn_wh=drawn_wh,
            reactive_varh=0,
            voltage_mv=230_000,
            soc_ppm=soc_ppm,
        )
        raw = sign(reading, self.key)
        self.sequence, self.previous = self.sequence + 1, message_hash(raw)
        self.sent.append(raw)
        return raw


@dataclass
class Caller:
    """HTTP requests in people's names."""

    service: Service
    http: TestClient
    clock: Clock
    _tokens: dict[str, str] = field(default_factory=dict)

    def token(self, name: str) -> str:
        """A bearer token, made once. Not asked for with a secret: scrypt is slow, and tested on its own."""
        if name not in self._tokens:
            self._tokens[name] = f"{name}'s token"
            hashed = hashlib.sha256(self._tokens[name].encode()).hexdigest()
            with self.service.store.write() as connection:
                row = {"hash": hashed, "principal": name, "expires_s": self.service.store.now_s() + TOKEN_S}
                connection.execute(insert(tokens), [row])
        return self._tokens[name]

    def __call__(self, name: str | None, method: str, path: str, **more: Any) -> Any:
        headers = {} if name is None else {"authorization": f"Bearer {self.token(name)}"}
        headers |= more.pop("headers", {})
        return self.http.request(method, path if path[1:4] in ("api", "oau") else f"/api/v1{path}", headers=headers, **more)


@contextmanager
def calling(folder: Path, **settings: Any) -> Iterator[Caller]:
    """A caller of the whole application; an error that nobody thought of is an answer, as from a real server."""
    clock = Clock()
    service = service_on(f"sqlite:///{folder / 'service.db'}", clock, **{"people": False, **settings})
    with TestClient(make_app(service), raise_server_exceptions=False) as http:
        yield Caller(service, http, clock)
    service.store.database.close()
