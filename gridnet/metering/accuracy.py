"""How wrong meters are.

| class | P and Q: of the reading | P and Q: of full scale | V | SoC, constant | SoC, per interval |
|---|---|---|---|---|---|
| exact | 0 | 0 | 0 | 0 | 0 |
| 0.2 | 0.2 % | 0.002 % | 0.05 % | 1 % | 0.2 % |
| 0.5 | 0.5 % | 0.005 % | 0.1 % | 1 % | 0.2 % |
| 1 | 1 % | 0.01 % | 0.2 % | 1 % | 0.2 % |

All are standard deviations. Of P, Q and V, 0.8 is a gain that one meter keeps for life (calibration, transformer ratio) and 0.6 is
drawn anew for each interval; as 0.8^2 + 0.6^2 = 1, a reading taken at random has the table's figure. The part of full scale is
drawn per interval and only while something flows. `white` gives a class whose error is drawn anew as a whole.

IEC 62053-22 limits the error of a class 0.2 S or 0.5 S meter to 0.2 % or 0.5 % of the reading from 5 % of rated current on and to
about twice that at 1 %, IEC 62053-21 class 1 alike: hence the part of full scale, a hundredth of the class. The standards set
limits where the table has standard deviations, so these meters are some three times worse than meters just inside their class.
The split 0.8/0.6, and V and SoC, are assumptions: the standards are silent there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from gridnet.metering.draws import constants, normals
from gridnet.metering.tamper import Sensed

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ClassName = Literal["exact", "0.2", "0.5", "1"]
CONSTANT_SHARE = 0.8
INTERVAL_SHARE = 0.6


@dataclass(frozen=True)
class Accuracy:
    """Standard deviations as shares; see the module's table."""

    power: float
    full_scale: float
    voltage: float
    soc_constant: float
    soc_interval: float
    lasting: float = CONSTANT_SHARE
    """Share of the error of P, Q and V that is a gain for life."""
    anew: float = INTERVAL_SHARE
    """Share that is drawn in each interval; the squares of both add up to 1."""


ACCURACY: dict[ClassName, Accuracy] = {
    "exact": Accuracy(0.0, 0.0, 0.0, 0.0, 0.0),
    "0.2": Accuracy(0.002, 0.00002, 0.0005, 0.01, 0.002),
    "0.5": Accuracy(0.005, 0.00005, 0.001, 0.01, 0.002),
    "1": Accuracy(0.01, 0.0001, 0.002, 0.01, 0.002),
}


def white(accuracy: Accuracy) -> Accuracy:
    """A class of the same size without any gain that lasts."""
    return replace(accuracy, lasting=0.0, anew=1.0)


_P, _Q, _V, _P_FLOOR, _Q_FLOOR, _SOC, _DRIFT = range(7)
_COLUMNS = 7


@dataclass(frozen=True)
class Errors:
    """The errors of one meter: `name`, its class, and the `seed` they come from."""

    name: str
    accuracy: Accuracy
    seed: int

    def sensed(self, truth: Sensed, steps: Ints, capacity_kw: float) -> Sensed:
        """What the meter's sensors give for `truth` (steps,) at consecutive `steps` (steps,)."""
        kept, drawn = self._kept(), self._drawn(steps)
        power, full = self.accuracy.power, self.accuracy.full_scale * capacity_kw
        lasting, anew = self.accuracy.lasting, self.accuracy.anew
        p, q, v = (lasting * kept[each] + anew * drawn[:, each] for each in (_P, _Q, _V))
        return Sensed(
            truth.p_kw * (1.0 + power * p) + np.where(truth.p_kw != 0.0, full * drawn[:, _P_FLOOR], 0.0),
            truth.q_kvar * (1.0 + power * q) + np.where(truth.q_kvar != 0.0, full * drawn[:, _Q_FLOOR], 0.0),
            truth.vm_pu * (1.0 + self.accuracy.voltage * v),
        )

    def soc(self, truth: Floats, steps: Ints) -> Floats:
        """What the battery says of its state of charge (steps,), 0 to 1."""
        constant = self.accuracy.soc_constant * self._kept()[_SOC]
        return np.asarray(np.clip(truth + constant + self.accuracy.soc_interval * self._drawn(steps)[:, _SOC], 0.0, 1.0))

    def drift(self, sigma_ppm: float) -> float:
        """How fast the meter's clock loses time, in s per s; below 0 it gains."""
        return 1e-6 * sigma_ppm * float(self._kept()[_DRIFT])

    def _kept(self) -> Floats:
        return constants(self.seed, f"{self.name}/errors", _COLUMNS)

    def _drawn(self, steps: Ints) -> Floats:
        return normals(self.seed, f"{self.name}/errors", steps, _COLUMNS)
