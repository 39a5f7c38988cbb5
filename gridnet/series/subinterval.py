"""What happens within a quarter-hour: loads and PV by the minute, around the quarter-hour means that the series give.

The means are data, the minutes are a model, drawn from a seed. Its statistics are stated here and in `docs/finer_truth.md`:

- **A home** runs appliances of a few minutes (kettle, hob, microwave) on top of what always runs. Minute loads of single homes are
  skewed and intermittent (Wright and Firth 2007; Anvari et al. 2022), so a home's minutes follow a lognormal process with memory,
  each home its own. A load of many homes is smoother: the variance of independent homes falls with their number.
- **The sun** is behind a cloud or it is not: minute values of the clear-sky index have two peaks (Suehrcke and McCormick 1988;
  Skartveit and Olseth 1992). One field of clouds passes over the whole feeder, with small differences from plant to plant. How
  much of a quarter-hour is sunny follows from its mean; one near clear sky or overcast stays as it is.

Machines that run for longer than a quarter-hour (heat pumps, charging points) and generators other than PV keep their means.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK, Clock
from gridnet.errors import Fault, InputError
from gridnet.series.compose import PvTable, Series
from gridnet.series.households import LoadTable, seeded
from gridnet.series.profiles import FloatArray

QUARTER_MINUTES = 15
_MACHINES = ("Air_", "Soil_", "HS", "HLS_", "APLS_")
_SEASON_DAYS = 15
_EDGE = (0.25, 0.5, 0.25)
"""A cloud's edge takes a minute or two to pass a plant: the index is averaged over neighbouring minutes so."""


@dataclass(frozen=True)
class HomeModel:
    """A home within a quarter-hour."""

    spread: float = 0.6
    """Standard deviation of a home's power over minutes, as a share of its mean."""
    memory: float = 0.8
    """Correlation of (the logarithm of) power from one minute to the next: it fades in five minutes, as a kettle does."""
    mean_kw: float = 0.4
    """A home's mean power, 3,500 kWh a year: how many homes a load stands for follows from its own."""
    limit_kw: float = 14.5
    """No home draws more than its connection is laid out for (DIN 18015-1)."""


@dataclass(frozen=True)
class CloudModel:
    """Clouds within a quarter-hour. The index is power over the power of a clear sky."""

    shade: float = 0.3
    """Index behind a cloud; in the sun it is 1."""
    partly: tuple[float, float] = (0.3, 0.9)
    """Quarter-hours with a mean index between these are partly cloudy. 1.0 and 1.0: none is."""
    memory: float = 0.95
    """Correlation of the field of clouds from one minute to the next: sun and shade then last a few minutes each."""
    common: float = 0.95
    """Share of the field's variance that all plants of the feeder have in common."""


@dataclass(frozen=True)
class Truth:
    """How finely the world is told: steps of `minutes`, drawn from `seed`. Raises `InputError` unless `minutes` divides 15.

    The minutes of one seed are the same at every step length: a step of five is the mean of five of them.
    """

    minutes: int = QUARTER_MINUTES
    seed: int = 0
    homes: HomeModel = HomeModel()
    clouds: CloudModel = CloudModel()

    def __post_init__(self) -> None:
        if self.minutes < 1 or QUARTER_MINUTES % self.minutes:
            raise InputError("the truth can't be told:", [Fault("minutes", str(self.minutes), "15, 5, 3 or 1")])


QUARTER_HOURS = Truth()
"""The truth as the series give it."""


class Behind(NamedTuple):
    """What stands behind the series."""

    homes: FloatArray
    """(loads,) how many homes a load stands for; infinite where its quarter-hours are even."""
    pv_limit_kw: FloatArray
    """(pvs,) what a plant's inverter passes at most; 0 where its quarter-hours are even."""


class Fluctuation(NamedTuple):
    """Statistics of finer steps within quarter-hours, each (series,). Quarter-hours without variation are left out."""

    varying: FloatArray
    """Share of quarter-hours that vary."""
    relative_std: FloatArray
    """Median over quarter-hours of the standard deviation within one, as a share of its mean."""
    autocorrelation: FloatArray
    """Of deviations from the quarter-hour's mean, from one step to the next within it."""
    ramp_kw: FloatArray
    """99th percentile of the change from one step to the next."""


