"""What stands behind the question mark of an address, read. What can't be meant is refused in words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta

from gridnet.errors import Fault, InputError

_DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
FIRST_YEAR, LAST_YEAR = 1971, 8999
LONGEST = 200
"""Characters of a text at most."""

Query = Mapping[str, str]


def text(query: Query, name: str) -> str:
    """A text, empty where there is none. Raises `InputError`."""
    said = query.get(name, "").strip()
    if len(said) > LONGEST:
        raise _refusal(name, f"{len(said)} characters", f"{LONGEST} at most")
    return said


def whole(query: Query, name: str, most: int = 2**53 - 1) -> int:
    """A whole number from 0 to `most`. Raises `InputError`."""
    said = query.get(name, "")
    if not (said.isascii() and said.isdigit() and len(said) <= 16 and int(said) <= most):
        raise _refusal(name, repr(said[:40]), f"a whole number from 0 to {most}")
    return int(said)


def day(query: Query, name: str, otherwise: date) -> date:
    """A day as `2026-03-01`. Raises `InputError`."""
    said = query.get(name, "")
    return read_day(name, said) if said else otherwise


def read_day(name: str, said: str) -> date:
    """The day that a text names. Raises `InputError`."""
    try:
        found = date.fromisoformat(said) if _DAY.fullmatch(said) else None
    except ValueError:
        found = None
    if found is None or not FIRST_YEAR <= found.year <= LAST_YEAR:
        raise _refusal(name, repr(said[:40]), f"a day like 2026-03-01, of the years {FIRST_YEAR} to {LAST_YEAR}")
    return found


def month(query: Query, name: str, otherwise: date) -> date:
    """The first day of a month given as `2026-03`. Raises `InputError`."""
    said = query.get(name, "")
    try:
        return date.fromisoformat(f"{said}-01") if said else otherwise.replace(day=1)
    except ValueError as error:
        raise _refusal(name, repr(said[:40]), "a month like 2026-03") from error


def midnight(of: date) -> datetime:
    """First moment in UTC of a day, or of the UTC day in which a time lies."""
    return datetime.combine(of.astimezone(UTC) if isinstance(of, datetime) else of, time(), UTC)


def next_month(first: date) -> date:
    """The first day of the month after the one that `first` lies in. Raises `InputError` after the last one that there is."""
    try:
        return (first.replace(day=28) + timedelta(days=4)).replace(day=1)
    except OverflowError as error:
        raise _refusal("month", first.isoformat(), "an earlier one") from error


def _refusal(name: str, got: str, expected: str) -> InputError:
    return InputError("can't tell what is asked for:", [Fault(name, got, expected)])
