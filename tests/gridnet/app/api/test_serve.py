"""The whole server as a process: set up by one command, killed in the middle of everything, started again."""

from __future__ import annotations

import base64
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import func, select

from gridnet.app import serve
from gridnet.app.service.model import Principal
from gridnet.app.service.schema import controls, readings
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.feeder import write_year
from tests.gridnet.app.service.parts import KEY, Clock, Meter, service_on

_STARTS_S = 60.0
QUARTER = timedelta(minutes=15)


def _free_port() -> int:
    with socket.socket() as made:
        made.bind(("127.0.0.1", 0))
        return int(made.getsockname()[1])


@dataclass
class Server:
    """`gridnet serve` on a folder."""

    folder: Path
    scenario: Path
    port: int = field(default_factory=_free_port)
    process: subprocess.Popen[bytes] | None = None
    token: str = ""

    def start(self) -> None:
        """Starts it and waits until it answers."""
        paths = os.pathsep.join(each for each in sys.path if each)
        environment = {**os.environ, "PYTHONPATH": paths, "GRIDNET_SERVE_SCENARIO": str(self.scenario), "OMP_NUM_THREADS": "1"}
        arguments = ["serve", "--folder", str(self.folder), "--port", str(self.port), "--policy", "rule", "--log-level", "error"]
        log = (self.folder.parent / "serve.log").open("ab")
        with log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gridnet.app.cli", *arguments], env=environment, stdout=log, stderr=log
            )
        end = time.monotonic() + _STARTS_S
        while time.monotonic() < end:
            assert self.process.poll() is None, (self.folder.parent / "serve.log").read_text()
            try:
                with self.client() as client:
                    if client.get("/healthz").status_code == 200:
                        return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError((self.folder.parent / "serve.log").read_text())

    def stop(self, how: signal.Signals = signal.SIGKILL) -> int:
        """Stops it by its own process number."""
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        """A client that trusts the server's authority."""
        import ssl

        context = (
            ssl.create_default_context(cafile=str(self.folder / "tls" / "ca.pem"))
            if (self.folder / "tls" / "server.pem").exists()
            else False
        )
        with httpx.Client(base_url=f"https://127.0.0.1:{self.port}", verify=context, timeout=20.0, trust_env=False) as client:
            yield client

    def operator(self, client: httpx.Client) -> dict[str, str]:
        """The operator's credentials, by the secret that the first start wrote."""
        secret = (self.folder / "operator.secret").read_text()
        form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": secret}
        answer = client.post("/oauth/token", data=form)
        assert answer.status_code == 200, answer.text
        return {"authorization": f"Bearer {answer.json()['access_token']}"}

    def count(self, table: Any) -> int:
        database = Database.reading(f"sqlite:///{self.folder / 'service.db'}")
        with database.read() as connection:
            found = connection.execute(select(func.count()).select_from(table)).scalar_one()
        database.close()
        return int(found)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """Not started yet; gone at the end."""
    (tmp_path / "scenario").mkdir()
    made = Server(tmp_path / "folder", write_year(tmp_path / "scenario"))
    yield made
    if made.process is not None and made.process.poll() is None:
        made.stop()