def what_stands_behind(series: Series, loads: LoadTable, pvs: PvTable, pv_limit_kw: FloatArray, homes: HomeModel) -> Behind:
    """Sizes for `refine`, from a year's mean power and the names of profiles; `pv_limit_kw` (pvs,)."""
    mean_kw = np.maximum(-series.load_p_kw.mean(axis=0), 0.0)
    machine = np.array([(profile or "").startswith(_MACHINES) for profile in loads.profile], dtype=bool)
    solar = np.array([(profile or "PV").startswith("PV") for profile in pvs.profile], dtype=bool)
    return Behind(np.where(machine, np.inf, np.maximum(1.0, mean_kw / homes.mean_kw)), np.where(solar, pv_limit_kw, 0.0))


def refine(series: Series, behind: Behind, week: int, truth: Truth) -> Series:
    """The series of one `week` (0-based) in steps of `truth.minutes`, on a clock of its own that starts with the week.

    Every quarter-hour keeps its mean of load, reactive load and PV. Loads stay at 0 or below and within their connections, PV
    between 0 and the larger of its limit and the mean; q follows p; price and carbon repeat. A quarter-hour in which a user's
    load injects stays as it is. Raises `InputError` for a series that has no such week of quarter-hours.
    """
    clock = series.clock
    if clock.dt_h * 60 != QUARTER_MINUTES or not 0 <= week < clock.weeks:
        fault = Fault("week", str(week), f"one of the {clock.weeks} whole weeks of a series of quarter-hours")
        raise InputError("the series can't be refined:", [fault])
    run, per = slice(week * STEPS_PER_WEEK, (week + 1) * STEPS_PER_WEEK), QUARTER_MINUTES // truth.minutes
    load_p_kw, load_q_kvar = series.load_p_kw[run], series.load_q_kvar[run]
    drawn_kw = np.maximum(-load_p_kw, 0.0)
    swing = _swing(_homes(behind, week, truth), drawn_kw, truth.homes.limit_kw * behind.homes)
    sky = _swing(_sky(series.pv_p_kw, week, truth), series.pv_p_kw[run], behind.pv_limit_kw)
    return Series(
        clock=Clock(clock.time_of(run.start), STEPS_PER_WEEK * per, truth.minutes / 60.0, clock.utc_offset_h),
        load_p_kw=_steps(np.maximum(load_p_kw, 0.0)[:, None] - drawn_kw[:, None] * (1.0 + swing), truth),
        load_q_kvar=_steps(load_q_kvar[:, None] * (1.0 + swing), truth),
        pv_p_kw=_steps(series.pv_p_kw[run][:, None] * (1.0 + sky), truth),
        price_eur_per_mwh=np.repeat(series.price_eur_per_mwh[run], per),
        carbon_g_per_kwh=np.repeat(series.carbon_g_per_kwh[run], per),
        provenance=(*series.provenance, ("minutes", f"drawn around quarter-hours (week {week}, seed {truth.seed})")),
    )


