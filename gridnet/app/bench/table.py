"""Plain-text tables: right-aligned numbers under their headings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from gridnet.app.bench.compare import Comparison, Typical, Verdict, coverage_at_most
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
    return [
        name,
        f"{one.cost_eur:.2f}",
        f"{one.cost_eur - bound_eur:.2f}",
        f"{one.saving_eur:.2f}",
        with_interval(one.captured, one.captured_ci95),
        f"{one.violation_steps:g}",
        f"{one.worst_voltage_pu:.4f}",
        f"{one.worst_loading_percent:.1f}",
        f"{one.loss_kwh:.1f}",
        f"{one.co2_kg:.1f}",
        f"{one.peak_kw:.1f}",
        f"{one.decision_ms:.3f}",
    ]


def verdict_table(one: Verdict, weeks: int) -> str:
    """Paired comparisons over `weeks` weeks and, of every policy, the typical week; empty where there is neither."""
    parts = []
    if one.comparisons:
        rows = [["captured, paired", "difference", "better"], ["", "[95 % interval]", "% of weeks"]]
        parts.append(aligned([*rows, *(_comparison_cells(pair) for pair in one.comparisons)]))
        if few_weeks(weeks):
            parts[-1] += f"\n{few_weeks(weeks)}"
    if one.typical:
        rows = [["captured, typical week", "IQM"], ["", "[95 % interval over training seeds]"]]
        parts.append(aligned([*rows, *(_typical_cells(name, week) for name, week in one.typical.items())]))
    return "\n\n".join(parts)


def few_weeks(weeks: int) -> str:
    """A word of care where an interval over so few weeks can't be what its name says; else nothing."""
    if weeks == 1:
        return "careful: a single week says nothing of others"
    at_most = coverage_at_most(weeks)
    if at_most >= 0.95:
        return ""
    return f"careful: over {weeks} weeks such an interval can hold the truth {100 * at_most:.0f} % of the time at most, not 95 %"


def with_interval(value: float | None, interval: tuple[float, float] | None, sign: str = "") -> str:
    """A share with its interval, as far as they are known; `sign` "+" shows the sign of what is above 0."""
    if value is None:
        return "-"
    shown = f"{value:{sign}.3f}"
    return shown if interval is None else f"{shown} [{interval[0]:{sign}.3f}, {interval[1]:{sign}.3f}]"


def _comparison_cells(pair: Comparison) -> list[str]:
    difference = with_interval(pair.difference, pair.difference_ci95, "+")
    return [f"of {pair.policy} less {pair.against}", difference, f"{100 * pair.better:.0f}"]


def _typical_cells(name: str, week: Typical) -> list[str]:
    return [f"of {name}", with_interval(week.iqm, week.iqm_ci95)]


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as lines: the first column to the left, the others to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)
