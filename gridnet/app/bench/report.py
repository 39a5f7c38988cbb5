"""The benchmark's report: one page that needs neither network nor JavaScript, and its figures as files beside it."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gridnet.app.bench import plots
from gridnet.app.bench.evaluate import WeekRun
from gridnet.app.bench.plots import Plot, Runs, in_words, local_day, number
from gridnet.app.bench.score import BOUND, REFERENCE, Score
from gridnet.case import Case
from gridnet.clock import is_held_out
from gridnet.errors import InputError

TEMPLATE = "report.html.j2"


@dataclass(frozen=True)
class Column:
    """How one field of `Score` is shown."""

    label: str
    unit: str
    meaning: str
    digits: int = 0
    scale: float = 1.0

    def show(self, value: float | tuple[float, float] | None) -> str:
        """The value in the column's unit; a dash where there is none."""
        if value is None:
            return "\N{EN DASH}"
        if isinstance(value, tuple):
            return " to ".join(number(self.scale * end, self.digits) for end in value)
        return number(self.scale * value, self.digits)


COLUMNS: Mapping[str, Column] = {
    "cost_eur": Column(
        "cost",
        "EUR",
        "All weeks together: energy bought less energy sold at the connection point, battery wear, carbon where it has a "
        "price, and the value of what the batteries hold more or less than at the start. Below zero the neighbourhood earns.",
    ),
    "saving_eur": Column("saving", "EUR", f"How much less that is than under {REFERENCE}, whose batteries rest."),
    "captured": Column(
        "captured",
        "%",
        f"The saving as a share of the saving of {BOUND}, which knows the whole week before it starts.",
        scale=100.0,
    ),
    "captured_ci95": Column(
        "captured, 95 % interval",
        "%",
        "The range in which that share would lie 95 times in 100 if the weeks (and training seeds, where there are several) "
        "were drawn anew from those at hand. Few weeks make it rough.",
        scale=100.0,
    ),
    "violation_steps": Column(
        "steps beyond a limit",
        "steps",
        "Quarter-hours in which any bus voltage or any line or transformer loading lay beyond its limit; mean over training "
        "seeds.",
    ),
    "worst_voltage_pu": Column("worst voltage", "pu", "The bus voltage farthest from nominal, whichever way.", 3),
    "worst_loading_percent": Column("worst loading", "%", "The highest loading of any line or transformer.", 1),
    "loss_kwh": Column("losses", "kWh", "Energy lost in lines and transformers."),
    "co2_kg": Column(
        "CO\N{SUBSCRIPT TWO}",
        "kg",
        "Imports less exports, each times the grid's average carbon intensity at that time; below zero more is displaced "
        "than drawn.",
    ),
    "peak_kw": Column("peak exchange", "kW", "Largest power through the connection point, in or out."),
    "decision_ms": Column("decision time", "ms", "Time to decide one step, preparation included; median over weeks.", 2),
}
"""One for each field of `Score`, in the order shown."""

STYLE = {
    **dict.fromkeys(("axes.labelcolor", "text.color", "xtick.labelcolor", "ytick.labelcolor"), plots.INK),
    **dict.fromkeys(("axes.edgecolor", "xtick.color", "ytick.color"), plots.MUTED),
    **dict.fromkeys(("axes.spines.right", "axes.spines.top", "legend.frameon", "text.parse_math"), False),
    **dict.fromkeys(("axes.grid", "axes.axisbelow"), True),
    **dict.fromkeys(("font.size", "axes.labelsize"), 9),
    **{"axes.titlelocation": "left", "axes.titlesize": 10, "figure.titlesize": 12, "figure.titleweight": "bold"},
    **{"axes.facecolor": "none", "figure.facecolor": plots.PAPER, "grid.color": plots.GRID, "hatch.color": plots.PV},
    "savefig.dpi": 150,
    "svg.fonttype": "none",  # text stays text: searchable, readable by a machine, themed by the page
    "svg.hashsalt": "gridnet",  # the same figure gives the same bytes
}

