"""pysunspec2's client: the registers as others read them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sunspec2.modbus.client as sunspec


class Scanned:
    """The models that a scan found; each is read anew when it is asked for."""

    def __init__(self, device: Any) -> None:
        self._device = device

    @property
    def numbers(self) -> list[int]:
        return sorted(each for each in self._device.models if isinstance(each, int))

    def __getitem__(self, number: int) -> Any:
        model = self._device.models[number][0]
        model.read()
        return model


@contextmanager
def scanned(port: int) -> Iterator[Scanned]:
    """A device on loopback."""
    device = sunspec.SunSpecModbusClientDeviceTCP(slave_id=1, ipaddr="127.0.0.1", ipport=port, timeout=5)
    device.scan()
    try:
        yield Scanned(device)
    finally:
        device.disconnect()