def _quarter() -> datetime:
    return datetime.fromtimestamp(time.time() // 900 * 900, UTC)


def _until_killed(server: Server, is_time: Callable[[], bool], send: Callable[[httpx.Client, dict[str, str]], None]) -> None:
    """Calls `send` until the server, killed in the middle of one as soon as `is_time`, answers no more."""
    assert server.process is not None
    killer = threading.Timer(0.03, server.process.kill)
    end = time.monotonic() + 30.0
    with server.client() as client:
        headers = server.operator(client)
        while time.monotonic() < end:
            if is_time() and killer.ident is None:
                killer.start()
            try:
                send(client, headers)
            except httpx.TransportError:
                break
    killer.join(30)
    server.process.wait(30)


def test_a_killed_server_has_lost_nothing_that_it_acknowledged_and_counts_nothing_twice(server: Server) -> None:
    server.start()
    with server.client() as client:
        headers = server.operator(client)
        device = {"id": "b", "discharge_kw": 5, "charge_kw": 5, "s_kva": 5, "meter": "bat-00", "meter_key": KEY.public_key.encode()}
        assert client.post("/api/v1/devices", json=device, headers=headers).status_code == 201
    meter, acknowledged, sent = Meter(), [], []

    def report(client: httpx.Client, headers: dict[str, str]) -> None:
        raw = meter.reads(_quarter() - QUARTER - len(sent) % 90 * QUARTER)
        sent.append(raw)
        body = {"readings": [base64.b64encode(raw).decode()]}
        answer = client.post("/api/v1/devices/b/telemetry", json=body, headers=headers)
        if answer.status_code == 200:
            acknowledged.append(raw)

    orders: dict[str, str] = {}
    asked: dict[str, Any] = {}

    def dispatch(client: httpx.Client, headers: dict[str, str]) -> None:
        key = f"order-{len(asked)}"
        start = datetime.now(UTC)
        asked[key] = {"device": "b", "fields": {"p_kw": 1.0}, "start": start.isoformat(), "end": (start + QUARTER).isoformat()}
        answer = client.post("/api/v1/dispatches", json=asked[key], headers=headers | {"idempotency-key": key})
        if answer.status_code == 201:
            orders[key] = answer.json()["id"]

    def both(client: httpx.Client, headers: dict[str, str]) -> None:
        report(client, headers)
        dispatch(client, headers)

    _until_killed(server, lambda: len(orders) >= 5, both)
    server.start()
    assert acknowledged
    assert orders
    with server.client() as client:
        headers = server.operator(client)
        # Whoever got no answer sends again: what was kept is said to be, and is not kept twice.
        for raw in sent:
            body = {"readings": [base64.b64encode(raw).decode()]}
            (received,) = client.post("/api/v1/devices/b/telemetry", json=body, headers=headers).json()["readings"]
            assert received["problem"] is None
            assert received["repeated"] or raw not in acknowledged
        for key, body in asked.items():
            again = client.post("/api/v1/dispatches", json=body, headers=headers | {"idempotency-key": key})
            assert again.json()["id"] == orders.get(key, again.json()["id"])
        # In mid-event: the device is told the same as before the kill.
        told = client.get("/api/v1/devices/b/setpoint", headers=headers).json()
        assert (told["p_kw"], told["source"]) == (1.0, "operator")
        decided = client.get("/readyz").json()
        assert decided["status"] == "ok"
    assert server.count(controls) == len(asked)
    database = Database.reading(f"sqlite:///{server.folder / 'service.db'}")
    with database.read() as connection:
        kept = connection.execute(select(readings.c.raw).where(readings.c.meter == "bat-00")).scalars().all()
    database.close()
    assert set(sent) <= set(kept)
    assert len(kept) == len(set(kept))
    assert server.stop(signal.SIGTERM) in (0, -signal.SIGTERM)


def test_an_operator_whose_secret_was_not_written_any_more_gets_one_at_the_next_start(tmp_path: Path) -> None:
    """Killed between the two."""
    service = service_on(f"sqlite:///{tmp_path / 'service.db'}", Clock(), people=False)
    with service.store.write() as connection:
        service.people.enter(connection, Principal(serve.OPERATOR_ID, "operator"), "a secret nobody has")
    path = serve._operator(service, tmp_path)
    token, _ = service.people.issue_token(serve.OPERATOR_ID, path.read_text())
    assert service.people.by_token(token).role == "operator"
    assert path.stat().st_mode & 0o077 == 0
    assert serve._operator(service, tmp_path).read_text() == path.read_text()
    service.store.database.close()


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["--port", "99999"], "--port"),
        (["--log-level", "loud"], "--log-level"),
        (["--policy", "chance"], "policy"),
        (["--db", "mysql://x"], "--db"),
    ],
)
def test_what_cannot_be_served_is_said_in_one_message(
    tmp_path: Path, arguments: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from gridnet.app.cli import main

    assert main(["serve", "--folder", str(tmp_path / "folder"), *arguments]) == 2
    said = capsys.readouterr().err
    assert named in said
    assert "Traceback" not in said
