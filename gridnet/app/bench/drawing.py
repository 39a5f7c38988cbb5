"""How every figure of the project looks, and the bytes it becomes: an SVG, a PNG, an element of the report's page."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from markupsafe import Markup

from gridnet.app.bench import plots
from gridnet.app.bench.plots import Plot

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
    plots.RULE: "rule",
    **{colour: f"use-{place}" for place, colour in enumerate(plots.USE[:-1])},
}
"""The page's name of each colour that a figure may hold; the template says what it is in light and in dark."""


_LONG_FRACTION = re.compile(rb"(\d\.\d\d)\d+")
_PATHS = re.compile(rb' d="[^"]*"')


@dataclass(frozen=True)
class Drawing:
    """A figure as files."""

    plot: Plot
    svg: bytes
    png: bytes

    @property
    def files(self) -> dict[str, bytes]:
        """Both, by their names."""
        return {f"{self.plot.name}.svg": self.svg, f"{self.plot.name}.png": self.png}


def draw(makers: Sequence[Callable[[], Plot]]) -> list[Drawing]:
    """Makes each plot in the project's style. The same plots give the same bytes, on the same versions of the packages."""
    with mpl.rc_context():
        mpl.rcdefaults()  # the look must not depend on the reader's own matplotlibrc
        mpl.rcParams.update(STYLE)
        drawn = [make() for make in makers]
        for plot in drawn:
            _settle(plot)
        return [Drawing(plot, _shortened(_image(plot, "svg")), _image(plot, "png")) for plot in drawn]


def inline(drawing: Drawing) -> Markup:
    """The figure as an element of the page: its own ids, colours from the page's theme, size from the page's width."""
    plot, text = drawing.plot, drawing.svg.decode()
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


def _shortened(svg: bytes) -> bytes:
    """Paths to a hundredth of a point: finer than any screen, and half the bytes."""
    return _PATHS.sub(lambda path: _LONG_FRACTION.sub(rb"\1", path[0]), svg)
