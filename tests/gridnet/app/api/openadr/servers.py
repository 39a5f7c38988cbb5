"""The application behind uvicorn, on loopback and a port of the system's choice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from gridnet.app.api.app import make_app
from gridnet.app.api.identity import CertificateProtocol
from gridnet.app.service.authority import CA, SERVER, SERVER_KEY, Authority
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.service import Service

_STARTING_S = 20.0


@contextmanager
def running(service: Service, tls: Path | None = None, live: LiveFeeder | None = None) -> Iterator[str]:
    """Its address while it runs, https with the certificates of a folder, and with the console of a live feeder."""
    files = {}
    if tls is not None:
        Authority.at(tls)
        files = {"ssl_certfile": str(tls / SERVER), "ssl_keyfile": str(tls / SERVER_KEY), "ssl_ca_certs": str(tls / CA)}
    config = uvicorn.Config(
        make_app(service, live), host="127.0.0.1", port=0, http=CertificateProtocol, log_level="warning", lifespan="off", **files
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    end = time.monotonic() + _STARTING_S
    while not server.started and thread.is_alive() and time.monotonic() < end:
        time.sleep(0.02)
    try:
        assert server.started, "the server did not start"
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"{'http' if tls is None else 'https'}://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(_STARTING_S)
        assert not thread.is_alive(), "the server did not stop"
