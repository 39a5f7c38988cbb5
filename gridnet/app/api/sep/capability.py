"""Where a client begins: DeviceCapability and Time."""

from __future__ import annotations

from envoy_schema.server.schema.sep2.device_capability import DeviceCapabilityResponse
from envoy_schema.server.schema.sep2.identification import Link, ListLink
from envoy_schema.server.schema.sep2.time import TimeResponse
from envoy_schema.server.schema.sep2.types import TimeQualityType

from gridnet.app.api.sep import end_devices, hrefs, mirror
from gridnet.app.api.sep.asking import Asking, View
from gridnet.app.api.sep.rates import poll_s


def device_capability(asking: Asking) -> DeviceCapabilityResponse:
    """The door to everything else."""
    return DeviceCapabilityResponse(
        href=hrefs.DCAP,
        pollRate=poll_s(asking.service, "DeviceCapability"),
        TimeLink=Link(href=hrefs.TIME),
        EndDeviceListLink=ListLink(href=hrefs.EDEVS, all_=end_devices.count(asking)),
        MirrorUsagePointListLink=ListLink(href=hrefs.MUPS, all_=mirror.count(asking)),
    )


def time(asking: Asking) -> TimeResponse:
    """The server's clock. It is in UTC all year: local time is the client's affair."""
    now_s = int(asking.service.clock().timestamp())
    return TimeResponse(
        href=hrefs.TIME,
        currentTime=now_s,
        dstEndTime=0,
        dstOffset=0,
        dstStartTime=0,
        localTime=now_s,
        # The host's clock, which NTP is expected to keep.
        quality=TimeQualityType.level_3_source,
        tzOffset=0,
    )


VIEWS = (View(hrefs.DCAP, device_capability), View(hrefs.TIME, time))
