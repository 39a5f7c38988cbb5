"""Which device a signed message is of: its key's name leads there. Keys that are known are looked for at once, their devices asked
for anew each time: whose they are, and which meter they speak for, is never remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from sqlalchemy import Connection

from gridnet.app.service.devices import Devices
from gridnet.app.service.model import Principal
from gridnet.app.service.names import feeder_of, local
from gridnet.app.service.store import moment
from gridnet.metering.keys import PublicKey
from gridnet.metering.registry import KeyEntry, KeyRegistry

_MOST_KEYS = 65_536


@dataclass(frozen=True, slots=True)
class Speaker:
    """A device that speaks for a meter: `feeder`, and a registry that holds its key alone, for the meter's local name."""

    feeder: str
    registry: KeyRegistry


class Speakers:
    """Finds devices by their keys' names."""

    def __init__(self, devices: Devices) -> None:
        self._devices = devices
        self._ids: dict[bytes, str] = {}
        """By key name the device that had it last."""

    def find(self, connection: Connection, by: Principal, kids: Iterable[bytes]) -> dict[bytes, Speaker]:
        """By key name the device of `by`'s that has it now; nothing for a key that none of them has."""
        wanted = set(kids)
        known = {self._ids[kid] for kid in wanted if kid in self._ids}
        found = self._read(connection, by, sorted(known))
        if not wanted <= found.keys():
            found |= self._read(connection, by, None)
        return {kid: found[kid] for kid in wanted if kid in found}

    def _read(self, connection: Connection, by: Principal, ids: list[str] | None) -> dict[bytes, Speaker]:
        if len(self._ids) > _MOST_KEYS:
            self._ids = {}
        found = {}
        for device, meter, key in self._devices.keyed(connection, by, ids):
            kid, registry = _registry(local(meter), key)
            self._ids[kid] = device
            found[kid] = Speaker(feeder_of(meter), registry)
        return found


@lru_cache(maxsize=_MOST_KEYS)
def _registry(meter: str, key: str) -> tuple[bytes, KeyRegistry]:
    public = PublicKey.decode(key)
    return public.kid, KeyRegistry((KeyEntry(meter, public, moment(0)),))


def registry_of(meter: str, key: str) -> KeyRegistry:
    """The registry that holds a meter's key (as text) alone; `meter` is its local name."""
    return _registry(meter, key)[1]
