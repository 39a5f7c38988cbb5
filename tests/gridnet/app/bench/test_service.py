"""The clients of the service's benchmark, against a real server: what they count is what the server did."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from gridnet.app.bench.served import cpu_s
from gridnet.app.bench.service_load import Ask, Load, Paced, asked, paced
from tests.gridnet.app.serving import Server, make_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    made = make_server(tmp_path_factory.mktemp("served"))
    made.start()
    yield made
    made.kill()


@pytest.fixture(scope="module")
def load(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Load:
    client = server.certificate("bench")
    return Load(server.port, str(server.ca), str(client.file), str(client.key), connections=2)


def test_every_request_is_asked_once_and_its_status_told(load: Load) -> None:
    assert asked(load, Ask("GET", "/healthz"), 7) == [200] * 7
    assert asked(load, Ask("GET", "/api/v1/devices/nobodys/setpoint"), 3) == [404] * 3


def test_each_request_of_many_has_its_own_body(load: Load) -> None:
    good = b'{"id": "bench-1", "discharge_kw": 5}'
    assert asked(load, Ask("POST", "/api/v1/devices", (good, b"{}", good)), 3).count(201) == 1


def test_paced_requests_keep_their_rate_and_count_what_went_wrong(load: Load) -> None:
    began = time.perf_counter()
    took_ms, errors = paced(load, Paced(per_s=20.0, seconds=1.0, asks=(Ask("GET", "/healthz"), Ask("GET", "/nowhere"))))
    assert time.perf_counter() - began >= 0.9
    assert len(took_ms) == 20
    assert errors == 10
    assert min(took_ms) > 0.0


def test_a_server_that_is_not_there_is_an_error_and_no_exception(load: Load, tmp_path: Path) -> None:
    gone = Load(1, load.ca, load.certificate, load.key, 1)
    assert asked(gone, Ask("GET", "/healthz"), 2) == [0, 0]


def test_cpu_time_is_that_of_the_process(server: Server) -> None:
    before = cpu_s(os.getpid())
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    assert 0.15 <= cpu_s(os.getpid()) - before <= 0.6
