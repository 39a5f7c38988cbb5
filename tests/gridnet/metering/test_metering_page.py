"""The page on meters: its example runs and gives one reading per meter."""

from __future__ import annotations

import contextlib
import io
import re
from pathlib import Path

PAGE = Path(__file__).resolve().parents[3] / "docs" / "metering.md"


def test_the_pages_example_runs_as_it_stands() -> None:
    [example] = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(compile(example, "metering.md", "exec"), {})
    devices = re.findall(r"^Reading\(device='([^']*)'", printed.getvalue(), flags=re.MULTILINE)
    assert devices == ["bat-00", "head", "home-002", "home-003", "home-004", "pv-00"]
