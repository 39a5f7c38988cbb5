"""Measured figures: a value, what it is aimed at, and how it compares with a reference of the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from gridnet.app.bench.table import aligned


@dataclass(frozen=True)
class Figure:
    """One measured figure. `ratio` compares with the reference of its kind in the same run; `target` is what we aim for."""

    name: str
    value: float
    unit: str
    target: str = ""
    ratio: float | None = None

    def as_json(self) -> dict[str, object]:
        """Plain values, rounded to four digits."""
        return {key: float(f"{part:.4g}") if isinstance(part, float) else part for key, part in asdict(self).items()}


def figure_table(figures: list[Figure]) -> str:
    """The figures as a table."""
    rows = [["measure", "value", "unit", "target", "against reference"]]
    for one in figures:
        ratio = "" if one.ratio is None else f"{one.ratio:,.0f} x" if one.ratio >= 10 else f"{one.ratio:.2f} x"
        rows.append([one.name, f"{one.value:,.4g}" if one.value < 1e4 else f"{one.value:,.0f}", one.unit, one.target, ratio])
    return aligned(rows)


def median_s(work: Callable[[], object], repeats: int) -> float:
    """Seconds of one call: the median of `repeats`, after one that does not count."""
    work()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        work()
        times.append(time.perf_counter() - began)
    return statistics.median(times)
