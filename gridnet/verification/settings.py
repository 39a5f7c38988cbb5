"""What the ladder assumes and how often it may be wrong: every threshold in one place.

`false_alarms` is a budget: the share of honest windows (`window_days`, one feeder) in which level 2 raises anything at all. It
is split over two of its tests, which take their thresholds from it:

| test | statistic, where all are honest | threshold |
|---|---|---|
| CUSUM, up and down | innovations, white N(0, 1) | Siegmund's approximation of the run length |
| scan over hypotheses on homes and a constant | N(0, 1) each | the normal quantile, shared among them, both sides, and the looks |
| voltage of each meter | mean square, 1 | `voltage_ratio`; wide, because a wrong impedance raises it too |

A window is looked at anew each day. A look contains those before it, so that n looks weigh as n^0.7 that know nothing of each
other: 7 as 4 (Pocock, Biometrika 64, 1977; and so in simulations of all scores of feeders with 13, 39 and 118 homes).

`gridnet bench --fraud` measures what comes of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import timedelta
from statistics import NormalDist

from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import Fault, InputError
from gridnet.metering.accuracy import ACCURACY, CONSTANT_SHARE, INTERVAL_SHARE, Accuracy

SCAN_SHARE = 0.8
"""Of the budget for false alarms, what the scan may use: it finds more than the CUSUM, which has the rest."""
_LOOKS = 0.7
"""Power of the window's days by which looks weigh."""
_SIEGMUND = 1.166
"""How far a walk with normal steps overshoots: Siegmund, "Sequential Analysis", Springer 1985, chapter X."""


@dataclass(frozen=True)
class Settings:
    """Assumptions and limits of the ladder. Raises `InputError` listing each that can't be."""

    meter: Accuracy = ACCURACY["0.5"]
    head: Accuracy = ACCURACY["0.2"]
    impedance_error: float = 0.05
    """Standard deviation of each branch's impedance against the model's, as a share."""
    false_alarms: float = 0.01
    window_days: int = 7
    """Days that level 2 looks back and level 3 regresses over, 28 at most."""
    cusum_slack: float = 0.25
    """Standard deviations per interval that the CUSUM forgives."""
    voltage_ratio: float = 2.0
    interval_sigmas: float = 6.0
    """A single interval whose balance is off by more is held."""
    limit_sigmas: float = 5.0
    """Allowance of level 1 in standard deviations of the meter."""
    irradiance_margin: float = 0.10
    """How far the sun that a plant sees may exceed what the irradiance model says, as a share."""
    clock_s: int = 5
    """How early a message may arrive, in seconds: clocks differ."""
    late: timedelta = timedelta(hours=48)
    """How long after its interval a reading is still taken."""
    probe_false_alarms: float = 0.01

    def __post_init__(self) -> None:
        shares = [(name, getattr(self, name)) for name in ("false_alarms", "probe_false_alarms")]
        faults = [Fault(name, str(share), "a share above 0 and below 0.5") for name, share in shares if not 0.0 < share < 0.5]
        if not 1 <= self.window_days <= 28:
            faults.append(Fault("window_days", str(self.window_days), "1 to 28"))
        at_least = {"impedance_error": 0.0, "cusum_slack": 0.05, "voltage_ratio": 1.0, "interval_sigmas": 1.0, "limit_sigmas": 1.0}
        faults += [
            Fault(name, str(getattr(self, name)), f"{least} or more")
            for name, least in at_least.items()
            if not getattr(self, name) >= least
        ]
        if faults:
            raise InputError("the ladder can't be set so", faults)

    def cusum_limit(self) -> float:
        """Height of the CUSUM at which it fires: two sides share its part of the budget over a window."""
        steps = self.window_days * STEPS_PER_DAY
        run_length = 2.0 * steps / (self.false_alarms * (1.0 - SCAN_SHARE))
        slope = 2.0 * self.cusum_slack
        # run_length = (exp(slope * b) - 1 - slope * b) * 2 / slope^2 with b = limit + 1.166; a few rounds settle it.
        height = 1.0
        for _ in range(50):
            height = math.log(run_length * slope * slope / 2.0 + 1.0 + slope * height) / slope
        return height - _SIEGMUND

    def scan_limit(self, hypotheses: int) -> float:
        """Standard deviations that the scores of `hypotheses` and of the constant may reach, either way."""
        looks = self.window_days**_LOOKS
        return NormalDist().inv_cdf(1.0 - self.false_alarms * SCAN_SHARE / (2.0 * (hypotheses + 1) * looks))


def constant_sd(share: float, lasting: float = CONSTANT_SHARE) -> float:
    """What a meter whose class allows `share` is wrong by for life, as a share of the reading."""
    return lasting * share


def interval_sd(share: float, anew: float = INTERVAL_SHARE) -> float:
    """What a meter whose class allows `share` is wrong by anew in each interval, as a share of the reading."""
    return anew * share
