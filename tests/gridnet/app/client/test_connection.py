"""Asking again, tokens and errors, against a server that answers from a script."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from gridnet.app.api.schemas import DeviceBody, DispatchBody, FieldsBody
from gridnet.app.client import Certificate, Client, ClientError, Patience, Refused, Secret, Unreachable
from gridnet.errors import Fault, InputError
from tests.gridnet.app.serving import free_port

TOKEN = {"access_token": "t", "expires_in": 900}
HANG_UP = (0, {}, {})
Answer = tuple[int, dict[str, str], object]


@dataclass
class Script:
    """What a server answers, one after the other, and what it was asked."""

    answers: list[Answer]
    url: str = ""
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)


@contextmanager
def _playing(*answers: Answer) -> Iterator[Script]:
    script = Script(list(answers))

    class Handler(BaseHTTPRequestHandler):
        def handle_one(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", 0)))
            script.asked.append(f"{self.command} {self.path}")
            script.headers.append({name.lower(): value for name, value in self.headers.items()})
            status, headers, body = script.answers.pop(0)
            if not status:
                return
            content = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(content))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PATCH = do_DELETE = handle_one

        def log_message(self, *_: object) -> None:
            pass

    served = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    script.url = f"http://127.0.0.1:{served.server_port}"
    thread = threading.Thread(target=served.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        served.shutdown()
        thread.join()
        served.server_close()


def _waits() -> tuple[list[float], Patience]:
    waits: list[float] = []
    return waits, Patience(attempts=4, sleep=waits.append)


def _checkpoint(script: Script, patience: Patience, by: Secret | None = None) -> str:
    with Client(script.url, by=by, patience=patience) as client:
        return client.checkpoint()


def test_a_service_that_is_busy_is_asked_again_when_it_says_so() -> None:
    waits, patience = _waits()
    with _playing((503, {"retry-after": "7"}, {}), (429, {"retry-after": "3"}, {}), (200, {}, "head")) as script:
        assert _checkpoint(script, patience) == "head"
    assert waits == [7.0, 3.0]


def test_waits_double_and_are_bounded_whatever_the_service_says() -> None:
    patience = Patience(first_wait_s=0.5, longest_wait_s=5.0)
    assert [patience.wait_s(each, None) for each in range(6)] == [0.5, 1.0, 2.0, 4.0, 5.0, 5.0]
    assert patience.wait_s(0, "86400") == 5.0
    assert patience.wait_s(2, "1") == 2.0
    assert patience.wait_s(0, "Wed, 21 Oct 2026 07:28:00 GMT") == 0.5


def test_it_gives_up_after_so_many_attempts_and_says_why() -> None:
    waits, patience = _waits()
    with _playing(*[(503, {}, {"type": "urn:gridnet:problem:unavailable", "detail": "away"})] * 4) as script:
        with pytest.raises(Refused, match="away") as caught:
            _checkpoint(script, patience)
        assert len(script.asked) == 4
    assert (caught.value.status, caught.value.kind) == (503, "unavailable")
    assert waits == [0.25, 0.5, 1.0]


def test_nobody_there_is_unreachable() -> None:
    waits, patience = _waits()
    with pytest.raises(Unreachable, match="4 attempts"), Client(f"http://127.0.0.1:{free_port()}", patience=patience) as client:
        client.register(DeviceBody(id="bat", discharge_kw=1.0))
    assert len(waits) == 3


@pytest.mark.parametrize(
    ("call", "times"),
    [
        (lambda client: client.checkpoint(), 4),
        (lambda client: client.acknowledge("bat", "c", "started", datetime(2026, 1, 1, tzinfo=UTC)), 4),
        (lambda client: client.register(DeviceBody(id="bat", discharge_kw=1.0)), 1),
        (lambda client: client.cancel("c"), 1),
        (lambda client: client.remove("bat"), 1),
    ],
)
def test_without_an_answer_only_that_is_asked_again_which_may_be_done_twice(call: Callable[[Client], object], times: int) -> None:
    _, patience = _waits()
    with _playing(*[HANG_UP] * 4) as script, Client(script.url, patience=patience) as client:
        with pytest.raises(Unreachable):
            call(client)
        assert len(script.asked) == times


def test_a_dispatch_asked_again_has_the_same_key_and_two_have_two() -> None:
    _, patience = _waits()
    now = datetime(2026, 1, 1, tzinfo=UTC)
    order = DispatchBody(device="bat", fields=FieldsBody(p_kw=1.0), start=now, end=now)
    with _playing(*[HANG_UP] * 8) as script, Client(script.url, patience=patience) as client:
        for _ in range(2):
            with pytest.raises(Unreachable):
                client.dispatch(order)
        keys = [each["idempotency-key"] for each in script.headers]
    assert len(set(keys[:4])) == len(set(keys[4:])) == 1
    assert len(set(keys)) == 2


def test_one_token_serves_many_calls_and_a_refused_one_is_renewed_once() -> None:
    _, patience = _waits()
    said = [
        (200, {}, TOKEN),
        (200, {}, "a"),
        (200, {}, "b"),
        (401, {}, {}),
        (200, {}, {**TOKEN, "access_token": "u"}),
        (200, {}, "c"),
    ]
    with _playing(*said) as script, Client(script.url, by=Secret("me", "s"), patience=patience) as client:
        assert [client.checkpoint() for _ in range(3)] == ["a", "b", "c"]
        assert [each.partition("?")[0] for each in script.asked].count("POST /oauth/token") == 2
        assert script.headers[-1]["authorization"] == "Bearer u"


def test_a_token_that_ends_soon_is_not_used_again() -> None:
    _, patience = _waits()
    short = {**TOKEN, "expires_in": -10_000}
    with _playing((200, {}, short), (200, {}, "a"), (200, {}, TOKEN), (200, {}, "b")) as script:
        with Client(script.url, by=Secret("me", "s"), patience=patience) as client:
            client.checkpoint()
            client._connection._token = ("t", 0.0)
            client.checkpoint()
        assert script.asked.count("POST /oauth/token") == 2


def test_a_wrong_secret_is_refused_without_asking_again() -> None:
    waits, patience = _waits()
    with _playing((401, {}, {"error": "invalid_client"})) as script:
        with pytest.raises(Refused, match="invalid_client"):
            _checkpoint(script, patience, Secret("me", "wrong"))
        assert script.asked == ["POST /oauth/token"]
    assert waits == []


def test_a_refusal_carries_every_fault() -> None:
    fault = {"where": "p_kw", "got": "7 kW", "expected": "-5 to 5 kW"}
    body = {"type": "urn:gridnet:problem:invalid-input", "detail": "can't be dispatched:", "faults": [fault, fault]}
    _, patience = _waits()
    with _playing((422, {}, body)) as script, pytest.raises(Refused) as caught:
        _checkpoint(script, patience)
    assert caught.value.faults == (Fault("p_kw", "7 kW", "-5 to 5 kW"),) * 2
    assert caught.value.kind == "invalid-input"
    assert "p_kw: got 7 kW" in str(caught.value)


@pytest.mark.parametrize("body", ["<html>no</html>", "[]", '{"faults": [{}]}'])
def test_an_error_that_is_no_problem_document_is_still_a_refusal(body: str) -> None:
    _, patience = _waits()
    with _playing((404, {}, body)) as script, pytest.raises(Refused) as caught:
        _checkpoint(script, patience)
    assert caught.value.status == 404


def test_an_answer_of_another_service_is_not_taken() -> None:
    _, patience = _waits()
    expected = pytest.raises(Unreachable, match="not the answer of a gridnet service")
    with _playing((200, {}, {"hello": "world"})) as script, Client(script.url, patience=patience) as client, expected:
        client.device("bat")


def test_a_closed_client_says_so() -> None:
    client = Client(f"http://127.0.0.1:{free_port()}")
    client.close()
    with pytest.raises(ClientError, match="closed"):
        client.checkpoint()


def test_files_that_are_not_there_are_named_all_at_once(tmp_path: Path) -> None:
    nowhere = tmp_path / "none.pem"
    with pytest.raises(InputError) as caught:
        Client("https://localhost:1", nowhere, Certificate(nowhere, nowhere))
    assert [fault.where for fault in caught.value.faults] == ["ca", "certificate", "key"]


def test_a_certificate_that_is_none_is_bad_input(tmp_path: Path) -> None:
    path = tmp_path / "none.pem"
    path.write_text("no certificate")
    with pytest.raises(InputError, match="TLS"):
        Client("https://localhost:1", path)


def test_a_url_is_one_of_the_web() -> None:
    with pytest.raises(InputError, match="https://HOST:PORT"):
        Client("localhost:8443")
