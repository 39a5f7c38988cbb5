"""The distribution network as plain arrays: what the rest of gridnet knows of the grid.

`gridnet.network` fills these tables from pandapower; nothing here imports it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.series.compose import PvTable
from gridnet.series.households import LoadTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BASE_KVA = 1000.0
"""Power base of the per-unit arrays: 1 MVA, pandapower's default."""


class SolvedModel(NamedTuple):
    """What the compiler needs from a solved network, as plain arrays in per unit of `BASE_KVA`.

    `nodes` counts electrical nodes (fused buses are one node); `branch_*` rows are lines first, then transformers.
    """

    bus_node: Ints
    """(buses,) node of each bus of the network's table, -1 where the bus is dead."""
    slack_node: int
    slack_voltage: complex
    admittance: NDArray[np.complex128]
    """(nodes, nodes) bus admittance matrix."""
    branch_node: Ints
    """(branches, 2) from and to node, -1 where the branch is out of service."""
    branch_admittance: NDArray[np.complex128]
    """(branches, 4) yff, yft, ytf, ytt."""
    branch_percent: Floats
    """(branches, 2) loading in percent for 1 pu of current at the from and at the to end; 0 = unrated."""
    lines: int


@dataclass(frozen=True)
class BatteryTable:
    """Batteries of the network: power at the terminals and usable-window reference capacity."""

    name: tuple[str, ...]
    p_kw: Floats
    e_kwh: Floats


@dataclass(frozen=True)
class Feeder:
    """A network as arrays. Buses stand in the network's table order; `*_bus` arrays index them."""

    bus_name: tuple[str, ...]
    bus_xy: Floats
    """(buses, 2) coordinates for drawing: the network's own, else a tree layout."""
    bus_kv: Floats
    slack_bus: int
    line_name: tuple[str, ...]
    line_bus: Ints
    """(lines, 2)"""
    trafo_name: tuple[str, ...]
    trafo_bus: Ints
    """(trafos, 2)"""
    trafo_kva: Floats
    load: LoadTable
    load_bus: Ints
    pv: PvTable
    pv_bus: Ints
    battery: BatteryTable
    battery_bus: Ints
    model: SolvedModel
    """The network solved at rest, from which the power flow is compiled."""
