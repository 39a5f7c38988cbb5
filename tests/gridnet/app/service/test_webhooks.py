"""Notifications: to whom, when, how often, signed; and where none is ever sent."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from gridnet.app.api.native import subscriptions as native
from gridnet.app.service import webhooks
from gridnet.app.service.config import Config
from gridnet.app.service.errors import NotFound
from gridnet.app.service.schema import subscriptions
from gridnet.app.service.service import Service
from gridnet.app.service.webhooks import FIRST_WAIT_S, LONGEST_WAIT_S, MOST_ATTEMPTS, Subscription, target_problem
from gridnet.errors import InputError
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.parts import ALICE, BOB, NOON, OPEN_HOOKS, OPERATOR, Clock, battery, order, service_on, setpoint

TARGET = "https://127.0.0.1:9/hook"


class Target:
    """A subscriber's server that answers as it is told."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.got: list[httpx.Request] = []
        self.meanwhile: Callable[[], Any] = lambda: None

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.got.append(request)
        self.meanwhile()
        status = self.statuses.pop(0) if self.statuses else 204
        if status == 0:
            raise httpx.ConnectError("nobody there")
        return httpx.Response(status, headers={"location": "https://127.0.0.1:9/elsewhere"} if status in (301, 307) else {})

    def send(self, service: Service) -> int:
        """One round of the worker."""
        with httpx.Client(transport=httpx.MockTransport(self)) as client:
            return service.webhooks.send_due(client)


@pytest.fixture
def hooks(tmp_path: Path, clock: Clock) -> Iterator[Service]:
    """A service that may notify anybody, with a battery of alice's and one of bob's."""
    made = service_on(f"sqlite:///{tmp_path / 'hooks.db'}", clock, people=False, **OPEN_HOOKS)
    native.add_renderer(made)
    made.devices.add(ALICE, battery())
    made.devices.add(BOB, battery("bob-1", "bob"))
    yield made
    made.store.database.close()


def _subscribed(
    service: Service, by: Any = ALICE, topic: str = "controls", device: str | None = None, url: str = TARGET
) -> Subscription:
    return service.webhooks.subscribe(by, webhooks.Target(native.PROTOCOL, url), topic, device, {"secret": "whispered"})


def test_a_notification_is_signed_over_its_body(hooks: Service, clock: Clock) -> None:
    made, target = _subscribed(hooks, device="alice-1"), Target()
    hooks.controls.dispatch(OPERATOR, order(clock.now))
    assert target.send(hooks) == 1
    (request,) = target.got
    expected = hmac.new(b"whispered", request.content, hashlib.sha256).hexdigest()
    assert request.headers["x-gridnet-signature"] == f"sha256={expected}"
    said = json.loads(request.content)
    assert (said["topic"], said["device"], said["subscription"]) == ("controls", "alice-1", made.id)
    assert said["sign"] == "generation_positive"
    assert hooks.webhooks.waiting() == 0


def test_changes_that_wait_together_are_told_once(hooks: Service, clock: Clock) -> None:
    _subscribed(hooks)
    for _ in range(5):
        hooks.controls.dispatch(OPERATOR, order(clock.now))
    target = Target()
    assert (hooks.webhooks.waiting(), target.send(hooks), target.send(hooks)) == (1, 1, 0)


def test_nothing_is_told_of_what_was_rolled_back(hooks: Service) -> None:
    _subscribed(hooks)
    with contextlib.suppress(RuntimeError), hooks.store.write() as connection:
        hooks.webhooks.put(connection, "controls", "alice-1")
        raise RuntimeError
    assert hooks.webhooks.waiting() == 0


def test_a_change_while_a_notification_is_on_its_way_is_told_too(hooks: Service, clock: Clock) -> None:
    """The subscriber may have asked before the change."""
    _subscribed(hooks)
    target = Target()
    hooks.webhooks.publish("controls", "alice-1")
    target.meanwhile = lambda: hooks.controls.dispatch(OPERATOR, order(clock.now))
    target.send(hooks)
    assert hooks.webhooks.waiting() == 1
    target.meanwhile = lambda: None
    assert target.send(hooks) == 1


