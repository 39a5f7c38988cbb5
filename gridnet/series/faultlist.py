"""Collecting the faults of one file: like faults of many rows become one line that names the first few."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from gridnet.errors import Fault

SHOWN = 3


class FaultList:
    """Faults of `file`. `row_name` is what a row is called there: `line` in a CSV file, `row` in a Parquet file."""

    def __init__(self, file: Path, row_name: str = "line") -> None:
        self.file = file
        self.row_name = row_name
        self.faults: list[Fault] = []

    def add(self, what: str, got: str, expected: str) -> None:
        """One fault of the file as a whole, at `what`, such as a column."""
        self.faults.append(Fault(f"{self.file}: {what}", got, expected))

    def add_rows(self, rows: Sequence[int] | npt.NDArray[np.int64], column: str, got: str, expected: str) -> None:
        """One fault that `rows` share, none where there are no rows."""
        if len(rows):
            noun = self.row_name if len(rows) == 1 else f"{self.row_name}s"
            self.add(f"{noun} {some_of([int(row) for row in rows])}, column {column}", got, expected)


def some_of(items: Iterable[object]) -> str:
    """The first few items, and how many more there are."""
    names = [str(item) for item in items]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
