"""`gridnet serve`, as anybody runs it, on loopback."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from gridnet.app.service.authority import CA

SETTINGS = """\
webhook_private = true
webhook_plain_http = true
requests_per_minute = 60000
"""
_STARTING_S = 120.0


@dataclass(frozen=True)
class Server:
    """A service that runs in a folder."""

    folder: Path
    url: str

    @property
    def authority(self) -> Path:
        """The certificate to trust it by."""
        return self.folder / "tls" / CA

    @property
    def secret(self) -> str:
        """The operator's."""
        return (self.folder / "operator.secret").read_text(encoding="utf-8")

    @contextmanager
    def operator(self) -> Iterator[httpx.Client]:
        """An operator, logged in."""
        trusting = ssl.create_default_context(cafile=self.authority)
        with httpx.Client(base_url=self.url, verify=trusting, timeout=20, trust_env=False) as client:
            form = {"grant_type": "client_credentials", "client_id": "operator", "client_secret": self.secret}
            token = client.post("/oauth/token", data=form).json()["access_token"]
            client.headers["authorization"] = f"Bearer {token}"
            yield client


@contextmanager
def serving(folder: Path, more: str = "") -> Iterator[Server]:
    """`gridnet serve` in a folder, until it is no longer needed; `more` settings."""
    folder.mkdir(parents=True, exist_ok=True)
    settings = folder / "settings.toml"
    settings.write_text(SETTINGS + more, encoding="utf-8")
    port = _free_port()
    command = [sys.executable, "-m", "gridnet.app.cli", "serve", "--folder", str(folder), "--port", str(port)]
    command += ["--policy", "rule", "--config", str(settings), "--log-level", "warning"]
    with (folder / "serve.log").open("wb") as log:
        paths = os.pathsep.join(path for path in sys.path if path)
        process = subprocess.Popen(command, stdout=log, stderr=log, env={**os.environ, "PYTHONPATH": paths})
        try:
            server = Server(folder, f"https://127.0.0.1:{port}")
            _wait_for(server, process)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait_for(server: Server, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + _STARTING_S
    while time.monotonic() < end and process.poll() is None:
        try:
            context = ssl.create_default_context(cafile=server.authority)
            urllib.request.urlopen(f"{server.url}/healthz", context=context, timeout=5).close()
        except (OSError, urllib.error.URLError):
            time.sleep(0.2)
        else:
            return
    raise AssertionError(f"the service did not start:\n{(server.folder / 'serve.log').read_text(encoding='utf-8')[-4000:]}")