def test_only_those_whom_a_change_concerns_hear_of_it(hooks: Service, clock: Clock) -> None:
    alices = {_subscribed(hooks, ALICE).id, _subscribed(hooks, ALICE, device="alice-1").id, _subscribed(hooks, OPERATOR).id}
    _subscribed(hooks, BOB)
    _subscribed(hooks, BOB, device="bob-1")
    _subscribed(hooks, ALICE, topic="programs")
    hooks.controls.dispatch(OPERATOR, order(clock.now))
    target = Target()
    target.send(hooks)
    assert {json.loads(each.content)["subscription"] for each in target.got} == alices


def test_what_concerns_everybody_is_told_everybody(hooks: Service, clock: Clock) -> None:
    wanted = {_subscribed(hooks, ALICE).id, _subscribed(hooks, BOB, device="bob-1").id}
    hooks.controls.dispatch(OPERATOR, order(clock.now, device=None))
    target = Target()
    target.send(hooks)
    assert {json.loads(each.content)["subscription"] for each in target.got} == wanted


@pytest.mark.parametrize("status", [0, 301, 307, 400, 404, 500, 503])
def test_a_failure_is_tried_again_twice_as_late_each_time_and_given_up_at_last(hooks: Service, clock: Clock, status: int) -> None:
    _subscribed(hooks)
    hooks.webhooks.publish("controls")
    target = Target(*[status] * 99)
    target.send(hooks)
    for attempt in range(1, MOST_ATTEMPTS):
        clock.forward(seconds=min(FIRST_WAIT_S * 2 ** (attempt - 1), LONGEST_WAIT_S) - 1)
        target.send(hooks)
        assert len(target.got) == attempt, "not due yet"
        clock.forward(seconds=1)
        target.send(hooks)
        assert len(target.got) == attempt + 1
    clock.forward(days=1)
    target.send(hooks)
    assert (len(target.got), hooks.webhooks.waiting()) == (MOST_ATTEMPTS, 0)
    assert {str(each.url) for each in target.got} == {TARGET}, "a redirect is not followed"


def test_what_failed_arrives_later_and_outlives_a_restart(tmp_path: Path, hooks: Service, clock: Clock) -> None:
    _subscribed(hooks)
    hooks.webhooks.publish("controls")
    target = Target(503)
    assert target.send(hooks) == 0
    hooks.store.database.close()
    again = Service.on(Database(f"sqlite:///{tmp_path / 'hooks.db'}"), hooks.config, clock=clock)
    native.add_renderer(again)
    assert target.send(again) == 0, "not due yet"
    clock.forward(seconds=FIRST_WAIT_S)
    assert target.send(again) == 1
    again.store.database.close()


def test_one_dead_target_does_not_keep_the_others_waiting_in_their_round(hooks: Service) -> None:
    for _ in range(3):
        _subscribed(hooks)
    hooks.webhooks.publish("controls")
    target = Target(0, 500)
    assert target.send(hooks) == 1
    assert len(target.got) == 3


def test_notifications_of_subscriptions_that_are_gone_do_not_stand_in_the_way(hooks: Service) -> None:
    for _ in range(60):
        _subscribed(hooks, device="alice-1")
    hooks.webhooks.publish("controls", "alice-1")
    hooks.devices.remove(ALICE, "alice-1")
    _subscribed(hooks, BOB, device="bob-1")
    hooks.webhooks.publish("controls", "bob-1")
    target = Target()
    for _ in range(3):
        target.send(hooks)
    assert any(json.loads(each.content)["device"] == "bob-1" for each in target.got)
    assert hooks.webhooks.waiting() == 0


