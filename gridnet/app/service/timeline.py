"""What a device shall do now and in every stretch that controls are published for: contiguous, for devices that lose the link.

What holds in a stretch is asked of `gridnet.app.service.effective`, so that no protocol tells a device anything else than another.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

from gridnet.app.service.effective import Said, effective
from gridnet.app.service.model import Device, Effective, Principal
from gridnet.app.service.service import Service

MOST_STEPS = 96


@dataclass(frozen=True)
class Timeline:
    """`steps`: now and next, each beginning where the one before ends. `after`: what holds when they are over."""

    steps: tuple[Effective, ...]
    after: Effective


def timeline(service: Service, by: Principal, device: Device) -> Timeline:
    """Of one device. Raises `NotFound`."""
    now = service.controls.effective(by, device.id)
    controls = service.controls.of_device(by, device.id)
    said = Said(device, controls, service.controls.default(by, device.id), now.end)
    first = replace(now, start=now.start.replace(microsecond=0))
    edges = sorted({now.end} | {time for each in controls for time in (each.start, each.end) if time > now.end})[:MOST_STEPS]
    ahead = [replace(effective(said, start), start=start, end=end) for start, end in pairwise(edges)]
    after = effective(replace(said, controls=(), default_until=edges[-1]), edges[-1])
    return Timeline((first, *ahead), after)
