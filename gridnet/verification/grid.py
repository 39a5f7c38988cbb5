"""What the power flow predicts from the homes' own readings, and how far a truthful answer may be from it.

Level 2 and level 3 look at residuals: what the head meter and the voltages say, less what the power flow makes of the reported P
and Q. All arrays have intervals along the first axis; homes stand in the order of `Grid.bus`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.feeder import BASE_KVA
from gridnet.linear import linearise_pq
from gridnet.verification.settings import Settings, constant_sd, interval_sd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_ROUNDING_KW = 0.001 * 4.0 / np.sqrt(6.0)
"""Standard deviation of the difference of two displays in whole Wh, as power over a quarter-hour."""
_DRIFT_SHARE = 0.001
"""Typical share of a power's step from one interval to the next that a drifting clock puts into the wrong one."""
_FLOOR_KW = 0.002
"""What the power flow and the truth may differ by without any meter."""
_FLOOR_PU = 1e-5
"""The same for a voltage: rounding to mV, and more."""


class Reported(NamedTuple):
    """What meters say: intervals by homes, p > 0 injects; NaN where a reading is missing."""

    p_kw: Floats
    """(steps, homes)"""
    q_kvar: Floats
    """(steps, homes)"""
    vm_pu: Floats
    """(steps, homes)"""
    head_kw: Floats
    """(steps,) > 0: the feeder draws."""


@dataclass(frozen=True)
class Residual:
    """What is left of the measurements once the prediction is taken away. Intervals without a head reading are not in it."""

    step: Ints
    """(steps,) rows of the `Reported` that it was made from."""
    p_kw: Floats
    """(steps, homes) as reported, the mean of the home where missing."""
    q_kvar: Floats
    head_kw: Floats
    """(steps,) as measured."""
    loss_kw: Floats
    """(steps,) as predicted."""
    off_kw: Floats
    """(steps,) head measured less predicted."""
    sd_kw: Floats
    """(steps,) standard deviation of `off_kw` among honest meters, without the errors that last."""
    off_pu: Floats
    """(steps, homes) voltage measured less predicted, NaN where missing or disturbed by what is missing elsewhere."""
    vm_pu: Floats
    """(steps, homes) as predicted."""
    node_volts: NDArray[np.complex128]
    """(steps, nodes + 1) as predicted, in elimination order."""


class Branches(NamedTuple):
    """What flows into each branch at its two ends, kW and kvar: (steps, branches)."""

    p_from: Floats
    q_from: Floats
    p_to: Floats
    q_to: Floats


