"""How often clients shall ask and report. The operator may set both for each resource; else the configuration says."""

from __future__ import annotations

from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service

KIND = "sep-rate"
POLLED = (
    "DeviceCapability",
    "EndDeviceList",
    "FunctionSetAssignmentsList",
    "DERProgramList",
    "DERList",
    "MirrorUsagePointList",
    "SubscriptionList",
    "LogEventList",
    "Registration",
)
POSTED = ("MirrorUsagePoint",)
READER = Principal("gridnet", "operator")
"""The service itself, which reads what the operator set for everybody."""


def poll_s(service: Service, resource: str) -> int:
    """Seconds between two requests for a resource."""
    return _set(service, resource, "poll_s") or service.config.poll_s


def post_s(service: Service, resource: str) -> int:
    """Seconds between two reports to a resource."""
    return _set(service, resource, "post_s") or service.config.post_s


def _set(service: Service, resource: str, which: str) -> int | None:
    try:
        said = service.documents.get(READER, KIND, resource).body.get(which)
    except NotFound:
        return None
    return said if isinstance(said, int) else None
