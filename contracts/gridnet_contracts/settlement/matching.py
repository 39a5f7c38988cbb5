"""How much of its injection each home sells inside the community, how much of its draw each buys, and who sold to whom.

What both sides have in common, the smaller of supply and demand, is shared pro rata in whole Wh by largest remainder: nobody comes
first. The two registers of a meter are matched each for itself: a home that took and gave within one quarter-hour does both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gridnet_contracts.settlement.energies import HomeEnergy
from gridnet_contracts.settlement.shares import apportion


@dataclass(frozen=True, slots=True)
class Matched:
    """Wh that meet inside the community, by party; both sides sum to the same."""

    sold_wh: dict[str, int]
    bought_wh: dict[str, int]


@dataclass(frozen=True, slots=True)
class Sale:
    """Wh from one home to another."""

    seller: str
    buyer: str
    wh: int


def match(energies: Sequence[HomeEnergy]) -> Matched:
    """The common part of supply and demand, shared pro rata. No home sells more than it injected or buys more than it drew."""
    supply = {energy.party: energy.injected_wh for energy in energies}
    demand = {energy.party: energy.drawn_wh for energy in energies}
    common = min(sum(supply.values()), sum(demand.values()))
    return Matched(apportion(common, supply), apportion(common, demand))


def nothing_matched(energies: Sequence[HomeEnergy]) -> Matched:
    """All with the utility."""
    parties = [energy.party for energy in energies]
    return Matched(dict.fromkeys(parties, 0), dict.fromkeys(parties, 0))


def sales(matched: Matched) -> list[Sale]:
    """Who sold to whom: sellers and buyers each in the order of their names, laid side by side Wh by Wh. That names as few sales as
    any rule that knows the totals alone: one fewer than sellers and buyers together, at most. What a home sells to itself is left
    out."""
    found: list[Sale] = []
    buyers = iter([(buyer, wh) for buyer, wh in sorted(matched.bought_wh.items()) if wh])
    buyer, wanted = "", 0
    for seller, offered in sorted(matched.sold_wh.items()):
        left = offered
        while left:
            if not wanted:
                buyer, wanted = next(buyers)  # there is one: both sides have the same sum
            wh = min(left, wanted)
            left, wanted = left - wh, wanted - wh
            if seller != buyer:
                found.append(Sale(seller, buyer, wh))
    return found
