"""Setpoints as they change: the stream of server-sent events, behind a real server."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gridnet.app.service.model import Fields
from tests.gridnet.app.api.openadr.servers import running
from tests.gridnet.app.service.parts import (
    ALICE,
    OPERATOR,
    Caller,
    Clock,
    battery,
    order,
    service_on,
)


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[Caller, str]]:
    """Behind a real server: a stream is sent while it is made."""
    clock = Clock()
    service = service_on(f"sqlite:///{tmp_path / 'served.db'}", clock, people=False)
    service.devices.add(ALICE, battery())
    with httpx.Client() as http:
        yield Caller(service, http, clock), str(tmp_path)  # type: ignore[arg-type]
    service.store.database.close()


def _events(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    for line in answer.iter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


def _streamed(served: tuple[Caller, str], change: Any) -> list[dict[str, Any]]:
    """Events of a stream until it ends; `change` comes after the first."""
    call, _ = served
    got = []
    headers = {"authorization": f"Bearer {call.token('alice')}"}
    with (
        running(call.service) as address,
        httpx.stream("GET", f"{address}/api/v1/devices/alice-1/stream", headers=headers, timeout=8.0) as answer,
    ):
        assert answer.headers["content-type"].startswith("text/event-stream")
        try:
            for event in _events(answer):
                got.append(event)
                if change(len(got)):
                    break
        except httpx.RemoteProtocolError:
            pass  # cut off: an end too
    return got


def test_a_stream_tells_the_setpoint_at_once_and_each_change(served: tuple[Caller, str]) -> None:
    call, _ = served

    def change(number: int) -> bool:
        if number < 3:
            call.service.controls.dispatch(OPERATOR, order(call.clock.now, fields=Fields(p_kw=float(number))))
        return number == 3

    assert [each["p_kw"] for each in _streamed(served, change)] == [0.0, 1.0, 2.0]


def test_a_stream_ends_when_its_asker_is_revoked(served: tuple[Caller, str]) -> None:
    call, _ = served

    def change(number: int) -> bool:
        if number == 1:
            call.service.people.revoke(OPERATOR, "alice")
            call.service.controls.dispatch(OPERATOR, order(call.clock.now, fields=Fields(p_kw=3.0)))
        return number > 1

    assert [each["p_kw"] for each in _streamed(served, change)] == [0.0]


def test_a_stream_ends_when_its_device_is_gone(served: tuple[Caller, str]) -> None:
    call, _ = served

    def change(number: int) -> bool:
        call.service.devices.remove(ALICE, "alice-1")
        return number > 1

    assert len(_streamed(served, change)) == 1
