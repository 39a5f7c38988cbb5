"""Seeded variants of a case: the same network with other homes, other devices and other lengths of line.

| drawn | for each | how |
|---|---|---|
| left out | load | with `LEFT_OUT`; a bus that loses all its loads loses its PV plants and batteries too |
| doubled | load that stays | with `DOUBLED`: a second home, no devices, on the same bus: the first one's year five weeks earlier |
| PV size | plant | `PV` times its size, evenly by the logarithm |
| battery power | battery | `POWER` times its own, evenly by the logarithm |
| battery hours | battery | `HOURS` times its own, evenly by the logarithm |
| length | line | `LENGTH` times its own, evenly by the logarithm |

The ranges are this project's choice, not a survey's: wide enough that a policy can't rely on one feeder's sizes, narrow enough that
most variants could be built. Five weeks, because every fifth week is held out: a held-out week's second homes come from another
held-out week. A variant counts where, with nobody dispatching, each quarter-hour of the series has an AC solution and at most
`BROKEN_AT_REST` of them break a limit, or no more than the case's own share; else it is drawn again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.case import Case
from gridnet.clock import STEPS_PER_WEEK
from gridnet.dispatch import idle
from gridnet.errors import ModelError
from gridnet.feeder import Feeder, SolvedModel
from gridnet.limits import make_limits
from gridnet.series.compose import PvTable, Series
from gridnet.series.households import LoadTable

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEFT_OUT, DOUBLED = 0.15, 0.15
PV = (0.5, 1.5)
POWER = (0.5, 1.5)
HOURS = (0.5, 2.0)
LENGTH = (0.7, 1.4)
BROKEN_AT_REST = 0.05
MOST_DRAWS = 50
_EARLIER = 5 * STEPS_PER_WEEK
_ROWS = 2048

_Name = TypeVar("_Name", str, str | None)


@dataclass(frozen=True)
class Variant:
    """One feeder of a fleet."""

    case: Case
    draws: int
    """How many were drawn until one was valid."""


@dataclass(frozen=True)
class _Kept:
    """Which loads, plants and batteries of the case a variant has, by index; and which of its loads have a second home."""

    load: Ints
    twin: Ints
    pv: Ints
    battery: Ints


def make_variant(case: Case, number: int, seed: int) -> Variant:
    """Variant `number` of `case`: the same for the same arguments. Raises `ModelError` after `MOST_DRAWS` in vain."""
    rng = np.random.default_rng([seed, number])
    allowed = max(BROKEN_AT_REST, broken_at_rest(case))
    for draw in range(1, MOST_DRAWS + 1):
        drawn = _drawn(case, rng, f"{case.scenario.name}-{number}")
        if drawn.fleet.batteries and broken_at_rest(drawn) <= allowed:
            return Variant(drawn, draw)
    raise ModelError(f"{MOST_DRAWS} variants of {case.scenario.name} in a row break limits at rest; choose another scenario")


def broken_at_rest(case: Case) -> float:
    """Share of the series' quarter-hours that break a limit with nobody dispatching; 1 where one has no AC solution."""
    limits, params, broken = make_limits(case.scenario, case.feeder), case.params, 0
    for first in range(0, case.clock.steps, _ROWS):
        steps = np.arange(first, min(first + _ROWS, case.clock.steps))
        soc = np.full((len(steps), case.fleet.batteries), case.scenario.battery.soc_start)
        asked = idle(len(steps), case.fleet.batteries, case.fleet.devices)
        _, moved = simulate.step(simulate.State(steps, soc), asked, params)
        if not moved.converged.all():
            return 1.0
        broken += int(limits.broken(moved.vm_pu, moved.loading_percent).sum())
    return broken / case.clock.steps


