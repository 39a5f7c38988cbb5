"""What every request passes first: its size and depth, its asker's rate, its id, the figures."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.guard import Rates, check_nesting
from gridnet.app.service.errors import TooLarge, TooMany
from tests.gridnet.app.service.parts import OPERATOR, Caller, calling, metered

JSON = {"content-type": "application/json"}


@pytest.fixture
def call(tmp_path: Path) -> Iterator[Caller]:
    """Thirty requests a minute, bodies of 2 KiB, twelve levels."""
    with calling(tmp_path, requests_per_minute=30, most_body_bytes=2048, most_nesting=12) as made:
        made.service.devices.add(OPERATOR, metered())
        yield made


def test_a_bucket_fills_at_its_rate_and_holds_a_minute() -> None:
    now = [0.0]
    rates = Rates(60, lambda: now[0])
    for _ in range(60):
        rates.take("a")
    with pytest.raises(TooMany) as refused:
        rates.take("a")
    assert refused.value.retry_after_s in (1, 2)
    rates.take("b")
    now[0] = 1.0
    rates.take("a")
    with pytest.raises(TooMany):
        rates.take("a")
    now[0] = 1e9
    for _ in range(60):
        rates.take("a")
    with pytest.raises(TooMany):
        rates.take("a")


@given(st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 30.0)), max_size=120), st.integers(1, 30))
def test_nobody_ever_gets_more_than_the_bucket_and_what_flowed_in(asks: list[tuple[str, float]], per_minute: int) -> None:
    now, got = [0.0], dict.fromkeys("abc", 0)
    rates = Rates(per_minute, lambda: now[0])
    for asker, passed_s in asks:
        now[0] += passed_s
        with contextlib.suppress(TooMany):
            rates.take(asker)
            got[asker] += 1
        assert got[asker] <= per_minute * (1 + now[0] / 60.0) + 1e-6


def test_made_up_askers_fill_no_memory() -> None:
    rates = Rates(10)
    for number in range(50_000):
        rates.take(f"made up {number}")
    assert len(rates._buckets) <= 20_000


NESTED: Any = st.recursive(
    st.none()
    | st.booleans()
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="utf-8"))
    | st.sampled_from(['"[', '\\"{{', "]}", "\\"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


def _depth(content: Any) -> int:
    if isinstance(content, dict):
        return 1 + max(map(_depth, content.values()), default=0)
    return 1 + max(map(_depth, content), default=0) if isinstance(content, list) else 0


@given(NESTED, st.integers(1, 6), st.booleans())
def test_nesting_is_counted_as_json_nests(content: Any, most: int, ascii_only: bool) -> None:
    body = json.dumps(content, ensure_ascii=ascii_only).encode()
    if _depth(content) > most:
        with pytest.raises(TooLarge):
            check_nesting(body, most)
    else:
        check_nesting(body, most)


def test_a_body_too_long_or_too_deep_is_refused(call: Caller) -> None:
    for content in (b" " * 2049, b"[" * 1000, b'{"a":' * 13 + b"1" + b"}" * 13, b"[" * 13 + b"]" * 13):
        answer = call("alice", "POST", "/devices", content=content, headers=JSON)
        assert answer.status_code == 413
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["instance"] == answer.headers["x-request-id"]
    assert call("alice", "POST", "/devices", content=b"[" * 12 + b"]" * 12, headers=JSON).status_code == 422


def test_a_body_in_pieces_is_measured_as_a_whole(call: Caller) -> None:
    def pieces() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    assert call("alice", "POST", "/devices", content=pieces(), headers=JSON).status_code == 413


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-16"])
def test_a_bomb_in_another_encoding_does_no_harm(tmp_path: Path, encoding: str) -> None:
    # In UTF-16 the second half of this letter looks like a quote.
    with calling(tmp_path) as call:
        bomb = ('["\u2201",' + "[" * 20_000 + "]" * 20_000 + "]").encode(encoding)
        assert call("alice", "POST", "/devices", content=bomb, headers=JSON).status_code in (400, 413, 422)
        assert call("alice", "GET", "/devices").status_code == 200


def test_whoever_asks_too_often_is_told_when_to_come_again_and_others_are_served(call: Caller) -> None:
    answers = [call("bob", "GET", "/devices") for _ in range(40)]
    assert [answer.status_code for answer in answers[:30]] == [200] * 30
    late = answers[-1]
    assert late.status_code == 429
    assert 1 <= int(late.headers["retry-after"]) <= 60
    assert late.headers["content-type"] == "application/problem+json"
    assert call("alice", "GET", "/devices").status_code == 200
    assert call(None, "GET", "/devices").status_code == 401


@pytest.mark.parametrize("spell", ["bearer {}", "BEARER {}", "bEaReR {}", "Bearer  {}", "Bearer     {}", "Bearer {} "])
def test_one_token_has_one_bucket_however_it_is_spelled(call: Caller, spell: str) -> None:
    for _ in range(30):
        call("bob", "GET", "/devices")
    answer = call("bob", "GET", "/devices", headers={"authorization": spell.format(call.token("bob"))})
    assert answer.status_code in (401, 429)


def test_made_up_tokens_are_counted_by_address(call: Caller) -> None:
    statuses = [call(None, "GET", "/devices", headers={"authorization": f"Bearer made-up-{n}"}).status_code for n in range(60)]
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 31


def test_guessing_secrets_is_slowed_down(tmp_path: Path) -> None:
    with calling(tmp_path, requests_per_minute=5) as call:
        form = {"grant_type": "client_credentials", "client_id": "alice"}
        statuses = [call.http.post("/oauth/token", data=form | {"client_secret": f"guess {n}"}).status_code for n in range(9)]
        assert statuses[-1] == 429
        assert statuses.count(401) <= 6


def test_health_is_not_counted(call: Caller) -> None:
    assert {call.http.get(path).status_code for path in ("/healthz", "/readyz", "/metrics") for _ in range(50)} == {200}


def test_every_answer_has_an_id_of_its_own(call: Caller) -> None:
    answers = [call("alice", "GET", path) for path in ("/devices", "/devices/nobody", "/nothing")] + [call.http.get("/healthz")]
    ids = [answer.headers["x-request-id"] for answer in answers]
    assert len(set(ids)) == len(ids)
    assert call("alice", "GET", "/devices", headers={"x-request-id": "mine"}).headers["x-request-id"] != "mine"


def test_figures_count_requests_by_route_and_not_by_what_a_client_makes_up(call: Caller) -> None:
    call("alice", "GET", "/devices/alice-1")
    call("alice", "GET", "/devices/alice-2")
    for number in range(20):
        call.http.request(f"MADE{number}", "/healthz")
        call("alice", "GET", f"/made-up-{number}")
    text = call.http.get("/metrics").text
    assert 'gridnet_requests_total{method="GET",route="/api/v1/devices/{device}",status="200"} 1.0' in text
    assert 'gridnet_requests_total{method="GET",route="/api/v1/devices/{device}",status="404"} 1.0' in text
    assert "made-up" not in text
    assert "MADE" not in text
    assert len([line for line in text.splitlines() if line.startswith("gridnet_requests_total")]) < 12
