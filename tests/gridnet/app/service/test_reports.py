"""Readings of many meters in one report: whose they are, what is refused, what is doubted, where they count."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from fastapi.testclient import TestClient

from gridnet.app.api.app import make_app
from gridnet.app.service import marks, plates
from gridnet.app.service.config import Config
from gridnet.app.service.service import Service
from gridnet.app.service.telemetry import CLOSED, MOST_AT_ONCE
from gridnet.errors import InputError
from gridnet.metering.keys import Algorithm, DeviceKey
from gridnet.metering.points import MeterPoint
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.service.parts import KEY, NOON, OPERATOR, PEOPLE, QUARTER, Caller, Clock, Meter, metered

NOON_Q = int(NOON.timestamp()) // 900
MANY = PEOPLE["many"]
NAMES = ["bat-00", "bat-01", "pv-00", "east/bat-00", "east/pv-00"]
KEYS = {name: DeviceKey.simulated(5, name, algorithm=list(Algorithm)[place % len(Algorithm)]) for place, name in enumerate(NAMES)}


@pytest.fixture
def call(url: str) -> Iterator[Caller]:
    """With five devices of an aggregator's at two feeders, whose plates are known, on either kind of database."""
    clock = Clock()
    service = Service.on(Database(url), Config(requests_per_minute=1_000_000), frozenset([*NAMES, "west/bat-00"]), clock=clock)
    with service.store.write() as connection:
        for principal in PEOPLE.values():
            service.people.enter(connection, principal, None)
        for feeder in ("", "east"):
            points = [SimpleNamespace(name=f"{kind}-00", kind=word, capacity_w=5000) for kind, word in KINDS.items()]
            plates.note(connection, feeder, cast("list[MeterPoint]", points))
    for name, key in KEYS.items():
        service.devices.add(OPERATOR, metered(name.replace("/", "."), "many", name, key))
    with TestClient(make_app(service), raise_server_exceptions=False) as http:
        yield Caller(service, http, clock)
    service.store.database.close()


KINDS = {"bat": "battery", "pv": "pv"}


def meters() -> dict[str, Meter]:
    """One of each device's."""
    return {name: Meter(key, name.rpartition("/")[2]) for name, key in KEYS.items()}


def report(call: Caller, raws: list[bytes], by: str = "many") -> Any:
    """The answer to a report."""
    answer = call(by, "POST", "/telemetry", json={"readings": [base64.b64encode(raw).decode() for raw in raws]})
    assert answer.status_code == 200, answer.text
    return answer.json()


def arrived(call: Caller, feeder: str, quarter: int = NOON_Q) -> list[tuple[str, bytes]]:
    """Meters and messages of a quarter-hour."""
    with call.service.store.read() as connection:
        return [(each.meter, each.raw) for each in call.service.telemetry.arrived(connection, quarter, feeder)]


def test_readings_of_many_meters_count_each_in_its_feeder(call: Caller) -> None:
    raws = {name: meter.reads(NOON - QUARTER) for name, meter in meters().items()}
    assert report(call, list(raws.values())) == {"kept": 5, "repeated": 0, "refused": [], "doubted": []}
    assert arrived(call, "") == [(name, raws[name]) for name in NAMES[:3]]
    assert arrived(call, "east") == [("bat-00", raws["east/bat-00"]), ("pv-00", raws["east/pv-00"])]


def test_each_feeder_has_its_own_quarter_hour_that_is_open(call: Caller) -> None:
    with call.service.store.write("east") as connection:
        marks.mark(connection, marks.of("east", CLOSED), NOON_Q)
    report(call, [meter.reads(NOON - QUARTER) for meter in meters().values()])
    assert (len(arrived(call, "")), len(arrived(call, "east")), len(arrived(call, "east", NOON_Q + 1))) == (3, 0, 2)


def test_a_report_may_be_repeated(call: Caller) -> None:
    raws = [meter.reads(NOON - QUARTER) for meter in meters().values()]
    report(call, [*raws[:2], raws[0]])
    call.clock.forward(minutes=12)
    assert report(call, raws) == {"kept": 3, "repeated": 2, "refused": [], "doubted": []}
    assert len(arrived(call, "") + arrived(call, "east")) == 2


