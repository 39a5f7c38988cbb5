"""EndDevices: the devices that somebody may see, how they register, and their registration."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from secrets import token_hex

from envoy_schema.server.schema.csip_aus.connection_point import ConnectionPointLink
from envoy_schema.server.schema.sep2.end_device import EndDeviceListResponse, EndDeviceResponse, RegistrationResponse
from envoy_schema.server.schema.sep2.identification import Link, ListLink
from envoy_schema.server.schema.sep2.types import DeviceCategory
from fastapi import Response

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Action, Asking, View
from gridnet.app.api.sep.incoming import LFDI_DIGITS, Reader
from gridnet.app.api.sep.outgoing import gone, made
from gridnet.app.api.sep.payloads import SUBSCRIBABLE
from gridnet.app.api.sep.rates import poll_s
from gridnet.app.service.errors import Conflict, NotFound
from gridnet.app.service.model import Device, Kind, Principal, sfdi_of

CATEGORIES: dict[Kind, DeviceCategory] = {
    "pv": DeviceCategory.PHOTOVOLTAIC_SYSTEM,
    "battery": DeviceCategory.OTHER_STORAGE_SYSTEM,
    "site": DeviceCategory.VIRTUAL_OR_MIXED_DER,
}
_STORES = (
    DeviceCategory.OTHER_STORAGE_SYSTEM
    | DeviceCategory.COMBINED_PV_AND_STORAGE
    | DeviceCategory.ELECTRIC_VEHICLE
    | DeviceCategory.ELECTRIC_VEHICLE_SUPPLY_EQUIPMENT
)
_READ = 200
"""Devices read at once where all are looked at."""


def count(asking: Asking) -> int:
    """How many EndDevices there are for whoever asks."""
    return asking.service.devices.page(asking.by, 0, 0)[1] + len(_own(asking))


def end_devices(asking: Asking) -> EndDeviceListResponse:
    """The devices in the order of registration; an aggregator's own EndDevice is the first."""
    listed, total = _page(asking)
    return EndDeviceListResponse(
        href=hrefs.EDEVS,
        subscribable=SUBSCRIBABLE,
        all_=total,
        results=len(listed),
        pollRate=poll_s(asking.service, "EndDeviceList"),
        EndDevice=listed,
    )


def end_device(asking: Asking, device: str) -> EndDeviceResponse:
    """One of them. Raises `NotFound`."""
    return _end_device(asking, asking.service.devices.get(asking.by, device))


def aggregator(asking: Asking) -> EndDeviceResponse:
    """The EndDevice that stands for the aggregator itself. Raises `NotFound` for others."""
    own = _own(asking)
    if not own:
        raise NotFound("only an aggregator has an EndDevice of its own")
    return own[0]


def registration(asking: Asking, device: str) -> RegistrationResponse:
    """The PIN that the owner compares. Raises `NotFound` where none was set."""
    known = asking.service.devices.get(asking.by, device)
    if known.pin is None:
        raise NotFound(f"{known.id} was registered without a PIN")
    return RegistrationResponse(
        href=hrefs.edev(device, "rg"),
        pollRate=poll_s(asking.service, "Registration"),
        dateTimeRegistered=_seconds(known.registered),
        pIN=known.pin,
    )


def register(asking: Asking, reader: Reader) -> Response:
    """Registers a device: itself by its own certificate, any of theirs by an aggregator's. Raises `Forbidden`, `Conflict`,
    `InputError`."""
    said = reader.hexadecimal("lFDI", LFDI_DIGITS, exactly=True, needed=asking.by.role != "device")
    sfdi = reader.integer("sFDI", 0, 10**12, needed=True)
    category = DeviceCategory(int(reader.hexadecimal("deviceCategory", 8) or "0", 16))
    lfdi = (said or asking.by.lfdi or "").lower()
    if sfdi is not None and lfdi and sfdi != sfdi_of(lfdi):
        reader.refuse("sFDI", str(sfdi), f"{sfdi_of(lfdi)}, the short form of the lFDI")
    reader.done()
    if asking.by.role != "device" and lfdi == asking.by.lfdi:
        raise Conflict("this certificate is the aggregator's own")
    # What it can do, it says in its DERCapability; until then it is asked to do nothing.
    device = Device(f"sep-{token_hex(8)}", asking.by.id, kind_of(category), discharge_kw=0.0, lfdi=lfdi)
    return made(hrefs.edev(asking.service.devices.add(asking.by, device).id))


