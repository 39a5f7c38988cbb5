"""Networks of growing size for timing and checking the optimiser, with so much solar that limits bind on a sunny day.

Without control, line and transformer ratings and the voltage band are broken around noon; the voltage band is the narrow one that
planners keep at low voltage, since SimBench's feeders are too stiff for the wide one.

| case | buses | batteries | PV plants | SimBench code |
|---|---|---|---|---|
| M | 44 | 20 | 30 | 1-LV-semiurb4--0-sw |
| U | 59 | 60 | 65 | 1-LV-urban6--0-sw |
| L | 111 | 60 | 69 | 1-LV-semiurb5--0-sw |
| MV | 107 | 20 | 109 | 1-MV-comm--0-sw |

A battery stands beside a plant that was added, and the networks bring plants of their own: hence more plants than batteries.
"""

from __future__ import annotations

from gridnet.scenario import Limits, NetworkSource, Prosumers, Scenario, Tariff

SUNNY_DAY = 146
"""Day of the series, from 0, on which the low-voltage cases' solar gives most."""


def _case(name: str, code: str, limits: Limits, prosumers: Prosumers) -> Scenario:
    return Scenario(
        name=f"solver-{name}",
        title=f"Case {name} of the optimiser's measurements, on {code}",
        network=NetworkSource(simbench=code),
        limits=limits,
        prosumers=prosumers,
        tariff=Tariff(grid_fee_eur_per_mwh=107.0),
    )


def _solar(loads: int, plants: int, batteries: int, size: float) -> Prosumers:
    """Shares that give so many plants and batteries among `loads`; `size` is a plant's peak in terms of its load's."""
    return Prosumers(pv_share=plants / loads, pv_per_load=size, battery_share=batteries / plants, battery_per_pv=0.5)


CASES: dict[str, Scenario] = {
    "M": _case("M", "1-LV-semiurb4--0-sw", Limits(vm_max_pu=1.05), _solar(41, 29, 20, 6.0)),
    "U": _case("U", "1-LV-urban6--0-sw", Limits(vm_max_pu=1.045), _solar(111, 60, 60, 8.0)),
    "L": _case("L", "1-LV-semiurb5--0-sw", Limits(vm_max_pu=1.05), _solar(104, 60, 60, 5.0)),
    "MV": _case("MV", "1-MV-comm--0-sw", Limits(vm_max_pu=1.035), _solar(98, 20, 20, 3.0)),
}
"""By name, in order of the size of their programmes."""
