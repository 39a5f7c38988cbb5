"""What the power flow predicts from the homes' own readings, and how far a truthful answer may be from it.

Level 2 and level 3 look at residuals: what the head meter and the voltages say, less what the power flow makes of the reported P
and Q. A part of their noise is displays in whole Wh: what one interval's difference lacks, the next has. All arrays have intervals
along the first axis; homes stand in the order of `Grid.bus`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.feeder import BASE_KVA, SolvedModel
from gridnet.linear import linearise_pq
from gridnet.metering.points import head_point
from gridnet.verification.settings import Settings, constant_sd, interval_sd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

DISPLAY_KW = 0.004
"""1 Wh in a quarter-hour."""
ROUNDING_KW = 0.001 * 4.0 / np.sqrt(6.0)
"""Standard deviation of the difference of two displays in whole Wh, as power over a quarter-hour."""
_DRIFT_SHARE = 0.001
"""Typical share of a power's step from one interval to the next that a drifting clock puts into the wrong one."""
_FLOOR_KW = 0.002
"""What the power flow and the truth may differ by without any meter."""
_FLOOR_PU = 1e-5
"""The same for a voltage: rounding to mV, and more."""

NOT_TOLD: Floats = np.empty(0)


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
    head_kvar: Floats = NOT_TOLD
    """(steps,) its reactive power; `NOT_TOLD` if the head meter tells none."""


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
    head_kvar: Floats
    """(steps,) reactive power as measured, 0 where it is not known."""
    off_kvar: Floats
    """(steps,) head's reactive power measured less predicted, 0 where it is not known."""
    sd_kvar: Floats
    """(steps,) its standard deviation as that of `off_kw`; infinite where it is not known."""
    off_pu: Floats
    """(steps, homes) voltage measured less predicted, NaN where missing or disturbed by what is missing elsewhere."""
    vm_pu: Floats
    """(steps, homes) as predicted."""
    node_volts: NDArray[np.complex128]
    """(steps, nodes + 1) as predicted, in elimination order."""


class Branches(NamedTuple):
    """What flows into each branch's series impedance at its two ends, kW and kvar: (steps, branches)."""

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
        self.head_capacity_kw = head_point(case).capacity_w / 1000.0
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
        p_kw, spread_kw = self._filled(reported.p_kw[row])
        q_kvar, spread_kvar = self._filled(reported.q_kvar[row])
        at_bus = [np.zeros((len(row), self.case.params.buses)) for _ in range(2)]
        for target, values in zip(at_bus, (p_kw, q_kvar), strict=True):
            target[:, self.bus] = values
        flow = self.case.power_flow.solve(*at_bus)
        volts = self.case.power_flow.voltages(*at_bus)
        good = flow.converged
        head_kw = reported.head_kw[row]
        head_kvar = reported.head_kvar[row] if len(reported.head_kvar) else np.full(len(row), np.nan)
        told = ~np.isnan(head_kvar)
        head_kvar = np.where(told, head_kvar, 0.0)
        residual = Residual(
            step=row,
            p_kw=p_kw,
            q_kvar=q_kvar,
            head_kw=head_kw,
            loss_kw=flow.loss_kw,
            off_kw=head_kw - flow.slack_p_kw,
            sd_kw=self._head_sd(p_kw, head_kw, spread_kw),
            head_kvar=head_kvar,
            off_kvar=np.where(told, head_kvar - flow.slack_q_kvar, 0.0),
            sd_kvar=np.where(told, self._head_sd(q_kvar, head_kvar, spread_kvar), np.inf),
            off_pu=np.where(self._disturbed(spread_kw), np.nan, reported.vm_pu[row] - flow.vm_pu[:, self.bus]),
            vm_pu=flow.vm_pu[:, self.bus],
            node_volts=volts,
        )
        return residual if good.all() else _rows(residual, good)

    def lasting_sd(self, residual: Residual) -> Floats:
        """(steps,) standard deviation of the head's residual with the errors that last: gains of the meters, impedances."""
        meter, head = self.settings.meter, self.settings.head
        gains = ((constant_sd(meter.power, meter.lasting) * residual.p_kw) ** 2).sum(axis=1)
        gains += (constant_sd(head.power, head.lasting) * residual.head_kw) ** 2
        gains += (self.settings.impedance_error * residual.loss_kw) ** 2
        return np.asarray(np.sqrt(gains + residual.sd_kw**2))

    def branches(self, residual: Residual) -> Branches:
        """Flows that the prediction has in each branch."""
        volts = residual.node_volts
        model, ends = self.case.feeder.model, self.case.power_flow.network.branch_node
        yff, yft, ytf, ytt = series_admittance(model).T
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

    def _filled(self, power: Floats) -> tuple[Floats, Floats]:
        """`power` (steps, homes), kW or kvar, with each missing reading replaced by the mean of its home, and what that may be
        off by, 0 where nothing is missing."""
        missing = np.isnan(power)
        if not missing.any():
            return power, np.zeros(power.shape)
        known = np.maximum((~missing).sum(axis=0), 1)
        mean = np.where(missing, 0.0, power).sum(axis=0) / known
        # What a home does unseen lasts, and homes have rare peaks: the widest it was seen to stray stands for one deviation. One
        # that was hardly seen may do what its fuse allows.
        spread = np.where(missing, 0.0, np.abs(power - mean)).max(axis=0, initial=0.0)
        spread = np.where(known > 10, spread, self.capacity_kw)
        return np.where(missing, mean, power), missing * spread

    def _disturbed(self, spread_kw: Floats) -> NDArray[np.bool_]:
        """(steps, homes) where what is missing elsewhere may move a voltage by more than its meter is wrong by: nothing can be said
        of it then."""
        meter = self.settings.meter
        allowed = np.hypot(interval_sd(meter.voltage, meter.anew), _FLOOR_PU)
        return np.asarray(spread_kw @ np.abs(self.d_vm[:, self.bus]).T > allowed)

    def _head_sd(self, power: Floats, at_head: Floats, spread: Floats) -> Floats:
        """Of P or of Q: (steps, homes), (steps,), (steps, homes)."""
        meter, head = self.settings.meter, self.settings.head
        own = (interval_sd(meter.power, meter.anew) * power) ** 2 + (power != 0.0) * (meter.full_scale * self.capacity_kw) ** 2
        turned = np.diff(power, axis=0, prepend=power[:1]) if len(power) else power
        own += (_DRIFT_SHARE * turned) ** 2 + ROUNDING_KW**2
        upstream = (interval_sd(head.power, head.anew) * at_head) ** 2 + (head.full_scale * self.head_capacity_kw) ** 2
        return np.asarray(np.sqrt(own.sum(axis=1) + upstream + ROUNDING_KW**2 + (spread**2).sum(axis=1) + _FLOOR_KW**2))


def series_admittance(model: SolvedModel) -> NDArray[np.complex128]:
    """(branches, 4) what a branch's series impedance gives to its admittance; what stands across it (iron, charging) is left out.
    Zeros where the branch is out of service."""
    yff, yft, ytf, ytt = model.branch_admittance.T
    live = (model.branch_node >= 0).all(axis=1) & (yff != 0)
    turns = np.where(live, np.abs(ytt) / np.where(live, np.abs(yff), 1.0), 1.0)
    series = np.sqrt(yft * ytf * turns)
    series = np.where((series * ytt.conj()).real < 0.0, -series, series)
    return np.where(live[:, None], np.stack([series / turns, yft, ytf, series], axis=1), 0.0)


def _rows(residual: Residual, keep: NDArray[np.bool_]) -> Residual:
    return Residual(**{name: values[keep] for name, values in vars(residual).items()})
