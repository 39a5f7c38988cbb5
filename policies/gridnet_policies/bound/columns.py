"""Where everything stands in the relaxation's matrix: columns, rows, and a builder that numbers them as it goes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Columns(NamedTuple):
    """Column numbers. Powers and currents are in units of `Relaxation.current` or of the device's rating."""

    u: Ints
    """(nodes,) squared voltage."""
    p: Ints
    """(branches,) power into the branch at its from end; `q` likewise."""
    q: Ints
    square: Ints
    """(branches,) squared current at the from end."""
    into: Ints
    """(1,) power that the upstream grid gives; `out`: takes; `slack_q`: reactive power it gives."""
    out: Ints
    slack_q: Ints
    charge: Ints
    """(batteries,) and so `discharge`, `battery_q`."""
    discharge: Ints
    battery_q: Ints
    pv: Ints
    """(plants,) and so `pv_q`."""
    pv_q: Ints

    @property
    def width(self) -> int:
        """How many columns there are."""
        return sum(len(part) for part in self)


class Rows(NamedTuple):
    """Row numbers of the blocks, in the order of their cones: zero, nonnegative, second-order."""

    balance_p: Ints
    """(nodes,) and so `balance_q`."""
    balance_q: Ints
    ohm: Ints
    """(branches,)"""
    slack_u: Ints
    u_max: Ints
    """(nodes,) and so `u_min`."""
    u_min: Ints
    square_max: Ints
    """(branches,)"""
    to_max: Ints
    """(branches with a limit of its own at the to end,)"""
    slack_max: Ints
    """(2,) into, out."""
    positive: Ints
    """Everything that has no negative values."""
    direction: Ints
    """(batteries,) charging and discharging share the rating."""
    pv_max: Ints
    """(plants,)"""
    branch_cone: Ints
    """(4 * branches,)"""
    circle: Ints
    """(3 * devices,)"""


def number_columns(nodes: int, branches: int, batteries: int, plants: int) -> Columns:
    """Numbers the columns in the order of their fields."""
    counts = [nodes, branches, branches, branches, 1, 1, 1, batteries, batteries, batteries, plants, plants]
    ends = np.cumsum(counts)
    return Columns(*(np.arange(end - count, end) for end, count in zip(ends, counts, strict=True)))


class Entries:
    """A sparse matrix that grows block by block."""

    def __init__(self) -> None:
        self.height = 0
        self._row: list[Ints] = []
        self._column: list[Ints] = []
        self._value: list[Floats] = []

    def block(self, rows: int) -> Ints:
        """The numbers of new rows."""
        self.height += rows
        return np.arange(self.height - rows, self.height)

    def put(self, row: Ints, column: Ints, value: Floats | float) -> None:
        """Adds entries one for one; those at the same place add up."""
        self._row.append(row)
        self._column.append(column)
        self._value.append(np.broadcast_to(np.asarray(value, dtype=np.float64), row.shape))

    def matrix(self, width: int) -> sparse.csc_matrix:
        """What was put, in compressed columns."""
        row, column, value = (np.concatenate(part) for part in (self._row, self._column, self._value))
        return sparse.csc_matrix((value, (row, column)), shape=(self.height, width))
