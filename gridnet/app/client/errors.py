"""What can go wrong between a client and the service."""

from __future__ import annotations

from collections.abc import Sequence

from gridnet.errors import Fault, GridnetError


class ClientError(GridnetError):
    """The service did not do what it was asked to."""


class Unreachable(ClientError):
    """There was no answer, or none that can be understood, however often it was asked."""

    exit_code = 3


class Refused(ClientError):
    """The service answered that it won't. `status` is HTTP's, `kind` the problem's short name, `faults` all that was wrong."""

    exit_code = 2

    def __init__(self, status: int, kind: str, detail: str, faults: Sequence[Fault] = ()) -> None:
        lines = [f"{detail} ({status})", *(f"  - {fault}" for fault in faults)]
        super().__init__("\n".join(lines))
        self.status = status
        self.kind = kind
        self.faults = tuple(faults)
