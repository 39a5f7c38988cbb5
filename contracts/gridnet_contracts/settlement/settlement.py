"""The settlement of one quarter-hour: what each home sells, buys and pays.

Micro-euro per kWh times Wh are nano-euro, so every amount is exact until each home's balance is rounded, once, to a micro-euro. All
are rounded together: what the homes pay is to the micro-euro what the utility gets, its bill rounded up, and the grid's rent. So a
home that would pay X at the utility alone, rounded up, pays X at most under a rule that promises it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from gridnet_contracts.ledger.canonical import canonical
from gridnet_contracts.settlement.energies import HomeEnergy, check_energies
from gridnet_contracts.settlement.matching import Matched, match, nothing_matched
from gridnet_contracts.settlement.prices import Prices, Rule, community_prices
from gridnet_contracts.settlement.shares import round_together

NANO_PER_MICRO = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One home's part of a settlement."""

    party: str
    injected_wh: int
    drawn_wh: int
    substituted: bool
    sold_wh: int
    """Inside the community; the rest of `injected_wh` went to the utility."""
    bought_wh: int
    """Inside the community; the rest of `drawn_wh` came from the utility."""
    price_micro_eur_per_kwh: int
    """Its price inside the community."""
    pays_micro_eur: int
    """For all of the above; below zero it receives."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """One quarter-hour of a community. What the lines pay is `utility_micro_eur + grid_micro_eur`."""

    rule: Rule
    import_micro_eur_per_kwh: int
    export_micro_eur_per_kwh: int
    lines: tuple[Line, ...]
    """By party, in the order of the names."""
    utility_micro_eur: int
    """What the utility gets for the remainder; below zero it pays."""
    grid_micro_eur: int
    """Congestion and loss rent under `dlmp`, else 0; below zero the grid pays."""

    @property
    def matched(self) -> Matched:
        """What met inside the community."""
        return Matched({line.party: line.sold_wh for line in self.lines}, {line.party: line.bought_wh for line in self.lines})

    @property
    def substituted(self) -> int:
        """How many homes had no reading of their own."""
        return sum(line.substituted for line in self.lines)

    def digest(self) -> str:
        """SHA-256 of all of it as canonical JSON, in hexadecimal."""
        return hashlib.sha256(canonical(asdict(self))).hexdigest()


def settle(energies: Sequence[HomeEnergy], prices: Prices, rule: Rule) -> Settlement:
    """Settles a quarter-hour; the order of `energies` does not matter.

    Where the export price lies above the import price no price suits both sides, and all is settled with the utility.
    Raises `InputError` with every fault in the energies, for an unknown rule, and for `dlmp` without a price for each party.
    """
    check_energies(energies)
    homes = sorted(energies, key=lambda energy: energy.party)
    supply = {home.party: home.injected_wh for home in homes}
    demand = {home.party: home.drawn_wh for home in homes}
    community = community_prices(rule, prices, supply, demand)
    matched = match(homes) if prices.leave_room else nothing_matched(homes)
    bought, sold = matched.bought_wh, matched.sold_wh
    inside = {party: community[party] * (bought[party] - sold[party]) for party in community}
    outside = {
        party: prices.import_micro_eur * (demand[party] - bought[party]) - prices.export_micro_eur * (supply[party] - sold[party])
        for party in community
    }
    pays = round_together({party: inside[party] + outside[party] for party in community}, NANO_PER_MICRO)
    utility = -(-sum(outside.values()) // NANO_PER_MICRO)
    lines = tuple(
        Line(
            party=home.party,
            injected_wh=home.injected_wh,
            drawn_wh=home.drawn_wh,
            substituted=home.substituted,
            sold_wh=sold[home.party],
            bought_wh=bought[home.party],
            price_micro_eur_per_kwh=community[home.party],
            pays_micro_eur=pays[home.party],
        )
        for home in homes
    )
    rent = sum(pays.values()) - utility
    return Settlement(rule, prices.import_micro_eur, prices.export_micro_eur, lines, utility, rent)
