"""The observation, slot by slot: name, width, unit, scaling, meaning. The docs' tables and the layout come from this list.

Every value is divided by its slot's scale and cut to [-`BOUND`, `BOUND`]. Feeder slots don't depend on how many devices
there are, so a policy that sees only those fits any feeder. Powers are seen relative to the fleet's rated power.
"""

from __future__ import annotations

from dataclasses import dataclass

from gridnet.case import Case
from gridnet_envs.actions import KNOTS

BOUND = 4.0
FORECAST_HOURS = 24


@dataclass(frozen=True)
class Slot:
    """One entry of the observation: `width` numbers, each `value / scale` for a value in `unit`."""

    name: str
    width: int
    unit: str
    scale: float
    meaning: str


SERIES_SLOTS = (
    Slot("day", 2, "sin, cos", 1.0, "local time of day"),
    Slot("season", 2, "sin, cos", 1.0, "time of year"),
    Slot("weekend", 1, "0/1", 1.0, "Saturday or Sunday"),
    Slot("surplus", 1, "fleet power", 1.0, "PV less load of the feeder now"),
    Slot("surplus_forecast", FORECAST_HOURS, "fleet power", 1.0, "forecast surplus, mean of each hour ahead"),
    Slot("spot", 1, "EUR/MWh", 30.0, "spot price now, less the mean of the next 24 h as far as published"),
    Slot("spot_ahead", FORECAST_HOURS, "EUR/MWh", 30.0, "the same for each hour ahead; last published day where not yet known"),
    Slot("spot_mean", 1, "EUR/MWh", 100.0, "the mean that the spot slots are relative to"),
    Slot("hours_known", 1, "h", 36.0, "for how long ahead prices are published"),
    Slot("margin", 1, "EUR/MWh", 200.0, "import price less export price now"),
    Slot("fleet_hours", 1, "h", 4.0, "capacity of the fleet over its power"),
    Slot("fleet_share", 1, "1", 1.0, "fleet power over the transformers' rating (or the loads', where there are none)"),
)
"""Slots that only depend on the step: precomputed for every step of the series."""

STATE_SLOTS = (Slot("soc", 1, "0-1", 1.0, "state of charge of the fleet, by energy"),)
"""Slots of the feeder's state."""

VALUE_SLOTS = (
    Slot(
        "outlook",
        KNOTS,
        "EUR/MWh",
        100.0,
        "what stored energy is worth by the forecasts, from empty to full, less the mean of the spot slots",
    ),
    Slot("outlook_sun", 1, "EUR/MWh", 20.0, "what more sun would add to it, mean over the charge"),
    Slot("outlook_price", 1, "EUR/MWh", 20.0, "what higher prices would add where they are not published, mean over the charge"),
)
"""Slots that exist where the action is the value of stored energy."""


def device_slots(case: Case) -> tuple[Slot, ...]:
    """Slots that exist once per device or describe the last power flow."""
    return (
        Slot("battery_soc", case.fleet.batteries, "0-1", 1.0, "state of charge of each battery"),
        Slot("pv_available", case.fleet.devices - case.fleet.batteries, "rated power", 1.0, "what the sun gives each plant now"),
        Slot("vm_low", 1, "pu from 1", 0.1, "lowest bus voltage of the last step"),
        Slot("vm_high", 1, "pu from 1", 0.1, "highest bus voltage of the last step"),
        Slot("loading", 1, "percent", 100.0, "highest line or transformer loading of the last step"),
    )


def layout(case: Case, devices: bool) -> tuple[Slot, ...]:
    """All slots of an observation, in order: feeder slots, then, where `devices`, those of each device, else the outlook."""
    return SERIES_SLOTS + STATE_SLOTS + (device_slots(case) if devices else VALUE_SLOTS)


def offset(slots: tuple[Slot, ...], name: str) -> int:
    """Index of the first number of the slot called `name`."""
    names = [slot.name for slot in slots]
    return sum(slot.width for slot in slots[: names.index(name)])


def width(slots: tuple[Slot, ...]) -> int:
    """How many numbers the slots hold together."""
    return sum(slot.width for slot in slots)


def table(slots: tuple[Slot, ...]) -> str:
    """The slots as a Markdown table: index, name, unit, scale, meaning."""
    lines, first = ["| index | slot | unit | divided by | meaning |", "|---|---|---|---|---|"], 0
    for slot in slots:
        index = f"{first}" if slot.width == 1 else f"{first}-{first + slot.width - 1}"
        lines.append(f"| {index} | `{slot.name}` | {slot.unit} | {slot.scale:g} | {slot.meaning} |")
        first += slot.width
    return "\n".join(lines)
