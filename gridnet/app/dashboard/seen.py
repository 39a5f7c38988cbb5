"""What somebody may see of the feeder: an operator all of it; others their own devices, and the homes that are theirs alone."""

from __future__ import annotations

from dataclasses import dataclass

from gridnet.app.dashboard.looking import Looking
from gridnet.app.dashboard.plan import Home, Plan
from gridnet.app.service.model import Device

MOST_DEVICES = 10_000


@dataclass(frozen=True)
class Seen:
    """`devices`: of the feeder, by number. `homes`: those whose meters may be read."""

    devices: tuple[int, ...]
    homes: tuple[Home, ...]
    registered: tuple[Device, ...]
    """Devices that the service talks to, on the feeder or not."""

    @property
    def by_meter(self) -> dict[str, Device]:
        """The registered ones that a meter of the feeder speaks for."""
        return {device.meter: device for device in self.registered if device.meter is not None}


def seen_by(looking: Looking, plan: Plan) -> Seen:
    """What whoever looks may see."""
    devices = looking.service.devices
    own, _ = devices.page(looking.by, 0, MOST_DEVICES)
    if looking.by.operates:
        return Seen(tuple(range(len(plan.devices))), plan.homes, tuple(own))
    mine = _numbers(plan, own)
    with looking.service.store.read() as connection:
        others = _numbers(plan, devices.metered(connection)) - mine
    # A connection that is shared with somebody else's device tells of that one too.
    homes = tuple(home for home in plan.homes if mine & set(home.devices) and not others & set(home.devices))
    return Seen(tuple(sorted(mine)), homes, tuple(own))


def _numbers(plan: Plan, devices: list[Device]) -> set[int]:
    at = {name: number for number, name in enumerate(plan.devices)}
    return {at[device.meter] for device in devices if device.meter in at}
