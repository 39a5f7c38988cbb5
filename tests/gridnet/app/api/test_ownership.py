"""Who may do what with whose: every operation of the application, by everybody whose business it is not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from gridnet.app.service.model import Fields, Program
from tests.gridnet.app.service.parts import (
    ALICE,
    BOB,
    NOON,
    OPEN_HOOKS,
    OPERATOR,
    PEOPLE,
    QUARTER,
    Caller,
    battery,
    calling,
    metered,
    order,
    setpoint,
)

SOON = (NOON + timedelta(hours=1)).isoformat()
LATER = (NOON + timedelta(hours=2)).isoformat()
ORDER = {"device": "alice-1", "fields": {"p_kw": 1}, "start": SOON, "end": LATER}
HOOK = {"topic": "controls", "device": "alice-1", "url": "https://127.0.0.1:9/x"}
BODIES: dict[str, Any] = {
    "POST /api/v1/devices": {"id": "alice-2", "discharge_kw": 5, "owner": "alice"},
    "PATCH /api/v1/devices/{device}": {"reserve": 0.5},
    "POST /api/v1/devices/{device}/telemetry": {"measurements": [{"channel": "soc", "start": NOON.isoformat(), "value": 0.5}]},
    "POST /api/v1/telemetry": {"readings": ["AAAA"]},
    "POST /api/v1/devices/{device}/acks": {"control": "CONTROL", "status": "received", "at": SOON},
    "PUT /api/v1/devices/{device}/default-control": {"p_kw": 5},
    "POST /api/v1/devices/{device}/override": {"until": SOON},
    "POST /api/v1/dispatches": ORDER,
    "POST /api/v1/subscriptions": HOOK,
    "POST /api/v1/admin/principals": {"id": "eve", "role": "operator", "secret": "s" * 20},
    "PUT /api/v1/admin/access/{principal}": {"granted": False},
    "PUT /api/v1/admin/devices/{device}/pin": {"pin": 111115},
    "PUT /api/v1/admin/programs/{program}": {"primacy": 0},
    "POST /api/v1/admin/announcements": {"topic": "controls"},
    "PUT /api/v1/admin/rates/{resource}": {"poll_s": 1},
}
ANYBODYS = {
    "GET /api/v1/devices",
    "GET /api/v1/subscriptions",
    "GET /api/v1/credits",
    "GET /api/v1/certificates",
    "GET /api/v1/log/checkpoint",
    "POST /api/v1/telemetry",
}
"""Open to everybody who is known; what they show, or take, is looked at on its own."""
AUDITORS = {"GET /api/v1/log/proof", "GET /api/v1/audit/export", "GET /api/v1/admin/operations"}
WITHOUT = {"POST /oauth/token", "GET /healthz", "GET /readyz", "GET /metrics", "GET /version"}
OUTSIDE_OWN = {"GET /auth/server", "POST /auth/token"}
STRANGERS = [name for name in PEOPLE if name not in ("boss", "alice")]


@dataclass(frozen=True)
class Home:
    """Alice's things, and the names that stand for them in addresses."""

    call: Caller
    names: dict[str, str]

    def ask(self, by: str | None, operation: str, **more: Any) -> Any:
        """One operation on alice's things."""
        method, path = operation.split(" ")
        body = BODIES.get(operation)
        if isinstance(body, dict):
            body = {name: self.names["control"] if value == "CONTROL" else value for name, value in body.items()}
        query = {"entry": 0} if path.endswith("/proof") else {}
        address = path.format_map(_Named(self.names))
        return self.call.http.request(method, address, json=body, params=query, headers=self.headers(by), **more)

    def headers(self, by: str | None) -> dict[str, str]:
        """Credentials."""
        return {} if by is None else {"authorization": f"Bearer {self.call.token(by)}"}


