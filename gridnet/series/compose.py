"""All series of a scenario on one clock: load, PV, price and carbon, from SimBench, the market table or the user."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from gridnet.clock import Clock
from gridnet.errors import Fault, InputError
from gridnet.scenario import Scenario, SeriesFile
from gridnet.series.days import days_of_leap_year, local_dates
from gridnet.series.households import LoadTable, household_loads, seeded
from gridnet.series.market import Market, embedded_market, join_by_analog_day
from gridnet.series.profiles import SIMBENCH_CLOCK, FloatArray, Profiles, on_days, simbench_profiles
from gridnet.series.quantities import Quantity
from gridnet.series.tidy import TidySeries, read_tidy

USER_LOAD_POWER_FACTOR = 0.95
"""Power factor, lagging, of a user's loads where the file has no `q_kvar` column."""

_SIMBENCH_LICENCE = "contains information from SimBench (https://simbench.de), ODbL 1.0"
_MARKET_SOURCE = "German day-ahead market and generation 2018 (SMARD, CC BY 4.0; ENTSO-E; see data/SOURCES.md)"


@dataclass(frozen=True)
class PvTable:
    """The PV plants of a network, in the network's order.

    `profile` names each plant's SimBench profile, `None` where the network brings none; `p_rated_kw`, `(pvs,)`, is the
    power that the profile is per unit of, positive.
    """

    name: tuple[str, ...]
    profile: tuple[str | None, ...]
    p_rated_kw: FloatArray


@dataclass(frozen=True)
class Series:
    """What the world does to the network, step by step on `clock`; `p_kw > 0` injects.

    | array | shape | meaning |
    |---|---|---|
    | `load_p_kw` | (steps, loads) | active power of loads, 0 or less |
    | `load_q_kvar` | (steps, loads) | reactive power of loads, below 0 where inductive |
    | `pv_p_kw` | (steps, pvs) | available PV power, 0 or more |
    | `price_eur_per_mwh` | (steps,) | spot price |
    | `carbon_g_per_kwh` | (steps,) | average carbon intensity of the grid's energy |

    `provenance` says for the clock and each series where it comes from, as (what, origin) pairs. A user's load file may
    hold steps that inject; SimBench's homes and shops never do.
    """

    clock: Clock
    load_p_kw: FloatArray
    load_q_kvar: FloatArray
    pv_p_kw: FloatArray
    price_eur_per_mwh: FloatArray
    carbon_g_per_kwh: FloatArray
    provenance: tuple[tuple[str, str], ...]


def build_series(scenario: Scenario, loads: LoadTable, pvs: PvTable) -> Series:
    """The series of `scenario` for the network's `loads` and `pvs`.

    Without files of the user's the clock is SimBench's 2016. Otherwise it is the span of the first file among load, PV,
    price and carbon, cut to whole local days, and every other file must cover it. What no file gives comes from
    SimBench and the market table on that clock: homes from days of the same type and season, PV and heat pumps from the
    same date of 2016, price and carbon from the 2018 day most like it in sunshine and wind. Sunshine is the user's PV
    where given; wind is that of the same date of 2016, for lack of any other.

    Raises `InputError` with the faults of all files at once, or naming unknown profiles.
    """
    files = _read_files(scenario, loads, pvs)
    clock = next(iter(files.values())).clock if files else SIMBENCH_CLOCK
    load_p_kw, load_q_kvar = _load(files.get(Quantity.LOAD), scenario, loads, clock)
    pv_p_kw = files[Quantity.PV].values if Quantity.PV in files else _simbench_pv(pvs, scenario.prosumers.seed, clock)
    price, carbon = files.get(Quantity.PRICE), files.get(Quantity.CARBON)
    if price is not None and carbon is not None:
        price_eur_per_mwh, carbon_g_per_kwh = price.values[:, 0], carbon.values[:, 0]
    else:
        market = _market(clock, pv_p_kw.sum(axis=1) if Quantity.PV in files else None)
        price_eur_per_mwh = market.price_eur_per_mwh if price is None else price.values[:, 0]
        carbon_g_per_kwh = market.carbon_g_per_kwh if carbon is None else carbon.values[:, 0]
    return Series(
        clock=clock,
        load_p_kw=load_p_kw,
        load_q_kvar=load_q_kvar,
        pv_p_kw=pv_p_kw,
        price_eur_per_mwh=price_eur_per_mwh,
        carbon_g_per_kwh=carbon_g_per_kwh,
        provenance=_provenance(files, scenario, clock),
    )


