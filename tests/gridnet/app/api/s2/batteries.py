"""Batteries as S2 describes them, for tests."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime

from s2python.common import Commodity, CommodityQuantity, NumberRange, PowerRange, Transition
from s2python.frbc import (
    FRBCActuatorDescription,
    FRBCOperationMode,
    FRBCOperationModeElement,
    FRBCStorageDescription,
    FRBCSystemDescription,
)

SYMMETRIC = CommodityQuantity.ELECTRIC_POWER_3_PHASE_SYMMETRIC
PHASES = (CommodityQuantity.ELECTRIC_POWER_L1, CommodityQuantity.ELECTRIC_POWER_L2, CommodityQuantity.ELECTRIC_POWER_L3)
ACTUATOR = uuid.UUID(int=1)
IDLE, CHARGE, DISCHARGE, BOOST = (uuid.UUID(int=number) for number in range(10, 14))
Powers = tuple[float, float]


def mode(name: uuid.UUID, powers_w: Powers, levels: Powers = (0.0, 100.0), abnormal: bool = False) -> FRBCOperationMode:
    """A mode that runs from one power to another, consumption positive, at some fill levels."""
    element = FRBCOperationModeElement(
        fill_level_range=NumberRange(start_of_range=levels[0], end_of_range=levels[1]),
        fill_rate=NumberRange(start_of_range=0.0, end_of_range=0.0),
        power_ranges=[PowerRange(start_of_range=powers_w[0], end_of_range=powers_w[1], commodity_quantity=SYMMETRIC)],
    )
    return FRBCOperationMode(id=name, elements=[element], abnormal_condition_only=abnormal)


def transition(start: uuid.UUID, end: uuid.UUID, abnormal: bool = False) -> Transition:
    """A change of modes that is possible."""
    return Transition(
        id=uuid.uuid4(), **{"from": start, "to": end}, start_timers=[], blocking_timers=[], abnormal_condition_only=abnormal
    )


def system(*modes: FRBCOperationMode, transitions: tuple[Transition, ...] = (), label: str | None = "%") -> FRBCSystemDescription:
    """A storage with one actuator."""
    actuator = FRBCActuatorDescription(
        id=ACTUATOR,
        supported_commodities=[Commodity.ELECTRICITY],
        operation_modes=list(modes),
        transitions=list(transitions),
        timers=[],
    )
    storage = FRBCStorageDescription(
        fill_level_label=label,
        provides_leakage_behaviour=False,
        provides_fill_level_target_profile=False,
        provides_usage_forecast=False,
        fill_level_range=NumberRange(start_of_range=20.0, end_of_range=80.0),
    )
    return FRBCSystemDescription(message_id=uuid.uuid4(), valid_from=datetime.now(UTC), actuators=[actuator], storage=storage)


def battery() -> FRBCSystemDescription:
    """One mode, from 5 kW of discharge to 5 kW of charge."""
    return system(mode(CHARGE, (-5000.0, 5000.0)))
