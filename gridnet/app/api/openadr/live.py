"""The VTN's own content: one program, and for each device an event that is alive. It says what the device shall do now and next.

OpenADR counts consumption, gridnet generation: `DISPATCH_SETPOINT` is -p_kw. Limits are magnitudes in both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from gridnet.app.api.openadr.shapes import Version
from gridnet.app.api.openadr.times import iso_duration, iso_time
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Device, Effective, Principal
from gridnet.app.service.service import Service
from gridnet.app.service.timeline import timeline

PROGRAM = "gridnet-dispatch"
PROGRAM_NAME = "gridnet dispatch"
EVENT_PREFIX = "dispatch-"

UNITS: Mapping[str, str] = {
    "DISPATCH_SETPOINT": "KW",
    "IMPORT_CAPACITY_LIMIT": "KW",
    "EXPORT_CAPACITY_LIMIT": "KW",
    "PRICE": "KWH",
    "EXPORT_PRICE": "KWH",
    "GHG": "GHG",
}
_CURRENCIES = {"PRICE": "EUR", "EXPORT_PRICE": "EUR"}
REPORTS: Mapping[str, str] = {"DEMAND": "KW", "STORAGE_CHARGE_LEVEL": "PERCENT"}
"""What devices are asked to report, and in which unit."""
_DEVICES_READ = 100


class Live:
    """What the service itself publishes, made anew at each request."""

    def __init__(self, service: Service, version: Version) -> None:
        self._service = service
        self._version = version
        # As old as this process: nobody made it, and nobody changes it.
        self._made = iso_time(service.clock().replace(microsecond=0))

    def program(self) -> dict[str, Any]:
        """The program that all of the service's own events belong to."""
        return {
            "id": PROGRAM,
            "objectType": "PROGRAM",
            "createdDateTime": self._made,
            "modificationDateTime": self._made,
            "programName": PROGRAM_NAME,
            "payloadDescriptors": _descriptors(UNITS),
        }

    def events(self, by: Principal) -> Iterator[dict[str, Any]]:
        """The events of all devices that `by` may see."""
        return (self.event_of(by, device) for device in self.devices(by))

    def devices(self, by: Principal) -> Iterator[Device]:
        """All devices that `by` may see, in the order of registration."""
        start, total = 0, 1
        while start < total:
            found, total = self._service.devices.page(by, start, _DEVICES_READ)
            yield from found
            start += _DEVICES_READ

    def event(self, by: Principal, name: str) -> dict[str, Any]:
        """The event with this id. Raises `NotFound`, for another's device too."""
        return self.event_of(by, self.device(by, name))

    def device(self, by: Principal, name: str) -> Device:
        """The device whose event has this id. Raises `NotFound`."""
        return self._service.devices.get(by, device_of(name))

    def event_of(self, by: Principal, device: Device) -> dict[str, Any]:
        """The device's event."""
        steps = timeline(self._service, by, device).steps
        first = steps[0]
        written = iso_time(first.start)
        return {
            "id": event_id(device.id),
            "objectType": "EVENT",
            "createdDateTime": written,
            "modificationDateTime": written,
            "programID": PROGRAM,
            "eventName": f"{PROGRAM_NAME}: {device.id}",
            "targets": [device.id] if self._version == "3.1.0" else [{"type": "RESOURCE_NAME", "values": [device.id]}],
            "payloadDescriptors": _descriptors(UNITS),
            "reportDescriptors": [
                {"payloadType": name, "readingType": "DIRECT_READ", "units": unit} for name, unit in REPORTS.items()
            ],
            "intervalPeriod": _period(first.start, first.end),
            "intervals": [
                {"id": number, "intervalPeriod": _period(step.start, step.end), "payloads": self._payloads(step)}
                for number, step in enumerate(steps)
            ],
        }

    def _payloads(self, step: Effective) -> list[dict[str, Any]]:
        limits = (("IMPORT_CAPACITY_LIMIT", step.limits.import_kw), ("EXPORT_CAPACITY_LIMIT", step.limits.export_kw))
        # 0.0 - p rather than -p: nobody wants to read -0.0.
        values = [("DISPATCH_SETPOINT", 0.0 - step.p_kw), *((name, value) for name, value in limits if value is not None)]
        worth = self._service.worth(step.start)
        if worth is not None:
            values += [("PRICE", worth.import_eur_per_kwh), ("EXPORT_PRICE", worth.export_eur_per_kwh)]
            values.append(("GHG", worth.carbon_g_per_kwh))
        return [{"type": name, "values": [value]} for name, value in values]


def event_id(device: str) -> str:
    """Of a device's event. OpenADR's ids have letters, digits, - and _: another character is written as its code between two _."""
    return EVENT_PREFIX + re.sub(r"[^a-zA-Z0-9-]", lambda found: f"_{ord(found[0]):x}_", device)


def device_of(event: str) -> str:
    """The device whose event it is. Raises `NotFound` for an id that no device's event has."""
    device = re.sub(r"_([0-9a-f]{1,6})_", lambda found: chr(min(int(found[1], 16), 0x10FFFF)), event.removeprefix(EVENT_PREFIX))
    if event_id(device) != event:
        raise NotFound(f"no event {event[:64]}")
    return device


def _descriptors(units: Mapping[str, str]) -> list[dict[str, Any]]:
    return [
        {"objectType": "EVENT_PAYLOAD_DESCRIPTOR", "payloadType": name, "units": unit}
        | ({"currency": _CURRENCIES[name]} if name in _CURRENCIES else {})
        for name, unit in units.items()
    ]


def _period(start: datetime, end: datetime) -> dict[str, str]:
    return {"start": iso_time(start), "duration": iso_duration(end - start)}
