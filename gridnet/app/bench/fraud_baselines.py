"""What others do against false readings, in their plain form: the neighbours' cosine and the chi-square of a state estimate.

- Cosine: each home's power over the window beside the sum of its `NEIGHBOURS` nearest homes'; the least like stands out. A test
  of this kind is published for networks of small devices.
- Chi-square: the state is every home's P and Q; measured are these, every voltage and the head. In the linear model about each
  prediction, weighted least squares leaves J = y' S^-1 y of the redundant measurements y (head and voltages less predicted), with S
  their covariance from all meters. The highest J of the window is compared; the home with the largest normalised residual at that
  interval is named. Abur, Exposito, "Power System State Estimation", Marcel Dekker 2004, chapter 5.

S takes each home's power at its root mean square over the window, so that one factorisation serves. Both get their thresholds
from the same honest weeks, at the same rate of false alarms.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.verification.grid import Grid, Reported, Residual

Floats = NDArray[np.float64]

NEIGHBOURS = 5


class Alarm(NamedTuple):
    """How suspicious a window is, and of whom most."""

    height: float
    home: int


def cosine_alarm(grid: Grid, reported: Reported) -> Alarm:
    """The home least like its neighbours, which are those with whom it shares most resistance."""
    shared = grid.d_vm[:, grid.bus] - 2.0 * np.eye(grid.homes) * grid.d_vm.max()
    near = np.argsort(-shared, axis=1)[:, :NEIGHBOURS]
    power = reported.p_kw
    beside = power[:, near].sum(axis=2)
    length = np.sqrt((power**2).sum(axis=0) * (beside**2).sum(axis=0))
    likeness = (power * beside).sum(axis=0) / np.maximum(length, 1e-12)
    return Alarm(-float(likeness.min()), int(likeness.argmin()))


def chi_square_alarm(grid: Grid, residual: Residual) -> Alarm:
    """The highest chi-square of the window's snapshots, and the home with the largest normalised residual there."""
    settings, homes, buses = grid.settings, grid.homes, grid.case.params.buses
    power = np.concatenate([residual.p_kw, residual.q_kvar], axis=1)
    variance = settings.meter.power**2 * (power**2).mean(axis=0) + 1e-6
    to_head = np.concatenate([grid.d_head, np.zeros(homes)])
    to_volts = np.hstack([grid.d_vm[:, grid.bus], grid.d_vm[:, buses + grid.bus]])
    model = np.vstack([to_head, to_volts])
    own = np.concatenate(
        [[settings.head.power**2 * float((residual.head_kw**2).mean()) + 1e-6], np.full(homes, settings.meter.voltage**2)]
    )
    inverse = np.linalg.inv(np.diag(own) + (model * variance) @ model.T)
    off = np.column_stack([residual.off_kw, np.nan_to_num(residual.off_pu)])
    chi = ((off @ inverse) * off).sum(axis=1)
    at = int(chi.argmax())
    pull = model.T @ (inverse @ off[at])
    spread = np.sqrt(np.maximum(((model.T @ inverse) * model.T).sum(axis=1), 1e-30))
    return Alarm(float(chi[at]), int(np.abs(pull / spread)[:homes].argmax()))