_THEMED = {
    colour: name
    for name, colour in (
        *((name.lower(), getattr(plots, name)) for name in "INK MUTED GRID PAPER PV BATTERY LOAD EXCHANGE LIMIT POLICY PLAIN".split()),
        *((f"use-{place}", colour) for place, colour in enumerate(plots.USE[:-1])),
    )
}  # fmt: skip


def write_report(case: Case, runs: Runs, scores: Mapping[str, Score], folder: Path) -> Path:
    """Writes `folder/index.html` and each figure as SVG and PNG; gives the page's path.

    `runs` holds each policy's weeks, `scores` its verdict, in the order shown; a figure of one week takes a policy's first
    run of it. Everything is drawn before anything is written, and each file appears whole; other files in `folder` stay.

    Raises `InputError` where `runs` and `scores` don't name the same policies, a policy has no run, or `folder` is a file.
    """
    _check(runs, scores, folder)
    with mpl.rc_context():
        mpl.rcdefaults()  # the look must not depend on the reader's own matplotlibrc
        mpl.rcParams.update(STYLE)
        week = sunniest(case, runs)
        drawn = [
            plots.cost_plot(scores, len(_weeks(runs))),
            plots.dispatch_plot(case, week),
            plots.limits_plot(case, week),
            plots.map_plot(case, runs),
        ]
        files = {f"{plot.name}.{kind}": _image(plot, kind) for plot in drawn for kind in ("svg", "png")}
    page = _page(case, runs, scores, [(plot, _inline(plot, files[f"{plot.name}.svg"])) for plot in drawn])
    _write({**files, "index.html": page.encode()}, folder)
    return folder / "index.html"


def sunniest(case: Case, runs: Runs) -> dict[str, WeekRun]:
    """Each policy's first run of the week with the most PV energy on offer, for those that ran that week."""
    best = max(_weeks(runs), key=lambda run: float(_during(case.series.pv_p_kw, run).sum())).start
    return {name: next(run for run in one if run.start == best) for name, one in runs.items() if best in _starts(one)}


def _check(runs: Runs, scores: Mapping[str, Score], folder: Path) -> None:
    if set(runs) != set(scores) or not runs:
        raise InputError(f"a report needs runs and scores of the same policies, got runs of {[*runs]} and scores of {[*scores]}")
    idle = [name for name, one in runs.items() if not one]
    if idle:
        raise InputError(f"a report needs at least one week of each policy, got none of {', '.join(idle)}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the report's folder {folder} is a file; name a folder")


def _starts(runs: Iterable[WeekRun]) -> set[int]:
    return {run.start for run in runs}


def _weeks(runs: Runs) -> list[WeekRun]:
    """One run of each week, in order of time."""
    first = {run.start: run for one in reversed(runs.values()) for run in reversed(one)}
    return [first[start] for start in sorted(first)]


def _during(series: plots.Floats, run: WeekRun) -> plots.Floats:
    return series[run.start : run.start + len(run.slack_p_kw)]


def _image(plot: Plot, kind: str) -> bytes:
    written = io.BytesIO()
    # Neither a date nor a version: the same report gives the same bytes.
    silent = {"svg": {"Date": None, "Creator": None, "Format": None, "Type": None}, "png": {"Software": None}}[kind]
    plot.figure.savefig(written, format=kind, metadata=silent)
    return written.getvalue()


def _inline(plot: Plot, svg: bytes) -> Markup:
    """The figure as an element of the page: its own ids, colours from the page's theme, size from the page's width."""
    text = svg.decode()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{plot.name}-", text)
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf'<svg \1 role="img" aria-labelledby="{plot.name}-alt">', text, count=1)
    text = text.replace("xlink:href", "href")
    text = re.sub("#[0-9a-f]{6}", lambda match: f"var(--{_THEMED[match[0]]})" if match[0] in _THEMED else match[0], text)
    alt = Markup('<title id="{}-alt">{}</title>').format(plot.name, plot.alt)
    opening = text.index(">") + 1
    return Markup(text[:opening]) + alt + Markup(text[opening:])


