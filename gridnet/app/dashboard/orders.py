"""What a device was asked and did in a quarter-hour, and what stood in the way."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gridnet.app.dashboard.plan import Plan
from gridnet.app.service.frames import Frame
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.model import Setpoint

_SAME_KW, _SAME_SHARE = 0.01, 0.01
_SOC_NEAR = 0.005
_NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Order:
    """Of one device or, where `device` is None, of all that are shown. Powers in kW, means of the quarter-hour."""

    start: datetime
    device: str | None
    kind: str
    """expected or measured; empty where no frame is kept."""
    source: str
    reason: str
    asked_kw: float | None
    given_kw: float | None
    soc: float | None
    """At its end, 0 to 1; of several batteries the mean by capacity."""
    bound: str
    """What stood between what was asked and what was done, in words."""


def orders_of(
    live: LiveFeeder, plan: Plan, device: int, frames: Mapping[datetime, Frame], setpoints: Sequence[Setpoint]
) -> list[Order]:
    """One device's, by time. `frames`: by their starts. `setpoints`: those of its meter."""
    decided = {each.start: each for each in setpoints}
    store = device < live.case.fleet.batteries
    found = []
    for start in sorted(decided.keys() | frames.keys()):
        setpoint, frame = decided.get(start), frames.get(start)
        asked = frame.asked_kw[device] if frame is not None else setpoint.p_kw if setpoint is not None else None
        given = None if frame is None else frame.given_kw[device]
        soc = frame.soc[device] if frame is not None and store else None
        found.append(
            Order(
                start=start,
                device=plan.devices[device],
                kind="" if frame is None else frame.kind,
                source="default" if setpoint is None else setpoint.source,
                reason="nobody decided: its default control" if setpoint is None else setpoint.reason,
                asked_kw=asked,
                given_kw=given,
                soc=soc,
                bound=binding(live, device, asked, given, soc),
            )
        )
    return found


def totalled(live: LiveFeeder, orders: Mapping[int, Sequence[Order]]) -> list[Order]:
    """The orders of several devices, by number, as one for each quarter-hour. Powers are the batteries': what plants are asked is a
    ceiling, and no sum; where there are plants alone they are theirs."""
    batteries, e_kwh = live.case.fleet.batteries, live.case.fleet.e_kwh
    stores = {number for number in orders if number < batteries}
    at: dict[datetime, dict[int, Order]] = {}
    for number, own in orders.items():
        for order in own:
            at.setdefault(order.start, {})[number] = order
    found = []
    for start, those in sorted(at.items()):
        powered = [order for number, order in those.items() if number in stores or not stores]
        charged = [(order.soc, float(e_kwh[number])) for number, order in those.items() if order.soc is not None]
        capacity = sum(kwh for _, kwh in charged)
        found.append(
            Order(
                start=start,
                device=None,
                kind=powered[0].kind if powered else "",
                source=", ".join(dict.fromkeys(each.source for each in those.values())),
                reason=_counted([each.reason for each in those.values()]),
                asked_kw=_sum([each.asked_kw for each in powered]),
                given_kw=_sum([each.given_kw for each in powered]),
                soc=sum(soc * kwh for soc, kwh in charged) / capacity if capacity else None,
                bound=_counted([each.bound for each in those.values()]),
            )
        )
    return found


def binding(live: LiveFeeder, device: int, asked: float | None, given: float | None, soc: float | None) -> str:
    """What kept a device from what it was asked; empty where nothing did."""
    if asked is None or given is None:
        return ""
    fleet, plant = live.case.fleet, device >= live.case.fleet.batteries
    same = abs(given - asked) <= max(_SAME_KW, _SAME_SHARE * abs(asked))
    if plant:
        # Less than the ceiling is what the sun gave: nothing bound it.
        held = same and asked < fleet.s_kva[device] - _SAME_KW
        return (
            f"held at its ceiling of {asked:.2f} kW"
            if held
            else "it gave more than its ceiling"
            if given > asked and not same
            else ""
        )
    if same:
        return ""
    lowest, highest = fleet.soc_window
    if soc is not None and given > asked and asked < 0.0 and soc >= highest - _SOC_NEAR:
        return f"full, at {100 * highest:.0f} %"
    if soc is not None and given < asked and asked > 0.0 and soc <= lowest + _SOC_NEAR:
        return f"empty, at {100 * lowest:.0f} %"
    return "it did otherwise, by its own reading"


def _sum(values: Sequence[float | None]) -> float | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _counted(words: Sequence[str]) -> str:
    """Each of different words once, with how many devices it is said of. Numbers are left out: they differ from one to the next."""
    counts = Counter(_NUMBER.sub("..", each) for each in words if each)
    return "; ".join(f"{each} ({count})" for each, count in counts.items())
