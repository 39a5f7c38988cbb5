"""Losses without a power flow: what the network's resistances say of them, compiled once.

Losses are quadratic in the injections with nearly the resistances between buses as coefficients, and those are what a
voltage answers to active power: `d loss / d q` moves by `2 * d vm / d p` per kvar, and `d loss / d p` by the same per kW (pu
and base power cancel). So one linearisation of a network tells, for any reactive load, what the inverters best give, and what
a fleet's power costs on its way.

Source: Baran, Wu, "Optimal capacitor placement on radial distribution systems", IEEE Trans. Power Delivery 4(1), 1989: the
branch-flow equations, without their quadratic terms in the voltages.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.feeder import Feeder
from gridnet.kernels import kernel
from gridnet.linear import linearise_pq
from gridnet.powerflow import PowerFlow

Floats = NDArray[np.float64]

SWEEPS = 12
_SETTLED_KVAR = 1e-3


class Losses(NamedTuple):
    """How losses answer to devices and loads, in kW, around the network with nothing connected."""

    reactive_slope: Floats
    """(devices,) per kvar of each device, where nobody gives or takes reactive power."""
    by_device: Floats
    """(devices, devices) half of what a device's slope gains per kvar, or kW, of another."""
    by_load: Floats
    """(devices, loads) the same per kvar, or kW, of each load."""


class FleetLosses(NamedTuple):
    """Losses that the batteries' power adds, as one: `own * p**2 + beside * p * surplus` in kW, for `p` shared by rating."""

    own: float
    beside: float


def compile_losses(power_flow: PowerFlow, feeder: Feeder, device_bus: NDArray[np.int64]) -> Losses:
    """Linearises the network with nothing connected, devices at `device_bus` (devices,)."""
    nothing = np.zeros((1, power_flow.buses))
    around = linearise_pq(power_flow, feeder.model, nothing, nothing, device_bus)
    devices = len(device_bus)
    answer = around.d_vm[0, :, :devices]
    return Losses(
        reactive_slope=np.ascontiguousarray(around.d_slack_p[0, devices:]),
        by_device=np.ascontiguousarray(answer[device_bus].T),
        by_load=np.ascontiguousarray(answer[feeder.load_bus].T),
    )


def fleet_losses(losses: Losses, battery_p_kw: Floats, load_p_kw: Floats, pv_p_kw: Floats) -> FleetLosses:
    """From ratings (batteries,) and the sizes of loads (loads,) and PV plants (pvs,), which say where a surplus arises."""
    batteries = len(battery_p_kw)
    share = battery_p_kw / max(battery_p_kw.sum(), 1e-9)
    of_load = load_p_kw / max(load_p_kw.sum(), 1e-9)
    of_pv = pv_p_kw / max(pv_p_kw.sum(), 1e-9)
    among = losses.by_device[:batteries]
    beside_load, beside_pv = share @ losses.by_load[:batteries] @ of_load, share @ among[:, batteries:] @ of_pv
    return FleetLosses(float(share @ among[:, :batteries] @ share), float(beside_load + beside_pv))


@kernel
def least_loss_kvar(losses: Losses, load_q_kvar: Floats, room_kvar: Floats, q_kvar: Floats) -> None:
    """Fills `q_kvar` (devices,) with the reactive power that leaves the least losses beside loads of `load_q_kvar` (loads,),
    within `room_kvar` (devices,) either way."""
    slope = losses.reactive_slope.copy()
    for d in range(slope.shape[0]):
        for k in range(load_q_kvar.shape[0]):
            slope[d] += 2.0 * losses.by_load[d, k] * load_q_kvar[k]
    q_kvar[:] = 0.0
    descend(losses.by_device, slope, room_kvar, q_kvar)


@kernel
def descend(by_device: Floats, slope: Floats, room_kvar: Floats, q_kvar: Floats) -> None:
    """Moves `q_kvar` (devices,) to least losses, one device after the other, again and again; `slope` follows."""
    devices = q_kvar.shape[0]
    for _ in range(SWEEPS):
        most = 0.0
        for d in range(devices):
            # Devices at one bus share evenly: a little resistance of their own decides what the network leaves open.
            own = 1.05 * by_device[d, d]
            if own <= 0.0:
                continue
            wanted = min(max(q_kvar[d] - 0.5 * slope[d] / own, -room_kvar[d]), room_kvar[d])
            moved = wanted - q_kvar[d]
            if moved != 0.0:
                for other in range(devices):
                    slope[other] += 2.0 * by_device[other, d] * moved
                q_kvar[d] = wanted
            most = max(most, abs(moved))
        if most < _SETTLED_KVAR:
            break
