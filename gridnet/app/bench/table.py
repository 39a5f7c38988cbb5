"""Plain-text tables: right-aligned numbers under their headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridnet.app.bench.score import Score

_HEADINGS = (
    ("policy", ""),
    ("cost", "EUR"),
    ("over bound", "EUR"),
    ("saving", "EUR"),
    ("captured", "[95 % interval]"),
    ("violations", "steps"),
    ("voltage", "worst pu"),
    ("loading", "worst %"),
    ("losses", "kWh"),
    ("CO2", "kg"),
    ("peak", "kW"),
    ("decision", "ms"),
)


def score_table(scores: Mapping[str, Score], bound_eur: float) -> str:
    """The benchmark's table, one policy a line; `bound_eur` is what no schedule can cost less than."""
    rows = [[heading for heading, _ in _HEADINGS], [unit for _, unit in _HEADINGS]]
    rows.extend(_cells(name, one, bound_eur) for name, one in scores.items())
    return aligned(rows)


def _cells(name: str, one: Score, bound_eur: float) -> list[str]:
    captured = "-"
    if one.captured is not None and one.captured_ci95 is not None:
        low, high = one.captured_ci95
        captured = f"{one.captured:.3f} [{low:.3f}, {high:.3f}]"
    return [
        name,
        f"{one.cost_eur:.2f}",
        f"{one.cost_eur - bound_eur:.2f}",
        f"{one.saving_eur:.2f}",
        captured,
        f"{one.violation_steps:g}",
        f"{one.worst_voltage_pu:.4f}",
        f"{one.worst_loading_percent:.1f}",
        f"{one.loss_kwh:.1f}",
        f"{one.co2_kg:.1f}",
        f"{one.peak_kw:.1f}",
        f"{one.decision_ms:.3f}",
    ]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
