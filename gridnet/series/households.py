"""Load series of a network: homes that differ, made from SimBench's six household shapes.

SimBench gives every home one of six shapes, so homes of one shape peak in the same quarter-hour: the 113 homes of
`1-LV-rural3--1-sw` have a coincidence factor of 0.48 where 74 measured German homes have 0.19. Simultaneous peaks
overstated that much overstate what a battery is worth. So each home's year is drawn anew, day by day, from days of its
own shape: same day type, same season, moved by up to 45 minutes, scaled. Peaks fall apart, energy stays.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from gridnet.clock import STEP_H, STEPS_PER_DAY, Clock
from gridnet.errors import Fault, InputError
from gridnet.scenario import Households
from gridnet.series.days import IntArray, day_types, days_apart, days_of_leap_year, local_dates
from gridnet.series.profiles import SIMBENCH_CLOCK, FloatArray, Profiles

_HEAT_PUMPS = ("Air_", "Soil_", "HS")
_CHARGERS = ("HLS_", "APLS_")
_GRIDS_BELOW = ("lv_", "mv_", "hv_")
_HOMES = ("H0-A", "H0-B", "H0-C", "H0-G", "H0-L")
_SHOPS = ("G0-A", "G1-B", "G1-C", "G3-A", "G4-A", "G6-A")
_SHARE_OF_SHOPS = 0.15


@dataclass(frozen=True)
class LoadTable:
    """The loads of a network, in the network's order.

    `profile` names each load's SimBench profile, `None` where the network brings none. `p_rated_kw` and
    `q_rated_kvar`, `(loads,)`, are as pandapower's load table gives them: positive consumes. `household_loads` turns
    the sign.
    """

    name: tuple[str, ...]
    profile: tuple[str | None, ...]
    p_rated_kw: FloatArray
    q_rated_kvar: FloatArray


@dataclass(frozen=True)
class _Candidates:
    """For each day of the clock the days of the SimBench year it may be drawn from, `(days, most)`, and how many."""

    source_day: IntArray
    count: IntArray
    like_day: IntArray
    """The nearest day of the same type, `(days,)`: on SimBench's own clock the day itself."""
    own_day: IntArray
    """The day of the same date, `(days,)`: the one whose weather the PV profiles follow."""

    @property
    def steps(self) -> int:
        return len(self.count) * STEPS_PER_DAY

    def drawn(self, rng: np.random.Generator) -> IntArray:
        days = np.arange(len(self.count))
        return self.source_day[days, rng.integers(self.count)]


def household_loads(loads: LoadTable, profiles: Profiles, households: Households, clock: Clock) -> tuple[FloatArray, FloatArray]:
    """Active and reactive power of every load: `p_kw` and `q_kvar`, each `(steps, loads)`, consumption NEGATIVE.

    A load is the mean of `households.homes_per_load` homes, each drawn on its own; reactive power comes from the days
    that active power was drawn from. What follows the weather of the day (heat pumps `Air_*`, `Soil_*`, `HS*`) keeps
    its own day and is only moved and scaled; charging points are drawn and moved, not scaled; neither ever exceeds its
    rated power, which is a machine's. Whole grids (`lv_*`, `mv_*`, `hv_*`) are left as they are. Without `bootstrap`
    all days are as shipped.

    A load without a profile gets seeded shapes, homes and about one shop in seven, and is scaled so that the PEAK of
    its series equals its rated power; its reactive power keeps the rated power factor.

    Every load draws from a generator seeded by `households.seed` and its own name (and its rank among equal names), so
    adding a load changes no other. Raises `InputError` naming every unknown profile.
    """
    _check(loads, profiles)
    candidates = _candidates(clock, households)
    p_kw = np.empty((clock.steps, len(loads.name)))
    q_kvar = np.empty_like(p_kw)
    for index, rng in enumerate(_generators(loads.name, households.seed)):
        profile = loads.profile[index]
        if profile is None:
            p_pu = q_pu = _unprofiled(profiles, households, candidates, rng)
        else:
            p_pu, q_pu = _profiled(profile, profiles, households, candidates, rng)
        p_kw[:, index] = -loads.p_rated_kw[index] * p_pu
        q_kvar[:, index] = -loads.q_rated_kvar[index] * q_pu
    return p_kw, q_kvar


def coincidence_factor(p_kw: FloatArray) -> float:
    """Peak of the sum over the sum of peaks of consumption, for `p_kw` `(steps, loads)` with consumption negative."""
    peaks = float((-p_kw).max(axis=0).sum())
    return float((-p_kw).sum(axis=1).max()) / peaks


def _check(loads: LoadTable, profiles: Profiles) -> None:
    faults = [
        Fault(f"load '{name}'", f"profile {profile!r}", "a SimBench load profile, such as 'H0-A', or none")
        for name, profile in zip(loads.name, loads.profile, strict=True)
        if profile is not None and not (profile in profiles.load_p and profile in profiles.load_q)
    ]
    if faults:
        raise InputError("the network names load profiles that do not exist:", faults)


