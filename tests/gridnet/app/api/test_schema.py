"""The API held to its own description: requests made from the OpenAPI document, answers compared with it."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance, status_code_conformance

from gridnet.app.service.errors import Conflict
from gridnet.app.service.model import Principal, Program
from gridnet.app.service.webhooks import Target
from tests.contracts.gridnet_contracts.audit.story import tell
from tests.gridnet.app.service.parts import NOON, OPEN_HOOKS, OPERATOR, QUARTER, Caller, calling, metered, order, setpoint

CHECKS = [not_a_server_error, content_type_conformance, response_schema_conformance, status_code_conformance]
EXAMPLES = 3
MANY = 60
ENDLESS = "/api/v1/devices/{device}/stream"


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """Beside a ledger."""
    folder = tmp_path_factory.mktemp("schema")
    tell(f"sqlite:///{folder / 'service.db'}", folder / "seal")
    with calling(folder, **OPEN_HOOKS) as made:
        made.service.controls.decided([setpoint(NOON, 1.0)], [setpoint(NOON + QUARTER, 1.0)])
        yield made


def _furnished(call: Caller) -> dict[str, str]:
    """Something behind most names of addresses, whatever became of it before."""
    service, device = call.service, "alice-battery"
    with contextlib.suppress(Conflict):
        service.devices.add(OPERATOR, metered(device))
    with contextlib.suppress(Conflict):
        service.people.add(OPERATOR, Principal("aggregator-1", "aggregator"))
    service.controls.put_program(OPERATOR, Program("alices", 2, device))
    control = service.controls.dispatch(OPERATOR, order(call.clock.now, 600, device))
    hook = service.webhooks.subscribe(OPERATOR, Target("json", "https://127.0.0.1:9/x"), "controls", None, {"secret": "x"})
    service.people.restore(OPERATOR, "boss")
    names = {"device": device, "program": "alices", "control": control.id, "subscription": hook.id}
    return names | {"principal": "aggregator-1", "resource": "EndDeviceList"}


def _operations(call: Caller) -> list[Any]:
    schema = schemathesis.openapi.from_asgi("/openapi.json", call.http.app)
    found = [each.ok() for each in schema.get_all_operations()]
    return [
        each
        for each in found
        if each.path.startswith(("/api/v1", "/oauth", "/healthz", "/readyz", "/version")) and each.path != ENDLESS
    ]


def _conforms(call: Caller, examples: int) -> Counter[str]:
    """Tries every operation with what it should take and with what it should not; gives how often each class of status came."""
    seen: Counter[str] = Counter()
    for operation, mode in product(_operations(call), GenerationMode):
        if mode is GenerationMode.NEGATIVE and not (operation.body or operation.query or operation.headers):
            continue  # there is nothing to get wrong
        _try(call, operation.as_strategy(generation_mode=mode), examples, seen)
        seen[operation.label] += 1
    return seen


def _try(call: Caller, cases: SearchStrategy[Any], examples: int, seen: Counter[str]) -> None:
    names = _furnished(call)

    @given(case=cases)
    @settings(
        max_examples=examples, phases=[Phase.generate], deadline=None, suppress_health_check=list(HealthCheck), derandomize=True
    )
    def one(case: Any) -> None:
        case.path_parameters = {name: names.get(name, value) for name, value in (case.path_parameters or {}).items()}
        case.headers = {name: value for name, value in (case.headers or {}).items() if name.lower() != "authorization"}
        answer = case.call(headers={"Authorization": f"Bearer {call.token('boss')}"})
        seen[f"{answer.status_code // 100}xx"] += 1
        case.validate_response(answer, checks=CHECKS)

    one()


def test_every_operation_answers_as_it_is_described(call: Caller) -> None:
    seen = _conforms(call, EXAMPLES)
    assert len(seen) >= 35
    assert min(seen["2xx"], seen["4xx"]) > 30


@pytest.mark.conformance
def test_every_operation_answers_as_it_is_described_to_many_requests(call: Caller) -> None:
    assert _conforms(call, MANY)["2xx"] > 1000


def test_the_description_says_what_each_operation_needs(call: Caller) -> None:
    described = call.http.get("/openapi.json").json()
    for path, operations in described["paths"].items():
        if not path.startswith("/api/v1"):
            continue
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert {"401", "403", "404", "422", "429", "503"} <= operation["responses"].keys(), (method, path)
            assert operation["security"], (method, path)


def test_the_stream_is_described_as_one(call: Caller) -> None:
    described = call.http.get("/openapi.json").json()["paths"][ENDLESS]["get"]
    assert "text/event-stream" in described["responses"]["200"]["content"]
