"""Numbers and tables for people. Whole numbers become floats here and nowhere else; what is rounded never flatters."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

MILLION = 1_000_000
CERTIFICATES = "granular certificate (EnergyTag-shaped)"
RULE = "matches the proposed hourly-matching rule"


def part(share: Fraction | None) -> float | None:
    """A share, 0 to 1, rounded down to a millionth, so that less than all is never shown as all. None where there is none."""
    return None if share is None else share.numerator * MILLION // share.denominator / MILLION


def percent(share: Fraction | None) -> str:
    """A share in %, rounded down to a tenth; a dash where there is none."""
    return "-" if share is None else f"{share.numerator * 1000 // share.denominator / 10:.1f} %"


def kwh(wh: int) -> str:
    """Wh as kWh, exact."""
    return f"{wh / 1000:.3f}"


def kilograms(ug: int) -> str:
    """Micrograms as kg, rounded up to a gram."""
    return f"{-(-ug // MILLION) / 1000:.3f}"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) if k else cell.ljust(width) for k, (cell, width) in enumerate(zip(row, widths, strict=True)))
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines)