def _read_files(scenario: Scenario, loads: LoadTable, pvs: PvTable) -> dict[Quantity, TidySeries]:
    """The user's series on the clock of the first, faults of all files collected."""
    named: dict[Quantity, SeriesFile | None] = {quantity: getattr(scenario.series, quantity.value) for quantity in Quantity}
    devices = {Quantity.LOAD: loads.name, Quantity.PV: pvs.name}
    read: dict[Quantity, TidySeries] = {}
    faults: list[Fault] = []
    for quantity, spec in named.items():
        if spec is None:
            continue
        clock = next(iter(read.values())).clock if read else None
        try:
            read[quantity] = read_tidy(spec, quantity, devices.get(quantity, ()), clock)
        except InputError as error:
            faults.extend(error.faults)
    if faults:
        raise InputError(f"scenario '{scenario.name}': the series files can't be used:", faults)
    return read


def market_faults(scenario: Scenario) -> list[Fault]:
    """What is wrong with the user's price and carbon files, which can be said without a network."""
    faults: list[Fault] = []
    for quantity in (Quantity.PRICE, Quantity.CARBON):
        spec: SeriesFile | None = getattr(scenario.series, quantity.value)
        if spec is not None:
            try:
                read_tidy(spec, quantity, (), None)
            except InputError as error:
                faults.extend(error.faults)
    return faults


def _load(given: TidySeries | None, scenario: Scenario, loads: LoadTable, clock: Clock) -> tuple[FloatArray, FloatArray]:
    if given is None:
        return household_loads(loads, simbench_profiles(), scenario.households, clock)
    if given.q_kvar is not None:
        return given.values, given.q_kvar
    return given.values, -np.abs(given.values) * math.tan(math.acos(USER_LOAD_POWER_FACTOR))


def _simbench_pv(pvs: PvTable, seed: int, clock: Clock) -> FloatArray:
    """Available power, `(steps, pvs)`: rated power times profile, on the same date of 2016."""
    if not pvs.name:
        return np.zeros((clock.steps, 0))
    profiles = simbench_profiles()
    known = {**profiles.other, **profiles.wind, **profiles.pv}
    chosen = [_pv_profile(pvs.name[index], pvs.profile[index], seed, profiles) for index in range(len(pvs.name))]
    unknown = [
        Fault(f"plant '{name}'", f"profile {profile!r}", "a SimBench generation profile, such as 'PV1', or none")
        for name, profile in zip(pvs.name, chosen, strict=True)
        if profile not in known
    ]
    if unknown:
        raise InputError("the network names generation profiles that do not exist:", unknown)
    same_date = days_of_leap_year(local_dates(clock))
    return np.stack(
        [rated * on_days(known[profile], same_date) for rated, profile in zip(pvs.p_rated_kw, chosen, strict=True)],
        axis=1,
    ).clip(min=0.0)  # some wind parks stand still at -1e-5 of their rating


def _pv_profile(name: str, profile: str | None, seed: int, profiles: Profiles) -> str:
    if profile is not None:
        return profile
    names = sorted(profiles.pv)
    return names[seeded(seed, f"pv:{name}").integers(len(names))]


def _market(clock: Clock, pv_kw: FloatArray | None) -> Market:
    # Daily z-scores are blind to scale, so kilowatts serve as well as per unit.
    profiles = simbench_profiles()
    same_date = days_of_leap_year(local_dates(clock))
    sunshine = on_days(profiles.pv_mean(), same_date) if pv_kw is None else pv_kw
    return join_by_analog_day(embedded_market(), clock, sunshine, on_days(profiles.wind_mean(), same_date))


def _provenance(files: dict[Quantity, TidySeries], scenario: Scenario, clock: Clock) -> tuple[tuple[str, str], ...]:
    homes = scenario.households
    drawn = f"days drawn anew per home (seed {homes.seed})" if homes.bootstrap else "days as shipped"
    origins = {
        Quantity.LOAD: f"SimBench load profiles, {drawn}; {_SIMBENCH_LICENCE}",
        Quantity.PV: f"SimBench PV profiles; {_SIMBENCH_LICENCE}",
        Quantity.PRICE: f"{_MARKET_SOURCE}, joined by analog day",
        Quantity.CARBON: f"{_MARKET_SOURCE}, joined by analog day",
    }
    for quantity, series in files.items():
        origins[quantity] = f"{series.source}; licence {series.licence}; sha256 {series.sha256}"
    span = f"{clock.start.isoformat()}, {clock.steps} steps of {clock.dt_h:g} h, local day UTC{clock.utc_offset_h:+g} h"
    return (("clock", span), *((quantity.value, origins[quantity]) for quantity in Quantity))
