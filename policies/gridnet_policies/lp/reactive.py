"""Reactive power: the inverter's circle as an inner polygon, and the reactive power that costs the least losses.

The polygon is a regular one of 12 sides with its corners on the circle, so what it allows an inverter can do. In the first
quadrant its sides are `cos(a) |p| + sin(a) |q| <= s cos(15 deg)` for `a` = 15, 45 and 75 degrees.

A linearisation tells where the losses are least, without another power flow (`gridnet.losses`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.linear import Sensitivity
from gridnet.losses import descend
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

SIDES_RAD = np.deg2rad([15.0, 45.0, 75.0])
"""Directions of the polygon's sides in the first quadrant."""

REACH = float(np.cos(SIDES_RAD[0]))
"""Distance of the sides from the centre, as a share of the rating."""


def room_kvar(task: Task) -> Floats:
    """(steps, devices) reactive power that every inverter has left at any active power that it can have at the step."""
    fleet = task.params.fleet
    most = np.hstack([np.broadcast_to(fleet.p_kw, (task.steps, fleet.batteries)), task.pv_available_kw])
    sides = [(fleet.s_kva * REACH - np.cos(side) * most) / np.sin(side) for side in SIDES_RAD]
    room: Floats = np.clip(np.min(sides, axis=0), 0.0, None)
    return room


def least_losses_kvar(task: Task, around: Sensitivity, q_kvar: Floats) -> Floats:
    """(steps, devices) reactive power with the least losses, other things as at the operating point `around`, where devices
    have `q_kvar`. Stays within `room_kvar`."""
    devices, bus, room = task.params.fleet.devices, task.params.device_bus, room_kvar(task)
    resistance = np.ascontiguousarray(around.d_vm[:, bus, :devices])
    best = np.clip(q_kvar, -room, room)
    slope = around.d_slack_p[:, devices:] + 2 * np.matvec(resistance, best - q_kvar)
    for t in range(task.steps):
        descend(resistance[t], slope[t], room[t], best[t])
    return best
