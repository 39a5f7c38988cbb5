"""Time, registers, battery and meter together; the readings are held against verification."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.app.device.battery import Nameplate
from gridnet.app.device.inverter import Inverter
from gridnet.app.device.meter import QUARTER, Memory, Meter
from gridnet.app.device.registers import Registers
from gridnet.case import load_case
from gridnet.metering.cose import open_message
from gridnet.metering.keys import DeviceKey
from gridnet.metering.points import head_point, meter_points
from gridnet.metering.reading import Flag, Reading
from gridnet.metering.registry import KeyRegistry
from gridnet.verification.ladder import Ladder

T0 = datetime(2018, 6, 1, 12, tzinfo=UTC)
KEY = DeviceKey.simulated(0, "bat-00")
REGISTRY = KeyRegistry().enrol("bat-00", KEY.public_key, T0 - timedelta(days=1))


@dataclass
class Home:
    """An inverter, and what it stored."""

    memory: Memory = field(default_factory=lambda: Memory(T0, 0.5))
    plate: Nameplate = field(default_factory=lambda: Nameplate(10.0, 20.0))
    stored: list[Memory] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.registers = Registers(self.plate, "bat")
        self.inverter = Inverter(self.registers, self.memory, Meter("bat-00", KEY), self.stored.append)
        self.inverter.start(self.memory.at)

    def restarted(self, at: datetime) -> Home:
        """A new process with what was stored last."""
        home = Home(self.stored[-1], self.plate)
        home.inverter.start(at)
        return home

    def readings(self) -> list[Reading]:
        return [open_message(raw, REGISTRY, T0 + timedelta(days=1)) for raw in self.inverter.waiting]


def test_the_battery_follows_its_registers_and_the_meter_counts_it() -> None:
    home = Home()
    home.registers.ask(3.5, 1.0)
    home.inverter.advance(T0 + timedelta(minutes=6))
    home.registers.ask(-2.5, 1.0)
    home.inverter.advance(T0 + QUARTER)
    (reading,) = home.readings()
    assert (reading.injected_wh, reading.drawn_wh, reading.reactive_varh) == (350, 375, 250)
    assert reading.start == T0
    assert home.inverter.done.p_kw == -2.5


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=20))
def test_readings_do_not_depend_on_how_often_time_is_looked_at(seconds: list[int]) -> None:
    total = timedelta(seconds=sum(seconds))
    once, often = Home(), Home()
    for home in (once, often):
        home.registers.ask(0.4, -0.2)
    once.inverter.advance(T0 + total)
    at = T0
    for each in seconds:
        at += timedelta(seconds=each)
        often.inverter.advance(at)
    assert len(once.readings()) == total // QUARTER
    for one, other in zip(once.readings(), often.readings(), strict=True):
        assert (one.start, one.sequence) == (other.start, other.sequence)
        assert abs(one.injected_wh - other.injected_wh) <= 1
    assert once.inverter.done.soc == pytest.approx(often.inverter.done.soc, abs=1e-5)


def test_a_clock_set_back_is_waited_for() -> None:
    home = Home()
    home.registers.ask(4.0, 0.0)
    home.inverter.advance(T0 + timedelta(minutes=10))
    home.inverter.advance(T0 + timedelta(minutes=5))
    home.inverter.advance(T0 + QUARTER)
    assert [each.injected_wh for each in home.readings()] == [1000]


def test_a_reading_is_stored_before_anybody_can_have_it() -> None:
    home = Home()
    home.inverter.advance(T0 + QUARTER)
    assert home.stored[-1].waiting == home.inverter.waiting
    assert home.stored[-1].sequence == 1


def test_what_was_received_is_forgotten_and_stays_so() -> None:
    home = Home()
    home.inverter.advance(T0 + 3 * QUARTER)
    first, second, third = home.inverter.waiting
    home.inverter.received([first, second])
    assert home.inverter.waiting == home.stored[-1].waiting == (third,)


@pytest.mark.parametrize(("off", "starts"), [(timedelta(minutes=3), [0, 1]), (timedelta(minutes=40), [0, 3, 4])])
def test_a_restart_goes_on_with_the_chain(off: timedelta, starts: list[int]) -> None:
    home = Home()
    home.registers.ask(4.0, 0.0)
    home.inverter.advance(T0 + timedelta(minutes=6))
    home.inverter.stop()
    again = home.restarted(T0 + timedelta(minutes=6) + off)
    again.inverter.advance(T0 + (starts[-1] + 1) * QUARTER)
    readings = again.readings()
    assert [(each.start - T0) // QUARTER for each in readings] == starts
    assert [each.sequence for each in readings] == list(range(len(starts)))
    assert readings[0].injected_wh == 400
    assert Flag.RESTARTED in readings[0].flags
    assert again.inverter.done.soc == pytest.approx(0.5 - 0.4 / 0.95 / 20.0, abs=2e-4)


def test_verification_accepts_every_reading_across_a_restart_and_none_twice() -> None:
    case = load_case("tiny")
    points = meter_points(case)
    keys = {point.name: DeviceKey.simulated(0, point.name) for point in (*points, head_point(case))}
    registry = KeyRegistry()
    for name, key in keys.items():
        registry = registry.enrol(name, key.public_key, case.clock.start - timedelta(days=1))
    ladder = Ladder(case, points, registry)
    home = Home(Memory(T0, 0.5), Nameplate(10.0, 20.0, case.scenario.battery, case.scenario.inverter))
    for quarter in range(1, 9):
        home.registers.ask(3.5 if quarter < 5 else -2.5, 1.0)
        if quarter == 4:
            home.inverter.advance(T0 + 3.5 * QUARTER)
            home.inverter.stop()
            home = home.restarted(T0 + 3.5 * QUARTER)
            home.registers.ask(3.5, 1.0)
        now = T0 + quarter * QUARTER
        home.inverter.advance(now)
        judged = ladder.judge(now - QUARTER, home.inverter.waiting, now + timedelta(minutes=1))
        mine = [verdict for verdict in judged.verdicts if verdict.device == "bat-00"]
        assert [reading.start for reading in judged.readings] == [now - QUARTER]
        assert {verdict.outcome for verdict in mine} == {"pass"}, mine
        again = ladder.judge(now - QUARTER, home.inverter.waiting, now + timedelta(minutes=1))
        assert again.readings == ()
        home.inverter.received(home.inverter.waiting)


def test_verification_refuses_what_another_key_signed() -> None:
    other = Meter("bat-00", DeviceKey.simulated(1, "bat-00"))
    memory = other.close(replace(Memory(T0, 0.5), at=T0 + QUARTER))
    with pytest.raises(Exception, match="no device has a key"):
        open_message(memory.waiting[0], REGISTRY, T0 + QUARTER)