class Grid:
    """The model of one feeder for its homes at buses `bus` (homes,), with main fuses of `capacity_kw` (homes,)."""

    def __init__(self, case: Case, bus: Ints, capacity_kw: Floats, settings: Settings) -> None:
        self.case = case
        self.bus = bus
        self.capacity_kw = capacity_kw
        self.settings = settings
        params = case.params
        p_kw, q_kvar = np.zeros((1, params.buses)), np.zeros((1, params.buses))
        np.add.at(p_kw[0], params.load_bus, params.load_p_kw.mean(axis=0))
        np.add.at(q_kvar[0], params.load_bus, params.load_q_kvar.mean(axis=0))
        every = np.arange(params.buses, dtype=np.int64)
        around = linearise_pq(case.power_flow, case.feeder.model, p_kw, q_kvar, every)
        self.d_vm: Floats = np.nan_to_num(around.d_vm[0][bus])
        """(homes, 2 * buses) pu per kW, then per kvar, at each bus."""
        self.d_head: Floats = around.d_slack_p[0][bus]
        """(homes,) kW that the head gives per kW injected: about -1."""

    @property
    def homes(self) -> int:
        """How many homes there are."""
        return len(self.bus)

    def residual(self, reported: Reported) -> Residual:
        """Predicts and compares; rows without a head reading are left out. Raises `PowerFlowDiverged` never: rows whose
        reported powers have no power flow are left out too, level 1 having held them."""
        row = np.flatnonzero(~np.isnan(reported.head_kw))
        p_kw, q_kvar, spread_kw = self._filled(reported, row)
        at_bus = [np.zeros((len(row), self.case.params.buses)) for _ in range(2)]
        for target, values in zip(at_bus, (p_kw, q_kvar), strict=True):
            target[:, self.bus] = values
        flow = self.case.power_flow.solve(*at_bus)
        volts = self.case.power_flow.voltages(*at_bus)
        good = flow.converged
        head_kw = reported.head_kw[row]
        residual = Residual(
            step=row,
            p_kw=p_kw,
            q_kvar=q_kvar,
            head_kw=head_kw,
            loss_kw=flow.loss_kw,
            off_kw=head_kw - flow.slack_p_kw,
            sd_kw=self._head_sd(p_kw, head_kw, spread_kw),
            off_pu=np.where(self._disturbed(spread_kw), np.nan, reported.vm_pu[row] - flow.vm_pu[:, self.bus]),
            vm_pu=flow.vm_pu[:, self.bus],
            node_volts=volts,
        )
        return residual if good.all() else _rows(residual, good)

    def lasting_sd(self, residual: Residual) -> Floats:
        """(steps,) standard deviation of the head's residual with the errors that last: gains of the meters, impedances."""
        settings = self.settings
        gains = ((constant_sd(settings.meter.power) * residual.p_kw) ** 2).sum(axis=1)
        gains += (constant_sd(settings.head.power) * residual.head_kw) ** 2 + (settings.impedance_error * residual.loss_kw) ** 2
        return np.asarray(np.sqrt(gains + residual.sd_kw**2))

    def branches(self, residual: Residual) -> Branches:
        """Flows that the prediction has in each branch."""
        volts = residual.node_volts
        model, ends = self.case.feeder.model, self.case.power_flow.network.branch_node
        yff, yft, ytf, ytt = model.branch_admittance.T
        live = (ends >= 0).all(axis=1)
        start, end = volts[:, np.where(live, ends[:, 0], 0)], volts[:, np.where(live, ends[:, 1], 0)]
        into_from = np.where(live, start * (yff * start + yft * end).conj(), 0.0) * BASE_KVA
        into_to = np.where(live, end * (ytf * start + ytt * end).conj(), 0.0) * BASE_KVA
        return Branches(into_from.real, into_from.imag, into_to.real, into_to.imag)

    def node_columns(self) -> tuple[Floats, Floats]:
        """Voltage of the homes per kW and per kvar injected at each node, the slack last: (homes, nodes + 1) each."""
        buses, nodes = self.case.params.buses, len(self.case.power_flow.network.node)
        columns = [np.zeros((self.homes, nodes + 1)) for _ in range(2)]
        for bus, node in enumerate(self.case.power_flow.network.bus_node):
            if 0 <= node < nodes:
                columns[0][:, node] = self.d_vm[:, bus]
                columns[1][:, node] = self.d_vm[:, buses + bus]
        return columns[0], columns[1]

    def _filled(self, reported: Reported, row: Ints) -> tuple[Floats, Floats, Floats]:
        """P, Q with each missing reading replaced by the mean of its home, and what that may be off by; (steps, homes)
        each, the last 0 where nothing is missing."""
        p_kw, q_kvar = reported.p_kw[row], reported.q_kvar[row]
        missing = np.isnan(p_kw)
        if not missing.any():
            return p_kw, q_kvar, np.zeros(p_kw.shape)
        known = np.maximum((~missing).sum(axis=0), 1)
        mean_p, mean_q = (np.where(missing, 0.0, each).sum(axis=0) / known for each in (p_kw, q_kvar))
        # What a home does unseen lasts, and homes have rare peaks: the widest it was seen to stray stands for one deviation. One
        # that was hardly seen may do what its fuse allows.
        spread = np.where(missing, 0.0, np.abs(p_kw - mean_p)).max(axis=0, initial=0.0)
        spread = np.where(known > 10, spread, self.capacity_kw)
        filled = [np.where(missing, mean, each) for mean, each in ((mean_p, p_kw), (mean_q, q_kvar))]
        return filled[0], filled[1], missing * spread

    def _disturbed(self, spread_kw: Floats) -> NDArray[np.bool_]:
        """(steps, homes) where what is missing elsewhere may move a voltage by more than its meter is wrong by: nothing can be said
        of it then."""
        allowed = np.hypot(interval_sd(self.settings.meter.voltage), _FLOOR_PU)
        return np.asarray(spread_kw @ np.abs(self.d_vm[:, self.bus]).T > allowed)

    def _head_sd(self, p_kw: Floats, head_kw: Floats, spread_kw: Floats) -> Floats:
        meter, head = self.settings.meter, self.settings.head
        own = (interval_sd(meter.power) * p_kw) ** 2 + (p_kw != 0.0) * (meter.full_scale * self.capacity_kw) ** 2
        turned = np.diff(p_kw, axis=0, prepend=p_kw[:1]) if len(p_kw) else p_kw
        own += (_DRIFT_SHARE * turned) ** 2 + _ROUNDING_KW**2
        upstream = (interval_sd(head.power) * head_kw) ** 2 + (head.full_scale * self.capacity_kw.sum()) ** 2
        return np.asarray(np.sqrt(own.sum(axis=1) + upstream + (spread_kw**2).sum(axis=1) + _FLOOR_KW**2))


def _rows(residual: Residual, keep: NDArray[np.bool_]) -> Residual:
    return Residual(**{name: values[keep] for name, values in vars(residual).items()})
