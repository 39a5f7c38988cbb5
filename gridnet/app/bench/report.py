"""The benchmark's report: one page that needs neither network nor JavaScript, and its figures as files beside it."""

from __future__ import annotations

import io
import os
import re
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gridnet.app.bench import network_map, plots
from gridnet.app.bench.evaluate import WeekRun
from gridnet.app.bench.network_map import LimitUse
from gridnet.app.bench.plots import Plot, Runs, in_words, local_day, number
from gridnet.app.bench.score import FORESIGHT, REFERENCE, Score
from gridnet.case import Case
from gridnet.clock import is_held_out
from gridnet.errors import InputError
from gridnet.limits import make_limits

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
        "All weeks together: energy bought less energy sold at the connection point, battery wear, carbon where it has "
        "a price, and the value of what the batteries hold more or less than at the start. Below zero it is earned.",
        2,
    ),
    "saving_eur": Column("saving", "EUR", f"How much less that is than under {REFERENCE}, whose batteries rest.", 2),
    "captured": Column(
        "captured",
        "%",
        f"The saving as a share of the saving of {FORESIGHT}, which knows the whole week before it starts.",
        1,
        100.0,
    ),
    "captured_ci95": Column(
        "captured, 95 % interval",
        "%",
        "The range that holds this share 95 times in 100 when the weeks (and training seeds, where there are several) "
        "are drawn anew from those at hand. Few weeks make it rough.",
        1,
        100.0,
    ),
    "violation_steps": Column(
        "steps beyond a limit",
        "steps",
        "Steps in which any bus voltage or any line or transformer loading lay beyond its limit; mean over seeds.",
    ),
    "worst_voltage_pu": Column("worst voltage", "pu", "The bus voltage farthest from nominal, whichever way.", 3),
    "worst_loading_percent": Column("worst loading", "%", "The highest loading of any line or transformer.", 1),
    "loss_kwh": Column("losses", "kWh", "Energy lost in lines and transformers."),
    "co2_kg": Column(
        "CO\N{SUBSCRIPT TWO}",
        "kg",
        "Imports less exports, each times the grid's average carbon intensity at that time. Below zero, more is "
        "displaced elsewhere than caused.",
    ),
    "peak_kw": Column("peak exchange", "kW", "Largest power through the connection point, in or out."),
    "decision_ms": Column("decision time", "ms", "Time to decide a step, preparation included; median over weeks.", 2),
}
"""One for each field of `Score`, in the order shown."""

CAPTIONS: Mapping[str, str] = {
    "costs": "All weeks together; a cost below zero is earned. Grey: the yardsticks, not rivals. Whiskers: 95 % "
    "intervals over weeks and training seeds.",
    "dispatch": "Stacked step means: what lies above zero matches what lies below, up to network losses. Hatched: "
    "solar power that was on offer and not taken. State of charge (SoC): all batteries as one, shaded from the "
    "emptiest to the fullest; dashed: the window they may use.",
    "limits": "Every bus but the connection point, every rated line and transformer, at each step.",
    "map": "Bus colour: how far its voltage strayed from nominal, as a share of what is allowed. Line colour: its "
    "loading as a share of its limit. White: no limit; dotted: out of service. Not to scale; a network without usable "
    "coordinates is drawn as a tree from its connection point.",
}
"""How to read each figure, by its name."""

STYLE: dict[Any, Any] = {
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
    plots.INK: "ink",
    plots.MUTED: "muted",
    plots.GRID: "grid",
    plots.PAPER: "paper",
    plots.PV: "pv",
    plots.BATTERY: "battery",
    plots.LOAD: "load",
    plots.EXCHANGE: "exchange",
    plots.LIMIT: "limit",
    plots.POLICY: "policy",
    plots.PLAIN: "plain",
    **{colour: f"use-{place}" for place, colour in enumerate(plots.USE[:-1])},
}
"""The page's name of each colour that a figure may hold; the template says what it is in light and in dark."""


def write_report(case: Case, runs: Runs, scores: Mapping[str, Score], folder: Path) -> Path:
    """Writes `folder/index.html` and each figure as SVG and PNG; gives the page's path.

    `runs` holds each policy's weeks, `scores` its verdict, in the order shown; a figure of one week takes a policy's
    first run of it. All is drawn before anything is written, and each file appears whole; other files in `folder` stay.

    Raises `InputError` where `runs` and `scores` don't name the same policies, one has no run, or `folder` is a file.
    """
    _check(runs, scores, folder)
    with mpl.rc_context():
        mpl.rcdefaults()  # the look must not depend on the reader's own matplotlibrc
        mpl.rcParams.update(STYLE)
        week = sunniest(case, runs)
        drawn = [
            plots.cost_plot(scores, _verdict(scores, len(_weeks(runs)))[0].rstrip(".")),
            plots.dispatch_plot(case, week),
            plots.limits_plot(case, week),
            network_map.map_plot(case.feeder, {name: limit_use(case, one) for name, one in runs.items()}),
        ]
        for plot in drawn:
            _settle(plot)
        files = {f"{plot.name}.{kind}": _image(plot, kind) for plot in drawn for kind in ("svg", "png")}
    page = _page(case, runs, scores, [(plot, _inline(plot, files[f"{plot.name}.svg"])) for plot in drawn])
    _write({**files, "index.html": page.encode()}, folder)
    return folder / "index.html"


def sunniest(case: Case, runs: Runs) -> dict[str, WeekRun]:
    """Each policy's first run of the week with the most PV energy on offer, for those that ran that week."""
    best = max(_weeks(runs), key=lambda run: float(_during(case.series.pv_p_kw, run).sum())).start
    return {name: next(run for run in one if run.start == best) for name, one in runs.items() if best in _starts(one)}


