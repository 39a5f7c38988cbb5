"""Attacks on the service, each told in a sentence and then run; the service stays up, and nobody else notices."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from gridnet.app.api.guard import _asker
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.loop import Loop
from gridnet.app.service.model import Fields, Measurement, Principal
from gridnet.app.service.people import MOST_TOKENS
from gridnet.app.service.webhooks import Target
from tests.gridnet.app.api.openadr.servers import running
from tests.gridnet.app.service.parts import (
    ALICE,
    BOB,
    KEY,
    NOON,
    OPEN_HOOKS,
    OPERATOR,
    QUARTER,
    Caller,
    Clock,
    Meter,
    battery,
    calling,
    metered,
    order,
    secret_of,
    service_on,
    setpoint,
)


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Caller]:
    """With a metered battery of alice's and one of bob's, who is the attacker."""
    with calling(tmp_path, **OPEN_HOOKS) as made:
        made.service.devices.add(OPERATOR, metered())
        made.service.devices.add(BOB, battery("bob-1", "bob"))
        yield made


def _is_well(call: Caller) -> bool:
    """Whether alice is served as ever."""
    return bool(call("alice", "GET", "/devices/alice-1/setpoint").status_code == 200)


def test_bob_replays_alices_reading_as_his_own(call: Caller) -> None:
    raw = base64.b64encode(Meter().reads(NOON)).decode()
    assert call("bob", "POST", "/devices/bob-1/telemetry", json={"readings": [raw]}).status_code == 422
    call.service.devices.change(OPERATOR, "bob-1", meter="bat-01", meter_key=KEY.public_key.encode())
    answer = call("bob", "POST", "/devices/bob-1/telemetry", json={"readings": [raw]})
    if answer.status_code == 200:
        assert answer.json()["readings"][0]["problem"]


def test_bob_registers_alices_device_under_another_spelling(call: Caller) -> None:
    for name in ("ALICE-1", "alice-1 ", "alice-1\u200b", "alice-1\x00", "%61lice-1", "alice-1/", "../alice-1"):
        answer = call("bob", "POST", "/devices", json={"id": name, "discharge_kw": 5})
        assert answer.status_code in (201, 422)
        if answer.status_code == 201:
            assert call("bob", "GET", f"/devices/{name}").json()["owner"] == "bob"
    assert call("alice", "GET", "/devices").json()["total"] == 1


def test_bob_walks_through_the_address(call: Caller) -> None:
    for path in (
        "bob-1/../alice-1",
        "bob-1%2F..%2Falice-1",
        "bob-1;alice-1",
        "alice-1%00",
        "alice-1%20",
        "alice-1?x",
        "*",
        "%25",
        "' OR 1=1 --",
    ):
        for method in ("GET", "DELETE"):
            answer = call("bob", method, f"/devices/{path}")
            assert answer.status_code in (404, 405), (method, path, answer.status_code)
    assert _is_well(call)


@pytest.mark.parametrize(
    "text", ["' OR '1'='1", '"; DROP TABLE service_devices; --', "%", "_", "\\", "\x00", "\u202e", "💥" * 20, "a" * 64]
)
def test_bob_puts_code_into_every_text(call: Caller, text: str) -> None:
    body = {"control": text, "status": "received", "at": "2026-03-01T12:00:00Z"}
    assert call("bob", "POST", "/devices/bob-1/acks", json=body).status_code in (404, 422)
    measured = {"measurements": [{"channel": text, "start": "2026-03-01T12:00:00Z", "value": 1}]}
    assert call("bob", "POST", "/devices/bob-1/telemetry", json=measured).status_code in (200, 422)
    until = (call.clock.now + QUARTER).isoformat()
    assert call("bob", "POST", "/devices/bob-1/override", json={"until": until, "reason": text}).status_code in (200, 422)
    assert call("bob", "GET", "/credits", params={"party": text}).status_code in (403, 404, 422)
    assert call("bob", "GET", "/certificates", params={"after": text, "party": text}).status_code in (403, 404, 422)
    assert call("boss", "GET", "/credits", params={"party": text}).status_code in (404, 422)
    assert _is_well(call)


def test_a_byte_of_nought_reaches_no_database(postgres_caller: Caller) -> None:
    """PostgreSQL keeps no NUL in a text: what SQLite takes must not be an error there."""
    call = postgres_caller
    asks = [
        ("GET", "/devices/%00", {}),
        ("GET", "/devices/a%00b/setpoint", {}),
        ("GET", "/dispatches/%00", {}),
        ("GET", "/subscriptions/%00", {}),
        ("POST", "/devices/bob-1/acks", {"json": {"control": "\x00", "status": "received", "at": "2026-03-01T12:00:00Z"}}),
        (
            "POST",
            "/devices/bob-1/telemetry",
            {"json": {"measurements": [{"channel": "\x00", "start": "2026-03-01T12:00:00Z", "value": 1}]}},
        ),
        ("POST", "/devices/bob-1/override", {"json": {"until": (call.clock.now + QUARTER).isoformat(), "reason": "a\x00b"}}),
        ("GET", "/certificates", {"params": {"party": "\x00"}}),
    ]
    for method, path, more in asks:
        answer = call("bob", method, path, **more)
        assert answer.status_code < 500, (method, path, answer.text[:200])
    form = {"grant_type": "client_credentials", "client_id": "a\x00", "client_secret": "x" * 20}
    assert call.http.post("/oauth/token", data=form).status_code in (400, 401, 422)
    for path, body in (
        ("/dispatches", {"fields": {"p_kw": 1}, "start": "2026-03-01T13:00:00Z", "end": "2026-03-01T14:00:00Z", "reason": "\x00"}),
        ("/admin/principals", {"id": "a\x00", "role": "prosumer", "secret": "s" * 20}),
    ):
        assert call("boss", "POST", path, json=body).status_code < 500, path
    assert call("boss", "PUT", "/admin/access/%00", json={"granted": False}).status_code < 500


def test_bobs_flood_does_not_starve_alice(tmp_path: Path) -> None:
    service = service_on(f"sqlite:///{tmp_path / 'flood.db'}", Clock(), people=False, requests_per_minute=60)
    service.devices.add(OPERATOR, metered())
    made = Caller(service, None, Clock())  # type: ignore[arg-type]
    bob, alice = ({"authorization": f"Bearer {made.token(name)}"} for name in ("bob", "alice"))
    stop, seen = threading.Event(), set()
    with running(service) as address:

        def flood() -> None:
            with httpx.Client(base_url=address, timeout=10.0) as client:
                while not stop.is_set():
                    seen.add(client.get("/api/v1/devices", headers=bob).status_code)

        with ThreadPoolExecutor(4) as pool:
            for _ in range(4):
                pool.submit(flood)
            try:
                with httpx.Client(base_url=address, timeout=10.0) as client:
                    took = []
                    for _ in range(20):
                        began = time.monotonic()
                        assert client.get("/api/v1/devices/alice-1/setpoint", headers=alice).status_code == 200
                        took.append(time.monotonic() - began)
            finally:
                stop.set()
    service.store.database.close()
    assert 429 in seen
    assert sorted(took)[10] < 1.0


def test_bob_asks_for_so_many_tokens_that_his_rate_has_no_end(tmp_path: Path) -> None:
    with calling(tmp_path, people=True) as call:
        held = [call.service.people.issue_token("bob", secret_of("bob"))[0] for _ in range(MOST_TOKENS + 3)]
        other, _ = call.service.people.issue_token("alice", secret_of("alice"))
        answers = [call.http.get("/api/v1/devices", headers={"authorization": f"Bearer {token}"}).status_code for token in held]
        assert answers.count(200) == MOST_TOKENS, "each token has a rate, so that there must not be any number of them"
        assert answers[-1] == 200
        assert call.http.get("/api/v1/devices", headers={"authorization": f"Bearer {other}"}).status_code == 200


@pytest.mark.parametrize("bucket", ["ab" * 20, "testclient"])
def test_bob_names_alices_certificate_or_address_as_his_token(bucket: str) -> None:
    """What is made up must not draw on what is somebody's."""
    made_up = {"headers": [(b"authorization", f"Bearer {bucket}".encode())], "client": ("10.9.9.9", 1)}
    by_certificate = {"headers": [], "client": ("10.0.0.1", 1), "extensions": {"tls": {"client_lfdi": bucket}}}
    by_address = {"headers": [], "client": (bucket, 1)}
    assert _asker(made_up) not in {_asker(by_certificate), _asker(by_address)}
    assert _asker(by_certificate) != _asker(by_address)


