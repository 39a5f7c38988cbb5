"""What only an operator does."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from envoy_schema.server.schema.sep2.end_device import EndDeviceListResponse

from gridnet.app.api.admin import LEFT_BY_CLIENTS
from gridnet.app.api.sep.rates import POLLED
from gridnet.app.service.webhooks import Target
from tests.gridnet.app.api.sep.parties import ANN, BOSS, CAROL, NS, World, standing

ADMIN = "/api/v1/admin"


@dataclass(frozen=True)
class Office:
    """The world, and an operator's requests to it."""

    world: World

    def ask(self, method: str, path: str, body: Any = None, by: str = str(BOSS.lfdi)) -> tuple[int, Any]:
        """Status and answer."""
        answer = self.world.http.request(method, ADMIN + path, json=body, headers={"x-lfdi": by})
        return answer.status_code, (answer.json() if answer.content else None)

    def record(self) -> list[tuple[str, str]]:
        """Actions and objects of the operators' record."""
        status, lines = self.ask("GET", "/operations?limit=1000")
        assert status == 200
        return [(line["action"], line["object"]) for line in lines]


@pytest.fixture(scope="module")
def renewed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], World]]:
    """Makes the world new."""
    with standing(tmp_path_factory.mktemp("admin")) as renew:
        yield renew


@pytest.fixture
def office(renewed: Callable[[], World]) -> Office:
    """The world with an office."""
    return Office(renewed())


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/principals"),
        ("GET", "/principals/boss"),
        ("PUT", f"/access/{ANN}"),
        ("GET", "/operations"),
        ("GET", f"/devices/{ANN}"),
        ("PUT", "/devices/ann-bat/pin"),
        ("DELETE", "/devices/ann-bat/controls"),
        ("DELETE", "/devices/ann-bat/documents"),
        ("GET", "/devices/ann-bat/programs"),
        ("PUT", "/programs/p"),
        ("POST", "/announcements"),
        ("PUT", "/rates/EndDeviceList"),
        ("GET", "/rates/EndDeviceList"),
        ("DELETE", "/rates/EndDeviceList"),
    ],
)
def test_nobody_else_does_any_of_it(office: Office, method: str, path: str) -> None:
    before = office.record()

    assert office.ask(method, path, {}, by=ANN)[0] == 403
    assert office.ask(method, path, {}, by="")[0] == 401
    assert office.record() == before


def test_somebody_is_made_known_once(office: Office) -> None:
    body = {"id": "fleet", "role": "aggregator", "lfdi": CAROL, "secret": "sixteen characters"}

    status, made = office.ask("POST", "/principals", body)

    assert status == 201
    assert made == {"id": "fleet", "role": "aggregator", "lfdi": CAROL, "party": None, "revoked": False}
    assert office.ask("GET", "/principals/fleet") == (200, made)
    assert office.ask("POST", "/principals", body)[0] == 409
    assert office.ask("POST", "/principals", body | {"role": "king"})[0] == 422
    assert office.ask("POST", "/principals", body | {"crown": 1})[0] == 422
    assert ("add principal", "fleet") in office.record()


def test_access_is_taken_and_given_back_at_once(office: Office) -> None:
    ann = office.world.ann

    assert office.ask("PUT", f"/access/{ANN.upper()}", {"granted": False})[0] == 200
    assert ann.status("GET", "/sep2/edev") == 401
    assert office.ask("PUT", f"/access/{ANN}", {"granted": True})[0] == 200
    assert ann.status("GET", "/sep2/edev") == 200
    assert office.ask("PUT", "/access/nobody", {"granted": False})[0] == 404


def test_a_pin_is_set_and_read_by_its_device(office: Office) -> None:
    assert office.ask("PUT", "/devices/bob-bat/pin", {"pin": 123455})[0] == 200

    assert b"<pIN>123455</pIN>" in office.world.bob.send("GET", "/sep2/edev/bob-bat/rg").content
    assert office.ask("PUT", "/devices/bob-bat/pin", {"pin": 1_000_000})[0] == 422
    assert office.ask("PUT", "/devices/none/pin", {"pin": 1})[0] == 404


def test_all_of_a_devices_controls_are_cancelled_and_no_others(office: Office) -> None:
    world = office.world
    for device, start_s in (("ann-bat", 0), ("bob-bat", 0), ("bob-bat", 3600), (None, 0)):
        world.dispatch(device, start_s, p_kw=1.0)

    assert office.ask("DELETE", "/devices/bob-bat/controls") == (200, {"count": 2})

    def left(device: str) -> int:
        return len(world.service.controls.of_device(BOSS, device))

    assert (left("ann-bat"), left("bob-bat")) == (2, 1), "those for everybody stay"
    assert office.ask("DELETE", "/devices/bob-bat/controls") == (200, {"count": 0})


