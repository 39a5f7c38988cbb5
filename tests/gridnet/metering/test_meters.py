"""Registers keep energy, chains are unbroken, and where a simulation is cut leaves no trace in any byte."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from gridnet.errors import InputError
from gridnet.metering.cose import message_hash, open_message
from gridnet.metering.keys import Algorithm, DeviceKey
from gridnet.metering.link import Link, Message, deliveries, down
from gridnet.metering.meters import MeterPark, MeterState, measure, recording, sensed
from gridnet.metering.points import PointTruth
from gridnet.metering.reading import FIRST, Flag, Reading
from gridnet.metering.registry import KeyEntry, KeyRegistry
from gridnet.metering.tamper import Tamper

Park = Callable[..., MeterPark]
Street = Callable[..., PointTruth]
NOISY = {"accuracy": "1", "head_accuracy": "0.2", "drift_ppm": 100.0, "link": Link(outages_per_day=1.0, outage_steps=20.0)}


def _readings(park: MeterPark, messages: tuple[Message, ...], device: str) -> list[Reading]:
    start = park.clock.time_of(0)
    registry = KeyRegistry(tuple(KeyEntry(name, key.public_key, start) for name, key in park.keys.items()))
    own = [message for message in messages if message.device == device]
    return [open_message(each.raw, registry, park.clock.time_of(each.measured + 1)) for each in own]


def _run(park: MeterPark, truth: PointTruth) -> tuple[Message, ...]:
    return measure(park, MeterState.new(park, int(truth.step[0])), truth)[1]


def _with_p(truth: PointTruth, p_kw: np.ndarray) -> PointTruth:
    return replace(truth, p_kw=np.column_stack([p_kw, truth.p_kw[:, 1:]]))


powers = arrays(np.float64, 40, elements=st.floats(-20.0, 20.0, allow_subnormal=False))


@given(powers)
def test_registers_lose_no_energy(park: Park, street: Street, p_kw: np.ndarray) -> None:
    readings = _readings(park(), _run(park(), _with_p(street(200, 40), p_kw)), "home-001")
    for so_far in (1, 17, 40):
        injected = sum(reading.injected_wh for reading in readings[:so_far])
        drawn = sum(reading.drawn_wh for reading in readings[:so_far])
        assert injected == pytest.approx(np.floor(250.0 * p_kw[:so_far].clip(0.0).sum() + 1e-4), abs=1e-9)
        assert drawn == pytest.approx(np.floor(250.0 * (-p_kw[:so_far]).clip(0.0).sum() + 1e-4), abs=1e-9)


@given(powers)
def test_a_wrong_clock_moves_energy_and_makes_none(park: Park, street: Street, p_kw: np.ndarray) -> None:
    meters = park(drift_ppm=200.0, seed=3)
    readings = _readings(meters, _run(meters, _with_p(street(200, 40), p_kw)), "home-001")
    drift = abs(meters.errors(0).drift(200.0))
    assert drift > 0.0
    moved_wh = drift * 40 * 250.0 * np.abs(p_kw).max()
    assert abs(sum(reading.net_wh for reading in readings) - 250.0 * p_kw.sum()) <= 2.0 * moved_wh + 2.0


def test_a_slow_clock_counts_the_next_interval_early_and_once(park: Park, street: Street) -> None:
    meters = park(drift_ppm=4000.0, seed=3)
    steady = _with_p(street(192, 97), np.full(97, -8.0))
    used = [reading.drawn_wh for reading in _readings(meters, _run(meters, steady), "home-001")]
    drift = meters.errors(0).drift(4000.0)
    assert used[0] == pytest.approx(2000.0 * (1.0 + drift), abs=1.0)
    assert sum(used[:96]) == pytest.approx(2000.0 * 96 * (1.0 + drift), abs=1.0)
    assert sum(used) == pytest.approx(2000.0 * (97 + drift), abs=1.0), "set at midnight, the clock gives back what it took"


def test_readings_say_what_was_true(park: Park, street: Street) -> None:
    truth, meters = street(200, 5), park()
    messages = _run(meters, truth)
    battery, head = _readings(meters, messages, "bat-00")[2], _readings(meters, messages, "head")[2]
    assert battery.start == meters.clock.time_of(202)
    assert battery.soc_ppm == round(1e6 * truth.soc[2, 0])
    assert battery.voltage_mv == round(230_000 * truth.vm_pu[2, 3])
    assert battery.reactive_varh == pytest.approx(250 * truth.q_kvar[2, 3], abs=1.0)
    assert head.net_wh == pytest.approx(-250 * truth.head_p_kw[2], abs=2.0), "the feeder is the head meter's customer"
    assert head.reactive_varh == pytest.approx(-250 * truth.head_q_kvar[2], abs=1.0)
    assert head.soc_ppm is None
    assert not battery.flags


def test_chain_and_sequence_are_unbroken_for_each_meter_whatever_the_link(park: Park, street: Street) -> None:
    meters = park(**NOISY)
    messages = _run(meters, street(200, 300))
    assert len(deliveries(messages, meters.model.link, 0)) != len(messages), "the link does lose and double"
    for device in meters.names:
        own = [message.raw for message in messages if message.device == device]
        readings = _readings(meters, messages, device)
        assert [reading.sequence for reading in readings] == list(range(300))
        assert readings[0].previous == FIRST
        assert [reading.previous for reading in readings[1:]] == [message_hash(raw) for raw in own[:-1]]
        assert all(later.start == earlier.end for earlier, later in pairwise(readings))


@given(st.lists(st.integers(0, 60), max_size=4))
def test_a_simulation_goes_on_where_it_was_cut(park: Park, street: Street, cuts: list[int]) -> None:
    past = recording(park(), street(104, 96), "home-002")
    frauds = (Tamper("replayed", ("home-002",), first=300, recording=past), Tamper("opposed", ("home-001", "home-003"), 0.2))
    meters = replace(park(**NOISY), tampers=frauds)
    truth = street(260, 60)  # across midnight
    state, messages = MeterState.new(meters, 260), []
    for first, end in pairwise([0, *sorted(cuts), 60]):
        state, part = measure(meters, state, truth.rows(first, end))
        messages += part
    assert _bytes(tuple(messages)) == _bytes(_run(meters, truth))


def _bytes(messages: tuple[Message, ...]) -> list[bytes]:
    return [message.raw for message in messages]


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(park: Park, street: Street) -> None:
    truth = street(200, 10)
    first = _bytes(_run(park(**NOISY), truth))
    assert first == _bytes(_run(park(**NOISY), truth))
    other = _bytes(_run(park(**NOISY, seed=1), truth))
    assert not set(first) & set(other)


def test_a_tampered_meter_signs_valid_messages_and_its_neighbours_are_as_they_were(park: Park, street: Street) -> None:
    truth, honest = street(200, 20), park()
    thief = replace(honest, tampers=(Tamper("scaled", ("home-002",), 0.5, first=210),))
    before, after = _run(honest, truth), _run(thief, truth)
    taken = [reading.net_wh for reading in _readings(thief, after, "home-002")]
    true = [reading.net_wh for reading in _readings(honest, before, "home-002")]
    assert taken[:10] == true[:10]
    assert taken[10:] == pytest.approx([wh / 2 for wh in true[10:]], abs=2.0)
    for device in set(honest.names) - {"home-002"}:
        assert _readings(thief, after, device) == _readings(honest, before, device)


def test_a_recording_is_the_truth_of_its_meter(park: Park, street: Street) -> None:
    truth = street(200, 96)
    past = recording(park(), truth, "bat-00")
    assert past.first == 200
    assert np.array_equal(past.seen.p_kw, truth.p_kw[:, 3])
    assert np.array_equal(recording(park(), truth, "head").seen.p_kw, -truth.head_p_kw)
    assert np.array_equal(sensed(park(), truth).of(3).p_kw, past.seen.p_kw)


def test_a_clock_that_missed_its_setting_says_so(park: Park, street: Street) -> None:
    meters = park(link=Link(outages_per_day=1.0, outage_steps=30.0), seed=2)
    messages = _run(meters, street(96, 480))
    unsynced = np.array([[bool(each.flags) for each in _readings(meters, messages, name)] for name in meters.names])
    missed = np.array([down(meters.model.link, 2, name, np.arange(96, 576))[::96] for name in meters.names])
    assert missed[:, 1:].any()
    # The clock is set when the meter is installed, and a missed setting shows in the whole day after it.
    assert not unsynced[:, :96].any()
    assert np.array_equal(unsynced[:, 96::96], missed[:, 1:])
    assert np.array_equal(unsynced[:, 191::96], missed[:, 1:])
    assert all(not reading.flags for reading in _readings(park(), _run(park(), street(96, 200)), "home-001"))


def test_a_dead_bus_is_a_reading_without_voltage(park: Park, street: Street) -> None:
    truth = street(200, 2)
    truth.vm_pu[1, 0] = np.nan
    first, second = _readings(park(), _run(park(), truth), "home-001")
    assert (first.flags, second.flags) == (frozenset(), {Flag.NO_VOLTAGE})
    assert second.voltage_mv == 0 < first.voltage_mv


def test_a_rotated_key_goes_on_with_the_same_chain(park: Park, street: Street) -> None:
    before = park()
    state, first = measure(before, MeterState.new(before, 200), street(200, 3))
    fresh = DeviceKey.simulated(1, "home-001", 1, Algorithm.ES256)
    after = replace(before, keys={**before.keys, "home-001": fresh})
    _, second = measure(after, state, street(200, 6).rows(3, 6))
    own = [message.raw for message in (*first, *second) if message.device == "home-001"]
    registry = KeyRegistry().enrol("home-001", before.keys["home-001"].public_key, before.clock.time_of(0))
    registry = registry.rotate("home-001", fresh.public_key, before.clock.time_of(203))
    readings = [open_message(raw, registry, before.clock.time_of(300)) for raw in own]
    assert [reading.sequence for reading in readings] == list(range(6))
    assert readings[3].previous == message_hash(own[2])


def test_steps_must_follow_on_one_another(park: Park, street: Street) -> None:
    meters, truth = park(), street(200, 10)
    state, _ = measure(meters, MeterState.new(meters, 200), truth.rows(0, 5))
    for wrong in (truth.rows(4, 6), truth.rows(6, 8), truth.rows(0, 5)):
        with pytest.raises(InputError, match="step 205"):
            measure(meters, state, wrong)
    assert measure(meters, state, truth.rows(5, 5)) == (state, ())


def test_a_meter_without_a_key_is_refused(park: Park) -> None:
    with pytest.raises(InputError, match="home-001"):
        replace(park(), keys={})
