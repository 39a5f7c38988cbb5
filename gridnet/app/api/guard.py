"""What every request passes first: an id, its size and depth, its asker's rate. Plain ASGI, so that streams stay streams."""

from __future__ import annotations

import contextlib
import json
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram

from gridnet.app.service.config import Config
from gridnet.app.service.errors import ServiceError, TooLarge, TooMany

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

LOG = logging.getLogger("gridnet.service")
_MOST_ASKERS = 20_000
_OPEN, _CLOSE, _QUOTE, _ESCAPE = b"[{", b"]}", ord('"'), ord("\\")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_UNLIMITED = frozenset({"/healthz", "/readyz", "/metrics"})


class Rates:
    """A bucket of requests for each asker: it fills at the permitted rate and holds a minute's worth."""

    def __init__(self, per_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._per_s, self._most, self._clock = per_minute / 60.0, float(per_minute), clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, asker: str, count: float = 1.0) -> None:
        """Takes one request, or only looks whether one is left (`count` 0). Raises `TooMany`."""
        now = self._clock()
        left, then = self._buckets.pop(asker, (self._most, now))
        left = min(self._most, left + (now - then) * self._per_s)
        allowed = left >= 1.0
        self._buckets[asker] = (left - count if allowed else left, now)
        if len(self._buckets) > _MOST_ASKERS:
            self._buckets.popitem(last=False)
        if not allowed:
            wait_s = int((1.0 - left) / self._per_s) + 1
            raise TooMany(f"more than {self._most:g} requests a minute; come again in {wait_s} s", retry_after_s=wait_s)


class Metrics:
    """What `/metrics` shows of requests."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.requests = Counter("gridnet_requests", "Requests", ["method", "route", "status"], registry=registry)
        self.seconds = Histogram("gridnet_request_seconds", "Time to answer", ["route"], registry=registry)


class Guard:
    """Wraps the application."""

    def __init__(self, app: App, config: Config, metrics: Metrics) -> None:
        self._app, self._config, self._metrics = app, config, metrics
        self._rates = Rates(config.requests_per_minute)
        self._failures = Rates(config.requests_per_minute)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or whatever else a server sends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id, began, status = secrets.token_hex(8), time.perf_counter(), 500
        scope.setdefault("state", {})["request_id"] = request_id

        async def answer(message: MutableMapping[str, Any]) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), (b"x-request-id", request_id.encode())]
            await send(message)

        try:
            if scope["path"] not in _UNLIMITED:
                # Whoever makes tokens up has a bucket for each; what fails is counted by address.
                self._failures.take(_address(scope), 0.0)
                self._rates.take(_asker(scope))
            await self._app(scope, await self._read(scope, receive), answer)
        except ServiceError as error:
            await _refuse(answer, error, request_id)
        finally:
            if status == 401:
                with contextlib.suppress(TooMany):
                    self._failures.take(_address(scope))
            took_s, route = time.perf_counter() - began, getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.requests.labels(method, route, status).inc()
            self._metrics.seconds.labels(route).observe(took_s)
            line = {"request": request_id, "method": scope["method"], "path": scope["path"], "status": status}
            LOG.info(json.dumps({**line, "ms": round(1000 * took_s, 1)}))

    async def _read(self, scope: Scope, receive: Receive) -> Receive:
        """The whole body, looked at, to be received again. Raises `TooLarge`."""
        if scope["method"] in ("GET", "HEAD", "DELETE", "OPTIONS"):
            return receive
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return _again(message)
            body += message.get("body", b"")
            more = message.get("more_body", False)
            if len(body) > self._config.most_body_bytes:
                raise TooLarge(f"a body of more than {self._config.most_body_bytes} bytes")
        check_nesting(body, self._config.most_nesting)
        return _again({"type": "http.request", "body": body, "more_body": False}, receive)


def check_nesting(body: bytes, most: int) -> None:
    """Raises `TooLarge` for brackets nested deeper than `most`, in JSON; XML has none outside its texts."""
    if body.count(b"[") + body.count(b"{") <= most:
        return
    depth, quoted, escaped = 0, False, False
    for byte in body:
        if quoted:
            quoted, escaped = escaped or byte != _QUOTE, byte == _ESCAPE and not escaped
        elif byte == _QUOTE:
            quoted = True
        elif byte in _OPEN:
            depth += 1
            if depth > most:
                raise TooLarge(f"a body nested deeper than {most}")
        elif byte in _CLOSE:
            depth -= 1


def _again(message: MutableMapping[str, Any], receive: Receive | None = None) -> Receive:
    given = False

    async def again() -> MutableMapping[str, Any]:
        nonlocal given
        if given and receive is not None:
            return await receive()
        given = True
        return message

    return again


def _asker(scope: Scope) -> str:
    """Whose bucket: the certificate's, the token's, or the address's."""
    lfdi = scope.get("extensions", {}).get("tls", {}).get("client_lfdi")
    said = next((value for name, value in scope["headers"] if name == b"authorization"), b"")
    kind, _, token = said.decode("latin-1").partition(" ")
    # A token that is made up names no other's bucket.
    if lfdi is not None:
        return f"certificate {lfdi}"
    return f"token {token.strip()[:200]}" if kind.lower() == "bearer" else f"address {_address(scope)}"


def _address(scope: Scope) -> str:
    return str((scope.get("client") or ("unknown",))[0])


async def _refuse(send: Send, error: ServiceError, request_id: str) -> None:
    body = {"type": f"urn:gridnet:problem:{error.kind}", "title": error.kind.replace("-", " "), "status": error.status}
    content = json.dumps({**body, "detail": str(error), "instance": request_id, "faults": []}).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(content)).encode())]
    if error.retry_after_s is not None:
        headers.append((b"retry-after", str(error.retry_after_s).encode()))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": content})
