"""Webhooks: what is sent, to whom, with which secret; and what never is."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from gridnet.app.api.openadr.live import PROGRAM
from gridnet.app.service.model import OPERATOR, Fields, Order
from tests.gridnet.app.api.openadr.vtns import BOSS, QUARTER, START, Vtn

Sent = list[tuple[str, str, dict[str, Any]]]


@pytest.fixture
def sent(vtn: Vtn) -> Callable[[], Sent]:
    """Sends what is due; gives what arrived: the URL, the authorization, the notice."""
    arrived: Sent = []

    def receive(request: httpx.Request) -> httpx.Response:
        arrived.append((str(request.url), request.headers.get("authorization", ""), json.loads(request.content)))
        return httpx.Response(200)

    def send() -> Sent:
        arrived.clear()
        with httpx.Client(transport=httpx.MockTransport(receive)) as client:
            vtn.service.webhooks.send_due(client)
        return list(arrived)

    return send


def subscribe(vtn: Vtn, by: str, objects: list[str], operations: list[str], **members: Any) -> Any:
    operation = {
        "objects": objects,
        "operations": operations,
        "callbackUrl": f"http://127.0.0.1:9/{by}",
        "bearerToken": f"token-{by}",
    }
    body = {"clientName": by, "programID": PROGRAM, "objectOperations": [operation], **members}
    return vtn.post(by, "/subscriptions", {name: value for name, value in body.items() if value is not None})


def order(vtn: Vtn, device: str | None, p_kw: float) -> None:
    vtn.service.controls.dispatch(BOSS, Order(OPERATOR, device, Fields(p_kw=p_kw), START, START + QUARTER))


@pytest.mark.parametrize("word", ["UPDATE", "PUT"])
def test_a_changed_setpoint_is_sent_as_it_is_then(vtn: Vtn, sent: Callable[[], Sent], word: str) -> None:
    subscribe(vtn, "ann", ["EVENT"], [word])
    assert sent() == []
    order(vtn, "bat-a", 1.0)
    order(vtn, "bat-a", 3.0)

    [(url, authorization, notice)] = sent()

    assert (url, authorization) == ("http://127.0.0.1:9/ann", "Bearer token-ann")
    assert (notice["objectType"], notice["operation"]) == ("EVENT", word)
    assert notice["object"] == vtn.get("ann", "/events/dispatch-bat-a")
    assert notice["object"]["intervals"][0]["payloads"][0]["values"] == [-3.0]


def test_a_neighbour_s_setpoint_is_not_sent(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    subscribe(vtn, "ann", ["EVENT"], ["UPDATE"])
    order(vtn, "bat.b", 1.0)

    assert sent() == []


def test_who_asks_for_making_and_removing_alone_is_not_told_of_changes(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    subscribe(vtn, "ann", ["EVENT"], ["CREATE", "DELETE", "GET"])
    subscribe(vtn, "bob", ["PROGRAM"], ["UPDATE"])
    order(vtn, None, 1.0)

    assert sent() == []


def test_a_removed_subscription_sends_nothing_more(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    made = subscribe(vtn, "ann", ["EVENT"], ["UPDATE"])
    order(vtn, "bat-a", 1.0)

    vtn.call("ann", "DELETE", f"/subscriptions/{made['id']}")

    assert sent() == []
    assert vtn.service.webhooks.waiting() == 0


def test_a_changed_subscription_sends_to_its_new_place(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    made = subscribe(vtn, "ann", ["EVENT"], ["UPDATE"])
    made["objectOperations"][0]["callbackUrl"] = "http://127.0.0.1:9/elsewhere"
    vtn.put("ann", f"/subscriptions/{made['id']}", made)
    order(vtn, "bat-a", 1.0)

    assert [url for url, _, _ in sent()] == ["http://127.0.0.1:9/elsewhere"]


def test_each_change_of_an_object_is_told_to_those_who_may_see_it(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program = vtn.program()["id"]
    for by in ("ann", "bob"):
        subscribe(vtn, by, ["EVENT"], ["POST", "PUT", "DELETE"], programID=program)
    sent()

    event = vtn.event(program, targets=vtn.targets("bat-a"))
    vtn.put("boss", f"/events/{event['id']}", {**event, "eventName": "noon"})
    vtn.call("boss", "DELETE", f"/events/{event['id']}")

    found = sent()
    assert {url for url, _, _ in found} == {"http://127.0.0.1:9/ann"}
    assert sorted(notice["operation"] for _, _, notice in found) == ["DELETE", "POST", "PUT"]
    assert {notice["object"].get("eventName") for _, _, notice in found} == {None, "noon"}


def test_the_events_of_a_program_that_is_removed_are_told_of(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program = vtn.program()["id"]
    subscribe(vtn, "ann", ["EVENT", "PROGRAM"], ["DELETE"], programID=program)
    vtn.event(program)
    sent()

    vtn.call("boss", "DELETE", f"/programs/{program}")

    assert sorted(notice["objectType"] for _, _, notice in sent()) == ["EVENT", "PROGRAM"]


def test_a_subscription_s_targets_and_program_narrow_it(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program, other = vtn.program("one")["id"], vtn.program("two")["id"]
    subscribe(vtn, "boss", ["EVENT"], ["CREATE"], programID=program, targets=vtn.targets("street-4"))
    sent()

    vtn.event(program, eventName="here", targets=vtn.targets("street-4", "street-5"))
    vtn.event(program, eventName="there", targets=vtn.targets("street-5"))
    vtn.event(other, eventName="elsewhere", targets=vtn.targets("street-4"))

    assert [notice["object"]["eventName"] for _, _, notice in sent()] == ["here"]


def test_nobody_hears_another_s_secret(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program = vtn.program()["id"]
    subscribe(vtn, "boss", ["SUBSCRIPTION"], ["CREATE"], programID=program)
    sent()

    subscribe(vtn, "ann", ["EVENT"], ["UPDATE"], programID=program)

    [(_, _, notice)] = sent()
    assert notice["object"]["clientName"] == "ann"
    assert "token-ann" not in json.dumps(notice)


def test_a_ven_hears_of_its_own_vens_alone(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program = vtn.program()["id"] if vtn.version == "3.0.1" else None
    for by in ("ann", "bob"):
        subscribe(vtn, by, ["REPORT"], ["CREATE"], programID=None if program is None else PROGRAM)
    sent()
    interval = {"id": 0, "payloads": [{"type": "DEMAND", "values": [1.0]}]}
    body = {
        "eventID": "dispatch-bat-a",
        "programID": PROGRAM,
        "clientName": "h",
        "resources": [{"resourceName": "bat-a", "intervals": [interval]}],
    }

    vtn.post("ann", "/reports", body)

    assert [url for url, _, _ in sent()] == ["http://127.0.0.1:9/ann"]


def test_one_who_was_revoked_hears_nothing(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program = vtn.program()["id"]
    subscribe(vtn, "ann", ["EVENT"], ["CREATE", "UPDATE"], programID=program)
    subscribe(vtn, "ann", ["EVENT"], ["CREATE", "UPDATE"])
    vtn.service.people.revoke(BOSS, "ann")

    vtn.event(program)
    order(vtn, "bat-a", 1.0)

    assert sent() == []


def test_nothing_stays_of_a_notice_that_was_told(vtn: Vtn, sent: Callable[[], Sent]) -> None:
    program = vtn.program()["id"]
    subscribe(vtn, "ann", ["EVENT"], ["CREATE"], programID=program)
    for minutes in (0, 30):
        vtn.clock.now = START.replace(minute=minutes)
        vtn.event(program)
        assert len(sent()) == 1

    assert len(vtn.service.webhooks.subscriptions(BOSS, f"openadr-{vtn.version}")) == 1


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/x", "http://user:word@127.0.0.1/x", "nonsense"])
def test_a_callback_that_nothing_may_be_sent_to_is_refused(vtn: Vtn, url: str) -> None:
    operation = {"objects": ["EVENT"], "operations": ["GET"], "callbackUrl": url}
    body = {"clientName": "a", "programID": PROGRAM, "objectOperations": [operation]}

    assert vtn.status("ann", "POST", "/subscriptions", body) == 400
    assert vtn.get("ann", "/subscriptions") == []
