"""The outbox as several processes send from it."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from gridnet.app.api.native import subscriptions as native
from gridnet.app.service import webhooks
from gridnet.app.service.schema import outbox
from gridnet.app.service.service import Service
from gridnet.app.service.webhooks import TAKEN_S, Target
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.parts import ALICE, OPEN_HOOKS, Clock, battery, service_on

MANY = 12


@pytest.fixture
def two(url: str, clock: Clock) -> Iterator[list[Service]]:
    """Two processes' services on one database, in which alice wants to hear of something many times over."""
    first = service_on(url, clock, people=False, **OPEN_HOOKS)
    made = [first, Service.on(Database(url), first.config, clock=clock)]
    for each in made:
        native.add_renderer(each)
    made[0].devices.add(ALICE, battery())
    for number in range(MANY):
        target = Target(native.PROTOCOL, f"https://127.0.0.1:9/hook/{number}")
        made[0].webhooks.subscribe(ALICE, target, "controls", None, {"secret": "whispered"})
    yield made
    for each in made:
        each.store.database.close()


def send(service: Service, receive: Callable[[httpx.Request], httpx.Response]) -> int:
    """One round of a process."""
    with httpx.Client(transport=httpx.MockTransport(receive)) as client:
        return service.webhooks.send_due(client)


def test_two_processes_send_each_notification_once(two: list[Service]) -> None:
    got: Counter[str] = Counter()
    turn = threading.Barrier(2)

    def receive(request: httpx.Request) -> httpx.Response:
        got[json.loads(request.content)["subscription"]] += 1
        time.sleep(0.02)  # so that the other one is at work meanwhile
        return httpx.Response(204)

    def round_of(service: Service) -> int:
        turn.wait()
        return send(service, receive)

    two[0].webhooks.publish("controls", "alice-1")
    with ThreadPoolExecutor(2) as pool:
        sent = list(pool.map(round_of, two))
    assert sum(sent) == MANY
    assert set(got.values()) == {1}
    assert len(got) == MANY
    assert min(sent) > 0
    assert two[0].webhooks.waiting() == 0


def test_what_a_process_took_and_did_not_send_is_sent_by_another_when_its_time_is_over(two: list[Service], clock: Clock) -> None:
    def dies(_: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    two[0].webhooks.publish("controls", "alice-1")
    with contextlib.suppress(KeyboardInterrupt):
        send(two[0], dies)
    assert send(two[1], lambda _: httpx.Response(204)) == MANY - 1
    assert send(two[1], lambda _: httpx.Response(204)) == 0
    clock.forward(seconds=TAKEN_S)
    assert send(two[1], lambda _: httpx.Response(204)) == 1
    assert two[1].webhooks.waiting() == 0


def test_a_process_that_took_too_long_does_not_undo_what_the_next_one_did(two: list[Service], clock: Clock) -> None:
    first: list[Any] = []

    def is_slow(_: httpx.Request) -> httpx.Response:
        if not first:
            first.append(None)
            clock.forward(seconds=TAKEN_S)
            first[0] = send(two[1], lambda _: httpx.Response(500))
        return httpx.Response(204)

    two[0].webhooks.publish("controls", "alice-1")
    send(two[0], is_slow)
    assert first == [0]
    with two[0].store.read() as connection:
        left = connection.execute(select(outbox)).all()
    assert [(row.attempts, row.problem) for row in left if row.attempts == 2] == [(2, "HTTP 500")]


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_nothing_is_taken_before_what_it_tells_of_can_be_seen(two: list[Service]) -> None:
    hooks = two[0].webhooks
    hooks.publish("controls", "alice-1")
    with two[1].store.write("a feeder") as connection:
        two[1].webhooks.put(connection, "controls", "alice-1")  # joined to what waits, and not committed yet
        assert send(two[0], lambda _: httpx.Response(204)) == 0
    assert send(two[0], lambda _: httpx.Response(204)) == MANY


def test_what_is_sent_takes_less_time_than_it_is_taken_for() -> None:
    assert TAKEN_S >= 4 * webhooks.TIMEOUT_S
