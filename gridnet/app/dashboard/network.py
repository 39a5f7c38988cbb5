"""The network map: the feeder with a quarter-hour's voltages, loadings and injections, of any day that is kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gridnet.app.dashboard.days import QUARTER, day_of, frame_at
from gridnet.app.dashboard.looking import Deed, Feed, Looking, Page
from gridnet.app.dashboard.packing import packed
from gridnet.app.dashboard.plan import Plan, plan_of
from gridnet.app.dashboard.scales import Scales, scales_of
from gridnet.app.dashboard.seen import Seen, seen_by
from gridnet.app.dashboard.strain import loading_shares, strain_of
from gridnet.app.service.frames import Frame
from gridnet.app.service.live import LiveFeeder

VM, PERCENT, KW, SHARE = 1e5, 10.0, 100.0, 1e3
"""How many units of the feed make one of the field: it holds whole numbers."""


def network(looking: Looking) -> Mapping[str, object]:
    """The map at one quarter-hour: `?day=2026-03-01&at=14:15`."""
    live, plan = looking.live, plan_of(looking.live)
    day = day_of(looking, looking.query.get("day"))
    frame = frame_at(looking, day, looking.query.get("at"))
    seen, scales = seen_by(looking, plan), scales_of(live, plan)
    return {
        "day": day,
        "plan": plan,
        "scales": scales,
        "homes": seen.homes,
        "all_homes": len(plan.homes),
        "frame": frame,
        "number": None if frame is None else day.number(frame.start),
        "strain": None if frame is None else strain_of(live, frame),
        "levels": None if frame is None else _levels(live, scales, frame),
    }


def frames_of_day(looking: Looking, day: str) -> Mapping[str, Any]:
    """Frames of a day, from the quarter-hour `?since=` (its number, 0 to 95) on: whole numbers, a row for each frame.

    `scale` says how many of them make one of the field's units. Voltages in pu, loadings in percent of the limit, powers in kW.
    """
    plan, of = plan_of(looking.live), day_of(looking, day)
    since = looking.query.get("since", "0")
    number = min(int(since), 95) if since.isascii() and since.isdecimal() and len(since) < 4 else 0
    frames = looking.service.frames.span(of.start + number * QUARTER, of.end)
    newest = looking.service.frames.newest()
    return {
        "day": f"{of.start:%Y-%m-%d}",
        "newest": None if newest is None else newest.isoformat(),
        "scale": {
            "vm_pu": VM,
            "loading": PERCENT,
            "load_kw": KW,
            "net_kw": KW,
            "asked_kw": KW,
            "given_kw": KW,
            "soc": SHARE,
        },
        "numbers": [of.number(frame.start) for frame in frames],
        "measured": [frame.kind == "measured" for frame in frames],
        "totals": [_totals(looking.live, plan, frame) for frame in frames],
        "vm_pu": [packed(frame.vm_pu, VM) for frame in frames],
        "loading": [packed(loading_shares(looking.live, frame), PERCENT) for frame in frames],
        **_own(seen_by(looking, plan), looking.live.case.fleet.batteries, frames),
    }


def _own(seen: Seen, batteries: int, frames: Sequence[Frame]) -> dict[str, Any]:
    """Of homes and devices, in the order of `homes` and `devices`: those that may be seen."""
    homes = [home.number for home in seen.homes]
    stores = [number for number in seen.devices if number < batteries]

    def column(name: str, which: Sequence[int], scale: float) -> list[list[int | None]]:
        return [packed([getattr(frame, name)[number] for number in which], scale) for frame in frames]

    return {
        "homes": homes,
        "devices": list(seen.devices),
        "load_kw": column("load_kw", homes, KW),
        "net_kw": column("net_kw", homes, KW),
        "asked_kw": column("asked_kw", seen.devices, KW),
        "given_kw": column("given_kw", seen.devices, KW),
        "soc": column("soc", stores, SHARE),
    }


def _totals(live: LiveFeeder, plan: Plan, frame: Frame) -> dict[str, Any]:
    """What the table beside the map shows."""
    strain = strain_of(live, frame)
    return {
        "bus": plan.buses[strain.bus].name if strain.bus >= 0 else None,
        "vm_pu": _rounded(strain.vm_pu, 4),
        "branch": plan.branches[strain.branch].name if strain.branch >= 0 else None,
        "loading": _rounded(strain.loading_percent, 1),
        "broken": strain.broken,
        "head_kw": round(frame.head_kw, 2),
        "head_kvar": round(frame.head_kvar, 2),
        "loss_kw": round(frame.loss_kw, 3),
        "import_ct": round(100.0 * frame.import_eur_per_kwh, 3),
        "export_ct": round(100.0 * frame.export_eur_per_kwh, 3),
        "carbon": round(frame.carbon_g_per_kwh),
    }


def _levels(live: LiveFeeder, scales: Scales, frame: Frame) -> Mapping[str, Sequence[int | None]]:
    return {
        "bus": scales.voltage.levels(frame.vm_pu),
        "branch": scales.loading.levels(loading_shares(live, frame).tolist()),
        "home": scales.injection.levels(frame.net_kw),
    }


def _rounded(value: float | None, decimals: int) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, decimals)


PAGES = (Page("/network", "Network", "network.html.j2", network, ("operator", "prosumer")),)
FEEDS = (Feed("/network/{day}", frames_of_day, ("operator", "prosumer")),)
DEEDS: tuple[Deed, ...] = ()
