"""What a step is worth: named terms in EUR that sum to the reward."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet.kernels import kernel
from gridnet.limits import NetworkLimits, loading_excess_percent, voltage_excess_pu
from gridnet.tariff import Prices

Floats = NDArray[np.float64]

TERMS = ("energy_eur", "wear_eur", "carbon_eur", "voltage_eur", "loading_eur", "collapse_eur")
"""Terms of the reward, in this order; each is at most 0 but for energy, which earns when the feeder exports."""


class Penalties(NamedTuple):
    """What a broken limit costs in the reward. They steer learning and are never part of a reported cost."""

    voltage_eur_per_pu_h: float = 100.0
    """Per hour and pu beyond the limit, summed over buses."""
    loading_eur_per_percent_h: float = 0.1
    """Per hour and percent beyond the limit, summed over lines and transformers."""
    collapse_eur: float = 100.0
    """Once, where the power flow has no solution; the episode ends."""


@kernel
def reward_terms(
    prices: Prices,
    limits: NetworkLimits,
    penalties: Penalties,
    dt_h: float,
    step_: int,
    battery_p_kw: Floats,
    flow: Floats,
    terms: Floats,
) -> None:
    """Fills `terms` (6,) for one feeder: `battery_p_kw` (batteries,) as done, `flow` its solved row."""
    terms[:] = 0.0
    if flow[-1] != 1.0:
        terms[5] = -penalties.collapse_eur
        return
    import_kwh = max(flow[-3], 0.0) * dt_h
    export_kwh = max(-flow[-3], 0.0) * dt_h
    moved_kwh = 0.0
    for b in range(battery_p_kw.shape[0]):
        moved_kwh += abs(battery_p_kw[b]) * dt_h
    terms[0] = export_kwh * prices.export_eur_per_kwh[step_] - import_kwh * prices.import_eur_per_kwh[step_]
    terms[1] = -prices.wear_eur_per_kwh * moved_kwh
    terms[2] = -prices.co2_eur_per_kg * prices.carbon_kg_per_kwh[step_] * import_kwh
    terms[3] = -penalties.voltage_eur_per_pu_h * voltage_excess_pu(limits, flow) * dt_h
    terms[4] = -penalties.loading_eur_per_percent_h * loading_excess_percent(limits, flow) * dt_h
