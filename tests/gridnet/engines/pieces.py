"""Work for engines to do, where every process finds it."""

from __future__ import annotations

import os
import time
from pathlib import Path

from gridnet.errors import InputError


def scaled(factor: float, item: int) -> tuple[float, int]:
    """The answer, and who gave it."""
    return factor * item, os.getpid()


def refused_at_two(shared: None, item: int) -> int:
    """An error in the midst of a job."""
    if item == 2:
        raise InputError("item 2 is refused")
    return item


def noted(folder: Path, item: int) -> int:
    """Leaves a mark for each time that it begins, and takes its time."""
    (folder / f"{item}-{os.getpid()}").touch()
    time.sleep(1.0)
    return item * item
