"""How a client speaks to the service: TLS, credentials, time limits, and asking again where that is safe.

| what happened | what follows |
|---|---|
| the service was not reached | asked again |
| no answer came | asked again where doing it twice is the same as once |
| 429, 503 | asked again, after the time that `Retry-After` names |
| 401 with a client id and secret | once more with a new token |
| any other error | `Refused`, with the problem's faults |
"""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError

from gridnet.app.api.schemas import TokenOut
from gridnet.app.client.errors import ClientError, Refused, Unreachable
from gridnet.errors import Fault, InputError

Answer = TypeVar("Answer", bound=BaseModel)
_CLOSED = "this client was closed"
_EARLY_S = 30.0
"""A token is renewed so long before it ends."""
_LATER = frozenset({429, 503})
"""Answers that say: not done, come again."""


@dataclass(frozen=True)
class Certificate:
    """A client certificate and its key, PEM."""

    file: Path
    key: Path


@dataclass(frozen=True)
class Secret:
    """A client id and its secret, for which the service gives tokens."""

    client_id: str
    secret: str = field(repr=False)


Credentials = Certificate | Secret


@dataclass(frozen=True)
class Patience:
    """How long to wait, and how often to ask."""

    timeout_s: float = 10.0
    attempts: int = 5
    first_wait_s: float = 0.25
    """Before the second attempt; doubled before each further one."""
    longest_wait_s: float = 30.0
    sleep: Callable[[float], None] = time.sleep

    def wait_s(self, attempt: int, retry_after: str | None) -> float:
        """How long to wait after attempt number `attempt`, from 0: as the service says, or twice as long as last time."""
        own = self.first_wait_s * 2.0**attempt
        named = float(retry_after) if retry_after is not None and retry_after.isdecimal() and len(retry_after) < 6 else own
        return min(max(own, named), self.longest_wait_s)


@dataclass(frozen=True)
class Call:
    """One request. `repeatable`: doing it twice is the same as doing it once. `waits_s`: how long the service may take on top."""

    method: str
    path: str
    body: Mapping[str, Any] | None = None
    query: Mapping[str, str | int] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    repeatable: bool = True
    waits_s: float = 0.0


class Connection:
    """A door to one service. Safe to use from several threads."""

    def __init__(self, url: str, ca: Path | None, by: Credentials | None) -> None:
        """`ca`: certificates that the service's must come from, the system's where None. Raises `InputError`."""
        if not url.startswith(("https://", "http://")):
            raise InputError("there is no service there:", [Fault("url", repr(url), "https://HOST:PORT")])
        self._by = by
        self._http = httpx.Client(base_url=url, verify=_trust(ca, by), follow_redirects=False)
        self._token: tuple[str, float] | None = None
        self._turn = threading.Lock()

    def close(self) -> None:
        """Hangs up."""
        self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, call: Call, patience: Patience) -> httpx.Response:
        """The answer, 2xx or 304. Raises `Unreachable`, `Refused`."""
        renewed, attempt = False, 0
        while True:
            if self._http.is_closed:
                raise Unreachable(_CLOSED)
            answer, problem = self._try(call, patience)
            if answer is not None and answer.status_code not in _LATER:
                if answer.status_code == 401 and isinstance(self._by, Secret) and not renewed:
                    renewed = True
                    self._forget()
                    continue
                if answer.is_success or answer.status_code == 304:
                    return answer
                raise _refused(answer)
            attempt += 1
            again = answer is not None or call.repeatable or isinstance(problem, httpx.ConnectError)
            if attempt >= patience.attempts or not again:
                break
            patience.sleep(patience.wait_s(attempt - 1, None if answer is None else answer.headers.get("retry-after")))
        if answer is not None:
            raise _refused(answer)
        raise Unreachable(f"{call.method} {self._http.base_url.join(call.path)}: no answer in {attempt} attempts: {problem}")

    def _try(self, call: Call, patience: Patience) -> tuple[httpx.Response | None, httpx.TransportError | None]:
        try:
            headers = {**call.headers, **self._authorization(patience)}
            limit = httpx.Timeout(patience.timeout_s, read=patience.timeout_s + call.waits_s)
            asked = self._http.build_request(
                call.method, call.path, json=call.body, params=call.query or None, headers=headers, timeout=limit
            )
            return self._http.send(asked), None
        except httpx.TransportError as error:
            return None, error
        except RuntimeError as error:
            # What httpx says where another thread closed the client in between.
            if self._http.is_closed:
                raise Unreachable(_CLOSED) from error
            raise

    def _authorization(self, patience: Patience) -> dict[str, str]:
        """The header with a token that is good for a while yet. Raises `Refused`, `httpx.TransportError`."""
        if not isinstance(self._by, Secret):
            return {}
        with self._turn:
            if self._token is None or self._token[1] <= time.monotonic():
                form = {"grant_type": "client_credentials", "client_id": self._by.client_id, "client_secret": self._by.secret}
                answer = self._http.post("/oauth/token", data=form, timeout=patience.timeout_s)
                if not answer.is_success:
                    raise _refused(answer)
                made = understood(TokenOut, answer)
                self._token = made.access_token, time.monotonic() + max(1.0, made.expires_in - _EARLY_S)
            return {"authorization": f"Bearer {self._token[0]}"}

    def _forget(self) -> None:
        with self._turn:
            self._token = None


def understood(kind: type[Answer], answer: httpx.Response) -> Answer:
    """The message in an answer. Raises `Unreachable` where it holds another."""
    try:
        return kind.model_validate_json(answer.content)
    except ValidationError as error:
        raise Unreachable(f"{answer.url}: not the answer of a gridnet service: {error}") from error


def _trust(ca: Path | None, by: Credentials | None) -> ssl.SSLContext:
    named = [("ca", ca)] if ca is not None else []
    named += [("certificate", by.file), ("key", by.key)] if isinstance(by, Certificate) else []
    faults = [Fault(name, str(path), "a PEM file") for name, path in named if not path.is_file()]
    if faults:
        raise InputError("the client can't set up TLS:", faults)
    try:
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        if isinstance(by, Certificate):
            context.load_cert_chain(by.file, by.key)
    except ssl.SSLError as error:
        shown = ", ".join(str(path) for _, path in named)
        raise InputError(
            "the client can't set up TLS:", [Fault(shown, str(error), "certificates and a key that fit, PEM")]
        ) from error
    return context


def _refused(answer: httpx.Response) -> ClientError:
    """The problem that an answer states (RFC 9457), or an OAuth error."""
    try:
        said = answer.json()
        kind = str(said.get("type", "")).rpartition(":")[2] or str(said.get("error", ""))
        detail = str(said.get("detail", kind))
        faults = [Fault(str(each["where"]), str(each["got"]), str(each["expected"])) for each in said.get("faults", ())]
    except (ValueError, AttributeError, KeyError, TypeError):
        kind, detail, faults = "", answer.text[:200], []
    return Refused(answer.status_code, kind, detail or answer.reason_phrase, faults)
