"""Level 4: ask a battery for small steps that nobody else knows, and look for them at everybody else's meter.

A probe adds `+power` or `-power` to the setpoint of one home's battery in each of a few intervals, the signs drawn by the
operator and balanced. What the home itself reports is not looked at: its reading is used less the probe, and its voltage not at
all. The others' voltages, less what the power flow predicts without the probe, are held against the response that the
sensitivities promise (a matched filter). That gives the share of the asked power that truly flowed:

    share = sum(r y) / sum(r^2),   r = sign * power * sensitivity,   standard deviation = noise / sqrt(sum(r^2))

An honest battery has 1, one that only reports has 0. A thief would have to know the signs in advance, or own the neighbours'
meters. The residuals are cleared of each meter's constant error, and of the setpoint that the steps stood beside: a battery that
does not move keeps that one back too, and would otherwise be as likely to look too good as too bad.

What others do unseen disturbs a probe, and moves all voltages of an interval together. So the deviation is the larger of two: the
one that the meters' class promises, and the one that the intervals' scatter shows, each interval taken as one observation
(Liang and Zeger, "Longitudinal data analysis using generalized linear models", Biometrika 73(1), 1986). A probe beside somebody
else's fraud is then undecided, and accuses nobody.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from gridnet.errors import InputError
from gridnet.verification.grid import Grid, Reported
from gridnet.verification.settings import interval_sd
from gridnet.verification.verdict import Level, Verdict

Floats = NDArray[np.float64]

DETECTION = 0.99
"""Share of batteries that don't move at all which a probe of `slots_needed` finds."""
HALF = 0.5
"""Share that passes in any case: it is as far from a battery that obeys as from one that rests."""
FEWEST_SLOTS = 6
"""Intervals that a probe must have for its scatter to say anything: three of them go into the fit."""
_VOLTAGE_FLOOR = 1e-5
_STILL_KW2 = 1e-6
"""A setpoint that varies by less, summed over a probe's intervals, explains nothing."""
_PPM = 1e6


@dataclass(frozen=True)
class Probe:
    """Steps asked of the battery at home number `home`."""

    home: int
    asked_kw: Floats
    """(slots,) kW beside its setpoint, balanced between up and down where nothing cut them."""
    beside_kw: Floats | float = 0.0
    """(slots,) kW, the setpoints that they stand beside."""


@dataclass(frozen=True)
class Answer:
    """What the other meters say: `share` of the asked power that flowed, its standard deviation, and the least that passes."""

    share: float
    share_sd: float
    limit: float

    @property
    def decides(self) -> bool:
        """Whether the probe was long enough: a battery that rests would fail it in `DETECTION` of all cases."""
        return self.limit >= -NormalDist().inv_cdf(1.0 - DETECTION) * self.share_sd

    @property
    def passed(self) -> bool:
        """Whether the battery did what it was asked for, as far as others can see."""
        return self.share >= self.limit