def fluctuation(p_kw: FloatArray, minutes: int) -> Fluctuation:
    """What the finer steps of `p_kw` (steps, series), each of `minutes`, do within quarter-hours. Signs don't matter."""
    per = QUARTER_MINUTES // minutes
    power = np.abs(p_kw).reshape(len(p_kw) // per, per, p_kw.shape[1])
    mean = power.mean(axis=1)
    off = power - mean[:, None]
    std = np.sqrt((off**2).mean(axis=1))
    varies = std > 1e-9 * np.maximum(mean, 1e-9)
    relative = np.divide(std, mean, out=np.full_like(mean, np.nan), where=varies)
    some = varies.any(axis=0)
    median = np.zeros(mean.shape[1])
    median[some] = np.nanmedian(relative[:, some], axis=0)
    # Each mean has its own number of terms: a quarter-hour has one pair of neighbours fewer than it has steps.
    follow, square = (off[:, 1:] * off[:, :-1]).mean(axis=(0, 1)), (off**2).mean(axis=(0, 1))
    return Fluctuation(
        varying=varies.mean(axis=0),
        relative_std=median,
        autocorrelation=np.divide(follow, square, out=np.zeros_like(square), where=some),
        ramp_kw=np.quantile(np.abs(np.diff(p_kw, axis=0)), 0.99, axis=0),
    )


def _homes(behind: Behind, week: int, truth: Truth) -> FloatArray:
    """Shapes of the loads' minutes, (quarters, 15, loads), above 0, of no particular mean."""
    noise = _noise([f"load {load}: minutes of week {week}" for load in range(len(behind.homes))], truth.seed)
    # A mean of independent lognormal homes is taken for lognormal, with the variance that it has.
    sigma = np.sqrt(np.log1p(truth.homes.spread**2 / behind.homes))
    return _quarters(np.exp(sigma * _remembering(noise, truth.homes.memory)))


def _sky(pv_p_kw: FloatArray, week: int, truth: Truth) -> FloatArray:
    """Clear-sky indices of the plants' minutes, (quarters, 15, pvs), of no particular mean; even where it is not partly cloudy."""
    clouds, plants = truth.clouds, pv_p_kw.shape[1]
    run = slice(week * STEPS_PER_WEEK, (week + 1) * STEPS_PER_WEEK)
    clear = _clear_sky(pv_p_kw, week)
    index = np.divide(pv_p_kw[run], clear, out=np.zeros_like(clear), where=clear > 0)
    lowest, highest = clouds.partly
    partly = (index > lowest) & (index < highest)
    sunny = np.clip(np.rint(QUARTER_MINUTES * (index - clouds.shade) / (1.0 - clouds.shade)), 1, QUARTER_MINUTES - 1)
    noise = _noise([f"clouds: week {week}", *(f"clouds over pv {plant}: week {week}" for plant in range(plants))], truth.seed)
    field = _remembering(noise, clouds.memory)
    above = _quarters(np.sqrt(clouds.common) * field[:, :1] + np.sqrt(1.0 - clouds.common) * field[:, 1:])
    # The minutes with the thinnest cloud above are the sunny ones: as many as the quarter-hour's mean says.
    rank = above.argsort(axis=1).argsort(axis=1)
    sharp = np.where(rank < sunny[:, None], 1.0, clouds.shade).reshape(len(field), plants)
    soft = np.sum([share * np.roll(sharp, shift, axis=0) for share, shift in zip(_EDGE, (-1, 0, 1), strict=True)], axis=0)
    return np.where(partly[:, None], _quarters(soft), 1.0)


def _clear_sky(pv_p_kw: FloatArray, week: int) -> FloatArray:
    """Power under a clear sky, (672, pvs): the most that the plant gives at that time of day within two weeks of the week."""
    days = len(pv_p_kw) // STEPS_PER_DAY
    by_day = pv_p_kw[: days * STEPS_PER_DAY].reshape(days, STEPS_PER_DAY, pv_p_kw.shape[1])
    near = by_day[max(0, 7 * week - _SEASON_DAYS) : 7 * week + 7 + _SEASON_DAYS]
    return np.tile(near.max(axis=0), (7, 1))


def _swing(shape: FloatArray, mean_kw: FloatArray, limit_kw: FloatArray) -> FloatArray:
    """Relative deviations (quarters, 15, series), 0 on average over each quarter-hour and -1 or more, that have the `shape` of
    minutes: shrunk where the highest would pass the limit (series,)."""
    swing = shape / shape.mean(axis=1, keepdims=True) - 1.0
    top_kw = mean_kw * swing.max(axis=1)
    room_kw = np.maximum(limit_kw - mean_kw, 0.0)
    kept = np.divide(room_kw, top_kw, out=np.zeros_like(mean_kw), where=top_kw > 0)
    shrunk: FloatArray = swing * np.minimum(kept, 1.0)[:, None]
    return shrunk


def _noise(names: list[str], seed: int) -> FloatArray:
    """White noise of a week's minutes, (minutes, names): each name's depends on itself and the seed alone."""
    noise = np.empty((STEPS_PER_WEEK * QUARTER_MINUTES, len(names)))
    for column, name in enumerate(names):
        noise[:, column] = seeded(seed, name).standard_normal(len(noise))
    return noise


def _remembering(noise: FloatArray, memory: float) -> FloatArray:
    """Standard normal noise, (minutes, series), as a first-order autoregression of variance 1."""
    field = noise.copy()
    new = np.sqrt(1.0 - memory**2) * noise
    for minute in range(1, len(field)):
        field[minute] = memory * field[minute - 1] + new[minute]
    return field


def _quarters(minutes: FloatArray) -> FloatArray:
    return minutes.reshape(STEPS_PER_WEEK, QUARTER_MINUTES, minutes.shape[1])


def _steps(quarters: FloatArray, truth: Truth) -> FloatArray:
    """Means over the truth's steps, (steps, series), of minutes (quarters, 15, series)."""
    steps = quarters.shape[0] * QUARTER_MINUTES // truth.minutes
    means: FloatArray = quarters.reshape(steps, truth.minutes, quarters.shape[2]).mean(axis=1)
    return means
