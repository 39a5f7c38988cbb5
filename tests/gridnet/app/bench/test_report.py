"""The report: one page for a browser without network or scripts, its figures, and nothing half written."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from matplotlib.colors import to_hex
from matplotlib.container import ErrorbarContainer

from gridnet.app.bench import network_map, plots
from gridnet.app.bench.evaluate import WeekRun, account, run_week
from gridnet.app.bench.learning_plot import Learning
from gridnet.app.bench.pace import Pace
from gridnet.app.bench.report import CAPTIONS, COLUMNS, NAMES, Findings, limit_use, sunniest, write_report
from gridnet.app.bench.score import Score, Weeks, score
from gridnet.app.bench.spread import Spread
from gridnet.case import Case, load_case
from gridnet.errors import InputError
from gridnet_policies.no_battery import NoBattery
from gridnet_policies.rule import Rule

FIGURES = ("costs", "dispatch", "limits", "durations", "map")
VOID = {"meta", "link", "br", "hr", "img"}
Runs = dict[str, list[WeekRun]]


class Page(HTMLParser):
    """Reads a page strictly: every element that opens must close, in order; no id twice."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []
        ids = [attributes["id"] for _, attributes in self.tags if "id" in attributes]
        assert len(ids) == len(set(ids))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for each, attributes in self.tags if each == tag]


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("rural1")


@pytest.fixture(scope="module")
def runs(case: Case) -> Runs:
    return {policy.name: [run_week(case, policy, 29)] for policy in (NoBattery(), Rule())}


