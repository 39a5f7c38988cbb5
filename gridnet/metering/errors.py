"""Why a message from a meter is refused: one error per step of `gridnet.metering.cose.open_message`."""

from __future__ import annotations

from gridnet.errors import VerificationError


class MalformedMessage(VerificationError):
    """The bytes are not a reading's one way to be written."""


class UnknownKey(VerificationError):
    """No device ever had the key that the message names."""


class WrongAlgorithm(VerificationError):
    """The message names another algorithm than its key's."""


class WrongDevice(VerificationError):
    """The key is another device's than the one whose reading it signed."""


class KeyNotValid(VerificationError):
    """The key is not the one the device signs this interval with: not yet, or no longer."""


class KeyRevoked(VerificationError):
    """The message came when its key was revoked already."""


class BadSignature(VerificationError):
    """The signature was not made over these bytes with this key."""
