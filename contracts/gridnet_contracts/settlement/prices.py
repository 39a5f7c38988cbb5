"""What energy costs inside the community: three rules.

A rule prices the Wh that meet inside the community; the rest is bought at the import price and sold at the export price. As the
common Wh are shared pro rata, that is the same as the mean prices that the literature states for all of a home's energy.

- `mid_market` (the mid-market rate; Long et al., "Peer-to-peer energy trading in a community microgrid", IEEE PES General Meeting
  2017): half-way between import and export price. Where supply exceeds demand a seller's mean price falls below it, by what goes
  out at the export price; where demand exceeds supply a buyer's rises above it.
- `supply_demand` (the supply-demand ratio; Liu et al., "Energy-sharing model with price-based demand response for microgrids of
  peer-to-peer prosumers", IEEE Trans. Power Systems 32(5), 2017, equations of the internal prices): with R = supply / demand,

      price = export x import / ((import - export) x R + export)  for R <= 1,  export  for R > 1

  which falls from the import price to the export price as supply grows. Where the export price is not above 0 the formula has no
  meaning; its limit is taken, the export price.
- `dlmp`: each home at the price of its own bus, from the optimiser. Buyers may pay more than sellers get, or less: the difference,
  rent of congested lines and of marginal losses, is the grid's.

The first two lie between export and import price, so that nobody does worse than with the utility; `dlmp` promises no such thing:
it says what energy is worth at a place, which may be more than the tariff. Prices are whole micro-euro per kWh, rounded down.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Self

from gridnet.errors import Fault, InputError

Rule = Literal["mid_market", "supply_demand", "dlmp"]
RULES: tuple[Rule, ...] = ("mid_market", "supply_demand", "dlmp")
MICRO = 1_000_000


@dataclass(frozen=True)
class Prices:
    """Prices of one quarter-hour in micro-euro per kWh; any of them may be below zero."""

    import_micro_eur: int
    """Paid to the utility for what the community does not have."""
    export_micro_eur: int
    """Paid by the utility for what the community does not need."""
    dlmp_micro_eur: Mapping[str, int] = field(default_factory=dict)
    """By party, at its bus; needed by the rule `dlmp` alone."""

    @classmethod
    def from_eur(
        cls, import_eur_per_kwh: float, export_eur_per_kwh: float, dlmp_eur_per_kwh: Mapping[str, float] | None = None
    ) -> Self:
        """Prices in EUR per kWh, each rounded to the nearest micro-euro: the last place where they are floats.
        Raises `InputError` for one that is not finite."""
        at_bus = dict(dlmp_eur_per_kwh or {})
        named = {"import": import_eur_per_kwh, "export": export_eur_per_kwh}
        named |= {f"dlmp of {party}": price for party, price in at_bus.items()}
        expected = "a finite price in EUR per kWh"
        faults = [Fault(name, str(price), expected) for name, price in named.items() if not math.isfinite(price)]
        if faults:
            raise InputError("these are no prices:", faults)
        dlmp = {party: round(price * MICRO) for party, price in at_bus.items()}
        return cls(round(import_eur_per_kwh * MICRO), round(export_eur_per_kwh * MICRO), dlmp)

    @property
    def leave_room(self) -> bool:
        """Whether a price exists that neither side refuses."""
        return self.export_micro_eur <= self.import_micro_eur


def community_prices(rule: Rule, prices: Prices, supply_wh: Mapping[str, int], demand_wh: Mapping[str, int]) -> dict[str, int]:
    """Each party's price for what it sells or buys inside the community, micro-euro per kWh.

    `supply_wh` and `demand_wh` have the same parties. Raises `InputError` for an unknown rule, and for `dlmp` naming each party
    that has no price.
    """
    if rule == "mid_market":
        return dict.fromkeys(supply_wh, (prices.import_micro_eur + prices.export_micro_eur) // 2)
    if rule == "supply_demand":
        return dict.fromkeys(supply_wh, _by_ratio(prices, sum(supply_wh.values()), sum(demand_wh.values())))
    if rule != "dlmp":
        raise InputError(f"there is no price rule {rule!r}; there are {', '.join(RULES)}")
    missing = [
        Fault(f"{party}: dlmp", "nothing", "a price at its bus") for party in supply_wh if party not in prices.dlmp_micro_eur
    ]
    if missing:
        raise InputError("some parties have no price at their bus:", missing)
    return {party: prices.dlmp_micro_eur[party] for party in supply_wh}


def _by_ratio(prices: Prices, supply: int, demand: int) -> int:
    bought, sold = prices.import_micro_eur, prices.export_micro_eur
    if supply > demand or not 0 < sold < bought or not demand:
        return sold
    return sold * bought * demand // ((bought - sold) * supply + sold * demand)