@pytest.fixture(scope="module")
def folder(case: Case, runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    chosen = tmp_path_factory.mktemp("report") / "deep" / "page"
    assert write_report(case, found(case, runs), chosen) == chosen / "index.html"
    return chosen


@pytest.fixture(scope="module")
def page(folder: Path) -> Page:
    return Page((folder / "index.html").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def whole(case: Case, runs: Runs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report with every part there can be: a yardstick, training logs, and a pace."""
    learning = [Learning("seed0", np.array([0.0, 64.0]), np.array([10.0, 12.5]), np.zeros(0), np.zeros(0))]
    findings = found(case, {**runs, "lp": runs["rule"], "mine": runs["no_battery"]})
    pace = Pace(buses=15, reference_us=60_000.0, single_us=6.0, batched_us=2.0, step_us=15.0)
    return write_report(case, dataclasses.replace(findings, learning=learning, pace=pace), tmp_path_factory.mktemp("whole"))


def weeks_of(case: Case, runs: Runs) -> dict[str, Weeks]:
    return {name: Weeks([[account(case, run) for run in one]], [0.1 for _ in one]) for name, one in runs.items()}


def scored(case: Case, runs: Runs) -> dict[str, Score]:
    return score(weeks_of(case, runs), seed=0)


def found(case: Case, runs: Runs) -> Findings:
    return Findings(runs, scored(case, runs), weeks_of(case, runs))


def renamed(runs: Runs, old: str, new: str) -> Runs:
    return {new if name == old else name: [dataclasses.replace(run, policy=new) if name == old else run for run in one]
            for name, one in runs.items()}  # fmt: skip


def svg_text(path: Path) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text(encoding="utf-8")))


def test_the_page_names_every_policy_and_every_number_of_its_score(case: Case, runs: Runs, page: Page) -> None:
    text = " ".join(page.text)
    for name, verdict in scored(case, runs).items():
        assert name in text
        for field, column in COLUMNS.items():
            assert column.show(getattr(verdict, field)) in text
    assert re.search(r"rule saves \d+\.\d\d EUR over one week", text)


def test_every_field_of_a_score_has_a_column_with_a_meaning(page: Page) -> None:
    assert list(COLUMNS) == [field.name for field in dataclasses.fields(Score)]
    text = " ".join(page.text)
    assert [column.label for column in COLUMNS.values() if column.meaning not in text] == []


def test_the_page_needs_neither_network_nor_script(page: Page) -> None:
    assert page.named("script") == page.named("link") == page.named("img") == []
    fetched = [value for _, attributes in page.tags for key, value in attributes.items() if key in {"src", "href"}]
    assert fetched
    beside = [value for value in fetched if value and not value.startswith("#")]
    assert beside == [f"{name}.svg" for name in FIGURES], "nothing but the figures' own files, and those only where one clicks"
    assert {attributes.get("src") for _, attributes in page.tags} == {None}


def test_every_reference_within_a_drawing_finds_its_target(folder: Path, page: Page) -> None:
    ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
    text = (folder / "index.html").read_text(encoding="utf-8")
    wanted = set(re.findall(r'(?:href="#|url\(#|aria-labelledby=")([^")]+)', text))
    assert wanted
    assert wanted <= ids


def test_tables_and_figures_are_readable_without_eyes(page: Page) -> None:
    assert {attributes.get("scope") for attributes in page.named("th")} == {"col", "row"}
    assert len(page.named("figcaption")) == len(page.named("figure")) == len(FIGURES)
    assert [each["role"] for each in page.named("svg")] == ["img"] * len(FIGURES)
    assert [each["aria-labelledby"] for each in page.named("svg")] == [f"{name}-alt" for name in FIGURES]
    assert "Bar chart, one bar per policy" in " ".join(page.text)


def test_drawings_follow_the_theme(folder: Path, page: Page) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    drawings = "".join(re.findall(r"<svg.*?</svg>", text, flags=re.DOTALL))
    named = set(re.findall(r"var\(--([\w-]+)\)", drawings))
    style, dark = text.split("prefers-color-scheme: dark", 1)[0], text.split("prefers-color-scheme: dark", 1)[1]
    assert "@media screen and (prefers-color-scheme: dark)" in text, "paper is never dark"
    assert {"ink", "pv", "limit", "use-0"} <= named
    assert [name for name in sorted(named) if f"--{name}:" not in style or f"--{name}:" not in dark] == []
    assert re.findall(r"(?:fill|stroke): #[0-9a-f]{6}", drawings) == []


@pytest.mark.parametrize("name", FIGURES)
def test_each_figure_is_a_file_with_something_on_it(folder: Path, name: str) -> None:
    assert (folder / f"{name}.png").read_bytes().startswith(b"\x89PNG")
    assert (folder / f"{name}.png").stat().st_size > 10_000
    drawn = (folder / f"{name}.svg").read_text(encoding="utf-8")
    assert drawn.count("<path") + drawn.count("<use") > 20
    assert "rule" in svg_text(folder / f"{name}.svg")


def test_limits_are_drawn_and_told(folder: Path) -> None:
    text = svg_text(folder / "limits.svg")
    assert text.count("limit 1.10 pu") == text.count("limit 0.90 pu") == 2
    assert text.count("limit 100 %") == 2
    assert (folder / "limits.svg").read_text(encoding="utf-8").count(f"stroke: {plots.LIMIT}") >= 6
    assert "every policy keeps every limit" in text


def test_a_broken_limit_is_told_and_coloured(case: Case, runs: Runs) -> None:
    [run] = runs["rule"]
    vm_pu = run.vm_pu.copy()
    vm_pu[100, 5] = 1.12
    broken = dataclasses.replace(run, vm_pu=vm_pu)
    use = limit_use(case, [broken])
    assert use.bus[5] == pytest.approx(1.2)
    assert "1 of 2 policies break a limit" in plots.limits_plot(case, {"no_battery": run, "rule": broken}).title
    for one, red in ((run, False), (broken, True)):
        drawn = network_map.map_plot(case.feeder, {"rule": limit_use(case, [one])})
        [axes] = drawn.figure.axes
        assert (f"120 % of the voltage limit: {case.feeder.bus_name[5]}" in drawn.alt) is red
        assert (plots.LIMIT in {to_hex(face) for each in axes.collections for face in each.get_facecolor()}) is red


def test_curtailed_solar_is_counted(case: Case, runs: Runs) -> None:
    [run], batteries = runs["rule"], case.fleet.batteries
    done = run.done.copy()
    done[40:60, 0, batteries:] = 0.0
    dark = dataclasses.replace(run, done=done)
    before, after = (curtailed_kwh(plots.dispatch_plot(case, {"rule": each}).alt) for each in (run, dark))
    assert after - before == pytest.approx((run.done - done).sum() * case.fleet.dt_h, abs=1)
    assert after > before + 100


def curtailed_kwh(alt: str) -> int:
    [shown] = re.findall(r"curtails ([\d\s]+) kWh", alt)
    return int(re.sub(r"\s", "", shown))


def test_sources_and_licences_are_shown(case: Case, page: Page) -> None:
    text = " ".join(page.text)
    assert "ODbL" in text
    assert [origin for _, origin in case.series.provenance if origin not in text] == []


def test_the_week_with_the_most_sun_is_chosen(case: Case, runs: Runs) -> None:
    winter = [dataclasses.replace(run_week(case, NoBattery(), 0), policy="rule")]
    chosen = sunniest(case, {"no_battery": [*winter, *runs["no_battery"]], "rule": winter})
    assert {name: run.week for name, run in chosen.items()} == {"no_battery": 29}


def test_hostile_names_stay_text(case: Case, runs: Runs, tmp_path: Path) -> None:
    title = "<script>alert('x')</script> & \"more\""
    hostile = dataclasses.replace(case, scenario=case.scenario.model_copy(update={"title": title}))
    named = renamed(runs, "rule", "<b>$x$</b>")
    write_report(hostile, found(case, named), tmp_path)
    page = Page((tmp_path / "index.html").read_text(encoding="utf-8"))
    assert page.named("script") == page.named("b") == []
    assert title in page.text
    assert "<b>$x$</b>" in " ".join(page.text)


def test_the_same_runs_give_the_same_bytes_and_leave_other_files_alone(
    case: Case, runs: Runs, folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "bench.json").write_text("{}", encoding="utf-8")
    (tmp_path / "index.html").write_text("an older page", encoding="utf-8")
    write_report(case, found(case, runs), tmp_path)
    assert (tmp_path / "bench.json").read_text(encoding="utf-8") == "{}"
    written = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != "bench.json"}
    assert written == {path.name: path.read_bytes() for path in folder.iterdir()}


def test_a_figure_that_fails_leaves_nothing_behind(case: Case, runs: Runs, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> plots.Plot:
        raise ValueError("no ink")

    monkeypatch.setattr(network_map, "map_plot", fails)
    with pytest.raises(ValueError, match="no ink"):
        write_report(case, found(case, runs), tmp_path / "report")
    assert list(tmp_path.iterdir()) == []


def refusals(case: Case, runs: Runs, tmp_path: Path) -> Iterator[tuple[Findings, Path, str]]:
    all_found = found(case, runs)
    (tmp_path / "file").write_text("", encoding="utf-8")
    yield dataclasses.replace(all_found, runs={"rule": runs["rule"]}), tmp_path / "r", "same policies"
    yield dataclasses.replace(all_found, weeks={}), tmp_path / "r", "weeks of none"
    yield Findings({}, {}, {}), tmp_path / "r", "none"
    yield dataclasses.replace(all_found, runs={**runs, "rule": []}), tmp_path / "r", "none of rule"
    yield all_found, tmp_path / "file", "is a file"


def test_what_cannot_be_reported_is_refused(case: Case, runs: Runs, tmp_path: Path) -> None:
    for given, folder, words in refusals(case, runs, tmp_path):
        with pytest.raises(InputError, match=words):
            write_report(case, given, folder)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_every_part_there_is_something_to_say_in_is_on_the_page(whole: Path, folder: Path) -> None:
    page = Page(whole.read_text(encoding="utf-8"))
    figures = [str(each["id"]).removeprefix("figure-") for each in page.named("figure")]
    assert figures == ["costs", "shares", "dispatch", "limits", "durations", "map", "learning"] == list(NAMES)
    assert set(CAPTIONS) == set(NAMES)
    assert {f"#figure-{name}" for name in figures} <= {each["href"] for each in page.named("a")}
    text = " ".join(page.text)
    assert "pandapower solves to the same" in text
    assert [words for words in ("60\u202f000.0", "10\u202f000", "30\u202f000", "4\u202f000") if words not in text] == []
    assert "lp decides a whole week" in text
    assert "pandapower" not in (folder / "index.html").read_text(encoding="utf-8"), "nothing is told that was not measured"


def test_the_speed_table_leaves_out_who_decides_nothing(whole: Path) -> None:
    text = whole.read_text(encoding="utf-8")
    table = text[text.index("decisions that fit") : text.index("The physics of this feeder")]
    assert re.findall(r'scope="row">(\w+)<', table) == ["rule", "lp", "mine"]
    assert table.count("<td>0.100</td><td>9\u202f000\u202f000</td>") == 3


def test_print_breaks_between_figures_and_spells_out_links(folder: Path) -> None:
    text = (folder / "index.html").read_text(encoding="utf-8")
    printed = text[text.index("@media print") : text.index("</style>")]
    assert "figure { break-inside: avoid;" in printed
    assert 'a[href^="http"]::after { content: " (" attr(href) ")"' in printed
    assert "overflow: visible" in printed
    assert "nav { display: none; }" in printed


def test_captured_shares_get_a_panel_only_where_the_bound_ran(case: Case, runs: Runs) -> None:
    with_bound: Runs = {**runs, "lp": runs["rule"]}
    assert len(plots.cost_plot(scored(case, with_bound), "t", {}).figure.axes) == 3
    assert len(plots.cost_plot(scored(case, runs), "t", {}).figure.axes) == 2


def test_money_gets_the_whiskers_of_its_spread_and_says_so(case: Case, runs: Runs) -> None:
    scores, spread = scored(case, runs), {"rule": Spread((-500.0, 700.0), (50.0, 900.0))}
    drawn = plots.cost_plot(scores, "t", spread)
    reach = [[line.get_xdata() for each in axes.containers if isinstance(each, ErrorbarContainer) for line in each.lines[1]]
             for axes in drawn.figure.axes]  # fmt: skip
    assert [sorted(float(end[0]) for end in panel) for panel in reach] == [[-500.0, 700.0], [50.0, 900.0]]
    assert "rule costs" in drawn.alt
    assert "(95 % interval \u2212500 to 700)" in drawn.alt
    assert "interval" not in plots.cost_plot(scores, "t", {}).alt


def test_policies_that_share_a_panel_differ_in_colour_and_stroke() -> None:
    names = ["no_battery", "rule", "mpc", "rl", "lp", "mine"]
    colours = [each["color"] for each in plots.strokes(names).values()]
    assert len(set(colours)) == len(names)
    assert len({each["linestyle"] for each in plots.strokes(names[1:5]).values()}) == 4


@pytest.mark.parametrize(
    ("value", "digits", "text"),
    [(-0.001, 0, "0"), (-1234.56, 1, "\u22121\u202f234.6"), (1e6, 0, "1\u202f000\u202f000")],
)
def test_numbers_are_set_as_in_print(value: float, digits: int, text: str) -> None:
    assert plots.number(value, digits) == text


def test_a_panel_of_zeros_has_a_scale_that_can_be_read(case: Case, runs: Runs) -> None:
    alone = plots.cost_plot(scored(case, {"no_battery": runs["no_battery"]}), "t", {})
    low, high = alone.figure.axes[1].get_xlim()
    assert low <= 0
    assert high >= 1


def test_every_policy_gets_a_panel_of_its_dispatch(case: Case, runs: Runs) -> None:
    [run] = runs["rule"]
    week = {name: dataclasses.replace(run, policy=name) for name in ("no_battery", "rule", "mpc", "rl", "lp")}
    drawn = plots.dispatch_plot(case, week)
    assert len(drawn.figure.axes) == 1 + 2 * len(week)
    assert drawn.figure.get_size_inches()[1] < 1.35 * drawn.figure.get_size_inches()[0], "still fits on a page"


def test_three_policies_at_most_get_a_map_of_their_own() -> None:
    assert plots.shown(["no_battery", "rule", "mpc", "rl", "lp"]) == ["rule", "rl", "lp"]
    assert plots.shown(["no_battery", "rule"]) == ["no_battery", "rule"]
    assert plots.shown(["no_battery", "mine", "yours", "rule"]) == ["mine", "yours", "rule"]
