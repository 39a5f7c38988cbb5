"""The clients of `gridnet bench --service`, in their own process: connections that stay open, one request at a time on each."""

from __future__ import annotations

import http.client
import ssl
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle
from queue import SimpleQueue

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Load:
    """Where to ask, as whom, over how many connections."""

    port: int
    ca: str
    certificate: str
    key: str
    connections: int


@dataclass(frozen=True)
class Ask:
    """One request; with `bodies`, the n-th request has the n-th, and one that is paced the first."""

    method: str
    path: str
    bodies: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Paced:
    """Requests at a rate, whatever the answers take."""

    per_s: float
    seconds: float
    asks: tuple[Ask, ...]


def asked(load: Load, ask: Ask, count: int) -> list[int]:
    """HTTP statuses of `count` requests."""
    bodies = ask.bodies or (b"",)
    with _Connections(load) as connections, ThreadPoolExecutor(load.connections) as workers:
        return list(workers.map(lambda k: connections.send(ask, bodies[k % len(bodies)]), range(count)))


def paced(load: Load, plan: Paced) -> tuple[list[float], int]:
    """Milliseconds from when each request was due to its answer, and how many were not answered well."""
    turns, count = cycle(plan.asks), int(plan.per_s * plan.seconds)
    with _Connections(load) as connections, ThreadPoolExecutor(load.connections) as workers:
        began = time.perf_counter()

        def timed(ask: Ask, due: float) -> tuple[float, bool]:
            status = connections.send(ask, ask.bodies[0] if ask.bodies else b"")
            return 1000.0 * (time.perf_counter() - began - due), 200 <= status < 300

        waiting = []
        for k in range(count):
            due = k / plan.per_s
            time.sleep(max(0.0, began + due - time.perf_counter()))
            waiting.append(workers.submit(timed, next(turns), due))
        done = [each.result() for each in waiting]
    return [took for took, _ in done], sum(not good for _, good in done)


class _Connections:
    """Open connections, lent out one request at a time."""

    def __init__(self, load: Load) -> None:
        context = ssl.create_default_context(cafile=load.ca)
        context.load_cert_chain(load.certificate, load.key)
        self._all = [
            http.client.HTTPSConnection("localhost", load.port, context=context, timeout=TIMEOUT_S) for _ in range(load.connections)
        ]
        self._free: SimpleQueue[http.client.HTTPSConnection] = SimpleQueue()
        for connection in self._all:
            self._free.put(connection)

    def __enter__(self) -> _Connections:
        """They open when they are first used."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes them."""
        for connection in self._all:
            connection.close()

    def send(self, ask: Ask, body: bytes) -> int:
        """The status of one request; 0 where the connection failed."""
        connection = self._free.get()
        try:
            headers = {"content-type": "application/json"} if body else {}
            connection.request(ask.method, ask.path, body or None, headers)
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            connection.close()
            return 0
        finally:
            self._free.put(connection)
