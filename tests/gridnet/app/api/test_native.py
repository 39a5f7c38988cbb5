"""The native API over HTTP: devices, setpoints, telemetry, dispatches, problems."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gridnet.app.service.model import Fields, Measurement
from gridnet.errors import LedgerError
from tests.gridnet.app.service.parts import (
    ALICE,
    KEY,
    NOON,
    OPEN_HOOKS,
    OPERATOR,
    QUARTER,
    Caller,
    Meter,
    calling,
    metered,
    order,
    secret_of,
    setpoint,
)

WHOLE = {
    "id": "alice-9",
    "kind": "battery",
    "discharge_kw": 5,
    "charge_kw": 4,
    "s_kva": 6,
    "e_kwh": 10,
    "soc_min": 0.1,
    "reserve": 0.2,
}


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Caller]:
    """With a battery of alice's at a meter."""
    with calling(tmp_path, **OPEN_HOOKS) as made:
        made.service.devices.add(OPERATOR, metered())
        yield made


@pytest.fixture(scope="module")
def resting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """The same for tests that change nothing."""
    with calling(tmp_path_factory.mktemp("resting"), **OPEN_HOOKS) as made:
        made.service.devices.add(OPERATOR, metered())
        yield made


def _is_problem(answer: Any, status: int) -> Any:
    """The problem that an answer is."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert set(body) == {"type", "title", "status", "detail", "instance", "faults"}
    assert body["status"] == status
    assert body["instance"] == answer.headers["x-request-id"]
    return body


def test_a_device_is_registered_read_changed_and_removed(call: Caller) -> None:
    made = call("alice", "POST", "/devices", json=WHOLE)
    assert made.status_code == 201
    assert made.headers["location"] == "/api/v1/devices/alice-9"
    assert {name: made.json()[name] for name in WHOLE} == WHOLE
    assert made.json()["owner"] == "alice"
    assert made.json()["sign"] == "generation_positive"
    assert call("alice", "GET", "/devices/alice-9").json() == made.json()
    assert call("alice", "PATCH", "/devices/alice-9", json={"reserve": 0.5}).json()["reserve"] == 0.5
    assert call("alice", "GET", "/devices").json()["total"] == 2
    assert call("alice", "DELETE", "/devices/alice-9").status_code == 204
    _is_problem(call("alice", "GET", "/devices/alice-9"), 404)


def test_a_plant_has_a_default_that_the_grid_carries(call: Caller) -> None:
    made = call("alice", "POST", "/devices", json={"id": "roof", "kind": "pv", "discharge_kw": 8}).json()
    assert made["default_control"]["p_kw"] == 4.0
    told = call("alice", "GET", "/devices/roof/setpoint").json()
    assert (told["p_kw"], told["is_default"]) == (4.0, True)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({}, {"body.id", "body.discharge_kw"}),
        (
            {"id": "a b", "discharge_kw": -1, "kind": "kettle", "colour": 1},
            {"body.id", "body.discharge_kw", "body.kind", "body.colour"},
        ),
        ({"id": "x", "discharge_kw": 1, "soc_min": 0.9, "soc_max": 0.1}, {"soc_min, reserve, soc_max"}),
        ({"id": "x", "discharge_kw": "NaN"}, {"body.discharge_kw"}),
        ([], {"body"}),
    ],
)
def test_every_fault_of_a_request_is_listed(resting: Caller, body: Any, where: set[str]) -> None:
    problem = _is_problem(resting("alice", "POST", "/devices", json=body), 422)
    assert {fault["where"] for fault in problem["faults"]} == where


@pytest.mark.parametrize(
    "content", [b"", b"{", b"\xff\xfe", b"[1,2", b'{"id": "x", "discharge_kw": NaN}', b'{"id":"x","discharge_kw":1e999}', b"null"]
)
def test_what_is_no_json_is_refused(resting: Caller, content: bytes) -> None:
    answer = resting("alice", "POST", "/devices", content=content, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422)
    _is_problem(answer, answer.status_code)


def test_taken_names_conflict_and_missing_ones_are_not_found(resting: Caller) -> None:
    _is_problem(resting("alice", "POST", "/devices", json=WHOLE | {"id": "alice-1"}), 409)
    _is_problem(resting("alice", "GET", "/devices/nobody"), 404)
    _is_problem(resting("alice", "GET", "/nothing"), 404)
    _is_problem(resting("alice", "PUT", "/devices"), 405)
    _is_problem(resting(None, "GET", "/devices"), 401)
    assert resting(None, "GET", "/devices").headers["www-authenticate"].startswith("Bearer")


def test_an_error_nobody_thought_of_is_a_problem_that_says_nothing_of_the_inside(
    call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Any:
        raise ZeroDivisionError("a secret of the inside")

    monkeypatch.setattr(type(call.service.devices), "page", broken)
    answer = call("alice", "GET", "/devices")
    assert answer.status_code == 500
    assert "secret" not in answer.text
    _is_problem(answer, 500)


def test_a_setpoint_says_how_long_it_holds_and_why(call: Caller) -> None:
    call.service.controls.decided([setpoint(NOON, -2.5)], [])
    told = call("alice", "GET", "/devices/alice-1/setpoint").json()
    assert (told["p_kw"], told["source"], told["is_default"]) == (-2.5, "rl", False)
    assert (told["valid_from"], told["valid_until"]) == ("2026-03-01T12:00:00Z", "2026-03-01T12:15:00Z")
    assert told["sign"] == "generation_positive"


@pytest.mark.parametrize("form", ["{}", "W/{}", '"other", {}', '{}, W/"x"', "*"])
def test_an_unchanged_setpoint_is_not_sent_again(call: Caller, form: str) -> None:
    first = call("alice", "GET", "/devices/alice-1/setpoint")
    call.clock.forward(seconds=30)
    again = call("alice", "GET", "/devices/alice-1/setpoint", headers={"if-none-match": form.format(first.headers["etag"])})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]


def test_a_changed_setpoint_is_sent(call: Caller) -> None:
    tag = call("alice", "GET", "/devices/alice-1/setpoint").headers["etag"]
    call.service.controls.dispatch(OPERATOR, order(call.clock.now))
    changed = call("alice", "GET", "/devices/alice-1/setpoint", headers={"if-none-match": tag})
    assert changed.status_code == 200
    assert changed.headers["etag"] != tag


def test_whoever_prefers_to_wait_is_answered_when_something_changes_or_the_time_is_over(call: Caller) -> None:
    tag = call("alice", "GET", "/devices/alice-1/setpoint").headers["etag"]
    waiting = {"if-none-match": tag, "prefer": "respond-async, wait=1"}
    began = time.monotonic()
    assert call("alice", "GET", "/devices/alice-1/setpoint", headers=waiting).status_code == 304
    assert 0.9 <= time.monotonic() - began < 5.0
    timer = threading.Timer(0.3, lambda: call.service.controls.dispatch(OPERATOR, order(call.clock.now)))
    timer.start()
    began = time.monotonic()
    changed = call("alice", "GET", "/devices/alice-1/setpoint", headers=waiting | {"prefer": "wait=20"})
    timer.join()
    assert changed.status_code == 200
    assert time.monotonic() - began < 5.0
    for odd in ("wait", "wait=", "wait=-5", "wait=x", "wait=99999", "wait=1e9", "wait=٣٣٣٣٣"):
        assert call("alice", "GET", "/devices/alice-1/setpoint", headers={"prefer": odd.encode()}).status_code == 200


def test_a_schedule_is_contiguous_and_reaches_two_steps_ahead(call: Caller) -> None:
    call.service.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + k * QUARTER, 1.0 + k) for k in range(1, 5)])
    answer = call("alice", "GET", "/devices/alice-1/schedule").json()
    own = [each for each in answer["intervals"] if each["program"] == "dispatch"]
    assert len(own) >= 3
    assert [each["end"] for each in own[:-1]] == [each["start"] for each in own[1:]]
    assert answer["default_control"]["p_kw"] == 0.0


def test_telemetry_is_on_disk_and_brings_the_next_setpoint(call: Caller) -> None:
    raw = Meter().reads(NOON - QUARTER)
    body = {
        "readings": [base64.b64encode(raw).decode(), base64.b64encode(raw[:-1] + b"x").decode()],
        "measurements": [{"channel": "soc", "start": "2026-03-01T13:00:00+01:00", "value": 0.4}],
    }
    answer = call("alice", "POST", "/devices/alice-1/telemetry", json=body).json()
    assert [each["problem"] is None for each in answer["readings"]] == [True, False]
    assert answer["setpoint"]["device"] == "alice-1"
    assert call.service.telemetry.latest(ALICE, "alice-1", "soc") == Measurement("soc", NOON, 0.4)
    again = call("alice", "POST", "/devices/alice-1/telemetry", json={"readings": body["readings"][:1]}).json()
    assert again["readings"][0]["repeated"]


@pytest.mark.parametrize(
    "body",
    [
        {"readings": ["*not base64*"]},
        {"readings": [""] * 201},
        {"measurements": [{"channel": "soc", "start": "2026-03-01T12:00:00", "value": 0.4}]},
        {"measurements": [{"channel": "", "start": "2026-03-01T12:00:00Z", "value": 0.4}]},
        {"measurements": [{"channel": "p_kw", "start": "2026-03-01T12:00:00Z", "value": None}]},
        {"measurements": [{"channel": "p_kw", "start": "0001-01-01T00:00:00+14:00", "value": 1}]},
        {"measurements": [{"channel": "p_kw", "start": "9999-12-31T23:59:59-14:00", "value": 1}]},
        {"measurements": [{"channel": "p_kw", "start": 1e30, "value": 1}]},
        {"measurements": [{"channel": "p_kw", "start": "2026-03-01T12:00:00Z", "value": 1}] * 1001},
    ],
)
def test_telemetry_that_cannot_be_is_refused_whole(resting: Caller, body: Any) -> None:
    _is_problem(resting("alice", "POST", "/devices/alice-1/telemetry", json=body), 422)


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_measurement_is_a_finite_number(resting: Caller, value: str) -> None:
    text = '{"measurements": [{"channel": "p_kw", "start": "2026-03-01T12:00:00Z", "value": %s}]}' % value  # noqa: UP031
    _is_problem(
        resting("alice", "POST", "/devices/alice-1/telemetry", content=text, headers={"content-type": "application/json"}), 422
    )


@pytest.mark.parametrize("at", ["9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00"])
def test_no_time_poisons_what_is_read_later(call: Caller, at: str) -> None:
    made = call.service.controls.dispatch(OPERATOR, order(call.clock.now))
    said = call("alice", "POST", "/devices/alice-1/acks", json={"control": made.id, "status": "received", "at": at})
    assert said.status_code in (201, 422)
    assert call("alice", "GET", "/devices/alice-1/acks").status_code == 200
    assert call("alice", "POST", "/devices/alice-1/override", json={"until": at}).status_code == 422
    body = {"device": "alice-1", "fields": {"p_kw": 1}, "start": at, "end": at}
    assert call("boss", "POST", "/dispatches", json=body).status_code == 422


def test_a_dispatch_is_made_once_for_its_key_read_acknowledged_and_cancelled(call: Caller) -> None:
    body = {"device": "alice-1", "fields": {"p_kw": 3.5}, "start": "2026-03-01T12:04:00Z", "end": "2026-03-01T13:00:00Z"}
    key = {"idempotency-key": "k-1"}
    first, second = (call("boss", "POST", "/dispatches", json=body, headers=key) for _ in range(2))
    assert first.status_code == second.status_code == 201
    assert first.json()["id"] == second.json()["id"]
    _is_problem(call("boss", "POST", "/dispatches", json=body | {"end": "2026-03-01T13:01:00Z"}, headers=key), 409)
    path = first.headers["location"].removeprefix("/api/v1")
    assert call("alice", "GET", path).json()["status"] == "active"
    for status in ("received", "started"):
        said = {"control": first.json()["id"], "status": status, "at": "2026-03-01T12:05:00Z"}
        assert call("alice", "POST", "/devices/alice-1/acks", json=said).status_code == 201
    assert [each["status"] for each in call("alice", "GET", "/devices/alice-1/acks").json()] == ["received", "started"]
    assert call("boss", "POST", f"{path}/cancel").json()["status"] == "cancelled"
    _is_problem(call("boss", "POST", f"{path}/cancel"), 409)


def test_an_override_and_a_default_are_set_and_unset(call: Caller) -> None:
    call.service.controls.dispatch(OPERATOR, order(call.clock.now, fields=Fields(p_kw=4.0)))
    assert call("alice", "PUT", "/devices/alice-1/default-control", json={"p_kw": -1.0}).json()["p_kw"] == -1.0
    until = (call.clock.now + timedelta(hours=1)).isoformat()
    assert call("alice", "POST", "/devices/alice-1/override", json={"until": until}).status_code == 200
    assert call("alice", "GET", "/devices/alice-1/setpoint").json()["p_kw"] == -1.0
    assert call("alice", "DELETE", "/devices/alice-1/override").status_code == 204
    assert call("alice", "GET", "/devices/alice-1/setpoint").json()["p_kw"] == 4.0


def test_a_token_is_given_for_form_and_basic_and_refused_in_oauths_words(tmp_path: Path) -> None:
    with calling(tmp_path, people=True) as call:
        _tokens_are_given(call)


def _tokens_are_given(call: Caller) -> None:
    own = {"grant_type": "client_credentials", "client_id": "alice", "client_secret": secret_of("alice")}
    by_form = call.http.post("/oauth/token", data=own)
    by_basic = call.http.post("/oauth/token", data={"grant_type": "client_credentials"}, auth=("alice", secret_of("alice")))
    for answer in (by_form, by_basic):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        headers = {"authorization": f"Bearer {answer.json()['access_token']}"}
        assert call.http.get("/api/v1/devices", headers=headers).status_code == 200
    for form, status, error in (
        (own | {"client_secret": "wrong"}, 401, "invalid_client"),
        (own | {"client_id": "nobody"}, 401, "invalid_client"),
        (own | {"grant_type": "password"}, 400, "unsupported_grant_type"),
        ({}, 400, "invalid_request"),
    ):
        answer = call.http.post("/oauth/token", data=form)
        assert (answer.status_code, answer.json()["error"]) == (status, error)
    for basic in ("Basic !!!", "Basic /w==", "Basic"):
        answer = call.http.post("/oauth/token", data={"grant_type": "client_credentials"}, headers={"authorization": basic})
        assert answer.status_code in (400, 401)


def test_a_revoked_token_is_refused_at_the_next_request(call: Caller) -> None:
    assert call("alice", "GET", "/devices").status_code == 200
    call("boss", "PUT", "/admin/access/alice", json={"granted": False})
    _is_problem(call("alice", "GET", "/devices"), 401)
    call("boss", "PUT", "/admin/access/alice", json={"granted": True})
    assert call("alice", "GET", "/devices").status_code == 200


def test_an_expired_token_is_refused(call: Caller) -> None:
    call.token("alice")
    call.clock.forward(seconds=900)
    _is_problem(call("alice", "GET", "/devices"), 401)


def test_whoever_is_made_known_can_be_revoked_through_the_api(call: Caller) -> None:
    for name in ("a/b", "..", "a?b", "a#b", "é", "%2F", " "):
        made = call("boss", "POST", "/admin/principals", json={"id": name, "role": "prosumer", "secret": "s" * 20})
        if made.status_code == 201:
            assert (
                call("boss", "PUT", made.headers["location"].replace("principals", "access"), json={"granted": False}).status_code
                == 200
            ), name


def test_health_says_whether_the_database_answers(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    assert call.http.get("/healthz").json()["status"] == "ok"
    ready = call.http.get("/readyz")
    assert (ready.status_code, ready.json()["detail"]["decided"]) == (200, None)
    call.service.controls.decided([setpoint(NOON, 1.0)], [])
    assert call.http.get("/readyz").json()["detail"]["decided"] == call.clock.now.isoformat()
    assert "version" in call.http.get("/version").json()


def test_a_database_that_is_away_is_said_with_when_to_come_again(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    alice = call.token("alice")

    def away(_: Any) -> Any:
        raise LedgerError("gone")

    monkeypatch.setattr(type(call.service.store.database), "read", away)
    monkeypatch.setattr(type(call.service.store.database), "write", away)
    assert call.http.get("/healthz").status_code == 200
    assert call.http.get("/readyz").status_code == 503
    refused = call.http.get("/api/v1/devices", headers={"authorization": f"Bearer {alice}"})
    _is_problem(refused, 503)
    assert int(refused.headers["retry-after"]) >= 1
    monkeypatch.undo()
    assert call("alice", "GET", "/devices").status_code == 200


def test_the_auditors_side_without_a_ledger_is_not_found(call: Caller) -> None:
    for path in ("/credits?party=x", "/certificates", "/log/checkpoint", "/log/proof?entry=0", "/audit/export"):
        _is_problem(call("auditor", "GET", path), 404)


def test_the_key_of_a_meter_is_no_secret_of_the_answer(call: Caller) -> None:
    assert call("alice", "GET", "/devices/alice-1").json()["meter_key"] == KEY.public_key.encode()
