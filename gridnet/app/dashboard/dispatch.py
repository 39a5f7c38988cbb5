"""The dispatch view: what was asked of devices on a day, what they did and why, and what was known ahead of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from gridnet.app.dashboard.days import Day, chosen, day_of
from gridnet.app.dashboard.looking import Deed, Feed, Looking, Page
from gridnet.app.dashboard.orders import Order, orders_of, totalled
from gridnet.app.dashboard.packing import packed
from gridnet.app.dashboard.plan import Plan, plan_of
from gridnet.app.dashboard.seen import Seen, seen_by
from gridnet.app.dashboard.strain import strain_of
from gridnet.app.service.errors import NotFound
from gridnet.app.service.frames import Frame
from gridnet.app.service.history import decided, dispatched
from gridnet.app.service.model import Control, Device, Effective, Role, Setpoint

ROLES: tuple[Role, ...] = ("operator", "prosumer", "aggregator", "device")
SEE_ALL: tuple[Role, ...] = ("operator", "prosumer")
"""Who sees sums over the community: its forecast, and how near the network is to its limits."""
MOST_NOW = 100
KW, PERCENT, CT = 1000.0, 10.0, 1000.0


@dataclass(frozen=True)
class _Chosen:
    """What a request asks for: a day, one device of the feeder (None: all that may be seen)."""

    day: Day
    plan: Plan
    seen: Seen
    device: int | None
    frames: list[Frame]

    @property
    def devices(self) -> tuple[int, ...]:
        return self.seen.devices if self.device is None else (self.device,)

    @property
    def registered(self) -> list[Device]:
        """Those that the service talks to."""
        if self.device is None:
            return list(self.seen.registered)
        found = self.seen.by_meter.get(self.plan.devices[self.device])
        return [] if found is None else [found]


def dispatch(looking: Looking) -> Mapping[str, object]:
    """A day of all devices or one: `?day=2026-03-01&device=bat-00`."""
    asked = _chosen(looking, looking.query.get("day"))
    orders = _orders(looking, asked)
    frame = chosen(asked.day, asked.frames, looking.query.get("at"))
    now = looking.service.clock()
    by_hand = _by_hand(looking, asked)
    return {
        "day": asked.day,
        "frame": frame,
        "choices": [asked.plan.devices[number] for number in asked.seen.devices],
        "device": None if asked.device is None else asked.plan.devices[asked.device],
        "sees_all": looking.by.role in SEE_ALL,
        "orders": orders,
        "by_hand": [(control, control.status(now)) for control in by_hand],
        "now": now,
        "effective": [_effective(looking, device) for device in asked.registered[:MOST_NOW]],
        "more": max(0, len(asked.registered) - MOST_NOW),
        "stores": any(each < _batteries(looking) for each in asked.devices),
    }


def day_feed(looking: Looking, day: str) -> Mapping[str, Any]:
    """What the charts of a day show, one number for each quarter-hour that a frame is kept of: whole numbers, `scale` of which make
    one of the field's units. Powers in kW, charge in percent of capacity, prices in ct/kWh, strain in percent of the limit."""
    asked = _chosen(looking, day)
    orders = {order.start: order for order in _orders(looking, asked)}
    # None where no device is shown.
    those = [orders.get(frame.start) for frame in asked.frames]
    columns: dict[str, tuple[list[float | None], float]] = {
        "asked_kw": ([None if each is None else each.asked_kw for each in those], KW),
        "given_kw": ([None if each is None else each.given_kw for each in those], KW),
        "soc_percent": ([None if each is None or each.soc is None else 100.0 * each.soc for each in those], PERCENT),
        "import_ct": ([100.0 * frame.import_eur_per_kwh for frame in asked.frames], CT),
        "export_ct": ([100.0 * frame.export_eur_per_kwh for frame in asked.frames], CT),
    }
    if looking.by.role in SEE_ALL:
        strains = [strain_of(looking.live, frame) for frame in asked.frames]
        columns |= {
            "vm_percent": ([each.vm_percent for each in strains], PERCENT),
            "loading_percent": ([each.loading_percent for each in strains], PERCENT),
            "load_kw": ([sum(frame.load_kw) for frame in asked.frames], KW),
            "pv_kw": ([sum(frame.given_kw[_batteries(looking) :]) for frame in asked.frames], KW),
        }
    return {
        "numbers": [asked.day.number(frame.start) for frame in asked.frames],
        "measured": [frame.kind == "measured" for frame in asked.frames],
        "scale": {name: scale for name, (_, scale) in columns.items()},
        **{name: packed(values, scale) for name, (values, scale) in columns.items()},
        **_bounds(looking, asked),
    }


