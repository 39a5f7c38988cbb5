"""What each home took and gave in a quarter-hour, and what stands in for a reading that is missing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gridnet.errors import Fault, InputError

DAYS = 7
"""How far back a substitute looks."""


@dataclass(frozen=True, slots=True)
class HomeEnergy:
    """A home's meter over one quarter-hour, both registers, verified or substituted."""

    party: str
    injected_wh: int
    drawn_wh: int
    substituted: bool = False


def substitute(party: str, start: datetime, verified_drawn_wh: Mapping[datetime, int], profile_wh: int) -> HomeEnergy:
    """What stands in for a home's missing or refused reading of the quarter-hour at `start`.

    Drawn: the mean, rounded up, of what was verified for this home in the same quarter-hour of the last `DAYS` days
    (`verified_drawn_wh`: start of the quarter-hour to Wh); where there is none, `profile_wh`, the mean of its profile. Injected: 0,
    so that keeping a reading back never earns anything.
    """
    same = [start - timedelta(days=day) for day in range(1, DAYS + 1)]
    known = [verified_drawn_wh[quarter] for quarter in same if quarter in verified_drawn_wh]
    drawn_wh = -(-sum(known) // len(known)) if known else profile_wh
    return HomeEnergy(party, injected_wh=0, drawn_wh=drawn_wh, substituted=True)


def check_energies(energies: Sequence[HomeEnergy]) -> None:
    """Raises `InputError` with every fault: a party twice, Wh below zero, an injection that was substituted."""
    faults, seen = [], set()
    for energy in energies:
        if energy.party in seen:
            faults.append(Fault(energy.party, "two energies", "one for each party"))
        seen.add(energy.party)
        for register, wh in (("injected_wh", energy.injected_wh), ("drawn_wh", energy.drawn_wh)):
            if wh < 0:
                faults.append(Fault(f"{energy.party}: {register}", str(wh), "0 or more"))
        if energy.substituted and energy.injected_wh > 0:
            faults.append(Fault(f"{energy.party}: injected_wh", f"{energy.injected_wh}, substituted", "0, as nobody measured it"))
    if faults:
        raise InputError("these energies can't be settled:", faults)
