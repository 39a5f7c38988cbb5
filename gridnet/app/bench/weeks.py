"""Which weeks a benchmark runs on."""

from __future__ import annotations

from gridnet.clock import Clock, is_held_out
from gridnet.errors import Fault, InputError

SEASONS = (4, 14, 29, 44)
"""Held-out weeks of a year that stand for winter, spring, summer and autumn."""


def parse_weeks(words: str, clock: Clock) -> list[int]:
    """Weeks (0-based) from `seasons`, `held-out`, or numbers separated by commas.

    A series too short for the four seasons gives its held-out weeks. Raises `InputError` listing every number that is none
    of the series' whole weeks.
    """
    held_out = [week for week in range(clock.weeks) if is_held_out(week)]
    if words in ("seasons", "held-out"):
        wanted = [week for week in SEASONS if week < clock.weeks] if words == "seasons" else []
        if not held_out:
            raise InputError(
                f"the series has {clock.weeks} whole weeks and none is held out; name weeks by number, as in --weeks 0,1"
            )
        return wanted if len(wanted) == len(SEASONS) else held_out
    faults, weeks = [], []
    for word in words.split(","):
        # Nobody has a million weeks, and a number of thousands of digits is not worth converting.
        if word.strip().isdecimal() and len(word.strip()) <= 6 and int(word) < clock.weeks:
            weeks.append(int(word))
        else:
            faults.append(Fault("--weeks", repr(word), f"seasons, held-out, or whole numbers from 0 to {clock.weeks - 1}"))
    if faults:
        raise InputError("the weeks can't be used:", faults)
    return list(dict.fromkeys(weeks))
