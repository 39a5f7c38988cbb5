"""Readings and measurements: what is kept, what is refused, where it counts."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select

from gridnet.app.service import marks
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Measurement
from gridnet.app.service.schema import readings
from gridnet.app.service.service import Service
from gridnet.app.service.telemetry import CLOSED, MOST_MESSAGES, MOST_VALUES, QUARTER_S
from gridnet.errors import InputError
from gridnet.metering.keys import Algorithm, DeviceKey
from tests.gridnet.app.service.parts import ALICE, BOB, KEY, NOON, OPERATOR, QUARTER, SECOND, Clock, Meter, battery, metered

NOON_Q = int(NOON.timestamp()) // QUARTER_S
OTHER = DeviceKey.simulated(8, "bob's meter")


@pytest.fixture
def metering(service: Service) -> Service:
    """With alice's battery at bat-00 and bob's at bat-01."""
    service.devices.add(OPERATOR, metered())
    service.devices.add(OPERATOR, metered("bob-1", "bob", "bat-01", OTHER))
    return service


def _kept(service: Service) -> int:
    with service.store.read() as connection:
        return connection.execute(select(func.count()).select_from(readings)).scalar_one()


def _arrived(service: Service, quarter: int) -> list[bytes]:
    with service.store.read() as connection:
        return [each.raw for each in service.telemetry.arrived(connection, quarter)]


def test_a_signed_reading_is_kept_as_it_came(metering: Service) -> None:
    meter = Meter()
    raws = [meter.reads(NOON - QUARTER), meter.reads(NOON)]
    received = metering.telemetry.report(ALICE, "alice-1", raws)
    assert [(each.sequence, each.repeated, each.problem) for each in received] == [(0, False, None), (1, False, None)]
    assert _arrived(metering, NOON_Q) == raws


def test_a_reading_with_any_byte_changed_is_refused_and_the_others_are_kept(metering: Service) -> None:
    raw = Meter().reads(NOON)
    changed = [raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :] for at in range(len(raw))]
    for each in (*changed, b"", raw[:-1], raw + b"\x00", b"\xff" * 600):
        (received,) = metering.telemetry.report(ALICE, "alice-1", [each])
        assert received.problem
        assert received.sequence is None
    assert _kept(metering) == 0
    received = metering.telemetry.report(ALICE, "alice-1", [changed[0], raw])
    assert [each.problem is None for each in received] == [False, True]
    assert _arrived(metering, NOON_Q) == [raw]


def test_another_devices_key_or_meter_is_refused(metering: Service) -> None:
    wrong = [
        Meter(OTHER, "bat-01").reads(NOON),  # bob's own reading, through alice's device
        Meter(OTHER, "bat-00").reads(NOON),  # alice's meter, bob's key
        Meter(KEY, "bat-01").reads(NOON),  # bob's meter, alice's key
        Meter(DeviceKey.simulated(7, "alice's meter", algorithm=Algorithm.ES256)).reads(NOON),
    ]
    assert all(each.problem for each in metering.telemetry.report(ALICE, "alice-1", wrong))
    with pytest.raises(NotFound):
        metering.telemetry.report(BOB, "alice-1", [Meter().reads(NOON)])
    assert _kept(metering) == 0


def test_the_twin_of_a_signature_is_no_second_message(metering: Service) -> None:
    key = DeviceKey.simulated(9, "p256", algorithm=Algorithm.ES256)
    metering.devices.change(OPERATOR, "alice-1", meter_key=key.public_key.encode())
    raw = Meter(key).reads(NOON)
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    twin = raw[:-32] + (order - int.from_bytes(raw[-32:])).to_bytes(32)
    first, second = metering.telemetry.report(ALICE, "alice-1", [raw, twin])
    assert first.problem is None
    assert second.problem is not None


def test_what_comes_again_is_said_to_be_repeated_and_counts_once(metering: Service, clock: Clock) -> None:
    raw = Meter().reads(NOON)
    metering.telemetry.report(ALICE, "alice-1", [raw])
    clock.forward(minutes=20)
    (again,) = metering.telemetry.report(ALICE, "alice-1", [raw])
    assert again.repeated
    assert (_kept(metering), _arrived(metering, NOON_Q), _arrived(metering, NOON_Q + 1)) == (1, [raw], [])


def test_the_same_reading_twice_in_one_report_counts_once(metering: Service) -> None:
    raw = Meter().reads(NOON)
    received = metering.telemetry.report(ALICE, "alice-1", [raw, raw])
    assert [each.problem for each in received] == [None, None]
    assert _kept(metering) == 1


def test_two_different_readings_of_one_sequence_are_both_evidence(metering: Service) -> None:
    raws = [Meter().reads(NOON, injected_wh=wh) for wh in (100, 200)]
    metering.telemetry.report(ALICE, "alice-1", raws)
    assert _kept(metering) == 2


def test_reports_at_the_same_time_lose_and_double_nothing(either: Service) -> None:
    either.devices.add(OPERATOR, metered())
    meter = Meter()
    raws = [meter.reads(NOON - k * QUARTER) for k in range(40)]

    def report(number: int) -> int:
        part = raws[5 * (number % 8) : 5 * (number % 8) + 5]
        return sum(not each.repeated for each in either.telemetry.report(ALICE, "alice-1", part))

    with ThreadPoolExecutor(8) as pool:
        fresh = sum(pool.map(report, range(24)))
    assert (fresh, _kept(either)) == (40, 40)


def test_a_reading_counts_in_the_first_quarter_hour_that_is_still_open(metering: Service, clock: Clock) -> None:
    meter = Meter()
    in_time, late, after_stall = (meter.reads(NOON + k * QUARTER) for k in range(3))
    metering.telemetry.report(ALICE, "alice-1", [in_time])
    with metering.store.write() as connection:
        marks.mark(connection, CLOSED, NOON_Q)
    metering.telemetry.report(ALICE, "alice-1", [late])  # the clock says noon still, but noon is closed
    clock.forward(hours=1)
    metering.telemetry.report(ALICE, "alice-1", [after_stall])
    assert [_arrived(metering, NOON_Q + k) for k in range(5)] == [[in_time], [late], [], [], [after_stall]]


@pytest.mark.parametrize("skew_s", [-30, 30])
def test_a_meter_whose_clock_is_off_by_half_a_minute_is_heard(metering: Service, clock: Clock, skew_s: int) -> None:
    clock.now = NOON + QUARTER + skew_s * SECOND
    (received,) = metering.telemetry.report(ALICE, "alice-1", [Meter().reads(NOON)])
    assert received.problem is None


def test_too_many_at_once_are_refused_whole(metering: Service, clock: Clock) -> None:
    raw = Meter().reads(NOON)
    with pytest.raises(InputError):
        metering.telemetry.report(ALICE, "alice-1", [raw] * (MOST_MESSAGES + 1))
    with pytest.raises(InputError):
        metering.telemetry.measure(ALICE, "alice-1", [Measurement("p_kw", clock.now, 1.0)] * (MOST_VALUES + 1))
    assert _kept(metering) == 0
    assert len(metering.telemetry.report(ALICE, "alice-1", [raw] * MOST_MESSAGES)) == MOST_MESSAGES


def test_a_device_without_meter_or_key_reports_no_readings(service: Service) -> None:
    service.devices.add(ALICE, battery())
    service.devices.add(OPERATOR, battery("second", meter="bat-00"))
    for device in ("alice-1", "second"):
        with pytest.raises(InputError):
            service.telemetry.report(OPERATOR, device, [Meter().reads(NOON)])


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_what_is_no_number_is_no_measurement(metering: Service, clock: Clock, value: float) -> None:
    with pytest.raises(InputError):
        metering.telemetry.measure(ALICE, "alice-1", [Measurement("p_kw", clock.now, 1.0), Measurement("p_kw", clock.now, value)])
    assert metering.telemetry.latest(ALICE, "alice-1", "p_kw") is None


def test_a_later_measurement_replaces_an_earlier_one_of_its_time(metering: Service, clock: Clock) -> None:
    first = Measurement("p_kw", clock.now, 1.0, timedelta(minutes=1))
    metering.telemetry.measure(ALICE, "alice-1", [first, replace(first, value=2.0)])
    metering.telemetry.measure(ALICE, "alice-1", [replace(first, value=3.0), replace(first, start=clock.now - SECOND)])
    assert [each.value for each in metering.telemetry.measurements(ALICE, "alice-1", "p_kw", NOON)] == [1.0, 3.0]
    assert metering.telemetry.latest(ALICE, "alice-1", "p_kw") == replace(first, value=3.0)
    for by in (BOB,):
        with pytest.raises(NotFound):
            metering.telemetry.measure(by, "alice-1", [first])
        with pytest.raises(NotFound):
            metering.telemetry.latest(by, "alice-1", "p_kw")


@pytest.mark.parametrize("soc", [-0.01, 1.01, 77.0, -1e9])
def test_a_state_of_charge_that_cannot_be_never_reaches_the_decision(metering: Service, clock: Clock, soc: float) -> None:
    with contextlib.suppress(InputError):
        metering.telemetry.measure(ALICE, "alice-1", [Measurement("soc", clock.now, soc)])
    assert all(0.0 <= told <= 1.0 for told in metering.telemetry.told_soc(0).values())


def test_a_measurement_from_the_future_does_not_stay_the_latest(metering: Service, clock: Clock) -> None:
    ahead = Measurement("soc", clock.now + timedelta(days=400), 0.9)
    with contextlib.suppress(InputError):
        metering.telemetry.measure(ALICE, "alice-1", [ahead])
    metering.telemetry.measure(ALICE, "alice-1", [Measurement("soc", clock.now, 0.2)])
    assert metering.telemetry.told_soc(0) == {"bat-00": 0.2}
    assert metering.controls.effective(ALICE, "alice-1").is_default


@pytest.mark.parametrize("skew_s", [-30, 30])
def test_a_measurement_half_a_minute_off_is_kept(metering: Service, clock: Clock, skew_s: int) -> None:
    metering.telemetry.measure(ALICE, "alice-1", [Measurement("soc", clock.now + skew_s * SECOND, 0.2)])
    assert metering.telemetry.told_soc(0) == {"bat-00": 0.2}


@pytest.mark.parametrize("start", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)])
def test_a_time_at_the_end_of_time_poisons_nothing(metering: Service, start: datetime) -> None:
    with contextlib.suppress(InputError):
        metering.telemetry.measure(ALICE, "alice-1", [Measurement("p_kw", start, 1.0)])
    assert len(metering.telemetry.measurements(ALICE, "alice-1", "p_kw", NOON - timedelta(days=9999))) <= 1
    metering.telemetry.latest(ALICE, "alice-1", "p_kw")
