"""Registers, readings and what outlives a restart."""

from __future__ import annotations

import stat
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from gridnet.app.device.meter import QUARTER, Memory, Meter, own_key, quarter_end
from gridnet.errors import InputError
from gridnet.metering.cose import open_message
from gridnet.metering.keys import DeviceKey
from gridnet.metering.reading import Flag, Reading
from gridnet.metering.registry import KeyRegistry

T0 = datetime(2026, 6, 1, 12, tzinfo=UTC)
KEY = DeviceKey.simulated(0, "bat-00")
METER = Meter("bat-00", KEY)
REGISTRY = KeyRegistry().enrol("bat-00", KEY.public_key, T0 - timedelta(days=1))


def _readings(memory: Memory) -> list[Reading]:
    return [open_message(raw, REGISTRY, memory.at) for raw in memory.waiting]


@given(st.lists(st.floats(-5.0, 5.0), min_size=1, max_size=30))
def test_what_the_readings_round_off_is_not_lost(powers: list[float]) -> None:
    memory = Memory(T0, 0.5)
    for p_kw in powers:
        memory = METER.close(replace(memory, at=memory.at + QUARTER, counted=memory.count(p_kw, 0.5 * p_kw, 0.25)))
    readings = _readings(memory)
    assert abs(sum(each.net_wh for each in readings) - 250.0 * sum(powers)) < 2.0
    assert abs(sum(each.reactive_varh for each in readings) - 125.0 * sum(powers)) < 1.001
    assert [each.sequence for each in readings] == list(range(len(powers)))
    assert [each.start for each in readings] == [T0 + n * QUARTER for n in range(len(powers))]


def test_injecting_and_drawing_are_counted_each_for_itself() -> None:
    memory = Memory(T0, 0.5, started=False)
    memory = replace(memory, counted=memory.count(4.0, 1.0, 0.125))
    memory = METER.close(replace(memory, at=T0 + QUARTER, counted=memory.count(-2.0, 1.0, 0.125)))
    (reading,) = _readings(memory)
    assert (reading.injected_wh, reading.drawn_wh, reading.reactive_varh) == (500, 250, 250)
    assert (reading.soc_ppm, reading.flags) == (500_000, frozenset())


def test_a_meter_that_started_within_the_interval_says_so_once() -> None:
    memory = METER.close(replace(Memory(T0, 0.5), at=T0 + QUARTER))
    memory = METER.close(replace(memory, at=T0 + 2 * QUARTER))
    assert [each.flags for each in _readings(memory)] == [frozenset({Flag.RESTARTED}), frozenset()]


def test_memory_is_read_as_it_was_written(tmp_path: Path) -> None:
    memory = METER.close(replace(Memory(T0, 0.123456789, counted=(1, 2, -3)), at=T0 + QUARTER))
    memory.write(tmp_path / "memory.json")
    assert Memory.read(tmp_path / "memory.json") == memory
    assert [path.name for path in tmp_path.iterdir()] == ["memory.json"]


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"at": 3}'])
def test_memory_that_is_none_is_bad_input(tmp_path: Path, text: str) -> None:
    (tmp_path / "memory.json").write_text(text)
    with pytest.raises(InputError, match="memory"):
        Memory.read(tmp_path / "memory.json")


def test_memory_that_can_not_be_written_is_bad_input(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="remember"):
        Memory(T0, 0.5).write(tmp_path / "none" / "memory.json")


def test_the_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "meter.key"
    assert own_key(path) == own_key(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text("no key")
    with pytest.raises(InputError, match="key"):
        own_key(path)


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_quarter_ends_after_every_moment_in_it(at: datetime) -> None:
    assume(at < datetime.max.replace(tzinfo=UTC) - QUARTER)
    end = quarter_end(at)
    assert timedelta(0) < end - at <= QUARTER
    assert (end.minute % 15, end.second, end.microsecond) == (0, 0, 0)