def test_subscriptions_are_their_owners(hooks: Service) -> None:
    made = _subscribed(hooks)
    assert hooks.webhooks.get(ALICE, made.id) == made
    assert hooks.webhooks.subscriptions(BOB, native.PROTOCOL) == []
    for ask in (hooks.webhooks.get, hooks.webhooks.remove):
        with pytest.raises(NotFound):
            ask(BOB, made.id)
    hooks.webhooks.publish("controls")
    hooks.webhooks.remove(ALICE, made.id)
    assert (hooks.webhooks.waiting(), Target().send(hooks)) == (0, 0)


def test_a_decision_is_told_to_the_devices_behind_the_meters(hooks: Service) -> None:
    hooks.devices.change(OPERATOR, "alice-1", meter="bat-00")
    _subscribed(hooks, device="alice-1")
    _subscribed(hooks, BOB, device="bob-1")
    hooks.controls.decided([setpoint(NOON, 1.0)], [])
    target = Target()
    target.send(hooks)
    assert [json.loads(each.content)["device"] for each in target.got] == ["alice-1"]


REFUSED = [
    "https://127.0.0.1/x",
    "https://localhost/x",
    "https://localhost./x",
    "https://[::1]/x",
    "https://[::ffff:127.0.0.1]/x",
    "https://[::ffff:7f00:1]/x",
    "https://[::ffff:10.0.0.1]/x",
    "https://[fe80::1]/x",
    "https://[fe80::1%25lo]/x",
    "https://[fd00::1]/x",
    "https://[::]/x",
    "https://[64:ff9b::7f00:1]/x",
    "https://[64:ff9b::a9fe:a9fe]/x",
    "https://[2002:7f00:1::]/x",
    "https://[::127.0.0.1]/x",
    "https://0.0.0.0/x",
    "https://10.1.2.3/x",
    "https://172.16.0.1/x",
    "https://192.168.1.1/x",
    "https://169.254.169.254/latest/meta-data",
    "https://100.64.0.1/x",
    "https://224.0.0.1/x",
    "https://255.255.255.255/x",
    "https://2130706433/x",
    "https://0x7f.1/x",
    "https://0177.0.0.1/x",
    "https://127.1/x",
    "http://8.8.8.8/x",
    "ftp://8.8.8.8/x",
    "file:///etc/passwd",
    "gopher://8.8.8.8/x",
    "//8.8.8.8/x",
    "8.8.8.8",
    "",
    "https://",
    "https:///x",
    "https://user@8.8.8.8/x",
    "https://user:secret@8.8.8.8/x",
    "https://8.8.8.8@127.0.0.1/x",
    "https://127.0.0.1\\@8.8.8.8/x",
    "https://8.8.8.8\\@127.0.0.1/x",
    "https://8.8.8.8:99999/x",
    "https://8.8.8.8:x/x",
    "https://[8.8.8.8/x",
    "https://8.8.8.8/\x7f",
    "https://8.8.8.8/\x01",
    "https://8.8.8.8/a b\r\nHost: evil",
    "https://nobody.invalid/x",
    "https://" + "a" * 300 + ".example/x",
]


@pytest.mark.parametrize("url", REFUSED)
def test_where_nothing_is_sent(url: str, service: Service) -> None:
    assert target_problem(url, Config()) is not None
    with pytest.raises(InputError):
        _subscribed(service, url=url)


@pytest.mark.parametrize("url", ["https://8.8.8.8/x", "https://8.8.8.8:8443/x?y=z", "https://[2001:4860:4860::8888]/x"])
def test_where_something_is_sent(url: str) -> None:
    assert target_problem(url, Config()) is None


def test_a_name_is_as_private_as_any_address_it_leads_to(monkeypatch: pytest.MonkeyPatch) -> None:
    leads = {"public.example": ["8.8.8.8"], "mixed.example": ["8.8.8.8", "10.0.0.1"], "inside.example": ["::ffff:169.254.169.254"]}

    def looked_up(host: str, port: int, *_: Any, **__: Any) -> list[Any]:
        return [(0, 0, 0, "", (address, port)) for address in leads[host]]

    monkeypatch.setattr(socket, "getaddrinfo", looked_up)
    found = {host: target_problem(f"https://{host}/", Config()) is None for host in leads}
    assert found == {"public.example": True, "mixed.example": False, "inside.example": False}


