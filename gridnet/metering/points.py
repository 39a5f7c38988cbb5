"""Where meters stand, and what is true there.

A home meter stands at the connection of each bus that has a load or a device, and measures the net of everything behind it.
Each battery and each PV plant has a sub-meter at its AC terminals. One more meter, the head, stands where the feeder takes its
energy from upstream: its customer is the feeder, so what the feeder draws is what the head meter counts as drawn.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Literal, Self

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.errors import InputError, PowerFlowDiverged
from gridnet.simulate import Params, Transition

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Kind = Literal["home", "battery", "pv", "head"]

HEAD = "head"
"""Name of the head meter."""

PHASE_V = 230.0
"""Phase to neutral at 1 pu. A feeder at medium voltage is metered behind voltage transformers, as if it had 230 V."""

# Preferred numbers (ISO 3, series R5), which rated currents of fuses follow.
_FUSE_A = [base * 10**power for power in range(1, 5) for base in (1.0, 1.6, 2.5, 4.0, 6.3)]
_SMALLEST_FUSE_A = 25.0


@dataclass(frozen=True)
class MeterPoint:
    """One meter.

    `device` indexes the controllable devices (batteries, then PV) for sub-meters, else `None`. `capacity_w` is full scale: the
    inverter's kVA of a battery or PV plant; of a home its main fuse, three-phase: the smallest of the R5 series from 25 A that
    carries the sum of its loads' highest apparent powers over the series and its inverters; of the head its transformers, or the
    homes together where the feeder has none.
    """

    name: str
    kind: Kind
    bus: int
    device: int | None
    capacity_w: int


@dataclass(frozen=True)
class PointTruth:
    """What flows at the points of `meter_points` (without the head), as step means; p, q > 0 inject into the grid."""

    step: Ints
    """(steps,) index into the series."""
    p_kw: Floats
    """(steps, points)"""
    q_kvar: Floats
    """(steps, points)"""
    vm_pu: Floats
    """(steps, points), NaN at dead buses."""
    soc: Floats
    """(steps, batteries) state of charge 0-1 at the end of each step."""
    head_p_kw: Floats
    """(steps,) > 0: the feeder draws from upstream."""
    head_q_kvar: Floats
    """(steps,)"""
    head_vm_pu: Floats
    """(steps,)"""

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The truth of `parts`, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def rows(self, first: int, end: int) -> Self:
        """Rows `[first, end)`, counted from the truth's own first row."""
        return type(self)(*(getattr(self, field.name)[first:end] for field in fields(self)))


def meter_points(case: Case) -> tuple[MeterPoint, ...]:
    """The meters of a feeder but its head: homes by bus, then batteries, then PV plants."""
    fleet, bus = case.fleet, case.params.device_bus
    subs = []
    for device in range(fleet.devices):
        kind: Kind = "battery" if device < fleet.batteries else "pv"
        name = f"bat-{device:02d}" if kind == "battery" else f"pv-{device - fleet.batteries:02d}"
        subs.append(MeterPoint(name, kind, int(bus[device]), device, _watts(fleet.s_kva[device])))
    highest_kva = np.hypot(case.params.load_p_kw, case.params.load_q_kvar).max(axis=0, initial=0.0)
    homes = [
        MeterPoint(f"home-{each:03d}", "home", each, None, _fuse_w(case.params, each, highest_kva))
        for each in _home_buses(case.params)
    ]
    return (*homes, *subs)


def head_point(case: Case) -> MeterPoint:
    """The meter of the feeder as a whole."""
    capacity_w = _watts(float(case.feeder.trafo_kva.sum()))
    if not capacity_w:
        capacity_w = sum(point.capacity_w for point in meter_points(case) if point.kind == "home")
    return MeterPoint(HEAD, "head", case.feeder.slack_bus, None, capacity_w)


def point_truth(params: Params, step: Ints, transition: Transition, soc: Floats) -> PointTruth:
    """What flowed at each point in the steps `step` (steps,), from a transition whose batch is these steps.

    `soc`: (steps, batteries) at the end of each step. Raises `InputError` where the shapes do not agree, `PowerFlowDiverged`
    where a step has no power flow.
    """
    if not len(step) == len(transition.done) == len(soc):
        raise InputError(f"{len(step)} steps, {len(transition.done)} transitions and {len(soc)} states of charge don't agree")
    if not transition.converged.all():
        first = int(step[np.argmin(transition.converged)])
        raise PowerFlowDiverged(f"step {first} has no power flow, so there is nothing to meter", step=first)
    homes = _home_buses(params)
    flow = transition.solved
    vm_pu = flow.vm_pu[:, np.concatenate([np.array(homes, dtype=np.int64), params.device_bus])]
    p_kw = _at_points(params, homes, params.load_p_kw[step], transition.done[:, 0])
    q_kvar = _at_points(params, homes, params.load_q_kvar[step], transition.done[:, 1])
    # At a dead bus nothing flows, whatever the series say.
    live = ~np.isnan(vm_pu)
    return PointTruth(
        step=np.asarray(step, dtype=np.int64),
        p_kw=np.where(live, p_kw, 0.0),
        q_kvar=np.where(live, q_kvar, 0.0),
        vm_pu=vm_pu,
        soc=soc,
        head_p_kw=flow.slack_p_kw,
        head_q_kvar=flow.slack_q_kvar,
        head_vm_pu=np.full(len(step), abs(complex(*params.network.slack[:2]))),
    )


def _at_points(params: Params, homes: list[int], load: Floats, done: Floats) -> Floats:
    """(steps, points) from loads (steps, loads) and devices (steps, devices)."""
    at_bus = np.zeros((len(load), params.buses))
    for buses, series in ((params.load_bus, load), (params.device_bus, done)):
        for column, bus in enumerate(buses):
            at_bus[:, bus] += series[:, column]
    return np.hstack([at_bus[:, homes], done])


def _home_buses(params: Params) -> list[int]:
    return sorted({int(bus) for bus in (*params.load_bus, *params.device_bus)})


def _fuse_w(params: Params, bus: int, highest_kva: Floats) -> int:
    """`highest_kva` (loads,)."""
    behind_kva = highest_kva[params.load_bus == bus].sum() + params.fleet.s_kva[params.device_bus == bus].sum()
    needed_a = 1000.0 * behind_kva / (3.0 * PHASE_V)
    fuse_a = next((each for each in _FUSE_A if each >= max(needed_a, _SMALLEST_FUSE_A)), needed_a)
    return _watts(3.0 * PHASE_V * fuse_a / 1000.0)


def _watts(kilo: float) -> int:
    """Whole watts, rounded up."""
    return int(np.ceil(round(1000.0 * float(kilo), 6)))
