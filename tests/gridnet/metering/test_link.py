"""What is held back comes or is lost, in bursts; nothing is made up, and a cut of the messages changes nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError
from gridnet.metering.link import LONGEST_OUTAGE, PERFECT, Delivery, Link, Message, deliveries, down

STEPS = np.arange(500, 3500)
BAD = Link(outages_per_day=1.0, outage_steps=6.0, lost=0.5, late=0.05, late_steps=4, duplicates=0.05)


def _messages(device: str = "home-001") -> list[Message]:
    return [Message(device, int(step), f"{device}/{step}".encode()) for step in STEPS]


def _order(delivery: Delivery) -> tuple[int, str, int, int]:
    return delivery.step, delivery.device, delivery.measured, delivery.copy


def test_a_perfect_link_brings_everything_at_once_and_once() -> None:
    assert [(each.step, each.raw) for each in deliveries(_messages(), PERFECT, 1)] == [
        (message.measured + 1, message.raw) for message in _messages()
    ]
    assert not down(PERFECT, 1, "home-001", STEPS).any()


def test_a_message_arrives_as_it_was_and_not_before_its_interval_ended() -> None:
    arrived = deliveries(_messages(), BAD, 1)
    sent = {message.measured: message.raw for message in _messages()}
    assert all(each.raw == sent[each.measured] and each.step > each.measured for each in arrived)
    assert list(arrived) == sorted(arrived, key=_order)
    assert len({(each.measured, each.copy) for each in arrived}) == len(arrived)


def test_nothing_arrives_in_an_outage() -> None:
    dark = set(STEPS[down(BAD, 1, "home-001", STEPS)].tolist())
    arrived = deliveries(_messages(), BAD, 1)
    assert len(dark) > 100
    assert not dark & {each.step for each in arrived}
    late = Link(outages_per_day=1.0, outage_steps=6.0, late=0.0, duplicates=0.0)
    on_time = {each.measured for each in deliveries(_messages(), late, 1) if each.step == each.measured + 1}
    inside = {int(step) for step in STEPS[:-1]}
    assert on_time & inside == {step for step in inside if step + 1 not in dark}


def test_an_outage_ends_in_a_backlog_or_in_nothing() -> None:
    kept = deliveries(_messages(), Link(outages_per_day=1.0, lost=0.0, late=0.0, duplicates=0.0), 1)
    lost = deliveries(_messages(), Link(outages_per_day=1.0, lost=1.0, late=0.0, duplicates=0.0), 1)
    assert len(kept) == len(STEPS)
    assert {each.measured for each in lost} == {each.measured for each in kept if each.step == each.measured + 1}
    backlog = [each for each in kept if each.step > each.measured + 1]
    assert len(backlog) > len({each.step for each in backlog}) > 5
    assert max(each.step - each.measured for each in backlog) <= LONGEST_OUTAGE + 1


def test_shares_are_what_was_asked_for() -> None:
    arrived = deliveries([m for k in range(7) for m in _messages(f"home-{k:03d}")], Link(0.0, late=0.1, duplicates=0.05), 2)
    assert sum(each.copy == 0 and each.step > each.measured + 1 for each in arrived) / 21_000 == pytest.approx(0.1, abs=0.01)
    assert sum(each.copy for each in arrived) / 21_000 == pytest.approx(0.05, abs=0.01)
    dark = [down(Link(0.5, 8.0), 2, f"home-{k:03d}", STEPS).mean() for k in range(100)]
    assert np.mean(dark) == pytest.approx(0.5 * 8 / 96, rel=0.2)


def test_meters_and_seeds_have_outages_of_their_own() -> None:
    assert not np.array_equal(down(BAD, 1, "home-001", STEPS), down(BAD, 1, "home-002", STEPS))
    assert not np.array_equal(down(BAD, 1, "home-001", STEPS), down(BAD, 2, "home-001", STEPS))


@given(st.integers(1, len(STEPS) - 1), st.integers(0, 5))
def test_a_cut_changes_nothing(cut: int, seed: int) -> None:
    messages = _messages()
    parts = [*deliveries(messages[:cut], BAD, seed), *deliveries(messages[cut:], BAD, seed)]
    assert tuple(sorted(parts, key=_order)) == deliveries(messages, BAD, seed)
    assert np.array_equal(down(BAD, seed, "x", STEPS[cut:]), down(BAD, seed, "x", STEPS)[cut:])


def test_all_impossible_figures_are_told_at_once() -> None:
    with pytest.raises(InputError) as caught:
        Link(outages_per_day=-1.0, outage_steps=0.5, lost=2.0, late=-0.1, late_steps=0, duplicates=float("nan"))
    assert len(caught.value.faults) == 6
