"""The last signed checkpoint, kept apart from the database.

A database restored from a backup, or a second instance beside the first, would sign a second history of the same log. Both
fail here: who wants to sign must first swap the checkpoint it believes to be the last for the new one.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from gridnet.errors import LedgerError
from gridnet_contracts.log import durable


class GuardUnavailable(LedgerError):
    """The guard can't be read or written (full or read-only disk, missing folder): sign nothing."""


class Guard(Protocol):
    """A place for one value, changed by compare-and-swap."""

    def read(self) -> bytes | None:
        """What was swapped in last, None before the first time."""

    def swap(self, expected: bytes | None, new: bytes) -> bool:
        """Puts `new` in place of `expected` (None: of nothing) and gives True; False, and no change, if another value stands."""


class FileGuard:
    """A guard in the file `path`, on a disk that is not restored together with the database.

    Of several processes that swap the same value exactly one succeeds, and what it wrote survives a power cut. Raises
    `GuardUnavailable` where the disk fails; the old value then still stands, unless the failure came while the disk confirmed
    the new one: `read` tells.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = path.with_name(f"{path.name}.lock")

    def read(self) -> bytes | None:
        """What was swapped in last, None before the first time; raises `GuardUnavailable`."""
        try:
            return self._stored()
        except OSError as error:
            raise self._unavailable(error) from error

    def swap(self, expected: bytes | None, new: bytes) -> bool:
        """Puts `new` in place of `expected`; False, and no change, if another value stands. Raises `GuardUnavailable`."""
        try:
            with durable.locked(self._lock):
                if self._stored() != expected:
                    return False
                durable.replace(self._path, new)
                return True
        except OSError as error:
            raise self._unavailable(error) from error

    def _stored(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            if not self._path.parent.is_dir():  # an unmounted disk must not look like a log that never signed
                raise
            return None

    def _unavailable(self, error: OSError) -> GuardUnavailable:
        return GuardUnavailable(f"guard {self._path}: {error.strerror or error}; nothing may be signed until the disk works again")
