"""What keeps a process that was stopped, and has lost its feeder meanwhile, from doing harm when it goes on.

It may wake in the middle of a step. So each transaction that takes a feeder further first looks, under the feeder's lock, whether
the feeder still stands where this process left it; where it doesn't, nothing is written, and what is remembered is built anew.
"""

from __future__ import annotations

from sqlalchemy import Connection

from gridnet.app.service import marks
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.telemetry import CLOSED
from gridnet.errors import GridnetError


class Overtaken(GridnetError):
    """Another process has taken the feeder further."""


def series_of(live: LiveFeeder) -> str:
    """Which series a feeder runs on: its scenario, and where its steps begin."""
    return f"{live.case.scenario.name} {live.anchor}"


def check_standing(connection: Connection, live: LiveFeeder, settled: int) -> None:
    """Raises `Overtaken` unless `settled` is the last quarter-hour that was settled, no later one than the next was closed, and the
    series are the same."""
    series, known, closed = (noted(connection, live, key) for key in (marks.SCENARIO, marks.SETTLED, CLOSED))
    if series != series_of(live) or known != str(settled) or int(closed or -1) > settled + 1:
        raise Overtaken(
            f"{named(live.name)} is settled until {known}, closed until {closed}, on {series}; this process left it settled until "
            f"{settled} on {series_of(live)}: another one has taken it further",
            expected=settled,
            got=known,
        )


def check_beginning(connection: Connection, live: LiveFeeder, settled: int) -> None:
    """Raises `Overtaken` where a feeder that is to begin anew, `settled` before its beginning, would go back by that."""
    series, known = (noted(connection, live, key) or "" for key in (marks.SCENARIO, marks.SETTLED))
    scenario, _, anchor = series.rpartition(" ")
    if int(known or -1) > settled or (scenario == live.case.scenario.name and int(anchor) > live.anchor):
        raise Overtaken(
            f"{named(live.name)} is settled until {known} on {series}, and shall not begin anew after {settled} on "
            f"{series_of(live)}: the clock went back, or another process has taken it further",
            expected=settled,
            got=known,
        )


def noted(connection: Connection, live: LiveFeeder, key: str) -> str | None:
    """What is noted of a feeder."""
    return marks.marked(connection, marks.of(live.name, key))


def note(connection: Connection, live: LiveFeeder, key: str, value: object) -> None:
    """Notes it in the place of what was noted before."""
    marks.mark(connection, marks.of(live.name, key), value)


def named(feeder: str) -> str:
    """A feeder as a message names it."""
    return f"feeder {feeder}" if feeder else "the main feeder"