def draw_probe(home: int, power_kw: float, slots: int, rng: np.random.Generator) -> Probe:
    """A probe of `slots` intervals, half up, half down, in random order. The generator must be the operator's secret.

    Raises `InputError` where the slots can't be balanced or nothing is asked.
    """
    if slots < 2 or slots % 2 or not power_kw > 0.0:
        raise InputError(f"a probe has an even number of slots, 2 or more, and a power above 0; got {slots} and {power_kw} kW")
    return Probe(home, power_kw * rng.permutation(np.repeat([1.0, -1.0], slots // 2)))


def slots_needed(grid: Grid, home: int, power_kw: float) -> int:
    """The shortest probe, in intervals, that finds `DETECTION` at the settings' rate of false alarms, where nothing but the meters
    disturbs it and their scatter shows no more than they have. Twice as many leave room for both.

    Raises `InputError` where no other voltage answers to the home.
    """
    one_slot = power_kw * float(np.sqrt((_response(grid, home) ** 2).sum())) / _noise(grid)
    if not one_slot > 0.0:
        raise InputError(f"home number {home} moves no other meter's voltage; a probe can't be judged")
    normal = NormalDist()
    wanted = normal.inv_cdf(1.0 - grid.settings.probe_false_alarms) + normal.inv_cdf(DETECTION)
    return 2 * math.ceil(max(1.0, (wanted / one_slot) ** 2) / 2.0)


def judge_probe(grid: Grid, probe: Probe, reported: Reported) -> Answer:
    """Judges a probe by the other meters' voltages in its intervals; `reported` holds those intervals alone, in order.

    Intervals where something is missing count less or not at all. Raises `InputError` where the shapes don't agree, where fewer
    than `FEWEST_SLOTS` intervals have a voltage of another meter, or where none of them answers.
    """
    if len(reported.head_kw) != len(probe.asked_kw):
        raise InputError(f"a probe of {len(probe.asked_kw)} intervals can't be judged by {len(reported.head_kw)}")
    without = reported.p_kw.copy()
    without[:, probe.home] -= probe.asked_kw
    residual = grid.residual(reported._replace(p_kw=without, head_kw=np.nan_to_num(reported.head_kw)))
    response = _response(grid, probe.home)
    known = ~np.isnan(residual.off_pu) & (response != 0.0)
    slots = int(known.any(axis=1).sum())
    if slots < FEWEST_SLOTS:
        raise InputError(f"a probe of home number {probe.home} is known in {slots} intervals; {FEWEST_SLOTS} are needed")
    beside = np.broadcast_to(probe.beside_kw, probe.asked_kw.shape)[residual.step]
    expected = probe.asked_kw[residual.step, None] * response
    # What is left of the probe itself there goes with what is cleared away.
    expected, off = (_cleared(each, beside, known) for each in (expected, residual.off_pu))
    power = float((expected**2).sum())
    if not power > 0.0:
        raise InputError(f"no other meter's voltage answers to the probe of home number {probe.home}")
    share = float((expected * off).sum()) / power
    per_slot = (expected * (off - share * expected)).sum(axis=1)
    scatter = math.sqrt(float((per_slot**2).sum()) * slots / (slots - 3)) / power
    sd = max(_noise(grid) / math.sqrt(power), scatter)
    # What a probe is longer than it had to be serves the honest: no more than half has to be seen of a battery that moves.
    limit = min(HALF, 1.0 - NormalDist().inv_cdf(1.0 - grid.settings.probe_false_alarms) * sd)
    return Answer(share, sd, limit)


def probe_verdict(answer: Answer, device: str, start: datetime) -> Verdict:
    """The verdict of level 4: passed, or held for a person. A probe that was too short to decide fails nobody."""
    words = f"{100 * answer.share:.0f} +- {100 * answer.share_sd:.0f} % of a probe reached the neighbours' meters"
    failed = answer.decides and not answer.passed
    rest = "" if answer.decides else "; too few intervals to decide"
    if failed:
        rest = f"; {100 * answer.limit:.0f} % would pass"
    evidence: dict[str, int | str] = {
        "share_ppm": round(_PPM * answer.share),
        "share_sd_ppm": round(_PPM * answer.share_sd),
        "limit_ppm": round(_PPM * answer.limit),
        "decided": int(answer.decides),
    }
    return Verdict(device, start, Level.PROBED, "hold" if failed else "pass", words + rest, evidence)


def _response(grid: Grid, home: int) -> Floats:
    """(homes,) what each voltage answers to 1 kW at the home; nothing at the home itself."""
    answer = grid.d_vm[:, grid.bus[home]].copy()
    answer[grid.bus == grid.bus[home]] = 0.0
    return answer


def _noise(grid: Grid) -> float:
    return math.hypot(interval_sd(grid.settings.meter.voltage), _VOLTAGE_FLOOR)


def _cleared(values: Floats, beside: Floats, known: NDArray[np.bool_]) -> Floats:
    """`values` (slots, homes) less what a constant of each meter and the setpoint `beside` (slots,) explain; 0 where not known."""
    centred, moved = _centred(values, known), _centred(np.broadcast_to(beside[:, None], values.shape), known)
    power = (moved**2).sum(axis=0)
    slope = np.where(power > _STILL_KW2, (moved * centred).sum(axis=0) / np.maximum(power, _STILL_KW2), 0.0)
    return np.asarray(centred - slope * moved)


def _centred(values: Floats, known: NDArray[np.bool_]) -> Floats:
    mean = np.where(known, values, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.where(known, values - mean, 0.0)
