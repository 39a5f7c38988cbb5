"""People at the console: a browser each, as far as HTTP goes, over a service that is there already."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi.testclient import TestClient
from sqlalchemy import insert

from gridnet.app.api.app import make_app
from gridnet.app.dashboard.login import COOKIE
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.people import TOKEN_S
from gridnet.app.service.schema import tokens
from gridnet.app.service.service import Service

SITE = "https://testserver"


@dataclass
class Visits:
    """Requests in people's names."""

    service: Service
    http: TestClient

    def token(self, name: str) -> str:
        """One that is good from now on. Not asked for with a secret: scrypt is slow, and logging in is tested on its own."""
        made = f"{name}'s token of {self.service.store.now_s()}"
        row = {
            "hash": hashlib.sha256(made.encode()).hexdigest(),
            "principal": name,
            "expires_s": self.service.store.now_s() + TOKEN_S,
        }
        with self.service.store.write() as connection:
            connection.execute(tokens.delete().where(tokens.c.hash == row["hash"]))
            connection.execute(insert(tokens), [row])
        return made

    def get(self, name: str | None, path: str, **more: Any) -> Any:
        """A page or feed below /console."""
        return self._ask("GET", name, path, **more)

    def post(self, name: str | None, path: str, origin: str | None = SITE, **more: Any) -> Any:
        """A form."""
        return self._ask("POST", name, path, **{"data": {}, **more}, headers={} if origin is None else {"origin": origin})

    def with_cookie(self, token: str, path: str) -> Any:
        """A page, asked for with a token."""
        return self._ask("GET", None, path, cookie=token)

    def _ask(self, method: str, name: str | None, path: str, **more: Any) -> httpx.Response:
        token = more.pop("cookie", None) or (None if name is None else self.token(name))
        self.http.cookies.clear()
        headers = ({} if token is None else {"cookie": f"{COOKIE}={token}"}) | more.pop("headers", {})
        answer: httpx.Response = self.http.request(method, f"/console{path}", headers=headers, follow_redirects=False, **more)
        return answer


@contextmanager
def visiting(service: Service, live: LiveFeeder) -> Iterator[Visits]:
    """An error that nobody thought of is an error of the test."""
    with TestClient(make_app(service, live), base_url=SITE) as http:
        yield Visits(service, http)