def test_bob_waits_in_a_hundred_requests_at_once(tmp_path: Path) -> None:
    service = service_on(f"sqlite:///{tmp_path / 'waits.db'}", Clock(), people=False)
    service.devices.add(OPERATOR, metered())
    service.devices.add(BOB, battery("bob-1", "bob"))
    made = Caller(service, None, Clock())  # type: ignore[arg-type]
    bob, alice = ({"authorization": f"Bearer {made.token(name)}"} for name in ("bob", "alice"))
    with running(service) as address, httpx.Client(base_url=address, timeout=20.0) as client:
        tag = client.get("/api/v1/devices/bob-1/setpoint", headers=bob).headers["etag"]
        waiting = bob | {"if-none-match": tag, "prefer": "wait=2"}
        with ThreadPoolExecutor(100) as pool:
            limits = httpx.Limits(max_connections=100)
            with httpx.Client(base_url=address, timeout=30.0, limits=limits) as many:
                answers = [pool.submit(many.get, "/api/v1/devices/bob-1/setpoint", headers=waiting) for _ in range(100)]
                time.sleep(0.5)
                began = time.monotonic()
                assert client.get("/api/v1/devices/alice-1/setpoint", headers=alice).status_code == 200
                assert time.monotonic() - began < 5.0
                assert {each.result().status_code for each in answers} <= {304, 429, 503}
    service.store.database.close()


