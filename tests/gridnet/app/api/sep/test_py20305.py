"""py20305, a client that drives inverters, unmodified, against the running service: it registers, follows a control, answers and
reports."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from gridnet.app.service.authority import Authority
from tests.gridnet.app.api.openadr.venvs import environment
from tests.gridnet.app.api.sep.running import Server, serving

PY20305 = "py20305[cli,sunspec,api]==0.16.1"
_PATIENCE_S = 60.0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """A service that clients ask as often as py20305 does at most."""
    with serving(tmp_path / "service", "poll_s = 10\n") as running:
        yield running


def until(met: Callable[[], Any], what: str) -> Any:
    """What `met` gives as soon as it is something."""
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        found = met()
        if found:
            return found
        time.sleep(0.2)
    raise AssertionError(f"{what} did not happen in {_PATIENCE_S:g} s")


@contextmanager
def client(python: Path, folder: Path, server: Server) -> Iterator[tuple[str, Path]]:
    """The client with an inverter that writes down what it is told: its LFDI, and where that is written."""
    issued = Authority.at(server.folder / "tls").issue(folder / "certificates", "inverter")
    config = {
        "server": {"url": server.url, "dcap_path": "/sep2/dcap", "server_2018_compat": True},
        "discovery": {"enabled": False},
        "tls": {"client_cert": str(issued.certificate), "client_key": str(issued.key), "ca_cert": str(server.authority)},
        "devices": [{"type": "print_demo", "lfdi": issued.lfdi}],
    }
    path, told = folder / "client.yaml", folder / "client.log"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    with told.open("wb") as log:
        command = [str(python.parent / "py20305"), "-c", str(path), "--log-level", "INFO"]
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder)
        try:
            yield issued.lfdi, told
        finally:
            process.terminate()
            process.wait(30)


def test_an_inverters_client_registers_follows_a_control_and_answers(tmp_path: Path, server: Server) -> None:
    python = environment(PY20305)
    with client(python, tmp_path, server) as (lfdi, told), server.operator() as operator:

        def device() -> str | None:
            found = operator.get(f"/api/v1/admin/devices/{lfdi}")
            return str(found.json()["id"]) if found.status_code == 200 else None

        def has(words: str) -> bool:
            return words in told.read_text(encoding="utf-8")

        name = until(device, "registration")
        until(lambda: has("PrintDemo.update_target_w({'mode_enable': 1, 'watts': 0"), "the default control")
        control = dispatch(operator, name, p_kw=2.5, generation_limit_kw=3.0)
        until(lambda: has("PrintDemo.update_target_w({'mode_enable': 1, 'watts': 2500"), "generating 2.5 kW")
        until(lambda: {"received", "started"} <= answers(operator, name, control), "the answers")
        reported = [f"/sep2/edev/{name}/der/1/{part}" for part in ("dercap", "derg", "ders")]
        until(lambda: all(operator.get(path).status_code == 200 for path in reported), "the reports")
        refused = [line for line in told.read_text(encoding="utf-8").splitlines() if " WARNING " in line or " ERROR " in line]
        assert refused == []


def dispatch(operator: httpx.Client, device: str, **fields: float) -> str:
    """An order for the next two minutes."""
    now = datetime.now(UTC)
    body = {"device": device, "fields": fields, "start": now.isoformat(), "end": (now + timedelta(minutes=2)).isoformat()}
    answer = operator.post("/api/v1/dispatches", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def answers(operator: httpx.Client, device: str, control: str) -> set[str]:
    """What the device said of a control."""
    return {each["status"] for each in operator.get(f"/api/v1/devices/{device}/acks").json() if each["control"] == control}
