"""One thread and one transaction for a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from threading import get_ident

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from gridnet.app.api.answering import AnsweringRoute, _asker
from gridnet.app.service.model import Principal
from tests.gridnet.app.service.parts import OPERATOR, Caller, calling, metered


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Caller]:
    with calling(tmp_path) as made:
        made.service.devices.add(OPERATOR, metered())
        yield made


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/devices", b'{"id": 1}'),
        ("POST", "/devices/alice-1/telemetry", b"{"),
        ("GET", "/devices?limit=none", b""),
        ("POST", "/openadr3/3.1.0/programs", b"no JSON"),
        ("GET", "/sep2/edev?s=none", b""),
    ],
)
def test_whoever_is_not_known_is_not_told_what_is_wrong_with_a_request(call: Caller, method: str, path: str, body: bytes) -> None:
    url = path if path.startswith(("/openadr3", "/sep2")) else f"/api/v1{path}"

    assert call.http.request(method, url, content=body).status_code == 401
    told = call.http.request(method, url, content=body, headers={"authorization": f"Bearer {call.token('boss')}"})
    assert told.status_code in (400, 422)


def test_who_asks_is_found_out_in_the_thread_that_answers(call: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    threads: list[tuple[str, int]] = []
    people, devices = call.service.people, call.service.devices
    by_token, get = people.by_token, devices.get

    def noting_token(token: str) -> Principal:
        threads.append(("asked", get_ident()))
        return by_token(token)

    def noting_get(by: Principal, device: str) -> object:
        threads.append(("answered", get_ident()))
        return get(by, device)

    monkeypatch.setattr(people, "by_token", noting_token)
    monkeypatch.setattr(devices, "get", noting_get)

    assert call("alice", "GET", "/devices/alice-1").status_code == 200
    assert [name for name, _ in threads] == ["asked", "answered"]
    assert threads[0][1] == threads[1][1]


def test_every_handler_that_is_given_an_asker_knows_what_to_do_with_it(call: Caller) -> None:
    app = call.http.app
    routes = [each.original_route for each in iter_route_contexts(app.routes)]  # type: ignore[attr-defined]
    asked = [
        route
        for route in routes
        if isinstance(route, APIRoute) and any(each.call is _asker for each in route.dependant.dependencies)
    ]

    assert len(asked) > 50
    assert [route.path for route in asked if not isinstance(route, AnsweringRoute)] == []