def outlook_feed(looking: Looking, day: str, quarter: str) -> Mapping[str, Any]:
    """What was known when a quarter-hour of a day was decided, for the 24 hours from then on: of load and PV of the community in kW
    a row for each of `levels`, prices as far as they were published, in ct/kWh. Empty where nothing was kept. Raises `NotFound`."""
    of = day_of(looking, day)
    if not (quarter.isascii() and quarter.isdecimal() and int(quarter[:4]) < len(of.times)):
        raise NotFound(f"no quarter-hour {quarter[:8]}: a day has 0 to 95")
    found = looking.service.frames.outlook(of.times[int(quarter)])
    if found is None:
        return {"levels": [], "load_kw": [], "pv_kw": [], "import_ct": [], "export_ct": []}
    return {
        "levels": list(found.levels),
        "load_kw": [[round(each, 2) for each in row] for row in found.load_kw],
        "pv_kw": [[round(each, 2) for each in row] for row in found.pv_kw],
        "import_ct": [round(100.0 * each, 3) for each in found.import_eur_per_kwh],
        "export_ct": [round(100.0 * each, 3) for each in found.export_eur_per_kwh],
    }


def _chosen(looking: Looking, text: str | None) -> _Chosen:
    """Raises `InputError` for a day that is none, `NotFound` for a device that whoever looks may not know of."""
    plan, day = plan_of(looking.live), day_of(looking, text)
    seen = seen_by(looking, plan)
    name, device = looking.query.get("device", ""), None
    if name:
        device = next((number for number in seen.devices if plan.devices[number] == name), None)
        if device is None:
            raise NotFound(f"no device {name[:64]} on this feeder")
    return _Chosen(day, plan, seen, device, looking.service.frames.span(day.start, day.end))


def _orders(looking: Looking, asked: _Chosen) -> list[Order]:
    meters = [asked.plan.devices[number] for number in asked.devices]
    by_meter: dict[str, list[Setpoint]] = {meter: [] for meter in meters}
    for each in decided(looking.service.store, asked.day.start, asked.day.end, meters):
        by_meter[each.meter].append(each)
    frames: dict[datetime, Frame] = {frame.start: frame for frame in asked.frames}
    each_ones = {
        number: orders_of(looking.live, asked.plan, number, frames, by_meter[meter])
        for number, meter in zip(asked.devices, meters, strict=True)
    }
    return totalled(looking.live, each_ones) if asked.device is None else each_ones[asked.device]


def _by_hand(looking: Looking, asked: _Chosen) -> Sequence[Control]:
    everybody = looking.by.operates and asked.device is None
    devices = None if everybody else [device.id for device in asked.registered]
    return dispatched(looking.service.store, asked.day.start, asked.day.end, devices)


def _effective(looking: Looking, device: Device) -> tuple[Device, Effective]:
    return device, looking.service.controls.effective(looking.by, device.id)


def _bounds(looking: Looking, asked: _Chosen) -> dict[str, Any]:
    """The lines that a chart's numbers stay between."""
    fleet, stores = looking.live.case.fleet, [number for number in asked.devices if number < _batteries(looking)]
    powered = stores or list(asked.devices)
    return {
        "most_kw": round(float(fleet.s_kva[powered].sum()), 3),
        "least_kw": -round(float(fleet.s_kva[stores].sum()), 3) + 0.0,
        "soc_window": [round(100.0 * float(each), 1) for each in fleet.soc_window] if stores else None,
    }


def _batteries(looking: Looking) -> int:
    return looking.live.case.fleet.batteries


PAGES = (Page("/dispatch", "Dispatch", "dispatch.html.j2", dispatch, ROLES),)
FEEDS = (Feed("/dispatch/{day}", day_feed, ROLES), Feed("/outlook/{day}/{quarter}", outlook_feed, SEE_ALL))
DEEDS: tuple[Deed, ...] = ()
