"""Which number gets which colour: levels between edges, with the words of the legend. A level is a class of the style, so that
light and dark need no other numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from gridnet.app.dashboard.plan import Plan
from gridnet.app.dashboard.rendering import number
from gridnet.app.service.live import LiveFeeder

_NEAR, _FAR = 0.15, 0.5
"""Shares of what a voltage may deviate from 1 pu."""
_LOADED = (25.0, 50.0, 75.0, 100.0)


@dataclass(frozen=True)
class Scale:
    """A number below `edges[0]` has level 0, one from it on level 1 and so forth."""

    name: str
    unit: str
    edges: tuple[float, ...]
    decimals: int
    ends: tuple[str, str]
    """Words for the levels below and above all edges, before the edge."""

    def levels(self, values: Sequence[float | None]) -> list[int | None]:
        """Of each value; None where there is none."""
        found = np.array(values, dtype=np.float64)
        levels = np.digitize(found, self.edges)
        return [None if gap else int(level) for level, gap in zip(levels, np.isnan(found), strict=True)]

    @property
    def words(self) -> list[str]:
        """Of each level, the lowest first."""
        shown = [number(edge, self.decimals) for edge in self.edges]
        between = [f"{low} to {high}" for low, high in pairwise(shown)]
        return [f"{self.ends[0]} {shown[0]}", *between, f"{self.ends[1]} {shown[-1]}"]


@dataclass(frozen=True)
class Scales:
    """The map's three."""

    voltage: Scale
    loading: Scale
    injection: Scale


def scales_of(live: LiveFeeder, plan: Plan) -> Scales:
    """Voltages by the scenario's limits, loadings by the share of the limit that is used, injections by what homes can do."""
    limits, reach = live.case.scenario.limits, plan.reach_kw
    low, high = 1.0 - limits.vm_min_pu, limits.vm_max_pu - 1.0
    volts = (1.0 - low, 1.0 - _FAR * low, 1.0 - _NEAR * low, 1.0 + _NEAR * high, 1.0 + _FAR * high, 1.0 + high)
    flows = tuple(sign * share * reach for sign, share in ((-1, 0.5), (-1, 0.15), (-1, 0.02), (1, 0.02), (1, 0.15), (1, 0.5)))
    return Scales(
        Scale("Voltage", "pu", volts, 3, ("below the limit of", "above the limit of")),
        Scale("Loading", "% of the limit", _LOADED, 0, ("below", "above")),
        Scale("Home at its connection", "kW", flows, 0 if reach >= 100 else 1 if reach >= 10 else 2, ("below", "above")),
    )
