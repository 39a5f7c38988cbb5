"""The ladder on signed messages: each rung refuses what it should, and honest exact meters pass them all."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from gridnet.errors import InputError
from gridnet.metering.cose import open_message, sign
from gridnet.metering.keys import DeviceKey
from gridnet.metering.points import meter_points
from gridnet.metering.reading import FIRST, Reading
from gridnet.metering.registry import KeyRegistry
from gridnet.metering.tamper import Tamper
from gridnet.verification.ladder import Judged, Ladder
from gridnet.verification.settings import Settings
from gridnet.verification.verdict import Level, Verdict

QUARTER = timedelta(minutes=15)
LATE = Settings().late


def _judge(feeder, ladder: Ladder, step: int, messages: tuple[bytes, ...] | None = None, after: timedelta = QUARTER) -> Judged:
    raws = feeder.messages[step] if messages is None else messages
    return ladder.judge(feeder.time(step), raws, feeder.time(step) + QUARTER + after)


def _against(judged: Judged) -> list[Verdict]:
    return [verdict for verdict in judged.verdicts if verdict.outcome != "pass"]


def _reading(feeder, step: int, device: str) -> Reading:
    opened = (open_message(raw, feeder.registry, feeder.time(step) + QUARTER) for raw in feeder.messages[step])
    return next(reading for reading in opened if reading.device == device)


def _raw(feeder, step: int, device: str) -> bytes:
    return next(
        raw for raw in feeder.messages[step] if open_message(raw, feeder.registry, feeder.time(step) + QUARTER).device == device
    )


@pytest.fixture(scope="module")
def day(signed):
    return signed()


@pytest.fixture(scope="module")
def home(day) -> str:
    return day.ladder().homes[0]


def test_a_day_of_honest_exact_meters_raises_no_verdict_at_any_rung(day) -> None:
    ladder, raised = day.ladder(), []
    for step in range(96):
        judged = _judge(day, ladder, step)
        raised += _against(judged)
        assert len(judged.readings) == len(day.messages[step])
        assert judged.missing == ()
        assert any(each.level is Level.BALANCED for each in judged.verdicts)
    raised += [each for each in ladder.close_day(day.time(95).date()) if each.outcome != "pass"]

    assert raised == []


def test_the_order_of_messages_changes_neither_readings_nor_digests(day) -> None:
    messages = (*day.messages[3], b"noise", b"more noise", day.messages[3][0][:-1])
    straight = _judge(day, day.ladder(), 3, messages)
    turned = _judge(day, day.ladder(), 3, messages[::-1])

    assert turned.readings == straight.readings
    assert [each.digest() for each in turned.verdicts] == [each.digest() for each in straight.verdicts]


def test_a_late_reading_comes_back_with_its_own_interval(day, home: str) -> None:
    ladder = day.ladder()
    held = _raw(day, 0, home)
    first = _judge(day, ladder, 0, tuple(raw for raw in day.messages[0] if raw != held))
    second = _judge(day, ladder, 1, (*day.messages[1], held))

    assert first.missing == (home,)
    assert [reading.start for reading in second.by_device[home]] == [day.time(0), day.time(1)]
    assert _against(second) == []


def test_a_reading_beyond_the_late_window_is_refused(day, home: str) -> None:
    raw = _raw(day, 0, home)
    in_time = _judge(day, day.ladder(), 0, (raw,), after=LATE)
    too_late = _judge(day, day.ladder(), 0, (raw,), after=LATE + QUARTER)

    assert len(in_time.readings) == 1
    assert too_late.readings == ()
    assert _against(too_late)[0].level is Level.SIGNED


def test_a_reading_from_the_future_is_refused(day, home: str) -> None:
    judged = day.ladder().judge(day.time(0), (_raw(day, 1, home),), day.time(1))

    assert judged.readings == ()
    assert "900 s after" in _against(judged)[0].finding


def test_a_copy_is_neither_counted_nor_held_against_anybody(day, home: str) -> None:
    ladder = day.ladder()
    raw = _raw(day, 0, home)
    judged = _judge(day, ladder, 0, (raw, raw))
    again = _judge(day, ladder, 1, (raw,))

    assert len(judged.readings) == 1
    assert again.readings == ()
    assert _against(judged) == _against(again) == []


def test_a_byte_changed_anywhere_is_refused(day, home: str) -> None:
    raw = _raw(day, 0, home)
    for place in range(0, len(raw), 7):
        changed = raw[:place] + bytes([raw[place] ^ 1]) + raw[place + 1 :]
        judged = _judge(day, day.ladder(), 0, (changed,))
        assert judged.readings == ()
        assert _against(judged)[0].outcome == "reject"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sequence": 0, "drawn_wh": 7}, "used for another reading"),
        ({"sequence": 1, "previous": bytes(31) + b"x"}, "does not name the hash"),
        ({"sequence": 5, "previous": bytes(31) + b"x", "start": "same"}, "already stated this interval"),
    ],
    ids=["sequence used twice", "another chain", "interval stated twice"],
)
def test_a_device_that_contradicts_itself_is_refused(day, home: str, change: dict[str, object], words: str) -> None:
    ladder, change = day.ladder(), dict(change)
    _judge(day, ladder, 0)
    start = day.time(0) if change.pop("start", None) else day.time(1) if change["sequence"] else day.time(0)
    reading = replace(_reading(day, 0, home), start=start, **change)  # type: ignore[arg-type]
    judged = _judge(day, ladder, 1, (sign(reading, day.keys[home]),))

    assert judged.readings == ()
    assert (_against(judged)[0].device, _against(judged)[0].level) == (home, Level.SIGNED)
    assert words in _against(judged)[0].finding


def test_another_meter_in_the_place_of_one_begins_its_own_chain(day, home: str) -> None:
    ladder, other = day.ladder(), DeviceKey.simulated(1, home, generation=7)
    for step in range(3):
        _judge(day, ladder, step)
    ladder.registry = ladder.registry.rotate(home, other.public_key, day.time(3))
    first = replace(_reading(day, 3, home), sequence=0, previous=FIRST)
    swapped = tuple(sign(first, other) if raw == _raw(day, 3, home) else raw for raw in day.messages[3])

    judged = _judge(day, ladder, 3, swapped)

    assert home in judged.by_device
    assert not _against(judged)
    again = sign(replace(first, sequence=1, previous=FIRST, start=first.start + QUARTER), other)
    rest = tuple(again if raw == _raw(day, 4, home) else raw for raw in day.messages[4])
    assert home in {verdict.device for verdict in _against(_judge(day, ladder, 4, rest))}, "the new chain is held to its hashes too"


def test_a_sequence_that_goes_back_in_time_is_refused(day, home: str) -> None:
    ladder = day.ladder()
    _judge(day, ladder, 2)
    reading = replace(_reading(day, 1, home), sequence=9, previous=bytes(31) + b"x")
    judged = _judge(day, ladder, 2, (sign(reading, day.keys[home]),))

    assert "back in time" in _against(judged)[0].finding


def test_a_gap_in_the_sequence_is_a_lost_message_and_no_fault(day, home: str) -> None:
    ladder = day.ladder()
    _judge(day, ladder, 0)
    judged = _judge(day, ladder, 4)

    assert _against(judged) == []


def test_a_meter_of_another_feeder_does_not_count(day) -> None:
    key = DeviceKey.simulated(7, "home-999")
    ladder = day.ladder()
    ladder.registry = day.registry.enrol("home-999", key.public_key, day.time(0) - QUARTER)
    reading = replace(_reading(day, 0, ladder.homes[0]), device="home-999", previous=FIRST)
    judged = _judge(day, ladder, 0, (sign(reading, key),))

    assert judged.readings == ()
    assert _against(judged)[0].device == "unknown"


def test_more_than_the_nameplate_is_held_but_counts(day) -> None:
    reading = replace(_reading(day, 0, "bat-00"), injected_wh=10**6)
    judged = _judge(day, day.ladder(), 0, (sign(reading, day.keys["bat-00"]),))

    assert len(judged.readings) == 1
    assert {each.level for each in _against(judged)} == {Level.POSSIBLE}
    assert any("capacity" in each.finding for each in _against(judged))


def test_sun_that_never_shone_is_held_and_a_plant_draws_nothing(day) -> None:
    noon = next(step for step in range(95, -1, -1) if _reading(day, step, "pv-00").injected_wh > 100)
    key, honest = day.keys["pv-00"], _reading(day, noon, "pv-00")
    verdicts = {
        share: _against(
            _judge(day, day.ladder(), noon, (sign(replace(honest, injected_wh=round(share * honest.injected_wh)), key),))
        )
        for share in (1.0, 1.05, 1.5)
    }
    drawing = replace(honest, injected_wh=0, drawn_wh=50)

    assert verdicts[1.0] == verdicts[1.05] == []
    assert any("the sun gave" in each.finding for each in verdicts[1.5])
    assert "drew" in _against(_judge(day, day.ladder(), noon, (sign(drawing, key),)))[0].finding


def test_a_battery_whose_charge_does_not_follow_its_energy_is_held(day) -> None:
    before, ladder = _reading(day, 0, "bat-00"), day.ladder()
    _judge(day, ladder, 0)
    honest = _reading(day, 1, "bat-00")
    assert before.soc_ppm is not None
    lying = replace(honest, soc_ppm=min(1_000_000, before.soc_ppm + 300_000))
    judged = _judge(day, ladder, 1, (sign(lying, day.keys["bat-00"]),))

    assert "its charge moved" in _against(judged)[0].finding


def test_a_home_cannot_inject_more_than_its_devices(day) -> None:
    ladder = day.ladder()
    pv = next(point for point in meter_points(day.case) if point.kind == "pv")
    home = f"home-{pv.bus:03d}"
    lying = sign(replace(_reading(day, 0, home), injected_wh=5000, drawn_wh=0), day.keys[home])
    judged = _judge(day, ladder, 0, (*(raw for raw in day.messages[0] if raw != _raw(day, 0, home)), lying))

    assert any("its load would have to generate" in each.finding for each in _against(judged))
    assert any(each.level is Level.BALANCED for each in _against(judged)), "and the head does not balance"


def test_self_consumption_behind_the_meter_is_not_seen(day) -> None:
    """A blind spot: a plant's sub-meter that reports more than it made, where the home's own load would explain it."""
    pv = next(point for point in meter_points(day.case) if point.kind == "pv")
    noon = max(range(96), key=lambda step: _reading(day, step, pv.name).injected_wh)
    honest = _reading(day, noon, pv.name)
    lying = sign(replace(honest, injected_wh=round(1.08 * honest.injected_wh)), day.keys[pv.name])
    rest = tuple(raw for raw in day.messages[noon] if raw != _raw(day, noon, pv.name))

    assert _against(_judge(day, day.ladder(), noon, (*rest, lying))) == []


def test_a_scaled_home_is_held_at_the_close_of_the_day(signed) -> None:
    name = signed(1).ladder().homes[0]
    feeder = signed(96, (Tamper("scaled", (name,), 0.5),))
    ladder = feeder.ladder(replace(Settings(), interval_sigmas=50.0))
    for step in range(96):
        _judge(feeder, ladder, step)
    verdicts = [each for day in sorted({feeder.time(step).date() for step in (0, 95)}) for each in ladder.close_day(day)]
    held = {(each.device, each.level) for each in verdicts if each.outcome == "hold"}

    assert ("head", Level.BALANCED) in held
    assert (name, Level.LOCATED) in held
    assert [each.digest() for each in verdicts][-1] == verdicts[-1].digest()


def test_a_registry_without_a_meter_is_refused_by_name(day) -> None:
    with pytest.raises(InputError, match="head: got no key"):
        Ladder(day.case, meter_points(day.case), KeyRegistry())


def test_settings_that_cannot_be_are_refused_together() -> None:
    with pytest.raises(InputError) as refused:
        Settings(false_alarms=0.0, window_days=29, voltage_ratio=float("nan"))
    assert len(refused.value.faults) == 3


def test_arrays_hold_what_the_readings_say(day) -> None:
    ladder = day.ladder()
    for step in range(3):
        _judge(day, ladder, step)
    reported = ladder.reported(day.time(0), day.time(3))
    reading = _reading(day, 1, ladder.homes[0])

    assert reported.p_kw.shape == (3, len(ladder.homes))
    assert reported.p_kw[1, 0] == pytest.approx(reading.net_wh * 4 / 1000)
    assert reported.vm_pu[1, 0] == pytest.approx(reading.voltage_mv / 230_000)
    assert not np.isnan(reported.head_kw).any()