def test_what_is_refused_is_told_by_its_place_and_the_rest_is_kept(call: Caller) -> None:
    one, other = meters()["bat-00"], meters()["east/bat-00"]
    good = one.reads(NOON - QUARTER)
    wrong = [
        good[:-1] + bytes([good[-1] ^ 1]),  # changed
        Meter(KEYS["bat-01"], "bat-00").reads(NOON),  # signed by another of its own meters
        Meter(DeviceKey.simulated(6, "nobody's")).reads(NOON),  # a key that nobody has
        b"",
        b"\xff" * 100,
        b"\xa0" * 600,
        one.reads(NOON + 2 * QUARTER)[:-5],
    ]
    said = report(call, [*wrong[:3], good, *wrong[3:], other.reads(NOON)])
    assert (said["kept"], said["repeated"]) == (2, 0)
    assert [each["index"] for each in said["refused"]] == [0, 1, 2, 4, 5, 6, 7]
    assert all(each["words"] for each in said["refused"])


def test_nobody_speaks_for_anothers_device_and_an_operator_for_all(call: Caller) -> None:
    raw = meters()["bat-00"].reads(NOON)
    refused = report(call, [raw], "alice")
    unknown = report(call, [Meter(DeviceKey.simulated(6, "nobody's")).reads(NOON)], "alice")
    assert (refused["kept"], len(refused["refused"])) == (0, 1)
    # It is not told that another has it.
    assert refused["refused"][0]["words"].split()[:5] == unknown["refused"][0]["words"].split()[:5]
    assert report(call, [raw], "auditor")["kept"] == 0
    assert call(None, "POST", "/telemetry", json={"readings": ["AA=="]}).status_code == 401
    assert report(call, [raw], "boss")["kept"] == 1


def test_a_key_that_was_known_is_forgotten_with_its_device_its_owner_or_its_change(call: Caller) -> None:
    meter, devices = meters()["bat-00"], call.service.devices
    assert report(call, [meter.reads(NOON - 3 * QUARTER)])["kept"] == 1
    devices.change(OPERATOR, "bat-00", owner="alice")
    assert report(call, [meter.reads(NOON - 2 * QUARTER)])["kept"] == 0
    assert report(call, [meter.sent[-1]], "alice")["kept"] == 1
    devices.change(OPERATOR, "bat-00", owner="many", meter_key=KEY.public_key.encode())
    assert report(call, [meter.reads(NOON)])["kept"] == 0
    assert report(call, [replace(meter, key=KEY).reads(NOON)])["kept"] == 1
    devices.remove(OPERATOR, "bat-00")
    assert report(call, [replace(meter, key=KEY).reads(NOON)])["kept"] == 0
    devices.add(OPERATOR, metered("again", "many", "west/bat-00", KEYS["bat-00"]))
    assert report(call, [meter.reads(NOON)])["kept"] == 1
    assert len(arrived(call, "west")) == 1


def test_what_a_device_can_not_have_done_is_kept_and_told(call: Caller) -> None:
    battery, sun = meters()["east/bat-00"], meters()["east/pv-00"]
    said = report(
        call,
        [
            battery.reads(NOON - 2 * QUARTER, injected_wh=1200),
            battery.reads(NOON - QUARTER, injected_wh=2000),
            sun.reads(NOON - QUARTER, injected_wh=100, soc_ppm=None),
            sun.reads(NOON, injected_wh=0, drawn_wh=50, soc_ppm=None),
        ],
    )
    assert (said["kept"], said["refused"]) == (4, [])
    assert [each["index"] for each in said["doubted"]] == [1, 3]
    assert said["doubted"][0]["words"].startswith("7992 VA")
    assert len(arrived(call, "east")) == 4


def test_a_meter_without_a_plate_is_not_doubted(call: Caller) -> None:
    assert report(call, [meters()["bat-01"].reads(NOON, injected_wh=2**40)])["doubted"] == []


def test_too_many_and_none_are_refused_whole(call: Caller) -> None:
    with pytest.raises(InputError, match=f"{MOST_AT_ONCE} at most"):
        call.service.telemetry.report_many(MANY, [b""] * (MOST_AT_ONCE + 1))
    for readings in ([], ["A"], [1]):
        assert call("many", "POST", "/telemetry", json={"readings": readings}).status_code == 422
    large = ["A" * 200] * 2000
    assert call("many", "POST", "/telemetry", json={"readings": large}).status_code == 413
