"""How near to its limits a feeder was in a quarter-hour."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gridnet.app.service.frames import Frame
from gridnet.app.service.live import LiveFeeder
from gridnet.limits import PERCENT_TOLERANCE, VM_TOLERANCE_PU

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Strain:
    """The bus and the branch that were nearest to their limits; -1 and None where none has one."""

    bus: int
    vm_pu: float | None
    vm_percent: float | None
    """Share of the deviation from 1 pu that is allowed, 100 at the limit."""
    branch: int
    loading_percent: float | None
    """Of the limit."""
    broken: int
    """How many buses and branches were beyond their limits."""


def strain_of(live: LiveFeeder, frame: Frame) -> Strain:
    """Of one frame."""
    vm_pu = np.array(frame.vm_pu, dtype=np.float64)
    loading = np.array(frame.loading_percent, dtype=np.float64)
    share, used = _deviation(live, vm_pu), loading_shares(live, frame)
    bus, branch = _worst(share), _worst(used)
    limits = live.limits
    beyond = (vm_pu > limits.vm_max_pu + VM_TOLERANCE_PU) | (vm_pu < limits.vm_min_pu - VM_TOLERANCE_PU)
    over = loading > limits.percent + PERCENT_TOLERANCE
    return Strain(
        bus=bus,
        vm_pu=float(vm_pu[bus]) if bus >= 0 else None,
        vm_percent=100.0 * float(share[bus]) if bus >= 0 else None,
        branch=branch,
        loading_percent=float(used[branch]) if branch >= 0 else None,
        broken=int(beyond.sum() + over.sum()),
    )


def loading_shares(live: LiveFeeder, frame: Frame) -> Floats:
    """(branches,) percent of each branch's limit, NaN where it carries nothing."""
    return np.array(frame.loading_percent, dtype=np.float64) / live.limits.percent * 100.0


def _deviation(live: LiveFeeder, vm_pu: Floats) -> Floats:
    """(buses,) share of the allowed deviation, NaN where there is no limit."""
    limits = live.limits
    room = np.where(vm_pu >= 1.0, limits.vm_max_pu - 1.0, 1.0 - limits.vm_min_pu)
    return np.where(np.isfinite(room), np.abs(vm_pu - 1.0) / room, np.nan)


def _worst(share: Floats) -> int:
    return -1 if np.isnan(share).all() else int(np.nanargmax(share))