def longer(model: SolvedModel, factor: Floats) -> SolvedModel:
    """The solved network with each line `factor` (lines,) times as long: its series impedance and its charging grow with it."""
    admittance, branch = model.admittance.copy(), model.branch_admittance.copy()
    for k, (start, end) in enumerate(model.branch_node[: model.lines].tolist()):
        if start < 0 or end < 0:
            continue
        yff, yft, ytf, ytt = branch[k]
        between, back = yft / factor[k], ytf / factor[k]
        branch[k] = (yff + yft) * factor[k] - between, between, back, (ytt + ytf) * factor[k] - back
        change = branch[k] - np.array([yff, yft, ytf, ytt])
        for row, column, part in ((start, start, 0), (start, end, 1), (end, start, 2), (end, end, 3)):
            admittance[row, column] += change[part]
    return model._replace(admittance=admittance, branch_admittance=branch)


def _drawn(case: Case, rng: np.random.Generator, name: str) -> Case:
    feeder = case.feeder
    kept = _keep(feeder, rng)
    pv = _between(rng, PV, len(feeder.pv.name))[kept.pv]
    power = _between(rng, POWER, len(feeder.battery.name))[kept.battery]
    hours = _between(rng, HOURS, len(feeder.battery.name))[kept.battery]
    model = longer(feeder.model, _between(rng, LENGTH, feeder.model.lines))
    series = _series(case.series, kept, pv)
    varied = replace(
        feeder,
        load=_loads(feeder.load, kept),
        load_bus=np.concatenate([feeder.load_bus[kept.load], feeder.load_bus[kept.twin]]),
        pv=PvTable(_at(feeder.pv.name, kept.pv), _at(feeder.pv.profile, kept.pv), pv * feeder.pv.p_rated_kw[kept.pv]),
        pv_bus=feeder.pv_bus[kept.pv],
        battery=replace(
            feeder.battery,
            name=_at(feeder.battery.name, kept.battery),
            p_kw=power * feeder.battery.p_kw[kept.battery],
            e_kwh=power * hours * feeder.battery.e_kwh[kept.battery],
        ),
        battery_bus=feeder.battery_bus[kept.battery],
        model=model,
    )
    return Case.of(case.scenario.model_copy(update={"name": name}), varied, series)


def _keep(feeder: Feeder, rng: np.random.Generator) -> _Kept:
    chance = rng.random(len(feeder.load_bus))
    stays = chance >= LEFT_OUT
    deserted = set(feeder.load_bus.tolist()) - set(feeder.load_bus[stays].tolist())

    def inhabited(buses: Ints) -> Ints:
        return np.array([k for k, bus in enumerate(buses.tolist()) if bus not in deserted], dtype=np.int64)

    twin = np.flatnonzero(stays & (chance < LEFT_OUT + (1 - LEFT_OUT) * DOUBLED))
    return _Kept(np.flatnonzero(stays), twin, inhabited(feeder.pv_bus), inhabited(feeder.battery_bus))


def _series(series: Series, kept: _Kept, pv: Floats) -> Series:
    steps = np.arange(series.clock.steps)
    other = np.where(steps >= _EARLIER, steps - _EARLIER, np.minimum(steps + _EARLIER, steps[-1]))

    def homes(load: Floats) -> Floats:
        return np.hstack([load[:, kept.load], load[:, kept.twin][other]])

    return replace(
        series,
        load_p_kw=homes(series.load_p_kw),
        load_q_kvar=homes(series.load_q_kvar),
        pv_p_kw=np.ascontiguousarray(pv * series.pv_p_kw[:, kept.pv]),
    )


def _loads(load: LoadTable, kept: _Kept) -> LoadTable:
    both = np.concatenate([kept.load, kept.twin])
    names = (*_at(load.name, kept.load), *(f"{name} second" for name in _at(load.name, kept.twin)))
    return LoadTable(names, _at(load.profile, both), load.p_rated_kw[both], load.q_rated_kvar[both])


def _at(names: tuple[_Name, ...], rows: Ints) -> tuple[_Name, ...]:
    return tuple(names[row] for row in rows.tolist())


def _between(rng: np.random.Generator, reach: tuple[float, float], count: int) -> Floats:
    """Factors (count,), evenly drawn by their logarithm."""
    low, high = reach
    return np.exp(rng.uniform(np.log(low), np.log(high), count))
