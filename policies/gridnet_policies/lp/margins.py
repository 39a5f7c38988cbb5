"""Network limits as one table of margins, and the linear cuts made from it where a limit is broken.

A margin says by how many percent a limit is exceeded: of nominal voltage at a bus, of rated current at a branch;
negative where there is room. Its columns are the lower voltage limit of each bus, the upper one, and the loading of each
branch (lines, then transformers).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.limits import PERCENT_TOLERANCE, VM_TOLERANCE_PU, NetworkLimits
from gridnet.linear import Sensitivity

Floats = NDArray[np.float64]

Kind = Literal["vm_min", "vm_max", "loading"]
KINDS: tuple[Kind, ...] = ("vm_min", "vm_max", "loading")

WORST = 3
"""Cuts of one kind added to a step at a time. Neighbouring buses answer alike, so the worst few speak for the others;
the rest follow in the next pass if they are still broken."""


class Key(NamedTuple):
    """One limit at one step of the plan; `column` counts within its kind."""

    kind: Kind
    step: int
    column: int


class Cut(NamedTuple):
    """`slope @ controls <= bound_percent`, softened; `slope` (controls,) percent per kW or kvar."""

    key: Key
    slope: Floats
    bound_percent: float
    turn_rad: float
    """Of a loading: the current's direction, from that at the operating point."""


def margins(limits: NetworkLimits, vm_pu: Floats, loading_percent: Floats) -> Floats:
    """(steps, 2 * buses + branches) percent beyond each limit; -inf where there is no limit."""
    known = np.isfinite(limits.vm_max_pu)
    under = np.where(known, 100 * (limits.vm_min_pu - vm_pu), -np.inf)
    over = np.where(known, 100 * (vm_pu - limits.vm_max_pu), -np.inf)
    return np.hstack([under, over, loading_percent - limits.percent])


def predicted(limits: NetworkLimits, around: Sensitivity, moved: Floats) -> Floats:
    """The margins that the sensitivities expect when controls move by `moved` (steps, controls) kW and kvar."""
    vm = around.vm_pu + np.matvec(around.d_vm, moved)
    along, across = around.loading_percent + np.matvec(around.d_loading, moved), np.matvec(around.d_turn, moved)
    return margins(limits, vm, np.hypot(along, across))


def tolerances(limits: NetworkLimits) -> Floats:
    """(2 * buses + branches,) margin in percent that still counts as kept."""
    voltage = np.full(2 * len(limits.vm_min_pu), 100 * VM_TOLERANCE_PU)
    return np.concatenate([voltage, np.full(len(limits.percent), PERCENT_TOLERANCE)])


def spans(limits: NetworkLimits) -> dict[Kind, slice]:
    """Which columns of the margins belong to each kind."""
    buses = len(limits.vm_min_pu)
    return {"vm_min": slice(0, buses), "vm_max": slice(buses, 2 * buses), "loading": slice(2 * buses, None)}


def worst_by_kind(limits: NetworkLimits, margin: Floats) -> Floats:
    """(steps, 3) the largest margin of each kind, 0 where all limits of the kind are kept within tolerance."""
    broken = np.where(margin > tolerances(limits), margin, 0.0)
    return np.stack([broken[:, span].max(axis=1, initial=0.0) for span in spans(limits).values()], axis=1)


def broken_limits(limits: NetworkLimits, margin: Floats) -> Iterator[Key]:
    """The `WORST` broken limits of each kind at each step. Half the tolerance counts: a cut has some error itself."""
    broken = np.where(margin > 0.5 * tolerances(limits), margin, -np.inf)
    for kind, span in spans(limits).items():
        part = broken[:, span]
        for step in np.flatnonzero(np.isfinite(part).any(axis=1)):
            for column in np.argsort(-part[step], kind="stable")[:WORST]:
                if np.isfinite(part[step, column]):
                    yield Key(kind, int(step), int(column))


def cuts_of(limits: NetworkLimits, around: Sensitivity, controls: Floats, key: Key) -> tuple[Cut, ...]:
    """The linear form of one limit around the operating point with `controls` (steps, controls).

    A loading gives two cuts: the current in its own direction, and turned around. Without the second, power that is turned
    from export to import would seem to unload a line for ever.
    """
    turns = (0.0, np.pi) if key.kind == "loading" else (0.0,)
    return tuple(cut_at(limits, around, controls, key, turn) for turn in turns)


def cut_at(limits: NetworkLimits, around: Sensitivity, controls: Floats, key: Key, turn_rad: float) -> Cut:
    """One cut of a limit; of a loading, for a current that has turned by `turn_rad` from the operating point's."""
    kind, step, column = key
    if kind == "loading":
        along, across = around.d_loading[step, column], around.d_turn[step, column]
        slope, there = np.cos(turn_rad) * along + np.sin(turn_rad) * across, around.loading_percent[step, column]
    else:
        slope, there = (100.0 if kind == "vm_max" else -100.0) * around.d_vm[step, column], around.vm_pu[step, column]
    return moved_cut(limits, Cut(key, slope, np.nan, turn_rad), float(there), controls[step])


def moved_cut(limits: NetworkLimits, cut: Cut, there: float, controls: Floats) -> Cut:
    """The cut with the slope that it has, through another operating point: its voltage or loading is `there` with `controls`
    (controls,)."""
    kind, _, column = cut.key
    if kind == "loading":
        room = float(limits.percent[column]) - np.cos(cut.turn_rad) * there
    elif kind == "vm_max":
        room = 100.0 * (float(limits.vm_max_pu[column]) - there)
    else:
        room = 100.0 * (there - float(limits.vm_min_pu[column]))
    return cut._replace(bound_percent=float(room + cut.slope @ controls))


def turned_rad(around: Sensitivity, moved: Floats, key: Key) -> float:
    """By how much a branch's current turns when controls move by `moved` (steps, controls); 0 for a voltage."""
    kind, step, column = key
    if kind != "loading":
        return 0.0
    along = around.loading_percent[step, column] + around.d_loading[step, column] @ moved[step]
    return float(np.arctan2(around.d_turn[step, column] @ moved[step], along))
