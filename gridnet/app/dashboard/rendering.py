"""Pages from templates. What they show is escaped, and a name that a template misspells is an error."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from gridnet.app.dashboard.files import Files

FOLDER = Path(__file__).parent / "templates"
NOTHING = "\N{EN DASH}"
"""Stands where there is no number."""


class Renderer:
    """Templates that know where files are, and how numbers and times are written."""

    def __init__(self, files: Files) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(FOLDER), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
        )
        self._environment.globals["asset"] = files.address
        self._environment.filters |= {"number": number, "signed": signed, "time": time_of_day, "day": day, "moment": moment}

    def page(self, template: str, shown: Mapping[str, object]) -> str:
        """HTML."""
        return self._environment.get_template(template).render(**shown)


def number(value: float | None, decimals: int = 0) -> str:
    """With a true minus sign, thousands set apart and no negative zero."""
    if value is None:
        return NOTHING
    text = f"{round(value, decimals) + 0.0:,.{decimals}f}"
    return text.replace(",", "\N{NARROW NO-BREAK SPACE}").replace("-", "\N{MINUS SIGN}")


def signed(value: float | None, decimals: int = 0) -> str:
    """The same with a plus sign where it is above 0."""
    text = number(value, decimals)
    return f"+{text}" if value is not None and round(value, decimals) > 0 else text


def time_of_day(time: datetime) -> str:
    """`14:15`; pages say that times are in UTC."""
    return f"{time:%H:%M}"


def day(time: datetime) -> str:
    """`2026-03-01`"""
    return f"{time:%Y-%m-%d}"


def moment(time: datetime | None) -> str:
    """`2026-03-01 14:15 UTC`"""
    return NOTHING if time is None else f"{time:%Y-%m-%d %H:%M} UTC"
