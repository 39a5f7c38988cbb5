"""The pages as a site: it builds without a warning, contacts no other host, and what it is made by is held to its promises."""

from __future__ import annotations

import html
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.docs.blocks import ROOT

sys.path.insert(0, str(ROOT / "docs"))  # no package: its conf.py finds it the same way
from docstrings import restructured

ROOTS = [str(ROOT / part) for part in (".", "envs", "policies", "contracts")]
# Whatever a browser fetches by itself: not links that a reader may follow.
FETCHED = re.compile(
    r"""<(?:script|img|iframe|source|video|audio|embed)\b[^>]*\bsrc\s*=\s*["']?(?:https?:)?//|<link\b[^>]*\bhref\s*=\s*["']?(?:https?:)?//""",
    re.I,
)
STYLED = re.compile(r"""(?:url\(\s*["']?|@import\s*["'])(?:https?:)?//""", re.I)
CALLED = re.compile(r"""(?:fetch|importScripts|import|XMLHttpRequest|open)\s*\(\s*["'`](?:https?:)?//""")


def build(source: Path, target: Path) -> subprocess.CompletedProcess[str]:
    """Builds as `make docs` does."""
    command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", "-d", str(target / ".trees")]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(ROOTS), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, str(source), str(target)], env=environment, capture_output=True, text=True, timeout=900, check=False
    )


def contacts(text: str, suffix: str) -> list[str]:
    """Where a built file makes a browser ask another host."""
    patterns = {".html": (FETCHED, STYLED), ".css": (STYLED,), ".js": (CALLED,), ".svg": (FETCHED, STYLED)}.get(suffix, ())
    return [text[max(0, hit.start() - 20) : hit.end() + 60] for pattern in patterns for hit in pattern.finditer(text)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built once."""
    target = tmp_path_factory.mktemp("site")
    done = build(ROOT / "docs", target)
    assert done.returncode == 0, done.stderr[-4000:]
    return target


@pytest.mark.long
def test_the_site_builds_without_a_warning_and_has_every_page(site: Path) -> None:
    pages = {path.relative_to(ROOT / "docs").with_suffix(".html") for path in (ROOT / "docs").rglob("*.md")}
    assert {page for page in pages if not (site / page).is_file()} == set()


@pytest.mark.long
def test_a_browser_that_shows_the_site_asks_no_other_host(site: Path) -> None:
    found = {}
    for path in site.rglob("*"):
        if path.suffix in {".html", ".css", ".js", ".svg"}:
            hits = contacts(path.read_text(encoding="utf-8"), path.suffix)
            if hits:
                found[path.name] = hits
    assert found == {}


@pytest.mark.long
def test_formulas_are_set_without_a_script(site: Path) -> None:
    page = (site / "formulation.html").read_text(encoding="utf-8")
    source = (ROOT / "docs" / "formulation.md").read_text(encoding="utf-8")
    assert (
        page.count('<math xmlns="http://www.w3.org/1998/Math/MathML" display="block">')
        == len(re.findall(r"^\$\$$", source, re.M)) / 2
    )
    assert re.findall(r"<script[^>]*(?:mathjax|katex)", page, re.IGNORECASE) == []
    assert "$" not in html.unescape(re.sub(r"<(script|style|pre|code)\b.*?</\1>|<[^>]+>", "", page, flags=re.DOTALL))


@pytest.mark.long
def test_docstrings_reach_the_reference(site: Path) -> None:
    page = (site / "api.html").read_text(encoding="utf-8")
    for name in ("gridnet.simulate.step", "gridnet_envs.dispatch_env.DispatchEnv", "gridnet_contracts.ledger.ledger.Ledger.commit"):
        assert f'id="{name}"' in page
    # The environment's headings, and a table of a docstring.
    assert "<strong>Action space</strong>" in page
    assert "(batch, 2, devices)" in page


@pytest.mark.parametrize(
    ("text", "suffix"),
    [
        ('<script src="https://x.example/a.js"></script>', ".html"),
        ('<link rel="stylesheet" href="//x.example/a.css">', ".html"),
        ("@import 'https://x.example/a.css'", ".css"),
        ("a { src: url(https://x.example/f.woff) }", ".css"),
        ('fetch("https://x.example")', ".js"),
    ],
)
def test_a_contact_is_seen(text: str, suffix: str) -> None:
    assert contacts(text, suffix)


def test_a_link_that_a_reader_may_follow_is_none() -> None:
    assert contacts('<a href="https://x.example">x</a><script src="_static/a.js"></script>', ".html") == []


WRONG = {
    "gone.md": "[gone](gone.md)",
    "gone.txt": "[gone](../gone.txt)",
    "formula": r"A formula: $\nosuch x$",
    "gridnet.gone": "```{eval-rst}\n.. automodule:: gridnet.gone\n```",
}


@pytest.mark.parametrize("wrong", [False, True])
def test_only_a_page_that_is_right_builds(wrong: bool, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "docs").mkdir(parents=True)
    shutil.copy(ROOT / "pyproject.toml", tree)
    for name in ("conf.py", "docstrings.py"):
        shutil.copy(ROOT / "docs" / name, tree / "docs")
    (tree / "docs" / "index.md").write_text("\n\n".join(["# A page", "Fine: $x^2$.", *(WRONG.values() if wrong else ())]))
    done = build(tree / "docs", tmp_path / "out")
    assert (done.returncode != 0) is wrong, done.stderr
    assert [says for says in WRONG if (says in done.stderr) is not wrong] == []


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["It.", "", "## Start", "Now."], ["It.", "", "", "**Start**", "", "Now."]),
        (
            ["| a | b |", "|---|---|", "| 1 | |"],
            ["", ".. list-table::", "   :header-rows: 1", "", "   * - a", "     - b", "   * - 1", "     -", ""],
        ),
        (["```python", "x = 1", "```", "y"], ["", ".. code-block:: python", "", "   x = 1", "", "y"]),
        (["Words:", "- one", "- two"], ["Words:", "", "- one", "- two"]),
    ],
)
def test_a_docstring_in_markdown_becomes_what_autodoc_reads(written: list[str], read: list[str]) -> None:
    assert restructured(written) == read
