"""How `make docs` turns these pages into build/docs. Nothing that a built page shows comes from another host: the theme's
styles, scripts and icons are its own files, fonts are the reader's, and formulas are MathML, which browsers set by themselves."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from docutils import nodes
from docutils.utils.math import MathError, latex2mathml
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "docs"))
from docstrings import restructured  # noqa: E402  (its place is known from here on)

OUTSIDE = re.compile(r"\[([^\]]+)\]\((\.\./[^)]+)\)")

project = "gridnet"
author = "the gridnet authors"
version = release = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
extensions = ["myst_parser", "sphinx.ext.autodoc"]

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
myst_links_external_new_tab = False

autodoc_default_options = {"members": True, "member-order": "bysource"}
autodoc_typehints = "signature"
autodoc_preserve_defaults = True
toc_object_entries = False  # two thousand names in the contents of every page help nobody
suppress_warnings = ["ref.python"]  # `Prices` is a tariff's and a settlement's: a link by the short name takes one of them
default_role = "code"  # one backtick in a docstring is a name in code, as in Markdown

html_theme = "furo"
html_title = f"gridnet {release}"
html_theme_options = {"top_of_page_buttons": []}
html_copy_source = False
html_show_sourcelink = False
html_show_sphinx = False
html_math_renderer = "mathml"

_logger = getLogger(__name__)


def _mathml(page: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    block = isinstance(node, nodes.math_block)
    try:
        page.body.append(latex2mathml.tex2mathml(node.astext(), as_block=block))
    except MathError as error:
        _logger.warning("a formula can't be set: %s", error, location=node)
    raise nodes.SkipNode


def _name_files_outside(app: Sphinx, docname: str, source: list[str]) -> None:
    """A link to a file of the source tree is a name here: the built pages travel without the tree. The file must exist."""

    def named(link: re.Match[str]) -> str:
        target = (ROOT / "docs" / Path(docname).parent / link[2]).resolve()
        if target.is_relative_to(ROOT / "docs"):
            return link[0]
        if not target.exists():
            _logger.warning("%s links to %s, which is not there", docname, link[2])
        return f"{link[1]} (`{target.relative_to(ROOT).as_posix()}`)"

    source[0] = OUTSIDE.sub(named, source[0])


def _from_markdown(app: Sphinx, what: str, name: str, one: object, options: object, lines: list[str]) -> None:
    lines[:] = restructured(lines)


def setup(app: Sphinx) -> None:
    """Adds what Sphinx does not bring: formulas as MathML by docutils' own converter, the naming of files outside, and docstrings
    that are Markdown."""
    app.add_html_math_renderer("mathml", (_mathml, None), (_mathml, None))
    app.connect("source-read", _name_files_outside)
    app.connect("autodoc-process-docstring", _from_markdown)
