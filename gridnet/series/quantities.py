"""What a user's series can measure, and the units it may come in."""

from __future__ import annotations

from enum import StrEnum


class Quantity(StrEnum):
    """The four series that a scenario may replace. The value is the key under `[series]`."""

    LOAD = "load"
    PV = "pv"
    PRICE = "price"
    CARBON = "carbon"

    @property
    def per_device(self) -> bool:
        """Whether the file holds one series for each device of the network."""
        return self in (Quantity.LOAD, Quantity.PV)

    @property
    def units(self) -> dict[str, float]:
        """Units that are understood, each with the factor to kW, EUR/MWh or g/kWh."""
        return _UNITS[self]


PER_INTERVAL = ("Wh", "kWh", "MWh")
"""Energy units: a value is the energy of its whole interval, so its power depends on how long the interval is."""

_POWER = {"W": 1e-3, "kW": 1.0, "MW": 1e3, "Wh": 1e-3, "kWh": 1.0, "MWh": 1e3}
_UNITS = {
    Quantity.LOAD: _POWER,
    Quantity.PV: _POWER,
    Quantity.PRICE: {"EUR/MWh": 1.0, "EUR/kWh": 1e3, "ct/kWh": 10.0},
    Quantity.CARBON: {"g/kWh": 1.0, "kg/MWh": 1.0},
}
