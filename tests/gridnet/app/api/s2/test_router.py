"""The WebSocket: who may connect, and s2-python's resource manager on the other end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from gridnet.app.api.app import make_app
from gridnet.app.api.s2 import router
from gridnet.app.service.authority import CA
from gridnet.app.service.service import Service
from tests.gridnet.app.api.openadr.servers import running
from tests.gridnet.app.api.openadr.venvs import Run, environment
from tests.gridnet.app.api.openadr.vtns import BOSS, PEOPLE, SECRET, decide, make_service

S2_PYTHON = ("s2-python[ws]==0.11.1",)
SCRIPT = Path(__file__).parent / "clients" / "s2_battery.py"


@pytest.fixture
def service(tmp_path: Path) -> Service:
    return make_service(tmp_path, lambda: datetime.now(UTC), SECRET)


def bearer(service: Service, client: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {service.people.issue_token(client, SECRET)[0]}"}


def test_only_a_device_s_own_people_connect(service: Service) -> None:
    headers = {"nobody": {}, "bob": bearer(service, "bob"), "a liar": {"Authorization": "Bearer x"}}
    with TestClient(make_app(service)) as http:
        for each in headers.values():
            with pytest.raises(WebSocketDisconnect) as refused, http.websocket_connect("/s2/bat-a", headers=each):
                pass
            assert refused.value.code == 1008
        with http.websocket_connect("/s2/bat-a", headers=bearer(service, "ann")) as socket:
            assert json.loads(socket.receive_text())["message_type"] == "Handshake"


def test_a_connection_ends_when_its_owner_is_revoked(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(router, "LOOK_EVERY_S", 0.05)
    app, headers = make_app(service), bearer(service, "ann")
    with ThreadPoolExecutor(1) as beside, TestClient(app) as http, http.websocket_connect("/s2/bat-a", headers=headers) as socket:
        socket.receive_text()
        service.people.revoke(BOSS, "ann")
        # Beside the test: a connection that stays would have it wait for ever.
        with pytest.raises(WebSocketDisconnect) as ended:
            beside.submit(socket.receive_text).result(10.0)

    assert ended.value.code == 1008


def test_a_message_that_is_too_long_ends_it(service: Service) -> None:
    with TestClient(make_app(service)) as http, http.websocket_connect("/s2/bat-a", headers=bearer(service, "ann")) as socket:
        socket.receive_text()
        socket.send_text("x" * (router.MOST_CHARACTERS + 1))
        with pytest.raises(WebSocketDisconnect) as ended:
            socket.receive_text()

    assert ended.value.code == 1009


def test_s2_python_follows_the_setpoint_and_reports(service: Service, tmp_path: Path) -> None:
    now = datetime.now(UTC)
    decide(service, "bat-a", now.replace(minute=now.minute // 15 * 15, second=0, microsecond=0), 2.5, -1.25, 0.5)
    with running(service, tmp_path / "tls") as url:
        run = Run(environment(*S2_PYTHON), SCRIPT, tmp_path / "tls" / CA, lambda line: None)
        told = run.with_facts(url=url, client="ann", secret=SECRET)

    # S2 counts consumption: what we shall give is below 0 there.
    assert told["watts"] == [-2500.0, 1250.0, -500.0, 0.0]
    times = [datetime.fromisoformat(each) for each in told["times"]]
    assert [later - earlier for earlier, later in pairwise(times)] == [timedelta(minutes=15)] * 3
    acks = service.controls.acks(PEOPLE["ann"], "bat-a")
    assert sorted(each.status for each in acks) == ["received", "started"]
    found = {channel: service.telemetry.latest(PEOPLE["ann"], "bat-a", channel) for channel in ("p_kw", "soc")}
    assert {channel: each and each.value for channel, each in found.items()} == {"p_kw": 2.5, "soc": 0.64}
