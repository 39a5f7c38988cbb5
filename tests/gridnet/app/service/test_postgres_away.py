"""PostgreSQL stopped under a running service, and started again."""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient

from gridnet.app.api.app import make_app
from gridnet.app.service.service import Service
from tests.contracts.gridnet_contracts.ledger.stores import running_postgres
from tests.gridnet.app.service.parts import KEY, PEOPLE, Caller, Meter, battery, secret_of
from tests.gridnet.app.service.plant import FAR_Q, Plant, case_at


@dataclass
class PostgresPlant(Plant):
    """One whose database is a server's."""

    uri: str = ""

    @property
    def url(self) -> str:
        return self.uri


@pytest.fixture(scope="module")
def postgres_of_its_own() -> Iterator[Any]:
    with running_postgres() as server:
        yield server


def _until(true: Callable[[], bool], within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.1)


def _known(service: Service) -> None:
    with service.store.write() as connection:
        for name, principal in PEOPLE.items():
            service.people.enter(connection, principal, secret_of(name))
    service.devices.add(PEOPLE["boss"], battery(meter="bat-01", meter_key=KEY.public_key.encode()))


def test_a_service_goes_on_where_it_was_when_its_database_comes_back(postgres_of_its_own: Any, year: Path, tmp_path: Path) -> None:
    server = postgres_of_its_own
    plant = PostgresPlant(tmp_path, case_at(year), uri=server.get_uri())
    _known(plant.service)
    meter = Meter(name="bat-01")
    with TestClient(make_app(plant.service), raise_server_exceptions=False) as http:
        call = Caller(plant.service, http, plant.clock)

        def reports() -> int:
            raw = meter.reads(plant.clock.now.replace(minute=plant.clock.now.minute // 15 * 15))
            return int(call("alice", "POST", "/devices/alice-1/telemetry", json=_body(raw)).status_code)

        call.token("alice")
        plant.loop.start()
        try:
            _until(lambda: call("alice", "GET", "/devices/alice-1/setpoint").json()["source"] == "rule")
            assert reports() == 200
            kept = meter.sequence
            server.stop()
            plant.clock.forward(minutes=10)
            for method, path in (("GET", "/devices/alice-1/setpoint"), ("POST", "/devices/alice-1/override")):
                body = {"until": "2090-03-01T13:00:00Z", "reason": "test"} if method == "POST" else None
                answer = call("alice", method, path, json=body)
                assert answer.status_code == 503, answer.text
                assert int(answer.headers["retry-after"]) > 0
            assert reports() == 503
            assert http.get("/readyz").status_code == 503
            assert http.get("/healthz").status_code == 200
            time.sleep(2.0)  # the loop meets it too
            server.start()
            _until(lambda: http.get("/readyz").status_code == 200)
            _until(lambda: plant.settled() == FAR_Q)
            setpoint = call("alice", "GET", "/devices/alice-1/setpoint").json()
            assert (setpoint["source"], setpoint["is_default"]) == ("rule", False)
        finally:
            plant.loop.stop()

    assert [each.sequence for each in plant.heard("bat-01")] == list(range(kept))
    assert plant.is_sound()
    plant.service.store.database.close()


def _body(raw: bytes) -> dict[str, Any]:
    return {"readings": [base64.b64encode(raw).decode()]}
