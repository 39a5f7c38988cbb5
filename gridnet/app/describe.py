"""A scenario in words and figures."""

from __future__ import annotations

import numpy as np

from gridnet.case import Case
from gridnet.series.households import coincidence_factor


def describe(case: Case) -> str:
    """What the scenario holds: network, devices, series, prices, provenance."""
    feeder, series = case.feeder, case.series
    prices = case.prices
    homes = [k for k, profile in enumerate(feeder.load.profile) if profile is not None and profile.startswith("H0")]
    rows = [
        ["buses", f"{len(feeder.bus_name)}"],
        ["lines", f"{len(feeder.line_name)}"],
        ["transformers", ", ".join(f"{rating:.0f} kVA" for rating in feeder.trafo_kva) or "none"],
        ["loads", f"{len(feeder.load_bus)}, peak together {-series.load_p_kw.sum(axis=1).min():.1f} kW"],
        ["coincidence factor, all loads", f"{coincidence_factor(series.load_p_kw):.3f}"],
        ["PV plants", f"{len(feeder.pv_bus)}, peak together {series.pv_p_kw.sum(axis=1).max(initial=0.0):.1f} kW"],
        ["batteries", f"{len(feeder.battery_bus)}, {feeder.battery.p_kw.sum():.1f} kW, {feeder.battery.e_kwh.sum():.1f} kWh"],
        ["steps", f"{case.clock.steps} of {case.clock.dt_h:g} h from {case.clock.start.isoformat()}"],
        ["spot price, mean", f"{np.mean(series.price_eur_per_mwh):.2f} EUR/MWh"],
        ["import price, mean", f"{1e3 * np.mean(prices.import_eur_per_kwh):.2f} EUR/MWh"],
        ["carbon intensity, mean", f"{np.mean(series.carbon_g_per_kwh):.0f} g/kWh"],
        ["voltage limits", f"{case.scenario.limits.vm_min_pu:g} to {case.scenario.limits.vm_max_pu:g} pu"],
    ]
    if homes:
        rows.insert(5, ["coincidence factor, homes", f"{coincidence_factor(series.load_p_kw[:, homes]):.3f} ({len(homes)} homes)"])
    rows.extend([f"source, {what}", origin] for what, origin in series.provenance)
    label = max(len(row[0]) for row in rows)
    return "\n".join([f"{case.scenario.name}: {case.scenario.title}", *(f"  {what.ljust(label)}  {value}" for what, value in rows)])
