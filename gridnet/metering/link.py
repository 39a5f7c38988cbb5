"""The way from a meter to the head end: outages in bursts, late messages, duplicates.

A message about interval k is ready when step k + 1 begins, and arrives in that step where nothing is wrong. In an outage nothing
arrives; what was held back comes in one go when it ends, or never (a meter with a short memory). The same outage hides the
time signal that sets the meter's clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import Fault, InputError
from gridnet.metering.draws import uniforms

Ints = NDArray[np.int64]

# Outages are drawn one a block, and end within it: what happens at a step then follows from one block's draws. Blocks begin at
# noon where steps are quarter-hours from midnight, so that an outage may hide the setting of the clock.
_BLOCK = 96
_BLOCK_START = 48
LONGEST_OUTAGE = _BLOCK - 1
"""Steps; a longer one is a technician's case."""
_LATE, _DELAY, _TWICE, _AGAIN = range(4)
_BEGINS, _WHEN, _LENGTH, _LOST = range(4)


@dataclass(frozen=True)
class Link:
    """How bad the way is. Every meter has its own outages. Raises `InputError` listing each figure that can't be."""

    outages_per_day: float = 0.05
    """How often an outage begins, per meter and 96 steps: 1 at most."""
    outage_steps: float = 8.0
    """Mean length of an outage before it is cut at noon; lengths are geometric."""
    lost: float = 0.2
    """Share of the outages whose messages never come."""
    late: float = 0.01
    """Share of the messages that come late."""
    late_steps: int = 8
    """Most steps by which these are late, and after which a duplicate comes."""
    duplicates: float = 0.005
    """Share of the messages that come twice."""

    def __post_init__(self) -> None:
        shares = [(name, getattr(self, name)) for name in ("outages_per_day", "lost", "late", "duplicates")]
        faults = [Fault(name, str(share), "a share from 0 to 1") for name, share in shares if not 0.0 <= share <= 1.0]
        if not 1.0 <= self.outage_steps <= LONGEST_OUTAGE:
            faults.append(Fault("outage_steps", str(self.outage_steps), f"1 to {LONGEST_OUTAGE}"))
        if self.late_steps < 1:
            faults.append(Fault("late_steps", str(self.late_steps), "1 or more"))
        if faults:
            raise InputError("the link can't be so", faults)


PERFECT = Link(outages_per_day=0.0, late=0.0, duplicates=0.0)
"""Everything arrives at once, once."""


@dataclass(frozen=True, slots=True)
class Message:
    """A signed reading of `device` about step `measured`, on its way."""

    device: str
    measured: int
    raw: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """`raw` arrives in the course of `step`; `copy` is 1 for a duplicate. On time is `step == measured + 1`."""

    step: int
    device: str
    measured: int
    copy: int
    raw: bytes


def deliveries(messages: Iterable[Message], link: Link, seed: int) -> tuple[Delivery, ...]:
    """What arrives of `messages`, by step of arrival, then device and interval. Lost messages are not among them."""
    by_device: dict[str, list[Message]] = {}
    for message in messages:
        by_device.setdefault(message.device, []).append(message)
    arriving = [delivery for own in by_device.values() for delivery in _of_device(own, link, seed)]
    return tuple(sorted(arriving, key=lambda each: (each.step, each.device, each.measured, each.copy)))


def down(link: Link, seed: int, device: str, steps: Ints) -> NDArray[np.bool_]:
    """(steps,) whether `device` is in an outage, for consecutive `steps`."""
    ends, _ = _outages(link, seed, device, steps)
    return ends > 0


def _of_device(messages: list[Message], link: Link, seed: int) -> Iterator[Delivery]:
    first, last = min(message.measured for message in messages), max(message.measured for message in messages)
    # As far ahead as a duplicate of a late message that waited for the end of an outage.
    window = np.arange(first, last + 2 * link.late_steps + LONGEST_OUTAGE + 3, dtype=np.int64)
    ends, lost = _outages(link, seed, messages[0].device, window)
    drawn = uniforms(seed, f"{messages[0].device}/link", window, 4)

    def passed(step: int) -> int:
        return int(ends[step - first]) or step

    for message in messages:
        row, ready = message.measured - first, message.measured + 1
        if lost[row + 1]:
            continue
        late = drawn[row, _LATE] < link.late
        step = passed(ready + 1 + int(drawn[row, _DELAY] * link.late_steps) if late else ready)
        yield Delivery(step, message.device, message.measured, 0, message.raw)
        if drawn[row, _TWICE] < link.duplicates:
            again = passed(step + int(drawn[row, _AGAIN] * (link.late_steps + 1)))
            yield Delivery(again, message.device, message.measured, 1, message.raw)


def _outages(link: Link, seed: int, device: str, steps: Ints) -> tuple[Ints, NDArray[np.bool_]]:
    """(steps,) when the outage that holds a step ends, 0 where none does, and whether its messages are lost."""
    ends, lost = np.zeros(len(steps), dtype=np.int64), np.zeros(len(steps), dtype=np.bool_)
    if not len(steps):
        return ends, lost
    blocks = np.arange((steps[0] + _BLOCK_START) // _BLOCK, (steps[-1] + _BLOCK_START) // _BLOCK + 1)
    drawn = uniforms(seed, f"{device}/outages", blocks, 4)
    stay = 1.0 - 1.0 / link.outage_steps
    for block in np.flatnonzero(drawn[:, _BEGINS] < link.outages_per_day):
        # Inverse of the geometric distribution; with a mean of 1 every outage has 1 step.
        length = 1 if stay == 0.0 else 1 + int(np.log1p(-drawn[block, _LENGTH]) / np.log(stay))
        begin = int(drawn[block, _WHEN] * LONGEST_OUTAGE)
        base = int(blocks[block]) * _BLOCK - _BLOCK_START
        end = base + min(begin + length, LONGEST_OUTAGE)
        dark = (steps >= base + begin) & (steps < end)
        ends[dark], lost[dark] = end, drawn[block, _LOST] < link.lost
    return ends, lost
