"""Where everything is, and the names that things go by."""

from __future__ import annotations

import hashlib
from urllib.parse import quote

from gridnet.app.service.model import NO_ENTERPRISE

ROOT = "/sep2"
DCAP = f"{ROOT}/dcap"
TIME = f"{ROOT}/tm"
EDEVS = f"{ROOT}/edev"
OWN = f"{ROOT}/aggregator"
"""The EndDevice that stands for an aggregator itself; its subscriptions hang from it."""
SUBSCRIPTIONS = f"{ROOT}/sub"
MUPS = f"{ROOT}/mup"


def edev(device: str, *below: str) -> str:
    """A device, or what is below it."""
    return "/".join((EDEVS, *(quote(part, safe="") for part in (device, *below))))


def der(device: str, *below: str) -> str:
    """The device's one DER."""
    return edev(device, "der", "1", *below)


def program(device: str, name: str, *below: str) -> str:
    """A programme as the device sees it."""
    return edev(device, "derp", name, *below)


def subscription(name: str) -> str:
    """A subscription."""
    return f"{SUBSCRIPTIONS}/{name}"


def mup(mrid: str) -> str:
    """A mirror usage point."""
    return f"{MUPS}/{mrid}"


def mrid(*words: str) -> str:
    """The mRID of a thing that has a name only: always the same for the same name. Its last digits are its maker's enterprise
    number (CSIP-AUS), as in a control's id."""
    return hashlib.sha256("\x1f".join(words).encode()).hexdigest()[:24].upper() + NO_ENTERPRISE