def _page(case: Case, runs: Runs, scores: Mapping[str, Score], figures: Sequence[tuple[Plot, Markup]]) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(TEMPLATE).render(
        scenario=case.scenario,
        fingerprint=case.scenario.fingerprint(),
        facts=_facts(case),
        weeks=[_week_row(case, run) for run in _weeks(runs)],
        columns=COLUMNS,
        rows={name: asdict(score) for name, score in scores.items()},
        verdict=_verdict(scores, len(_weeks(runs))),
        figures=figures,
        provenance=case.series.provenance,
        reference=REFERENCE,
        bound=BOUND,
    )


def _facts(case: Case) -> list[tuple[str, str]]:
    feeder, limits = case.feeder, case.scenario.limits
    homes = case.scenario.households.homes_per_load
    ratings = " + ".join(f"{number(kva)} kVA" for kva in feeder.trafo_kva)
    return [
        ("Buses", number(len(feeder.bus_name))),
        ("Lines", number(len(feeder.line_name))),
        ("Transformers", f"{len(feeder.trafo_name)}: {ratings}" if ratings else "none"),
        ("Loads", number(len(feeder.load.name)) + (f", each {homes} homes" if homes > 1 else "")),
        ("Solar plants", f"{len(feeder.pv.name)}: {number(feeder.pv.p_rated_kw.sum())} kW peak rated, "
                         f"{number(case.series.pv_p_kw.sum(axis=1).max(initial=0.0))} kW at their best together"),
        ("Batteries", f"{case.fleet.batteries}: {number(case.fleet.p_kw.sum())} kW, {number(case.fleet.e_kwh.sum())} kWh"),
        ("Voltage limits", f"{limits.vm_min_pu:.2f} to {limits.vm_max_pu:.2f} pu"),
        ("Loading limits", f"lines {limits.line_percent:g} %, transformers {limits.trafo_percent:g} %"),
    ]  # fmt: skip


def _week_row(case: Case, run: WeekRun) -> dict[str, str]:
    dt_h, last = case.fleet.dt_h, run.start + len(run.slack_p_kw) - 1
    return {
        "week": str(run.week),
        "dates": f"{in_words(local_day(case, run.start))} to {in_words(local_day(case, last))}",
        "sun": number(_during(case.series.pv_p_kw, run).sum() * dt_h),
        "load": number(-_during(case.series.load_p_kw, run).sum() * dt_h),
        "price": number(float(np.mean(_during(case.series.price_eur_per_mwh, run))), 1),
        "held_out": "yes" if is_held_out(run.week) else "no",
    }


def _verdict(scores: Mapping[str, Score], weeks: int) -> str:
    """The report in two sentences; empty where there is nothing to compare."""
    rivals = {name: score for name, score in scores.items() if name not in {REFERENCE, BOUND}}
    if not rivals:
        return ""
    name = max(rivals, key=lambda each: rivals[each].saving_eur)
    best, span = rivals[name], "one week" if weeks == 1 else f"{weeks} weeks"
    share = ""
    if best.captured is not None and best.captured_ci95 is not None:
        share = f", {COLUMNS['captured'].show(best.captured)} % of what perfect foresight saves"
        share += f" (95 % interval {COLUMNS['captured_ci95'].show(best.captured_ci95)} %)"
    change = "saves" if best.saving_eur >= 0 else "loses"
    steps = "no step" if not best.violation_steps else f"{number(best.violation_steps, 1)} steps"
    return (
        f"Of the policies that can't see the future, {name} does best: over {span} it {change} "
        f"{number(abs(best.saving_eur))} EUR against {REFERENCE}{share}. It breaks a network limit in {steps}."
    )


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Puts each file in place whole: written to a folder beside, then moved, the page last."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as staging:
        for name, content in files.items():
            (Path(staging) / name).write_bytes(content)
        for name in files:
            os.replace(Path(staging) / name, folder / name)
