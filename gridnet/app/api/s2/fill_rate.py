"""A setpoint in S2's fill rate based control: which operation mode of an actuator, and how far into it.

S2 counts consumption: an actuator that shall inject has a power below 0. An operation mode runs, at a fill level, from one power to
another; its factor, 0 to 1, says where between them.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from s2python.common import Commodity, CommodityQuantity, NumberRange, PowerValue
from s2python.frbc import FRBCActuatorDescription, FRBCOperationMode, FRBCStorageDescription, FRBCSystemDescription

ELECTRIC = frozenset(
    {
        CommodityQuantity.ELECTRIC_POWER_L1,
        CommodityQuantity.ELECTRIC_POWER_L2,
        CommodityQuantity.ELECTRIC_POWER_L3,
        CommodityQuantity.ELECTRIC_POWER_3_PHASE_SYMMETRIC,
    }
)
_W_PER_KW = 1000.0
_DIGITS = 6
"""Of a factor: a millionth of any battery's power is nothing."""


@dataclass(frozen=True)
class Choice:
    """One mode of one actuator, `factor` of the way through it, and the power that this is."""

    actuator: uuid.UUID
    mode: uuid.UUID
    factor: float
    p_kw: float


def choose(system: FRBCSystemDescription, level: float, active: uuid.UUID | None, p_kw: float) -> Choice | None:
    """What comes nearest to `p_kw` at a fill level, of what can be reached from the mode that is active (None: any).

    Never "infeasible": what the device can't do becomes the nearest that it can. None where it has nothing electric at this level.
    """
    found = [choice for actuator in system.actuators for choice in _choices(actuator, level, active, p_kw)]
    return min(found, key=lambda each: (round(abs(each.p_kw - p_kw), _DIGITS), each.mode != active), default=None)


def measured_kw(values: Iterable[PowerValue]) -> float | None:
    """p_kw of a measurement, its phases together; None where nothing in it is electric."""
    watts = [each.value for each in values if each.commodity_quantity in ELECTRIC]
    return 0.0 - sum(watts) / _W_PER_KW if watts else None


def soc_of(storage: FRBCStorageDescription, level: float) -> float:
    """A fill level as a state of charge: a percentage where its label says so, else its share of the storage's range."""
    if any(word in (storage.fill_level_label or "").lower() for word in ("%", "percent")):
        return level / 100.0
    low, high = storage.fill_level_range.start_of_range, storage.fill_level_range.end_of_range
    return (level - low) / (high - low) if high > low else 0.0


def _choices(actuator: FRBCActuatorDescription, level: float, active: uuid.UUID | None, p_kw: float) -> Iterator[Choice]:
    if Commodity.ELECTRICITY not in actuator.supported_commodities:
        return
    for mode in actuator.operation_modes:
        if mode.abnormal_condition_only or not _reachable(actuator, active, mode.id):
            continue
        powers = _powers_w(mode, level)
        if powers is not None:
            first, last = powers
            factor = (0.0 - p_kw * _W_PER_KW - first) / (last - first) if last != first else 0.0
            factor = round(min(max(factor, 0.0), 1.0), _DIGITS)
            yield Choice(actuator.id, mode.id, factor, 0.0 - (first + factor * (last - first)) / _W_PER_KW)


def _reachable(actuator: FRBCActuatorDescription, active: uuid.UUID | None, mode: uuid.UUID) -> bool:
    modes = {each.id for each in actuator.operation_modes}
    if active not in modes or active == mode:
        return True
    return any(each.from_ == active and each.to == mode and not each.abnormal_condition_only for each in actuator.transitions)


def _powers_w(mode: FRBCOperationMode, level: float) -> tuple[float, float] | None:
    """Power at factor 0 and at factor 1; None where the mode does not run at this fill level."""
    for element in mode.elements:
        if _holds(element.fill_level_range, level):
            ranges = [each for each in element.power_ranges if each.commodity_quantity in ELECTRIC]
            first, last = sum(each.start_of_range for each in ranges), sum(each.end_of_range for each in ranges)
            return (first, last) if ranges and math.isfinite(first) and math.isfinite(last) else None
    return None


def _holds(span: NumberRange, level: float) -> bool:
    return min(span.start_of_range, span.end_of_range) <= level <= max(span.start_of_range, span.end_of_range)
