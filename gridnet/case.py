"""A case: a scenario made concrete. The feeder's arrays, its series, its compiled power flow and the simulation parameters.

Making one from pandapower and SimBench takes several seconds; the result is cached on disk under a hash of the scenario, of
the code and data that shape it, and of the versions of the packages it comes from.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import NamedTuple

import numpy as np

from gridnet import cache
from gridnet.clock import Clock
from gridnet.devices import Fleet, make_fleet
from gridnet.errors import InputError
from gridnet.feeder import Feeder
from gridnet.powerflow import PowerFlow, compile_power_flow
from gridnet.resources import data_dir
from gridnet.scenario import Scenario, load_scenario
from gridnet.series.compose import Series, build_series, market_faults
from gridnet.simulate import Params, State
from gridnet.tariff import Prices, make_prices


class _Compiled(NamedTuple):
    feeder: Feeder
    series: Series


@dataclass(frozen=True)
class Case:
    """Everything that simulating a scenario needs, as arrays."""

    scenario: Scenario
    feeder: Feeder
    series: Series
    power_flow: PowerFlow
    params: Params

    @classmethod
    def of(cls, scenario: Scenario, feeder: Feeder, series: Series) -> Case:
        """The case of a feeder's arrays and series: its power flow compiled, its fleet made by the scenario's settings."""
        battery, power_flow = feeder.battery, compile_power_flow(feeder.model)
        params = Params(
            network=power_flow.network,
            fleet=make_fleet(scenario, battery.p_kw, battery.e_kwh, feeder.pv.p_rated_kw, series.clock.dt_h),
            device_bus=np.concatenate([feeder.battery_bus, feeder.pv_bus]),
            load_bus=feeder.load_bus,
            load_p_kw=series.load_p_kw,
            load_q_kvar=series.load_q_kvar,
            pv_p_kw=series.pv_p_kw,
            buses=power_flow.buses,
            lines=power_flow.lines,
        )
        return cls(scenario, feeder, series, power_flow, params)

    @property
    def clock(self) -> Clock:
        """The clock that the series run on."""
        return self.series.clock

    @property
    def fleet(self) -> Fleet:
        """The controllable devices."""
        return self.params.fleet

    @cached_property
    def prices(self) -> Prices:
        """What energy costs at each step: one account for all who ask."""
        return make_prices(self.scenario, self.series)

    def rest(self) -> None:
        """Frees the memory of a series that lies in the cache; who reads on has it back page by page. For one who keeps a case for
        long and looks at a few steps at a time."""
        cache.let_go(self.series)

    def start(self, step: int, batch: int = 1) -> State:
        """The state at `step` with every battery at the scenario's starting charge."""
        soc = np.full((batch, self.fleet.batteries), self.scenario.battery.soc_start)
        return State(np.full(batch, step, dtype=np.int64), soc)


def load_case(scenario: str | Path | Scenario) -> Case:
    """The case of a shipped scenario's name, a TOML file, or a `Scenario`. Raises `InputError` listing every fault."""
    return _load(scenario if isinstance(scenario, Scenario) else load_scenario(scenario))


@lru_cache(maxsize=4)
def _load(scenario: Scenario) -> Case:
    key = _key(scenario)
    compiled = cache.fetch(key, _Compiled)
    if compiled is None:
        compiled = _compile(scenario)
        # A cache that can't be written costs time at the next start, nothing else.
        with contextlib.suppress(OSError):
            cache.store(key, compiled)
    return Case.of(scenario, *compiled)


def _compile(scenario: Scenario) -> _Compiled:
    # Imported here because pandapower takes seconds to load and a warm cache never needs it.
    from gridnet.network import build_feeder

    try:
        feeder = build_feeder(scenario)
    except InputError as error:
        faults = market_faults(scenario)
        if not faults:
            raise
        raise InputError(str(error).splitlines()[0], [*error.faults, *faults]) from error
    return _Compiled(feeder, build_series(scenario, feeder.load, feeder.pv))


def _key(scenario: Scenario) -> str:
    digest = hashlib.sha256(scenario.fingerprint().encode())
    package = Path(__file__).parent
    shaping = [package / "feeder.py", package / "network.py", package / "clock.py", *sorted((package / "series").glob("*.py"))]
    for path in [*shaping, *sorted(data_dir().glob("market_*"))]:
        digest.update(path.read_bytes())
    for distribution in ("pandapower", "simbench", "numpy"):
        digest.update(f"{distribution}={version(distribution)}".encode())
    return digest.hexdigest()
