"""Which column of the programme is which variable."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]


class Columns:
    """One block of columns per slot, a slot holding one step of the plan; behind them the columns of the whole plan.

    | columns | shape | meaning |
    |---|---|---|
    | `charge`, `discharge`, `stored` | (slots, batteries) | kW, kW, kWh after the step |
    | `pv` | (slots, pvs) | kW |
    | `up`, `down` | (slots, devices) | kvar above and below the centre; no devices where reactive power is off |
    | `imported`, `exported` | (slots,) | kW |
    | `excess` | (slots, 3) | percent beyond the limits of each kind |
    | `peak`, `gained`, `missing` | | kW above what was reached; kWh |
    """

    def __init__(self, slots: int, batteries: int, pvs: int, reactive: bool) -> None:
        shifted = batteries + pvs if reactive else 0
        widths = [batteries] * 3 + [pvs] + [shifted] * 2 + [1, 1, 3]
        starts = np.concatenate([[0], np.cumsum(widths)])
        blocks = np.arange(slots * starts[-1], dtype=np.int32).reshape(slots, -1)
        parts = [blocks[:, first:last] for first, last in itertools.pairwise(starts)]
        self.charge, self.discharge, self.stored, self.pv, self.up, self.down, imported, exported, self.excess = parts
        self.imported, self.exported = imported[:, 0], exported[:, 0]
        self.peak, self.gained, self.missing = blocks.size, blocks.size + 1, blocks.size + 2
        self.count = blocks.size + 3

    def controls(self) -> tuple[Ints, Ints, NDArray[np.float64]]:
        """The columns that move power, (slots, moving); the control each belongs to and its sign, (moving,)."""
        batteries, pvs, shifted = self.charge.shape[1], self.pv.shape[1], self.up.shape[1]
        own, reactive = np.arange(batteries), batteries + pvs + np.arange(shifted)
        columns = np.hstack([self.discharge, self.charge, self.pv, self.up, self.down])
        control = np.concatenate([own, own, batteries + np.arange(pvs), reactive, reactive])
        ones = [np.ones(batteries), -np.ones(batteries), np.ones(pvs), np.ones(shifted), -np.ones(shifted)]
        return columns, control.astype(np.int32), np.concatenate(ones)