def limit_use(case: Case, runs: Sequence[WeekRun]) -> LimitUse:
    """How much of each limit a policy used at worst, over all its runs."""
    limits = make_limits(case.scenario, case.feeder)
    free = ~np.isfinite(limits.vm_max_pu)
    highest = np.max([run.vm_pu.max(axis=0) for run in runs], axis=0)
    lowest = np.min([run.vm_pu.min(axis=0) for run in runs], axis=0)
    use = np.maximum((highest - 1.0) / (limits.vm_max_pu - 1.0), (1.0 - lowest) / (1.0 - limits.vm_min_pu))
    loading = np.max([run.loading_percent.max(axis=0) for run in runs], axis=0)
    return LimitUse(np.where(free, np.nan, use), loading / limits.percent)


def _check(runs: Runs, scores: Mapping[str, Score], folder: Path) -> None:
    if set(runs) != set(scores) or not runs:
        got = f"got runs of {', '.join(runs) or 'none'} and scores of {', '.join(scores) or 'none'}"
        raise InputError(f"a report needs runs and scores of the same policies; {got}")
    idle = [name for name, one in runs.items() if not one]
    if idle:
        raise InputError(f"a report needs at least one week of each policy, got none of {', '.join(idle)}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the report's folder {folder} is a file; name a folder")


def _starts(runs: Iterable[WeekRun]) -> set[int]:
    return {run.start for run in runs}


def _weeks(runs: Runs) -> list[WeekRun]:
    """One run of each week, in order of time."""
    found = {run.start: run for one in runs.values() for run in one}
    return [found[start] for start in sorted(found)]


def _during(series: plots.Floats, run: WeekRun) -> plots.Floats:
    return series[run.start : run.start + len(run.slack_p_kw)]


def _settle(plot: Plot) -> None:
    """Fixes the layout at rounded places: the solver's last bits differ from run to run, and SVG ids are hashes of them."""
    plot.figure.draw_without_rendering()
    plot.figure.set_layout_engine("none")
    for axes in plot.figure.axes:
        left, bottom, width, height = (round(float(edge), 4) for edge in axes.get_position().bounds)
        axes.set_position((left, bottom, width, height))


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
    spoken = f'role="img" aria-labelledby="{plot.name}-alt"'
    text = re.sub(r'<svg [^>]*?(viewBox="[^"]*")[^>]*>', rf"<svg \1 {spoken}>", text, count=1)
    text = text.replace("xlink:href", "href")
    for colour, name in _THEMED.items():
        text = text.replace(colour, f"var(--{name})")
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
        verdict=" ".join(_verdict(scores, len(_weeks(runs)))),
        figures=[(plot, drawing, CAPTIONS[plot.name]) for plot, drawing in figures],
        provenance=case.series.provenance,
        reference=REFERENCE,
        bound=FORESIGHT,
    )


def _facts(case: Case) -> list[tuple[str, str]]:
    feeder, fleet, limits = case.feeder, case.fleet, case.scenario.limits
    homes = case.scenario.households.homes_per_load
    ratings = " + ".join(f"{number(kva)} kVA" for kva in feeder.trafo_kva)
    rated, best = feeder.pv.p_rated_kw.sum(), case.series.pv_p_kw.sum(axis=1).max(initial=0.0)
    return [
        ("Buses", number(len(feeder.bus_name))),
        ("Lines", number(len(feeder.line_name))),
        ("Transformers", f"{len(feeder.trafo_name)}: {ratings}" if ratings else "none"),
        ("Loads", number(len(feeder.load.name)) + (f", each {homes} homes" if homes > 1 else "")),
        ("Solar plants", f"{len(feeder.pv.name)}: {number(rated)} kW peak; together {number(best)} kW at most"),
        ("Batteries", f"{fleet.batteries}: {number(fleet.p_kw.sum())} kW, {number(fleet.e_kwh.sum())} kWh"),
        ("Voltage limits", f"{limits.vm_min_pu:.2f} to {limits.vm_max_pu:.2f} pu"),
        ("Loading limits", f"lines {limits.line_percent:g} %, transformers {limits.trafo_percent:g} %"),
    ]


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


def _verdict(scores: Mapping[str, Score], weeks: int) -> list[str]:
    """The report in a few sentences, the first fit for a title."""
    span = "one week" if weeks == 1 else f"{weeks} weeks"
    rivals = {name: score for name, score in scores.items() if name not in {REFERENCE, FORESIGHT}}
    if not rivals:
        return [f"What {span} cost under each policy."]
    name = max(rivals, key=lambda each: rivals[each].saving_eur)
    best, show = rivals[name], COLUMNS
    change = "saves" if best.saving_eur >= 0 else "loses"
    share = ""
    if best.captured is not None:
        share = f", {show['captured'].show(best.captured)} % of what perfect foresight saves"
    sentences = [f"{name} {change} {show['saving_eur'].show(abs(best.saving_eur))} EUR over {span}{share}."]
    if best.captured_ci95 is not None:
        sentences.append(f"The 95 % interval of that share is {show['captured_ci95'].show(best.captured_ci95)} %.")
    if len(rivals) > 1:
        sentences.append("No other policy that decides without seeing the future saves more.")
    steps = "in no step" if not best.violation_steps else f"in {number(best.violation_steps, 1)} steps"
    return [*sentences, f"{name} breaks a network limit {steps}."]


def _write(files: Mapping[str, bytes], folder: Path) -> None:
    """Puts each file in place whole: written to a folder beside, then moved, the page last."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as staging:
            for name, content in files.items():
                (Path(staging) / name).write_bytes(content)
            for name in files:
                os.replace(Path(staging) / name, folder / name)
    except OSError as error:
        raise InputError(f"can't write the report into {folder}: {error.strerror}; free the disk or name another folder") from error