def _generators(names: tuple[str, ...], seed: int) -> Iterator[np.random.Generator]:
    seen: Counter[str] = Counter()
    for name in names:
        yield seeded(seed, f"{name}#{seen[name]}")
        seen[name] += 1


def seeded(seed: int, name: str) -> np.random.Generator:
    """A generator that depends on `seed` and `name` alone."""
    digest = hashlib.sha256(f"{seed}:{name}".encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))


def _candidates(clock: Clock, households: Households) -> _Candidates:
    if clock.dt_h != STEP_H:
        raise InputError(f"load profiles are quarter-hours; the clock's step is {clock.dt_h} h, expected {STEP_H}")
    wanted, source = local_dates(clock), local_dates(SIMBENCH_CLOCK)
    wanted_of_year = days_of_leap_year(wanted)
    apart = days_apart(wanted_of_year, days_of_leap_year(source))
    same_type = day_types(wanted)[:, None] == day_types(source)[None, :]
    apart_in_type = np.where(same_type, apart, len(source))
    # A window too short to hold a day of the type (a Saturday, a holiday) reaches as far as the nearest one.
    reach = np.maximum(apart_in_type.min(axis=1, keepdims=True), households.window_days)
    allowed = apart_in_type <= reach
    count = allowed.sum(axis=1)
    source_day = np.argsort(~allowed, axis=1, kind="stable")[:, : int(count.max())]
    return _Candidates(source_day, count, apart_in_type.argmin(axis=1), wanted_of_year)


def _profiled(
    profile: str, profiles: Profiles, households: Households, candidates: _Candidates, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    p_pu, q_pu = profiles.load_p[profile], profiles.load_q[profile]
    if profile.startswith(_GRIDS_BELOW):
        as_shipped = _Days.unchanged(candidates.own_day)
        return as_shipped.of(p_pu), as_shipped.of(q_pu)
    rated_pu = 1.0 if profile.startswith(_HEAT_PUMPS + _CHARGERS) else np.inf
    p_sum, q_sum = np.zeros(candidates.steps), np.zeros(candidates.steps)
    for _ in range(households.homes_per_load):
        days = _draw(profile, households, candidates, rng)
        # A few charging points idle at -1e-5 of their rating: a load of its own never injects.
        p_sum += np.clip(days.of(p_pu), 0.0, rated_pu)
        q_sum += np.minimum(days.of(q_pu), rated_pu)
    return p_sum / households.homes_per_load, q_sum / households.homes_per_load


def _unprofiled(profiles: Profiles, households: Households, candidates: _Candidates, rng: np.random.Generator) -> FloatArray:
    total = np.zeros(candidates.steps)
    for _ in range(households.homes_per_load):
        shapes = _SHOPS if rng.random() < _SHARE_OF_SHOPS else _HOMES
        shape = shapes[rng.integers(len(shapes))]
        total += _draw(shape, households, candidates, rng).of(profiles.load_p[shape])
    peak_at_one: FloatArray = total / total.max()
    return peak_at_one


@dataclass(frozen=True)
class _Days:
    """One home's draw: per day of the clock the source day, the shift in steps and the scale, each `(days,)`."""

    source_day: IntArray
    shift: IntArray
    scale: FloatArray

    @classmethod
    def unchanged(cls, source_day: IntArray) -> _Days:
        return cls(source_day, np.zeros_like(source_day), np.ones(len(source_day)))

    def of(self, profile: FloatArray) -> FloatArray:
        # A shifted day runs on into its neighbours in the source year, which a roll within the day would not.
        margin = STEPS_PER_DAY
        windows = sliding_window_view(np.pad(profile, margin, mode="wrap"), STEPS_PER_DAY)
        days: FloatArray = windows[margin + self.source_day * STEPS_PER_DAY + self.shift] * self.scale[:, None]
        return days.ravel()


def _draw(profile: str, households: Households, candidates: _Candidates, rng: np.random.Generator) -> _Days:
    keeps_day = profile.startswith(_HEAT_PUMPS)
    if not households.bootstrap:
        return _Days.unchanged(candidates.own_day if keeps_day else candidates.like_day)
    days = len(candidates.count)
    drawn_day = candidates.drawn(rng)
    shift = rng.integers(-households.shift_steps, households.shift_steps, size=days, endpoint=True)
    # exp(-sigma^2/2) gives the scale a mean of 1, so that a home's yearly energy keeps its expectation.
    sigma = 0.0 if profile.startswith(_CHARGERS) else households.sigma
    scale = rng.lognormal(-(sigma**2) / 2, sigma, size=days)
    return _Days(candidates.own_day if keeps_day else drawn_day, shift, scale)
