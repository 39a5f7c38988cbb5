"""What axe-core says of a page."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import pytest

BAD = {"serious", "critical"}
# A long table's rows are alike: the first five stand for them.
_ASK = """(rules) => axe.run({ exclude: ['tbody tr:nth-child(n + 6)'] }, {
  resultTypes: ['violations'], ...(rules.length ? { runOnly: rules } : {}) }).then(
  ({ violations }) => violations.map(({ id, impact, nodes }) =>
    ({ id, impact, where: nodes.map((each) => each.target.join(' ')).slice(0, 5) })))"""


def findings(page: Any, *rules: str) -> list[str]:
    """Serious and critical findings of all rules, or of some."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(_script() + "; 0")
    return [
        f"{each['id']} ({each['impact']}): {each['where']}" for each in page.evaluate(_ASK, list(rules)) if each["impact"] in BAD
    ]


def _script() -> str:
    pytest.importorskip("axe_playwright_python", reason="AXE IS MISSING: no page was scanned; install the extra `test`")
    return files("axe_playwright_python").joinpath("axe.min.js").read_text(encoding="utf-8")
