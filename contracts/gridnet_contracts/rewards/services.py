"""What each service of a programme is, in whole numbers from verified readings. A figure may be below zero; it then earns nothing.

Each takes one entry per quarter-hour of the epoch whose reading was accepted; a quarter-hour without one is left out, and earns
nothing. Net Wh count injection above zero.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from gridnet_contracts.rewards.programme import MILLION, Terms

LOCAL = timedelta(hours=1)
"""Of the local day against UTC, as in `gridnet.clock.Clock`."""


def shifted_wh(quarters: Iterable[tuple[datetime, int, int]], terms: Terms) -> int:
    """Wh that a home exchanged better than its baseline in the peak hours.

    `quarters`: (start in UTC, net Wh measured, net Wh of the same home without dispatch). What a home gives more, or draws less,
    counts up, what it draws more counts down, so that nothing is earned by moving load within the peak.
    """
    return sum(net - baseline for start, net, baseline in quarters if (start + LOCAL).hour in terms.peak_hours)


def curtailed_wh(quarters: Iterable[tuple[int, int, int]]) -> int:
    """Wh that a plant held back on request. `quarters`: (Wh asked for, Wh that it could have injected, Wh injected); no more counts
    than was asked for, and nothing where nothing was."""
    return sum(min(asked, max(possible - injected, 0)) for asked, possible, injected in quarters)


def support_varh(quarters: Iterable[tuple[int, int]], terms: Terms) -> int:
    """Reactive energy that moved the voltage back: injected where it was low, drawn where it was high; the other way counts down,
    and within the band nothing counts. `quarters`: (mV phase to neutral, varh injected)."""
    return sum(_helpful(millivolt, varh, terms) for millivolt, varh in quarters)


def _helpful(millivolt: int, varh: int, terms: Terms) -> int:
    if millivolt < terms.low_mv:
        return varh
    return -varh if millivolt > terms.high_mv else 0


def available_quarters(quarters: Iterable[tuple[int, int]], terms: Terms) -> int:
    """Quarter-hours in which a device was there and did what it was asked to, within the terms' tolerance.
    `quarters`: (net Wh asked for, net Wh measured)."""
    return sum(abs(net - asked) <= terms.tolerance_wh + abs(asked) * terms.tolerance_ppm // MILLION for asked, net in quarters)
