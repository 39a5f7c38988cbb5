"""How the service calls the meters of several feeders: `FEEDER/bat-00`; those of the main feeder, which has no name, `bat-00`.

Within a feeder (its readings, its verification, its simulated homes) a meter has its local name, `bat-00`.
"""

from __future__ import annotations

MAIN = ""
"""The feeder of the setting `scenario`."""


def qualified(feeder: str, meter: str) -> str:
    """The service's name of a feeder's meter."""
    return f"{feeder}/{meter}" if feeder else meter


def feeder_of(meter: str) -> str:
    """The feeder in the service's name of a meter."""
    return meter.rpartition("/")[0]


def local(meter: str) -> str:
    """The name within its feeder."""
    return meter.rpartition("/")[2]
