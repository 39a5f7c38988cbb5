"""The service in a process of its own, on loopback and over TLS, without a live feeder: a test can kill it."""

from __future__ import annotations

import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvicorn

from gridnet.app.api.app import make_app
from gridnet.app.api.identity import CertificateProtocol
from gridnet.app.client import Certificate, Client, Patience, Secret
from gridnet.app.community import founding
from gridnet.app.service.authority import CA, SERVER, SERVER_KEY, Authority
from gridnet.app.service.config import Config
from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal

SECRET = "the operator's secret"
METER = "bat-00"
_STARTING_S = 40.0
_LOOPBACK = "127.0.0.1"


def free_port() -> int:
    """One that nobody has just now."""
    with socket.socket() as probe:
        probe.bind((_LOOPBACK, 0))
        return int(probe.getsockname()[1])


@dataclass
class Server:
    """One service: its folder, and the port that it keeps when it is started again."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def ca(self) -> Path:
        return self.folder / "tls" / CA

    def start(self) -> None:
        """Returns when it answers."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        with (self.folder / "log").open("ab") as log:
            command = [sys.executable, __file__, str(self.folder), str(self.port)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        end = time.monotonic() + _STARTING_S
        while not self._answers():
            assert self.process.poll() is None, (self.folder / "log").read_text()[-3000:]
            assert time.monotonic() < end, "the service did not start"
            time.sleep(0.05)

    def kill(self) -> None:
        """As a power cut would."""
        if self.process is not None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def operator(self) -> Client:
        return Client(self.url, self.ca, Secret("operator", SECRET), Patience(attempts=2))

    def certificate(self, name: str) -> Certificate:
        issued = Authority.at(self.folder / "tls").issue(self.folder / "clients", name)
        return Certificate(issued.certificate, issued.key)

    def _answers(self) -> bool:
        try:
            socket.create_connection((_LOOPBACK, self.port), 0.2).close()
        except OSError:
            return False
        return True


def make_server(folder: Path) -> Server:
    """A service whose authority and ledger are there; not started yet."""
    Authority.at(folder / "tls")
    url = f"sqlite:///{folder / 'service.db'}"
    seal = Seal.make(folder / "seal", "gridnet.example/served")
    Ledger.found(url, seal, founding(seal.origin, "served")).database.close()
    return Server(folder)


def _serve(folder: Path, port: int) -> None:
    config = Config(requests_per_minute=100_000, poll_s=10, post_s=10)
    service = Service.on(Database(f"sqlite:///{folder / 'service.db'}"), config, frozenset({METER}))
    if not (folder / "known").exists():
        with service.store.write() as connection:
            service.people.enter(connection, Principal("operator", "operator"), SECRET)
        (folder / "known").touch()
    tls = folder / "tls"
    files = {"ssl_certfile": str(tls / SERVER), "ssl_keyfile": str(tls / SERVER_KEY), "ssl_ca_certs": str(tls / CA)}
    uvicorn.run(
        make_app(service),
        host=_LOOPBACK,
        port=port,
        http=CertificateProtocol,
        ssl_cert_reqs=ssl.CERT_OPTIONAL,
        log_level="warning",
        **files,
    )


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), int(sys.argv[2]))
