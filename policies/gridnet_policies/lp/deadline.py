"""A time limit that several solutions share."""

from __future__ import annotations

import time


class Deadline:
    """Runs from its making; None sets no limit."""

    def __init__(self, limit_s: float | None) -> None:
        self._end = None if limit_s is None else time.monotonic() + limit_s

    def left_s(self) -> float | None:
        """Seconds that are left, never below 0; None without a limit."""
        return None if self._end is None else max(0.0, self._end - time.monotonic())