def test_the_allow_list_is_kept_at_sending_time_too(hooks: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    only = Config(webhook_hosts=("good.example",), **OPEN_HOOKS)
    assert target_problem("https://good.example/x", only) is None
    assert target_problem("https://good.example.evil.example/x", only) is not None
    assert target_problem("https://evil.example/good.example", only) is not None
    _subscribed(hooks)
    hooks.webhooks.publish("controls")
    monkeypatch.setattr(hooks.webhooks, "_config", only)
    target = Target()
    assert (target.send(hooks), target.got) == (0, [])


@contextmanager
def _listening(answer: Callable[[BaseHTTPRequestHandler], None]) -> Iterator[int]:
    """A plain server on loopback; gives its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            answer(self)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        thread.join(10.0)
        server.server_close()


def test_a_name_that_leads_elsewhere_when_it_is_sent_to_is_not_followed(hooks: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: public when it is checked, loopback when it is connected to."""
    got: list[str] = []

    def answer(handler: BaseHTTPRequestHandler) -> None:
        got.append(handler.path)
        handler.send_response(204)
        handler.end_headers()

    looked_up, asked = socket.getaddrinfo, []

    def rebinding(host: Any, port: Any, *rest: Any, **more: Any) -> Any:
        if host not in ("rebind.example", b"rebind.example"):
            return looked_up(host, port, *rest, **more)
        asked.append(host)
        # Each check sees the public address; the look-up that follows it is the one that connects.
        return looked_up("8.8.8.8" if len(asked) % 2 else "127.0.0.1", port, *rest, **more)

    with _listening(answer) as port:
        monkeypatch.setattr(socket, "getaddrinfo", rebinding)
        connecting = socket.create_connection
        monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.5)

        def connected(address: Any, *rest: Any, **more: Any) -> Any:
            if address[0] == "8.8.8.8":
                raise OSError("the test reaches no one outside")
            return connecting(address, *rest, **more)

        monkeypatch.setattr(socket, "create_connection", connected)
        closed = Config(webhook_plain_http=True)
        monkeypatch.setattr(hooks.webhooks, "_config", closed)
        _subscribed(hooks, url=f"http://rebind.example:{port}/secret")
        asked.clear()
        hooks.webhooks.publish("controls")
        with httpx.Client(trust_env=False) as client:
            hooks.webhooks.send_due(client)
    assert got == []


def test_a_target_that_answers_for_ever_is_not_listened_to_for_ever(hooks: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    stop = threading.Event()

    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        end = time.monotonic() + 5.0
        try:
            while time.monotonic() < end and not stop.is_set():
                handler.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            pass

    monkeypatch.setattr(webhooks, "TIMEOUT_S", 0.3)
    with _listening(drip) as port:
        _subscribed(hooks, url=f"http://127.0.0.1:{port}/")
        hooks.webhooks.publish("controls")
        began = time.monotonic()
        with httpx.Client(trust_env=False) as client:
            hooks.webhooks.send_due(client)
        took_s = time.monotonic() - began
        stop.set()
    assert took_s < 2.0


@pytest.mark.parametrize("url", ["https://8.8.8.8/\x7f", "https://[", "https://xn--a/", "x"])
def test_a_row_that_cannot_be_sent_stops_nobody_else(hooks: Service, url: str) -> None:
    """Such a row may have been written by an earlier version."""
    broken = _subscribed(hooks)
    with hooks.store.write() as connection:
        connection.execute(update(subscriptions).where(subscriptions.c.id == broken.id).values(url=url))
    good = _subscribed(hooks)
    hooks.webhooks.publish("controls")
    target = Target()
    assert target.send(hooks) == 1
    assert json.loads(target.got[-1].content)["subscription"] == good.id
