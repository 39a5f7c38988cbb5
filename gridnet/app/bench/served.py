"""A service that a measurement starts as a user would, in a process of its own, and what it spends."""

from __future__ import annotations

import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from typing import TypeVar

import httpx

from gridnet.app.service.authority import CA
from gridnet.app.service.config import PREFIX
from gridnet.errors import ModelError

R = TypeVar("R")
UNLIMITED = "100000000"
_READY_S = 180.0
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Start:
    """How a service is started: what it keeps, where it listens, more options of `gridnet serve`, and settings by their names."""

    folder: Path
    port: int
    options: Sequence[str] = ()
    settings: Mapping[str, str] = field(default_factory=dict)


@contextmanager
def served(start: Start) -> Iterator[int]:
    """A server that has begun to decide, without limits of rate; gives its pid, and ends it by that. Raises `ModelError` where it
    does not begin."""
    folder = start.folder
    command = [sys.executable, "-m", "gridnet.app.cli", "serve", "--folder", str(folder), "--port", str(start.port), *start.options]
    settings = {"requests_per_minute": UNLIMITED, **start.settings}
    environment = {**os.environ, **{f"{PREFIX}{name.upper()}": value for name, value in settings.items()}}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "server.log").open("w") as log:
        server = subprocess.Popen([*command, "--log-level", "warning"], stdout=log, stderr=log, env=environment)
    try:
        _wait_until_ready(start, server)
        yield server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(timeout=30.0)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _wait_until_ready(start: Start, server: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _READY_S
    while time.monotonic() < end and server.poll() is None:
        time.sleep(1.0)
        authority = start.folder / "tls" / CA
        if not authority.exists():
            continue
        try:
            ready = httpx.get(f"https://localhost:{start.port}/readyz", verify=ssl.create_default_context(cafile=authority)).json()
        except httpx.HTTPError:
            continue
        if ready["detail"].get("decided"):
            return
    said = (start.folder / "server.log").read_text()[-500:]
    raise ModelError(f"the service did not begin to decide within {_READY_S:g} s: {said}")


def operator_token(start: Start, client: httpx.Client) -> str:
    """A token of the operator's."""
    secret = (start.folder / "operator.secret").read_text().strip()
    form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": secret}
    token: str = client.post("/oauth/token", data=form).raise_for_status().json()["access_token"]
    return token


def apart(work: Callable[..., R], *arguments: object) -> R:
    """What `work` gives in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(work, arguments)


def cpu_s(pid: int) -> float:
    """User and system time of a process."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def machine_s() -> float:
    """CPU time that all processes of this machine have spent."""
    user, nice, system = (int(each) for each in Path("/proc/stat").read_text().split()[1:4])
    return (user + nice + system) / _TICKS
