"""What settlement's tests are made of: three homes, a tariff, and Hypothesis's communities of any kind."""

from __future__ import annotations

from datetime import UTC, datetime

from hypothesis import strategies as st

from gridnet_contracts.settlement.booking import Community, Quarter
from gridnet_contracts.settlement.energies import HomeEnergy
from gridnet_contracts.settlement.prices import Prices

START = datetime(2018, 6, 1, 10, 15, tzinfo=UTC)
COMMUNITY = Community("lane")
QUARTER = Quarter(COMMUNITY, START)
HASH = "ab" * 32
TARIFF = Prices(300_000, 100_000)
"""30 and 10 cents per kWh."""
PARTIES = ["ann", "bob", "cy", "dee", "eve", "flo"]


def homes(*energies: tuple[str, int, int]) -> list[HomeEnergy]:
    """Homes as (name, injected, drawn)."""
    return [HomeEnergy(party, injected, drawn) for party, injected, drawn in energies]


watt_hours = st.one_of(st.sampled_from([0, 0, 1, 2, 3, 7]), st.integers(0, 20_000))


@st.composite
def communities(draw: st.DrawFn) -> list[HomeEnergy]:
    """Up to six homes, in any order, some substituted."""
    found = []
    for party in draw(st.permutations(PARTIES))[: draw(st.integers(0, len(PARTIES)))]:
        substituted = draw(st.integers(0, 5)) == 0
        found.append(HomeEnergy(party, 0 if substituted else draw(watt_hours), draw(watt_hours), substituted))
    return found


any_price = st.integers(-500_000, 900_000)
tariffs = st.builds(Prices, any_price, any_price, st.fixed_dictionaries(dict.fromkeys(PARTIES, any_price)))
"""Any prices, also where export is dearer than import, or costs something."""
ordered_tariffs = tariffs.filter(lambda prices: prices.leave_room)
