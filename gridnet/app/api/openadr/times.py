"""Times as OpenADR writes them, and when the intervals of a report or an event lie."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import TypeAdapter, ValidationError

NOW = "0000-00-00"
"""What stands for the present in an interval period's start."""

_DURATION = TypeAdapter(timedelta)
_MOMENT = TypeAdapter(datetime)
_FOREVER = timedelta(days=365 * 9999)
"""`P9999Y`, the longest that OpenADR writes."""


def iso_time(time: datetime) -> str:
    """RFC 3339 in UTC, whole seconds where there are no others."""
    text = time.astimezone(UTC).isoformat(timespec="seconds" if time.microsecond == 0 else "milliseconds")
    return text.replace("+00:00", "Z")


def iso_duration(duration: timedelta) -> str:
    """ISO 8601, as `PT15M`."""
    return str(_DURATION.dump_python(duration, mode="json"))


def duration_of(text: str) -> timedelta:
    """Of an ISO 8601 duration, 0 or longer. Raises `ValueError`."""
    try:
        duration = _DURATION.validate_python(text if text.startswith("P") else None)
        if timedelta(0) <= duration <= _FOREVER:
            return duration
    except ValidationError:
        pass
    raise ValueError("an ISO 8601 duration of 0 or longer, as PT15M")


def moment_of(text: str) -> datetime:
    """Of an RFC 3339 time; one without a zone is in UTC. Raises `ValueError`."""
    try:
        time = _MOMENT.validate_python(text if "-" in text else None)
    except ValidationError as error:
        raise ValueError("an RFC 3339 time, as 2026-03-01T12:00:00Z") from error
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def spans(
    intervals: Sequence[Mapping[str, Any]], period: Mapping[str, Any] | None, now: datetime
) -> Iterator[tuple[Mapping[str, Any], datetime, timedelta]]:
    """Each interval with its start and duration.

    An interval's own period counts first; where it has no duration, the one that all share gives it, where it has no start, the
    interval follows the one before, and the first begins with the shared period, or else now. Raises `ValueError`.
    """
    shared = period or {}
    start = _start(shared, now)
    for interval in intervals:
        own = interval.get("intervalPeriod") or {}
        if own.get("start") is not None:
            start = _start(own, now)
        duration = duration_of(own.get("duration") or shared.get("duration") or "PT0S")
        yield interval, start, duration
        try:
            start += duration
        except OverflowError as error:
            raise ValueError("intervals that end within the calendar") from error


def _start(period: Mapping[str, Any], now: datetime) -> datetime:
    text = period.get("start")
    return now if text in (None, NOW) else moment_of(text)
