"""Reactive power: the inverter's circle as an inner polygon, and the reactive power that costs the least losses.

The polygon is a regular one of 12 sides with its corners on the circle, so what it allows an inverter can do. In the first
quadrant its sides are `cos(a) |p| + sin(a) |q| <= s cos(15 deg)` for `a` = 15, 45 and 75 degrees.

Losses are quadratic in the injections with nearly the resistances between buses as coefficients, and those are what a
voltage answers to active power: `d loss / d q` moves by `2 * d vm / d p` per kvar (pu and base power cancel). So a
linearisation tells where the losses are least, without another power flow.

Source: Baran, Wu, "Optimal capacitor placement on radial distribution systems", IEEE Trans. Power Delivery 4(1), 1989: the
branch-flow equations, without their quadratic terms in the voltages.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.kernels import kernel
from gridnet.linear import Sensitivity
from gridnet_policies.lp.task import Task

Floats = NDArray[np.float64]

SIDES_RAD = np.deg2rad([15.0, 45.0, 75.0])
"""Directions of the polygon's sides in the first quadrant."""

REACH = float(np.cos(SIDES_RAD[0]))
"""Distance of the sides from the centre, as a share of the rating."""

_SWEEPS = 12


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
    _descend(resistance, slope, room, best)
    return best


@kernel
def _descend(resistance: Floats, slope: Floats, room: Floats, best: Floats) -> None:
    """Moves `best` (steps, devices) to least losses, one device after the other, again and again; `slope` follows."""
    steps, devices = best.shape
    for t in range(steps):
        for _ in range(_SWEEPS):
            for d in range(devices):
                # Devices at one bus share evenly: a little resistance of their own decides what the network leaves open.
                own = 1.05 * resistance[t, d, d]
                if own <= 0.0:
                    continue
                wanted = min(max(best[t, d] - 0.5 * slope[t, d] / own, -room[t, d]), room[t, d])
                for other in range(devices):
                    slope[t, other] += 2.0 * resistance[t, other, d] * (wanted - best[t, d])
                best[t, d] = wanted
