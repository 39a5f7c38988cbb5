"""Turns at computing: feeders that are closed at the same moment would else leave no time for requests in the same process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Semaphore

MOST = 2
"""Feeders of one process whose readings are judged at a time."""


class Turns:
    """So many may compute at a time. Who waits for a disk meanwhile steps aside, and lets another one compute."""

    def __init__(self, most: int = MOST) -> None:
        self._free = Semaphore(most)

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Waits for a turn, and has it until the end."""
        with self._free:
            yield

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Within a turn: gives it to another, and waits for one again at the end."""
        self._free.release()
        try:
            yield
        finally:
            self._free.acquire()