def test_what_a_devices_clients_left_is_removed(office: Office) -> None:
    bob = office.world.bob
    status = f"<DERStatus {NS}><readingTime>1</readingTime></DERStatus>"
    bob.put("/sep2/edev/bob-bat/der/1/ders", status)
    bob.put("/sep2/edev/bob-bat/der/1/dera", status.replace("DERStatus", "DERAvailability"))
    office.world.ann.put("/sep2/edev/ann-bat/der/1/ders", status)

    assert office.ask("DELETE", "/devices/bob-bat/documents?kind=sep-dera") == (200, {"count": 1})
    assert office.ask("DELETE", "/devices/bob-bat/documents") == (200, {"count": 1})
    assert bob.status("GET", "/sep2/edev/bob-bat/der/1/ders") == 404
    assert office.world.ann.status("GET", "/sep2/edev/ann-bat/der/1/ders") == 200
    assert ("remove documents", "bob-bat") in office.record()


def test_every_kind_that_clients_leave_is_known_here() -> None:
    assert {"sep-mup", "sep-mmr", "sep-cp", "sep-log", "sep-dercap", "sep-derg", "sep-ders", "sep-dera"} == set(LEFT_BY_CLIENTS)


def test_a_programme_is_made_and_replaced(office: Office) -> None:
    body = {"primacy": 80, "device": "bob-bat", "fsa": "night", "description": "quiet", "default": {"load_limit_kw": 1.5}}

    status, put = office.ask("PUT", "/programs/night", body)

    assert (status, put["id"], put["default"]["load_limit_kw"]) == (200, "night", 1.5)
    assert office.ask("PUT", "/programs/night", body | {"primacy": 70})[1]["primacy"] == 70
    assert next(each["id"] for each in office.ask("GET", "/devices/bob-bat/programs")[1]) == "operator"
    assert "night" not in [each["id"] for each in office.ask("GET", "/devices/ann-bat/programs")[1]]
    assert office.ask("PUT", "/programs/operator", body)[0] == 422
    assert office.ask("PUT", "/programs/night", body | {"device": "none"})[0] == 404


@pytest.mark.parametrize("resource", POLLED)
def test_a_rate_is_set_exactly_and_unset(office: Office, resource: str) -> None:
    assert office.ask("GET", f"/rates/{resource}")[0] == 404

    assert office.ask("PUT", f"/rates/{resource}", {"poll_s": 37})[0] == 200
    assert office.ask("GET", f"/rates/{resource}") == (200, {"poll_s": 37, "post_s": None})
    assert office.ask("DELETE", f"/rates/{resource}")[0] == 204
    assert office.ask("GET", f"/rates/{resource}")[0] == 404


def test_clients_see_the_rate_that_was_set(office: Office) -> None:
    ann = office.world.ann
    assert ann.get(EndDeviceListResponse, "/sep2/edev").pollRate == 60

    office.ask("PUT", "/rates/EndDeviceList", {"poll_s": 37})

    assert ann.get(EndDeviceListResponse, "/sep2/edev").pollRate == 37


@pytest.mark.parametrize(
    ("resource", "body", "status"),
    [("Nothing", {"poll_s": 60}, 404), ("EndDeviceList", {"poll_s": 0}, 422), ("EndDeviceList", {"poll": 60}, 422)],
)
def test_a_rate_that_can_not_be_is_refused(office: Office, resource: str, body: dict[str, int], status: int) -> None:
    assert office.ask("PUT", f"/rates/{resource}", body)[0] == status


def test_an_announcement_reaches_subscribers(office: Office) -> None:
    world = office.world
    world.service.webhooks.subscribe(BOSS, Target("sep", "http://127.0.0.1:9/"), "programs", "bob-bat")

    assert office.ask("POST", "/announcements", {"topic": "programs", "device": "bob-bat"})[0] == 202

    assert world.service.webhooks.waiting() == 1
    assert office.ask("POST", "/announcements", {"topic": "weather"})[0] == 422


@pytest.mark.parametrize(
    ("topic", "method", "path", "body"),
    [
        ("default", "PUT", "/programs/night", {"primacy": 80, "device": "bob-bat", "default": {"load_limit_kw": 1.0}}),
        ("programs", "PUT", "/programs/night", {"primacy": 80, "device": "bob-bat"}),
        ("device", "PUT", "/rates/EndDeviceList", {"poll_s": 30}),
        ("programs", "PUT", "/rates/DERProgramList", {"poll_s": 30}),
        ("programs", "PUT", "/rates/FunctionSetAssignmentsList", {"poll_s": 30}),
    ],
)
def test_subscribers_hear_of_a_change(office: Office, topic: str, method: str, path: str, body: dict[str, Any]) -> None:
    webhooks = office.world.service.webhooks
    webhooks.subscribe(BOSS, Target("sep", "http://127.0.0.1:9/"), topic, "bob-bat")

    assert office.ask(method, path, body)[0] == 200

    assert webhooks.waiting() == 1