def test_bob_tells_a_charge_that_cannot_be_to_blind_the_decision(call: Caller) -> None:
    call.service.devices.change(OPERATOR, "bob-1", meter="bat-01")
    for soc in (-1e9, 1e9, 77.0):
        body = {"measurements": [{"channel": "soc", "start": call.clock.now.isoformat(), "value": soc}]}
        assert call("bob", "POST", "/devices/bob-1/telemetry", json=body).status_code in (200, 422)
    assert all(0.0 <= each <= 1.0 for each in call.service.telemetry.told_soc(0).values())


def test_bob_sets_a_default_that_no_grid_could_bear(call: Caller) -> None:
    call("bob", "PUT", "/devices/bob-1/default-control", json={"p_kw": 1e6, "q_kvar": -1e6})
    told = call("bob", "GET", "/devices/bob-1/setpoint").json()
    assert (told["p_kw"], abs(told["q_kvar"])) == (5.0, 0.0)
    for wrong in (1e7, "NaN", float("1e400")):
        assert call("bob", "PUT", "/devices/bob-1/default-control", content=json.dumps({"p_kw": wrong})).status_code == 422


def test_a_notifier_survives_a_subscription_made_to_kill_it(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from sqlalchemy import insert

    from gridnet.app.service.schema import subscriptions

    rows = [
        {"id": f"{number:032x}", "owner": "bob", "protocol": "json", "topic": "controls", "device": None, "url": url, "body": body}
        for number, (url, body) in enumerate(
            [
                ("https://8.8.8.8/\x7f", '{"secret": "x"}'),
                ("https://xn--a/", '{"secret": "x"}'),
                ("https://127.0.0.1:1/", "{}"),
                ("", "{}"),
            ]
        )
    ]
    with call.service.store.write() as connection:
        connection.execute(insert(subscriptions), rows)
    good = call.service.webhooks.subscribe(ALICE, Target("json", "https://127.0.0.1:9/x"), "controls", None, {"secret": "x"})
    call.service.webhooks.publish("controls")
    got = []

    def answer(request: httpx.Request) -> httpx.Response:
        got.append(json.loads(request.content)["subscription"])
        return httpx.Response(204)

    with httpx.Client(transport=httpx.MockTransport(answer)) as client:
        call.service.webhooks.send_due(client)
    assert good.id in got


def test_the_deciding_thread_waits_for_a_database_that_is_away_from_the_beginning(
    call: Caller, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from gridnet.app.service.leader import Leadership
    from gridnet.errors import LedgerError

    failures = [LedgerError("away"), OSError("read-only"), LedgerError("")]

    def held(_: Leadership, feeder: str) -> bool:
        if failures:
            raise failures.pop()
        return True

    ticked = threading.Event()
    monkeypatch.setattr(Leadership, "held", held)
    monkeypatch.setattr(Keeper, "tick", lambda *_: ticked.set())
    running_loop = Loop(call.service, [Keeper(call.service, None)], 0.01, 0.01)  # type: ignore[arg-type]
    running_loop.start()
    try:
        assert ticked.wait(5.0), "the thread died of it"
    finally:
        running_loop.stop()


def test_a_step_that_fails_in_a_way_nobody_thought_of_is_tried_again(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    from gridnet.app.service.leader import Leadership

    failures: list[Exception] = [ZeroDivisionError("nobody thought of it"), ValueError("nor of this")]
    monkeypatch.setattr(Leadership, "held", lambda *_: True)
    ticked = threading.Event()

    def tick(*_: object) -> None:
        if failures:
            raise failures.pop()
        ticked.set()

    monkeypatch.setattr(Keeper, "tick", tick)
    monkeypatch.setattr(threading, "excepthook", lambda _: None)
    running_loop = Loop(call.service, [Keeper(call.service, None)], 0.01, 0.01)  # type: ignore[arg-type]
    running_loop.start()
    try:
        assert ticked.wait(5.0), "homes would get defaults for ever, and nothing but a log line would say so"
    finally:
        running_loop.stop()


def test_bob_acknowledges_and_overrides_what_is_alices(call: Caller) -> None:
    made = call.service.controls.dispatch(OPERATOR, order(call.clock.now, fields=Fields(p_kw=4.0)))
    said = {"control": made.id, "status": "opt_out", "at": call.clock.now.isoformat()}
    assert call("bob", "POST", "/devices/alice-1/acks", json=said).status_code == 404
    assert call("bob", "POST", "/devices/bob-1/acks", json=said).status_code == 404
    assert call.service.controls.acks(ALICE, "alice-1") == []


def test_bob_squats_on_the_certificate_of_alices_inverter(call: Caller) -> None:
    """Whoever registers a certificate's device first sets what the inverter does when nobody speaks."""
    lfdi = "ab" * 20
    squat = call("bob", "POST", "/devices", json={"id": "bob-2", "discharge_kw": 5, "lfdi": lfdi})
    inverter = Principal(f"lfdi:{lfdi}", "device", lfdi)
    assert squat.status_code == 403 or call.service.devices.page(inverter)[1] == 0


def test_a_clock_that_goes_back_reopens_nothing(call: Caller) -> None:
    call.service.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + QUARTER, 2.0)])
    call.clock.forward(minutes=-10)
    call.service.controls.decided([setpoint(NOON, -3.0)], [])
    call.clock.forward(minutes=10)
    assert call("alice", "GET", "/devices/alice-1/setpoint").json()["p_kw"] == 1.0


