"""Reports as measurements: sign, units, times, and whose device it is."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.api.openadr.reports import measurements, units_of
from gridnet.app.service.model import Device, Measurement
from gridnet.errors import InputError
from tests.gridnet.app.api.openadr.vtns import PEOPLE, QUARTER, START, Vtn

BATTERY = Device("bat-a", "ann", "battery", 5.0, 5.0, 5.0, 10.0)
NOW = START + timedelta(minutes=5)


def reported(*payloads: tuple[str, float], **members: Any) -> dict[str, Any]:
    return {
        "resourceName": "bat-a",
        "intervals": [{"id": 0, "payloads": [{"type": kind, "values": [value]} for kind, value in payloads]}],
        **members,
    }


def report(*resources: dict[str, Any], **members: Any) -> dict[str, Any]:
    made = {"programID": "gridnet-dispatch", "eventID": "dispatch-bat-a", "clientName": "house-7", "resources": list(resources)}
    return {**made, **members}


def only(found: list[Measurement]) -> tuple[str, float]:
    [one] = found
    return one.channel, one.value


def found_in(vtn: Vtn, channel: str, by: str = "ann", device: str = "bat-a") -> list[Measurement]:
    return vtn.service.telemetry.measurements(PEOPLE[by], device, channel, START - timedelta(days=1))


@pytest.mark.parametrize(
    ("kind", "unit", "value", "expected"),
    [
        ("DEMAND", "KW", -2.5, ("p_kw", 2.5)),
        ("READING", "KW", 1.25, ("p_kw", -1.25)),
        ("DEMAND", None, 2.0, ("p_kw", -2.0)),
        ("DEMAND", "KVAR", 0.5, ("q_kvar", -0.5)),
        ("READING", "VOLTS", 231.0, ("vm_v", 231.0)),
        ("USAGE", "KWH", 0.5, ("p_kw", -2.0)),
        ("STORAGE_CHARGE_LEVEL", None, 64.0, ("soc", 0.64)),
        ("STORAGE_CHARGE_LEVEL", "KWH", 2.5, ("soc", 0.25)),
    ],
)
def test_consumption_is_positive_there_and_generation_here(kind: str, unit: str | None, value: float, expected: Any) -> None:
    period = {"start": "2026-03-01T12:00:00Z", "duration": "PT15M"}

    found = measurements(BATTERY, reported((kind, value), intervalPeriod=period), {} if unit is None else {kind: unit}, NOW)

    assert only(found) == expected
    assert (found[0].start, found[0].duration) == (START, QUARTER)


@pytest.mark.parametrize(
    ("kind", "unit"), [("OPERATING_STATE", None), ("DEMAND", "CELSIUS"), ("USAGE", "KWH"), ("STORAGE_CHARGE_LEVEL", "VOLTS")]
)
def test_what_is_nothing_we_measure_is_left_out(kind: str, unit: str | None) -> None:
    # USAGE without a duration is no power.
    assert measurements(BATTERY, reported((kind, 1.0)), {} if unit is None else {kind: unit}, NOW) == []


@pytest.mark.parametrize("level", [-1.0, 100.5])
def test_a_battery_fuller_than_full_is_refused(level: float) -> None:
    with pytest.raises(InputError, match="STORAGE_CHARGE_LEVEL"):
        measurements(BATTERY, reported(("STORAGE_CHARGE_LEVEL", level)), {}, NOW)


def test_an_interval_without_a_period_follows_the_one_before() -> None:
    intervals = [
        {"id": 0, "payloads": [{"type": "DEMAND", "values": [1.0]}]},
        {"id": 1, "payloads": [{"type": "DEMAND", "values": [2.0]}], "intervalPeriod": {"duration": "PT5M"}},
        {"id": 2, "payloads": [{"type": "DEMAND", "values": [3.0]}]},
        {"id": 3, "payloads": [{"type": "DEMAND", "values": [4.0]}], "intervalPeriod": {"start": "2026-03-01T15:00:00+01:00"}},
    ]
    period = {"start": "2026-03-01T12:00:00Z", "duration": "PT15M"}

    found = measurements(BATTERY, {"resourceName": "b", "intervals": intervals, "intervalPeriod": period}, {}, NOW)

    assert [each.start - START for each in found] == [timedelta(0), QUARTER, timedelta(minutes=20), timedelta(hours=2)]
    assert [each.duration for each in found] == [QUARTER, timedelta(minutes=5), QUARTER, QUARTER]


@pytest.mark.parametrize("period", [None, {}, {"start": "0000-00-00", "duration": "PT0S"}])
def test_without_a_time_it_is_now(period: Any) -> None:
    [found] = measurements(BATTERY, reported(("DEMAND", 1.0), intervalPeriod=period), {}, NOW)

    assert (found.start, found.duration) == (NOW, timedelta(0))


def test_a_time_beyond_the_calendar_is_refused() -> None:
    period = {"start": "9000-01-01T00:00:00Z", "duration": "P9999Y"}
    with pytest.raises(InputError, match="calendar"):
        measurements(BATTERY, reported(("DEMAND", 1.0), intervalPeriod=period), {}, NOW)


@given(st.integers(-(10**400), 10**400) | st.floats() | st.booleans() | st.text(max_size=5))
def test_any_value_is_a_measurement_or_nothing(value: Any) -> None:
    found = measurements(BATTERY, reported(("DEMAND", value)), {}, NOW)

    assert all(each.value == -value for each in found)
    assert len(found) == (isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e12)


def test_units_stand_in_the_descriptors() -> None:
    assert units_of({"payloadDescriptors": [{"payloadType": "A", "units": "KW"}, {"payloadType": "B", "units": None}]}) == {
        "A": "KW"
    }
    assert units_of({"payloadDescriptors": None}) == {}


def test_a_report_is_kept_and_measured(vtn: Vtn) -> None:
    period = {"start": "2026-03-01T12:00:00Z", "duration": "PT5M"}

    made = vtn.post("ann", "/reports", report(reported(("DEMAND", -2.5), ("STORAGE_CHARGE_LEVEL", 50.0), intervalPeriod=period)))

    assert found_in(vtn, "p_kw") == [Measurement("p_kw", START, 2.5, timedelta(minutes=5))]
    assert found_in(vtn, "soc") == [Measurement("soc", START, 0.5, timedelta(minutes=5))]
    assert vtn.get("ann", "/reports", eventID="dispatch-bat-a", programID="gridnet-dispatch", clientName="house-7") == [made]
    assert vtn.get("ann", "/reports", eventID="other") == []


def test_a_changed_report_is_measured_again(vtn: Vtn) -> None:
    period = {"start": "2026-03-01T12:00:00Z", "duration": "PT5M"}
    made = vtn.post("ann", "/reports", report(reported(("DEMAND", -2.5), intervalPeriod=period)))

    vtn.put("ann", f"/reports/{made['id']}", report(reported(("DEMAND", -3.5), intervalPeriod=period)))

    assert [each.value for each in found_in(vtn, "p_kw")] == [3.5]


def test_a_part_without_a_device_s_name_speaks_of_the_event_s(vtn: Vtn) -> None:
    vtn.post("ann", "/reports", report(reported(("DEMAND", -1.0), resourceName="AGGREGATED_REPORT")))

    assert [each.value for each in found_in(vtn, "p_kw")] == [1.0]


def test_nobody_reports_for_a_neighbour_s_device(vtn: Vtn) -> None:
    # The event is the neighbour's: refused. The resource's name is the neighbour's: taken as the event's own device.
    assert vtn.status("ann", "POST", "/reports", report(reported(("DEMAND", -1.0)), eventID="dispatch-bat_2e_b")) == 404
    vtn.post("ann", "/reports", report(reported(("DEMAND", -2.0), resourceName="bat.b")))

    assert found_in(vtn, "p_kw", "bob", "bat.b") == []


def test_a_report_on_an_event_that_is_nobody_s_device_s_is_only_kept(vtn: Vtn) -> None:
    program = vtn.program()["id"]
    event = vtn.event(program)

    made = vtn.post("ann", "/reports", report(reported(("DEMAND", -1.0), resourceName="house"), eventID=event["id"]))

    assert made["programID"] == program
    assert found_in(vtn, "p_kw") == []


def test_a_refused_report_leaves_nothing(vtn: Vtn) -> None:
    bad = report(reported(("DEMAND", -1.0)), reported(("STORAGE_CHARGE_LEVEL", 150.0)))

    assert vtn.status("ann", "POST", "/reports", bad) == 400

    assert found_in(vtn, "p_kw") == []
    assert vtn.get("ann", "/reports") == []


def test_a_report_without_a_time_is_of_the_present(vtn: Vtn) -> None:
    vtn.post("ann", "/reports", report(reported(("DEMAND", -1.0))))

    [found] = found_in(vtn, "p_kw")
    assert found.start == datetime.fromisoformat("2026-03-01T12:05:00+00:00")