class _Named(dict[str, str]):
    def __missing__(self, key: str) -> str:
        return "x"


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Everything that alice can have."""
    with calling(tmp_path_factory.mktemp("owned"), **OPEN_HOOKS) as call:
        service = call.service
        service.devices.add(OPERATOR, metered())
        service.devices.add(BOB, battery("bob-1", "bob"))
        service.controls.put_program(OPERATOR, Program("alices", 2, "alice-1"))
        control = service.controls.dispatch(OPERATOR, order(call.clock.now, 600, fields=Fields(p_kw=4.0)))
        service.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + QUARTER, 1.0)])
        service.controls.override(ALICE, "alice-1", call.clock.now + QUARTER, "a party")
        made = call("alice", "POST", "/subscriptions", json=HOOK)
        assert made.status_code == 201, made.text
        names = {"device": "alice-1", "control": control.id, "subscription": made.json()["id"]}
        yield Home(call, names | {"principal": "alice", "program": "alices", "lfdi": "0" * 40, "resource": "EndDeviceList"})


def _operations(home: Home) -> list[str]:
    paths = home.call.http.app.openapi()["paths"]
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


def _state(home: Home) -> Any:
    """All that a stranger could have changed."""
    service = home.call.service
    return (
        service.devices.page(OPERATOR),
        service.controls.of_device(OPERATOR, "alice-1", since=NOON - QUARTER),
        service.controls.effective(OPERATOR, "alice-1").p_kw,
        service.controls.acks(OPERATOR, "alice-1"),
        service.controls.programs(OPERATOR, "alice-1"),
        service.telemetry.latest(OPERATOR, "alice-1", "soc"),
        service.webhooks.subscriptions(OPERATOR, "json"),
        service.people.get(OPERATOR, "alice"),
        service.controls.overridden(),
    )


def test_nothing_but_the_stated_operations_is_open_to_whoever_has_no_credentials(home: Home) -> None:
    before = _state(home)
    for operation in _operations(home):
        if operation in WITHOUT or any(operation.split(" ")[1].endswith(each.split(" ")[1]) for each in OUTSIDE_OWN):
            continue
        for headers in (
            {},
            {"authorization": "Bearer made-up"},
            {"authorization": "Basic YWxpY2U6eA=="},
            {"authorization": "Bearer "},
        ):
            method, path = operation.split(" ")
            answer = home.call.http.request(
                method, path.format_map(_Named(home.names)), json=BODIES.get(operation, {}), headers=headers
            )
            assert answer.status_code in (401, 403), (operation, headers, answer.status_code, answer.text[:200])
    assert _state(home) == before


@pytest.mark.parametrize(
    "name", ["x-client-cert", "x-ssl-client-cert", "x-forwarded-client-cert", "ssl-client-verify", "x-client-lfdi", "client-lfdi"]
)
def test_a_header_that_names_a_certificate_or_a_person_is_not_looked_at(home: Home, name: str) -> None:
    for content in ("0" * 40, "SUCCESS", "alice", "boss", "Hash=" + "0" * 64):
        assert home.call.http.get("/api/v1/devices", headers={name: content}).status_code == 401


@pytest.mark.parametrize("stranger", STRANGERS)
def test_a_stranger_does_nothing_with_what_is_alices(home: Home, stranger: str) -> None:
    """Each operation has a body that alice or the operator could send: a new operation needs one here."""
    before, own = _state(home), [each for each in _operations(home) if each.split(" ")[1].startswith("/api/v1")]
    assert (
        not {each for each in own if each.split(" ")[0] in ("POST", "PUT", "PATCH")}
        - BODIES.keys()
        - {"POST /api/v1/dispatches/{control}/cancel"}
    )
    for operation in own:
        if operation in ANYBODYS or (stranger == "auditor" and operation in AUDITORS):
            continue
        answer = home.ask(stranger, operation)
        assert answer.status_code in (403, 404), (operation, answer.status_code, answer.text[:200])
        assert answer.headers["content-type"] == "application/problem+json"
        if answer.status_code == 404 and "{device}" in operation:
            assert "alice's" not in answer.text
    assert _state(home) == before


@pytest.mark.parametrize("stranger", STRANGERS)
def test_lists_show_what_is_ones_own(home: Home, stranger: str) -> None:
    for operation in ("GET /api/v1/devices", "GET /api/v1/subscriptions"):
        answer = home.ask(stranger, operation)
        assert answer.status_code == 200
        assert "alice" not in answer.text


def test_a_stranger_learns_nothing_from_how_a_refusal_sounds(home: Home) -> None:
    for path in ("/devices/{}", "/devices/{}/setpoint", "/devices/{}/schedule", "/devices/{}/acks", "/devices/{}/stream"):
        answers = [home.call("bob", "GET", path.format(name)) for name in ("alice-1", "nobody-1")]
        plain = [answer.text.replace("nobody-1", "alice-1").replace(answer.json()["instance"], "") for answer in answers]
        assert plain[0] == plain[1]


def test_alice_and_the_operator_do_what_a_stranger_does_not(home: Home) -> None:
    for by in ("alice", "boss"):
        for operation in (
            "GET /api/v1/devices/{device}",
            "GET /api/v1/devices/{device}/setpoint",
            "GET /api/v1/devices/{device}/schedule",
            "GET /api/v1/devices/{device}/acks",
            "GET /api/v1/dispatches/{control}",
            "GET /api/v1/subscriptions/{subscription}",
        ):
            assert home.ask(by, operation).status_code == 200, (by, operation)


def test_a_prosumer_does_not_bind_a_meter_or_give_a_device_away(home: Home) -> None:
    for body in (
        {"id": "x", "discharge_kw": 1, "meter": "bat-01"},
        {"id": "x", "discharge_kw": 1, "meter_key": "ed25519:" + "0" * 64},
        {"id": "x", "discharge_kw": 1, "owner": "alice"},
    ):
        assert home.call("bob", "POST", "/devices", json=body).status_code == 403
    for change in ({"meter": "bat-01"}, {"meter_key": "ed25519:" + "0" * 64}):
        assert home.call("bob", "PATCH", "/devices/bob-1", json=change).status_code == 403


def test_a_subscription_is_for_ones_own_device(home: Home) -> None:
    assert home.call("bob", "POST", "/subscriptions", json=HOOK).status_code == 404
