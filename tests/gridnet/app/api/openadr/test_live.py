"""The service's own program and events: signs, contiguous intervals, limits, names, privacy."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.openadr.live import PROGRAM, Live, device_of, event_id
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import OPERATOR, Fields, Order, Worth
from tests.gridnet.app.api.openadr.vtns import BOSS, PEOPLE, QUARTER, START, Vtn


def event_of(vtn: Vtn, by: str = "ann") -> Any:
    [event] = vtn.get(by, "/events", programID=PROGRAM)
    return event


def payloads(event: Any) -> list[dict[str, float]]:
    return [{each["type"]: each["values"][0] for each in interval["payloads"]} for interval in event["intervals"]]


def periods(event: Any) -> list[tuple[datetime, timedelta]]:
    found = [each["intervalPeriod"] for each in event["intervals"]]
    minutes = [each["duration"].removeprefix("PT").removesuffix("M") for each in found]
    starts = [datetime.fromisoformat(each["start"]) for each in found]
    return [(start, timedelta(minutes=int(each))) for start, each in zip(starts, minutes, strict=True)]


def test_a_battery_that_shall_discharge_is_told_to_consume_less_than_nothing(vtn: Vtn) -> None:
    vtn.decide("bat-a", 2.5, -1.25, 0.0)

    event = event_of(vtn)

    assert payloads(event) == [{"DISPATCH_SETPOINT": -2.5}, {"DISPATCH_SETPOINT": 1.25}, {"DISPATCH_SETPOINT": 0.0}]
    assert str(payloads(event)[2]["DISPATCH_SETPOINT"]) == "0.0"
    assert {"payloadType": "DISPATCH_SETPOINT", "units": "KW", "objectType": "EVENT_PAYLOAD_DESCRIPTOR"} in event[
        "payloadDescriptors"
    ]


def test_the_intervals_join_without_a_gap(vtn: Vtn) -> None:
    vtn.decide("bat-a", 2.0, 3.0, 4.0)
    # The operator's own control begins within a quarter-hour and ends after all plans.
    order = Order(OPERATOR, "bat-a", Fields(p_kw=1.0), START + timedelta(minutes=20), START + timedelta(minutes=60))
    vtn.service.controls.dispatch(BOSS, order)

    event = event_of(vtn)

    found = periods(event)
    assert found[0] == (START, QUARTER)
    assert all(start + lasts == later for (start, lasts), (later, _) in pairwise(found))
    assert found[-1][0] + found[-1][1] == START + timedelta(minutes=60)
    assert [each["DISPATCH_SETPOINT"] for each in payloads(event)] == [-2.0, -3.0, -1.0, -1.0, -1.0]
    assert event["intervalPeriod"] == event["intervals"][0]["intervalPeriod"]


def test_a_gap_between_controls_is_filled_with_the_default(vtn: Vtn) -> None:
    vtn.service.devices.change(BOSS, "bat-a", default=Fields(p_kw=0.5))
    vtn.decide("bat-a", 2.0)
    order = Order(OPERATOR, "bat-a", Fields(p_kw=1.0), START + timedelta(minutes=30), START + timedelta(minutes=45))
    vtn.service.controls.dispatch(BOSS, order)

    event = event_of(vtn)

    assert [each["DISPATCH_SETPOINT"] for each in payloads(event)] == [-2.0, -0.5, -1.0]
    assert periods(event)[1] == (START + QUARTER, QUARTER)


def test_limits_are_magnitudes_in_their_own_payloads(vtn: Vtn) -> None:
    vtn.decide("bat-a", 4.0)
    fields = Fields(export_limit_kw=1.5, import_limit_kw=0.5)
    vtn.service.controls.dispatch(BOSS, Order(OPERATOR, "bat-a", fields, START, START + QUARTER))

    [found] = payloads(event_of(vtn))

    assert found == {"DISPATCH_SETPOINT": -1.5, "IMPORT_CAPACITY_LIMIT": 0.5, "EXPORT_CAPACITY_LIMIT": 1.5}


def test_without_a_control_the_default_speaks_until_the_next_quarter_hour(vtn: Vtn) -> None:
    [(start, lasts)] = periods(event_of(vtn))

    assert (start, start + lasts) == (vtn.clock.now, START + QUARTER)


def test_each_sees_the_events_of_its_own_devices(vtn: Vtn) -> None:
    mine, his = event_id("bat-a"), event_id("bat.b")

    assert [each["id"] for each in vtn.get("ann", "/events")] == [mine]
    assert [each["id"] for each in vtn.get("bob", "/events")] == [his]
    assert vtn.get("eve", "/events") == []
    assert [each["id"] for each in vtn.get("boss", "/events")] == [mine, his]
    assert vtn.get("ann", f"/events/{mine}")["id"] == mine
    assert vtn.status("ann", "GET", f"/events/{his}") == vtn.status("ann", "GET", "/events/dispatch-none") == 404


def test_the_device_is_the_event_s_target(vtn: Vtn) -> None:
    wanted = ["bat.b"] if vtn.version == "3.1.0" else [{"type": "RESOURCE_NAME", "values": ["bat.b"]}]

    assert event_of(vtn, "bob")["targets"] == wanted


def test_everybody_finds_the_program(vtn: Vtn) -> None:
    [program] = vtn.get("eve", "/programs")

    assert (program["programName"], program["objectType"]) == ("gridnet dispatch", "PROGRAM")
    assert vtn.get("eve", f"/programs/{PROGRAM}") == program


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
@pytest.mark.parametrize("path", [f"/programs/{PROGRAM}", f"/events/{event_id('bat-a')}"])
def test_nobody_changes_what_the_service_says(vtn: Vtn, method: str, path: str) -> None:
    before = vtn.get("boss", path)

    assert vtn.status("boss", method, path, before) == 409
    assert vtn.status("ann", method, path, before) == 403
    assert vtn.get("boss", path) == before


def test_an_event_can_t_be_slipped_into_the_service_s_program(vtn: Vtn) -> None:
    interval = {"id": 0, "payloads": [{"type": "DISPATCH_SETPOINT", "values": [5.0]}]}

    assert vtn.status("boss", "POST", "/events", {"programID": PROGRAM, "intervals": [interval]}) == 409


def test_prices_and_carbon_are_told_where_the_service_knows_them(vtn: Vtn) -> None:
    live = Live(replace(vtn.service, worth=lambda time: Worth(0.25, 0.08, 300.0)), "3.1.0")
    vtn.decide("bat-a", 2.0, 1.0)

    event = live.event(PEOPLE["ann"], event_id("bat-a"))

    assert payloads(event)[1] == {"DISPATCH_SETPOINT": -1.0, "PRICE": 0.25, "EXPORT_PRICE": 0.08, "GHG": 300.0}


@given(st.text(st.characters(categories=("L", "N"), include_characters="-_.:"), min_size=1, max_size=64))
def test_a_device_s_name_comes_back_from_its_event_s(device: str) -> None:
    name = event_id(device)

    assert device_of(name) == device
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


@given(st.text(max_size=40))
def test_no_two_names_are_one_device_s(name: str) -> None:
    try:
        device = device_of(name)
    except NotFound:
        return
    assert event_id(device) == name


def test_an_owner_who_opted_out_gets_the_default_until_then(vtn: Vtn) -> None:
    vtn.decide("bat-a", 2.0, 3.0)
    until = START + timedelta(minutes=20)
    vtn.service.controls.override(PEOPLE["ann"], "bat-a", until, "holiday")

    event = event_of(vtn)

    assert [each["DISPATCH_SETPOINT"] for each in payloads(event)] == [0.0, -3.0]
    assert periods(event)[1] == (until, timedelta(minutes=10))


def test_a_cancelled_control_is_not_published_any_more(vtn: Vtn) -> None:
    vtn.decide("bat-a", 2.0, 3.0)
    order = Order(OPERATOR, "bat-a", Fields(p_kw=1.0), START + QUARTER, START + 2 * QUARTER)
    made = vtn.service.controls.dispatch(BOSS, order)
    before = payloads(event_of(vtn))
    vtn.service.controls.cancel(BOSS, made.id)

    assert [before, payloads(event_of(vtn))] == [
        [{"DISPATCH_SETPOINT": -2.0}, {"DISPATCH_SETPOINT": -1.0}],
        [{"DISPATCH_SETPOINT": -2.0}, {"DISPATCH_SETPOINT": -3.0}],
    ]