def test_two_hundred_readings_of_garbage_at_once_are_refused_one_by_one(call: Caller) -> None:
    raws = [base64.b64encode(bytes([n]) * 300).decode() for n in range(200)]
    began = time.monotonic()
    answer = call("alice", "POST", "/devices/alice-1/telemetry", json={"readings": raws})
    assert answer.status_code == 200
    assert all(each["problem"] for each in answer.json()["readings"])
    assert time.monotonic() - began < 5.0
    assert call("alice", "POST", "/devices/alice-1/telemetry", json={"readings": [*raws, raws[0]]}).status_code == 422


def test_a_thousand_measurements_every_second_stay_bounded(call: Caller) -> None:
    one = {"channel": "p_kw", "start": call.clock.now.isoformat(), "value": 1.0}
    assert call("bob", "POST", "/devices/bob-1/telemetry", json={"measurements": [one] * 1000}).status_code == 200
    assert len(call.service.telemetry.measurements(BOB, "bob-1", "p_kw", NOON)) == 1
    kept = call.service.telemetry.latest(BOB, "bob-1", "p_kw")
    assert kept == Measurement("p_kw", call.clock.now, 1.0, timedelta(0))


@pytest.fixture
def postgres_caller(tmp_path: Path) -> Iterator[Caller]:
    """The same on PostgreSQL."""
    from fastapi.testclient import TestClient

    from gridnet.app.api.app import make_app
    from tests.contracts.gridnet_contracts.ledger.stores import postgres_server

    with postgres_server() as url:
        clock = Clock()
        service = service_on(url, clock, people=False)
        service.devices.add(BOB, battery("bob-1", "bob"))
        with TestClient(make_app(service), raise_server_exceptions=False) as http:
            yield Caller(service, http, clock)
        service.store.database.close()
