"""The benchmark's report: one page that needs neither network nor JavaScript, and its figures as files beside it."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gridnet.app.bench import network_map, plots
from gridnet.app.bench.drawing import draw, inline
from gridnet.app.bench.duration_plot import duration_plot
from gridnet.app.bench.evaluate import WeekRun
from gridnet.app.bench.learning_plot import Learning, learning_plot
from gridnet.app.bench.network_map import LimitUse
from gridnet.app.bench.pace import Pace
from gridnet.app.bench.plots import Plot, Runs, in_words, local_day, number
from gridnet.app.bench.score import FORESIGHT, REFERENCE, Score, Weeks
from gridnet.app.bench.share_plot import has_shares, share_plot
from gridnet.app.bench.spread import spreads
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

NAMES: Mapping[str, str] = {
    "costs": "Cost",
    "shares": "Captured share per week",
    "dispatch": "A week's dispatch",
    "limits": "That week's limits",
    "durations": "Duration curves",
    "map": "Map",
    "learning": "Training",
}
"""What the contents call each figure."""

CAPTIONS: Mapping[str, str] = {
    "costs": "All weeks together; a cost below zero is earned. Grey: the yardsticks, not rivals. Whiskers: 95 % "
    "intervals, were as many weeks (and training seeds, where there are several) drawn anew from those at hand. Those of the "
    "money are wide because seasons differ; policies ran the same weeks, so wide ones that overlap say little.",
    "shares": "The saving of each week over the best possible in it; a week in which there is next to nothing to save counts "
    "with a tenth of the mean week's. Ringed: each policy's worst week. Bars: least to greatest of the training seeds.",
    "dispatch": "Stacked step means: what lies above zero matches what lies below, up to network losses. Hatched: "
    "solar power that was on offer and not taken. State of charge (SoC): all batteries as one, shaded from the "
    "emptiest to the fullest; dashed: the window they may use.",
    "limits": "Every bus but the connection point, every rated line and transformer, at each step.",
    "durations": "Over all weeks together, each step counted by its highest, or lowest, bus, line and transformer. A curve that "
    "meets the dashed limit at 3 % is at or beyond it in 3 % of the steps. The connection point and unrated lines are left out.",
    "learning": "Validation weeks are none of those above, and none that the policy trained on. Step 0 is the policy as taught by "
    "regression on perfect-foresight values, before its reinforcement learning. Where no error of that teaching is shown, none "
    "was recorded beside the weights.",
    "map": "Bus colour: how far its voltage strayed from nominal, as a share of what is allowed. Line colour: its "
    "loading as a share of its limit. White: no limit; dotted: out of service. Not to scale; a network without usable "
    "coordinates is drawn as a tree from its connection point.",
}
"""How to read each figure, by its name."""


@dataclass(frozen=True)
class Findings:
    """What a report tells of, by policy, in the order shown."""

    runs: Runs
    """Each policy's weeks; a figure of one week takes a policy's first run of it."""
    scores: Mapping[str, Score]
    weeks: Mapping[str, Weeks]
    """What the scores are of."""
    seed: int = 0
    """Drives the bootstrap."""
    learning: Sequence[Learning] = field(default=())
    """How the learned policies among them were trained; none where none ran."""
    pace: Pace | None = None
    """What was measured of the physics in the same run, if it was."""


def write_report(case: Case, findings: Findings, folder: Path) -> Path:
    """Writes `folder/index.html` and each figure as SVG and PNG; gives the page's path. The same findings give the same bytes.

    All is drawn before anything is written, and each file appears whole; other files in `folder` stay.

    Raises `InputError` where runs, scores and weeks don't name the same policies, one has no run, or `folder` is a file.
    """
    _check(findings, folder)
    drawn = draw(_makers(case, findings))
    page = _page(case, findings, [(each.plot, inline(each)) for each in drawn])
    files = {name: content for each in drawn for name, content in each.files.items()}
    _write({**files, "index.html": page.encode()}, folder)
    return folder / "index.html"


def _makers(case: Case, findings: Findings) -> list[Callable[[], Plot]]:
    """What draws each figure that there is something to draw in, in the order shown."""
    runs, scores = findings.runs, findings.scores
    weeks, week = _weeks(runs), sunniest(case, runs)
    in_order = next(iter(runs.values()))  # as `findings.weeks` counts them
    labels = [f"week {run.week}\n{in_words(local_day(case, run.start)).rpartition(' ')[0]}" for run in in_order]
    shares = has_shares(findings.weeks)
    return [
        lambda: plots.cost_plot(scores, _verdict(scores, len(weeks))[0].rstrip("."), spreads(findings.weeks, findings.seed)),
        *([lambda: share_plot(findings.weeks, labels)] if shares else []),
        lambda: plots.dispatch_plot(case, week),
        lambda: plots.limits_plot(case, week),
        lambda: duration_plot(case, runs),
        lambda: network_map.map_plot(case.feeder, {name: limit_use(case, one) for name, one in runs.items()}),
        *([lambda: learning_plot(findings.learning)] if findings.learning else []),
    ]


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


def _check(findings: Findings, folder: Path) -> None:
    runs, scores = findings.runs, findings.scores
    if not set(runs) == set(scores) == set(findings.weeks) or not runs:
        got = f"got runs of {_listed(runs)}, scores of {_listed(scores)} and weeks of {_listed(findings.weeks)}"
        raise InputError(f"a report needs runs, scores and weeks of the same policies; {got}")
    idle = [name for name, one in runs.items() if not one]
    if idle:
        raise InputError(f"a report needs at least one week of each policy, got none of {', '.join(idle)}")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"the report's folder {folder} is a file; name a folder")


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _starts(runs: Iterable[WeekRun]) -> set[int]:
    return {run.start for run in runs}


def _weeks(runs: Runs) -> list[WeekRun]:
    """One run of each week, in order of time."""
    found = {run.start: run for one in runs.values() for run in one}
    return [found[start] for start in sorted(found)]


def _during(series: plots.Floats, run: WeekRun) -> plots.Floats:
    return series[run.start : run.start + len(run.slack_p_kw)]


def _page(case: Case, findings: Findings, figures: Sequence[tuple[Plot, Markup]]) -> str:
    runs, scores = findings.runs, findings.scores
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
        names=NAMES,
        decisions=_decision_rows(scores),
        physics=_physics_rows(findings.pace),
        buses=number(case.params.buses),
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


def _decision_rows(scores: Mapping[str, Score]) -> list[tuple[str, str, str]]:
    """Of each policy that decides anything: its time, and how often it fits into a quarter of an hour."""
    deciding = {name: score.decision_ms for name, score in scores.items() if name != REFERENCE and score.decision_ms > 0}
    return [(name, number(each, 3), number(15 * 60e3 / each)) for name, each in deciding.items()]


def _physics_rows(pace: Pace | None) -> list[tuple[str, str, str]]:
    """What was timed, microseconds, and how many times faster than pandapower it is."""
    if pace is None:
        return []
    rows = [
        ("power flow by pandapower, as the tests hold ours against it", pace.reference_us),
        ("power flow, one operating point", pace.single_us),
        ("power flow, an operating point in a batch of 1\N{NARROW NO-BREAK SPACE}024", pace.batched_us),
        ("whole step: setpoints cut, power flow, state of charge", pace.step_us),
    ]
    return [(what, number(us, 1), number(pace.reference_us / us)) for what, us in rows]


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
