"""Each fraud does what it says and nothing else; without it the meters see what they saw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet.metering.tamper import SIZES, Model, Recording, Sensed, Tamper, tampered

NAMES = ("a", "b", "c")
STEPS = np.arange(1000, 1192)
PAST = Recording(904, Sensed(*(np.random.default_rng(9).uniform(-3.0, 2.0, (3, 96)))))
SINGLE: list[Model] = ["scaled", "shifted", "replayed", "clipped", "inflated", "stuck"]
PAIRED: list[Model] = ["opposed", "agreeing", "swapped"]
sizes = pytest.mark.parametrize("size", SIZES)


def _seen() -> Sensed:
    drawn = np.random.default_rng(5).uniform(-4.0, 3.0, (3, len(STEPS), len(NAMES)))
    return Sensed(drawn[0], drawn[1], 1.0 + drawn[2] / 100.0)


def _after(model: Model, size: float = 0.2, first: int = 0, end: int = 2**40) -> Sensed:
    meters = ("a", "b") if model in PAIRED else ("b",)
    return tampered(_seen(), STEPS, NAMES, [Tamper(model, meters, size, first, end, PAST)])


def _same(one: Sensed, other: Sensed) -> bool:
    return all(np.array_equal(*each) for each in zip(one, other, strict=True))


@pytest.mark.parametrize("model", SINGLE + PAIRED)
def test_a_fraud_touches_its_meters_in_its_steps_and_nothing_else(model: Model) -> None:
    before, after = _seen(), _after(model, first=1050, end=1100)
    touched = [0, 1] if model in PAIRED else [1]
    rest = [column for column in range(len(NAMES)) if column not in touched]
    for was, became in zip(before, after, strict=True):
        assert np.array_equal(was[:, rest], became[:, rest])
        assert np.array_equal(was[:50], became[:50])
        assert np.array_equal(was[100:], became[100:])
    for column in touched:
        assert not np.array_equal(before.p_kw[50:100, column], after.p_kw[50:100, column])


@pytest.mark.parametrize("model", ["shifted", "clipped", "inflated", "opposed", "agreeing"])
def test_reactive_power_and_voltage_stay_where_only_p_is_falsified(model: Model) -> None:
    before, after = _seen(), _after(model)
    assert np.array_equal(before.q_kvar, after.q_kvar)
    assert np.array_equal(before.vm_pu, after.vm_pu)


def test_a_fraud_begins_and_ends_with_its_steps_and_writes_over_nothing() -> None:
    before = _seen()
    after = tampered(before, STEPS, NAMES, [Tamper("scaled", ("a",), 0.1, 1050, 1100)])
    assert _same(before, _seen())
    assert np.flatnonzero(after.p_kw[:, 0] != before.p_kw[:, 0]).tolist() == list(range(50, 100))


def test_no_fraud_leaves_everything_as_it_is() -> None:
    assert _same(tampered(_seen(), STEPS, NAMES, []), _seen())


@sizes
def test_scaled_is_smaller_by_its_size(size: float) -> None:
    before, after = _seen(), _after("scaled", size)
    np.testing.assert_allclose(after.p_kw[:, 1], before.p_kw[:, 1] * (1 - size))
    np.testing.assert_allclose(after.q_kvar[:, 1], before.q_kvar[:, 1] * (1 - size))
    assert np.array_equal(after.vm_pu, before.vm_pu)


@sizes
def test_shifted_is_higher_by_its_share_of_the_past(size: float) -> None:
    np.testing.assert_allclose((_after("shifted", size).p_kw - _seen().p_kw)[:, 1], size * np.abs(PAST.seen.p_kw).mean())


def test_replayed_repeats_the_recorded_day_at_its_time_of_day() -> None:
    after = _after("replayed")
    for was, recorded in zip(after, PAST.seen, strict=True):
        assert np.array_equal(was[:96, 1], recorded)  # step 1000 is the recording's first step a day later
        assert np.array_equal(was[96:, 1], recorded)


@sizes
def test_clipped_cuts_draws_and_leaves_what_is_below(size: float) -> None:
    before, after = _seen().p_kw[:, 1], _after("clipped", size).p_kw[:, 1]
    floor = (1 - size) * PAST.seen.p_kw.min()
    assert after.min() == pytest.approx(floor)
    assert np.array_equal(after[before >= floor], before[before >= floor])
    assert (before < floor).any()


@sizes
def test_inflated_raises_what_is_injected_alone(size: float) -> None:
    before, after = _seen().p_kw[:, 1], _after("inflated", size).p_kw[:, 1]
    np.testing.assert_allclose(after[before > 0], before[before > 0] * (1 + size))
    assert np.array_equal(after[before <= 0], before[before <= 0])


def test_stuck_shows_one_value() -> None:
    for series, recorded in zip(_after("stuck"), PAST.seen, strict=True):
        assert set(series[:, 1]) == {recorded[0]}


@sizes
def test_opposed_meters_keep_their_sum_and_agreeing_ones_do_not(size: float) -> None:
    before, opposed, agreeing = _seen().p_kw, _after("opposed", size).p_kw, _after("agreeing", size).p_kw
    np.testing.assert_allclose(opposed.sum(axis=1), before.sum(axis=1))
    np.testing.assert_allclose(opposed[:, 0] - before[:, 0], size * np.abs(before[:, 0]))
    for column in (0, 1):
        np.testing.assert_allclose(agreeing[:, column] - before[:, column], size * np.abs(before[:, column]))


def test_swapped_meters_show_each_others_everything() -> None:
    for was, became in zip(_seen(), _after("swapped"), strict=True):
        assert np.array_equal(became, was[:, [1, 0, 2]])


def test_frauds_are_done_one_after_the_other() -> None:
    half, more = Tamper("scaled", ("a",), 0.5), Tamper("inflated", ("a",), 0.2)
    both = tampered(_seen(), STEPS, NAMES, [half, more])
    assert _same(both, tampered(tampered(_seen(), STEPS, NAMES, [half]), STEPS, NAMES, [more]))
    moved = tampered(_seen(), STEPS, NAMES, [half, Tamper("swapped", ("a", "b"))])
    assert np.array_equal(moved.p_kw[:, 1], _seen().p_kw[:, 0] * 0.5)


@given(st.sampled_from(SINGLE + PAIRED), st.integers(1, len(STEPS) - 1))
def test_a_fraud_does_the_same_in_any_cut_of_the_steps(model: Model, cut: int) -> None:
    meters = ("a", "b") if model in PAIRED else ("b",)
    fraud = [Tamper(model, meters, 0.1, 1020, 1150, PAST)]
    parts = [
        tampered(Sensed(*(each[rows] for each in _seen())), STEPS[rows], NAMES, fraud) for rows in (slice(cut), slice(cut, None))
    ]
    assert _same(Sensed(*map(np.concatenate, zip(*parts, strict=True))), tampered(_seen(), STEPS, NAMES, fraud))


@pytest.mark.parametrize(
    ("model", "meters", "size", "past"),
    [
        ("scaled", ("a", "b"), 0.1, None),
        ("swapped", ("a",), 0.0, None),
        ("opposed", ("a", "a"), 0.1, None),
        ("scaled", ("a",), 0.0, None),
        ("scaled", ("a",), 1.0, None),
        ("replayed", ("a",), 0.0, None),
        ("stuck", ("a",), 0.0, Recording(0, Sensed(np.empty(0), np.empty(0), np.empty(0)))),
    ],
)
def test_a_fraud_that_lacks_something_is_refused(
    model: Model, meters: tuple[str, ...], size: float, past: Recording | None
) -> None:
    with pytest.raises(InputError) as caught:
        Tamper(model, meters, size, recording=past)
    assert len(caught.value.faults) == 1


def test_a_fraud_at_no_meter_of_the_feeder_is_refused() -> None:
    with pytest.raises(InputError, match="zz"):
        tampered(_seen(), STEPS, NAMES, [Tamper("scaled", ("zz",), 0.1)])
