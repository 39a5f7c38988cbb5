"""Where CACTUS has notifications sent to: it makes addresses, keeps what comes to them, and may play dead. On loopback alone."""

from __future__ import annotations

import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Address:
    """One of them; `enabled` False answers 500."""

    enabled: bool = True
    arrived: list[dict[str, Any]] = field(default_factory=list)


class _Handler(BaseHTTPRequestHandler):
    """`/webhook/ID` takes whatever comes; `/manage/endpoint` makes addresses, `/manage/endpoint/ID` shows, switches and removes
    them."""

    known: dict[str, Address]
    url: str

    def do_POST(self) -> None:
        """A notification, or a new address."""
        place, name = self._place()
        if place == "webhook":
            self._take(name)
            return
        name = secrets.token_hex(8)
        self.known[name] = Address()
        self._answer(200, {"endpointId": name, "fullyQualifiedEndpoint": f"{self.url}/webhook/{name}"})

    def do_GET(self) -> None:
        """What arrived since it was asked last."""
        address = self.known[self._place()[1]]
        arrived, address.arrived = address.arrived, []
        self._answer(200, {"notifications": arrived})

    def do_PUT(self) -> None:
        """Plays dead, or comes back."""
        self.known[self._place()[1]].enabled = json.loads(self._body())["enabled"]
        self._answer(200)

    def do_DELETE(self) -> None:
        """An address that is no longer needed."""
        self.known.pop(self._place()[1], None)
        self._answer(200)

    def log_message(self, format: str, *words: Any) -> None:
        """Says nothing."""

    def _take(self, name: str) -> None:
        body, address = self._body(), self.known.get(name)
        if address is None or not address.enabled:
            self._answer(500)
            return
        headers = [{"name": key, "value": value} for key, value in self.headers.items()]
        arrived = {"method": self.command, "headers": headers, "body": body.decode(), "remote": self.client_address[0]}
        address.arrived.append({**arrived, "receivedAt": datetime.now(UTC).isoformat()})
        self._answer(200)

    def _place(self) -> tuple[str, str]:
        first, _, rest = self.path.strip("/").partition("/")
        return first, rest.removeprefix("endpoint").strip("/")

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("content-length") or 0))

    def _answer(self, status: int, body: Any = None) -> None:
        content = b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


@contextmanager
def receiving() -> Iterator[str]:
    """Its address while it runs."""
    handler = type("Handler", (_Handler,), {"known": {}})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    handler.url = f"http://127.0.0.1:{server.server_address[1]}"  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield str(handler.url)  # type: ignore[attr-defined]
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
