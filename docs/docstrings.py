"""Docstrings are written in Markdown, autodoc reads reStructuredText: tables, headings and fences are rewritten. The rest is the
same in both but for the single backtick, which `default_role` makes code."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

_HEADING = re.compile(r"#{1,6} +(.*)")
_RULE = re.compile(r"\|(\s*:?-+:?\s*\|)+\s*")
_CELL = re.compile(r"(?<!\\)\|")


def restructured(lines: Iterable[str]) -> list[str]:
    """The lines of a Markdown docstring as reStructuredText."""
    written: list[str] = []
    waiting = list(lines)
    while waiting:
        line = waiting[0]
        heading = _HEADING.fullmatch(line)
        if heading:
            waiting.pop(0)
            written += ["", f"**{heading[1]}**", ""]
        elif line.startswith("```"):
            written += ["", *_fence(waiting), ""]
        elif line.startswith("|"):
            written += ["", *_table(waiting), ""]
        else:
            if re.match(r"(- |\d+\. )", line) and written and written[-1] and not re.match(r"(- |\d+\. |  )", written[-1]):
                written.append("")
            written.append(waiting.pop(0))
    return written


def _fence(waiting: list[str]) -> Iterator[str]:
    yield f".. code-block:: {waiting.pop(0).removeprefix('```').strip() or 'text'}"
    yield ""
    while waiting:
        line = waiting.pop(0)
        if line.startswith("```"):
            return
        yield f"   {line}".rstrip()


def _table(waiting: list[str]) -> Iterator[str]:
    yield ".. list-table::"
    if len(waiting) > 1 and _RULE.fullmatch(waiting[1]):
        yield "   :header-rows: 1"
    yield ""
    while waiting and waiting[0].startswith("|"):
        line = waiting.pop(0)
        if _RULE.fullmatch(line):
            continue
        for number, cell in enumerate(_CELL.split(line.strip().strip("|"))):
            yield f"   {'* -' if number == 0 else '  -'} {cell.strip()}".rstrip()
