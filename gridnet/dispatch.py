"""What a policy hands to the grid: setpoints for one step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import InputError

Floats = NDArray[np.float64]

UNCURTAILED_KW = np.inf
"""Asked of a PV plant that shall give whatever the sun gives."""


def idle(batch: int, batteries: int, devices: int) -> Floats:
    """The setpoint that moves nothing: batteries rest, PV is uncurtailed, no reactive power. (batch, 2, devices)."""
    asked = np.zeros((batch, 2, devices))
    asked[:, 0, batteries:] = UNCURTAILED_KW
    return asked


def checked(asked: Floats, batch: int, devices: int) -> Floats:
    """A copy of `asked` as a contiguous (batch, 2, devices) array: p kW and q kvar of each device, batteries then PV.

    Raises `InputError` for another shape or a NaN: a setpoint that means nothing is refused, never taken for idle.
    """
    if asked.shape != (batch, 2, devices):
        raise InputError(f"setpoints have shape {asked.shape}, expected {(batch, 2, devices)}: batch, (p_kw, q_kvar), devices")
    if np.isnan(asked).any():
        row, quantity, device = (int(part[0]) for part in np.nonzero(np.isnan(asked)))
        raise InputError(f"setpoint of device {device} in row {row} is NaN ({('p_kw', 'q_kvar')[quantity]}); give a number")
    return np.array(asked, dtype=np.float64, order="C")