def deregister(asking: Asking, device: str) -> Response:
    """Takes a device back. Raises `NotFound`."""
    asking.service.devices.remove(asking.by, device)
    return gone()


def kind_of(category: DeviceCategory) -> Kind:
    """What gridnet calls a device of a category; a site where it says nothing or more than one thing."""
    if category & _STORES:
        return "battery"
    return "pv" if category & DeviceCategory.PHOTOVOLTAIC_SYSTEM else "site"


def _page(asking: Asking) -> tuple[list[EndDeviceResponse], int]:
    page, own = asking.page, _own(asking)
    if page.after_s:
        since = page.since(_all(asking), lambda device: device.registered)
        return [_end_device(asking, each) for each in page.cut(since)], len(since)
    first = page.cut(own)
    start, limit = max(0, page.start - len(own)), page.limit - len(first)
    devices, total = asking.service.devices.page(asking.by, start, limit)
    return first + [_end_device(asking, each) for each in devices], total + len(own)


def _all(asking: Asking) -> Sequence[Device]:
    found: list[Device] = []
    total = 1
    while len(found) < total:
        some, total = asking.service.devices.page(asking.by, len(found), _READ)
        if not some:
            break
        found += some
    return found


def _own(asking: Asking) -> list[EndDeviceResponse]:
    by = asking.by
    if by.role != "aggregator" or by.lfdi is None:
        return []
    made = EndDeviceResponse(
        href=hrefs.OWN,
        subscribable=SUBSCRIBABLE,
        lFDI=by.lfdi.upper(),
        sFDI=sfdi_of(by.lfdi),
        changedTime=0,
        SubscriptionListLink=_subscriptions(asking),
    )
    return [made]


def _end_device(asking: Asking, device: Device) -> EndDeviceResponse:
    return EndDeviceResponse(
        href=hrefs.edev(device.id),
        subscribable=SUBSCRIBABLE,
        DERListLink=ListLink(href=hrefs.edev(device.id, "der"), all_=1),
        deviceCategory=f"{CATEGORIES[device.kind]:X}",
        lFDI=None if device.lfdi is None else device.lfdi.upper(),
        LogEventListLink=ListLink(href=hrefs.edev(device.id, "lel")),
        sFDI=device.sfdi or 0,
        changedTime=_seconds(device.registered),
        enabled=True,
        FunctionSetAssignmentsListLink=ListLink(href=hrefs.edev(device.id, "fsa")),
        RegistrationLink=None if device.pin is None else Link(href=hrefs.edev(device.id, "rg")),
        # An aggregator's subscriptions hang from its own EndDevice (CSIP-AUS).
        SubscriptionListLink=_subscriptions(asking) if _is(asking.by, device) else None,
        ConnectionPointLink=ConnectionPointLink(href=hrefs.edev(device.id, "cp")),
    )


def _is(by: Principal, device: Device) -> bool:
    return by.role == "device" and by.lfdi is not None and by.lfdi == device.lfdi


def _subscriptions(asking: Asking) -> ListLink:
    return ListLink(href=hrefs.SUBSCRIPTIONS, all_=len(asking.service.webhooks.subscriptions(asking.by, "sep")))


def _seconds(time: datetime | None) -> int:
    return 0 if time is None else int(time.timestamp())


_EDEV = hrefs.EDEVS + "/{device}"
VIEWS = (
    View(hrefs.EDEVS, end_devices, "device"),
    View(_EDEV, end_device, "device"),
    View(hrefs.OWN, aggregator),
    View(_EDEV + "/rg", registration),
)
ACTIONS = (Action("POST", hrefs.EDEVS, register), Action("DELETE", _EDEV, deregister))
