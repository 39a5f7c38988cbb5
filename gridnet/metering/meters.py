"""The meters of a feeder: truth in, signed messages out. `measure` is pure; `MeterState` is all that a later call needs.

    truth -> errors of the sensors -> fraud -> registers -> reading -> signature

A register counts whole Wh, as a meter's display does, above an exact count in millionths of a Wh; a reading is the difference of
two displays. So what one reading rounds off the next one holds, and a sum of readings is off by less than 1 Wh however long.

A meter's clock is wrong by its drift times the time since it was last set, which happens at the start of each day (step % steps of
a day == 0) unless the link is down. An interval that closes s seconds late holds s seconds of the next: they are taken to flow at
the power of the interval that closes, and are not counted again. A display never goes back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from gridnet.clock import Clock
from gridnet.errors import InputError
from gridnet.metering.accuracy import ACCURACY, ClassName, Errors
from gridnet.metering.cose import message_hash, sign
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import Link, Message, down
from gridnet.metering.points import PHASE_V, MeterPoint, PointTruth
from gridnet.metering.reading import FIRST, SOC_FULL_PPM, Flag, Reading
from gridnet.metering.tamper import Recording, Sensed, Tamper, tampered

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MICRO = 1_000_000
_INJECTED, _DRAWN, _REACTIVE = range(3)


@dataclass(frozen=True)
class MeterModel:
    """What sort of meters a feeder has, and the seed of their errors."""

    seed: int = 0
    accuracy: ClassName = "0.5"
    head_accuracy: ClassName = "0.2"
    drift_ppm: float = 20.0
    """Standard deviation of the clocks' drift over the meters: a plain watch crystal's tolerance."""
    link: Link = field(default_factory=Link)


@dataclass(frozen=True)
class MeterPark:
    """The meters of one feeder; does not change while they measure.

    `points` are `meter_points(case)`, `head` is `head_point(case)`; the head stands last in every array. `keys` holds a key for
    each name: to rotate, go on with `replace(park, keys=...)`. Raises `InputError` where a key is missing.
    """

    points: tuple[MeterPoint, ...]
    head: MeterPoint
    clock: Clock
    keys: Mapping[str, DeviceKey] = field(repr=False)
    model: MeterModel = MeterModel()
    tampers: tuple[Tamper, ...] = ()

    def __post_init__(self) -> None:
        without = [name for name in self.names if name not in self.keys]
        if without:
            raise InputError(f"{len(without)} meters have no key to sign with: {', '.join(without[:5])}")

    @property
    def meters(self) -> tuple[MeterPoint, ...]:
        """The points and the head."""
        return (*self.points, self.head)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the meters."""
        return tuple(point.name for point in self.meters)

    def errors(self, meter: int) -> Errors:
        """The errors of meter number `meter`."""
        point = self.meters[meter]
        name = self.model.head_accuracy if point.kind == "head" else self.model.accuracy
        return Errors(point.name, ACCURACY[name], self.model.seed)


@dataclass(frozen=True)
class MeterState:
    """What meters remember between two calls."""

    step: int
    """The step that comes next."""
    sequence: int
    """Readings made so far."""
    previous: tuple[bytes, ...]
    """(meters,) hash of each one's last message."""
    counted: Ints
    """(meters, 3) exact counts in millionths of Wh and varh: injected, drawn, reactive."""
    shown: Ints
    """(meters, 3) what the displays showed at the last reading, Wh and varh."""
    synced: Ints
    """(meters,) step at whose start the clock was last set."""

    @classmethod
    def new(cls, park: MeterPark, step: int) -> Self:
        """Meters installed at the start of `step`, with clocks set and registers at zero."""
        meters = len(park.meters)
        zero = np.zeros((meters, 3), dtype=np.int64)
        return cls(step, 0, (FIRST,) * meters, zero, zero, np.full(meters, step, dtype=np.int64))


def measure(park: MeterPark, state: MeterState, truth: PointTruth) -> tuple[MeterState, tuple[Message, ...]]:
    """One message per meter and step of `truth`, by step and then by meter. Raises `InputError` unless the truth goes on where
    `state` stands."""
    if not np.array_equal(truth.step, np.arange(state.step, state.step + len(truth.step))):
        raise InputError(
            f"meters that stand at step {state.step} can't go on with the steps {truth.step[:3]}..: no gap, no step twice"
        )
    if not len(truth.step):
        return state, ()
    seen = tampered(sensed(park, truth), truth.step, park.names, park.tampers)
    since = _since_sync(park, state, truth.step)
    counted, shown = _registers(park, state, seen, since)
    state, messages = _signed(park, state, _Columns(truth, seen, shown, since, _soc(park, truth)))
    last_sync = truth.step[-1] + 1 - since[-1]
    return replace(state, counted=counted, shown=shown[-1], synced=last_sync), messages


def sensed(park: MeterPark, truth: PointTruth) -> Sensed:
    """What the sensors of all meters give (steps, meters), before any fraud. The head stands last, with the feeder as its customer:
    p > 0 where the feeder injects upstream."""
    whole = _with_head(truth)
    columns = [
        park.errors(meter).sensed(whole.of(meter), truth.step, point.capacity_w / 1000.0) for meter, point in enumerate(park.meters)
    ]
    return Sensed(*(np.stack(series, axis=1) for series in zip(*columns, strict=True)))


def recording(park: MeterPark, truth: PointTruth, meter: str) -> Recording:
    """The truth at `meter` as a past for a `Tamper`."""
    return Recording(int(truth.step[0]), _with_head(truth).of(park.names.index(meter)))


@dataclass(frozen=True)
class _Columns:
    """What the readings of a call are made of."""

    truth: PointTruth
    seen: Sensed
    shown: Ints
    """(steps + 1, meters, 3)"""
    since: Ints
    """(steps, meters)"""
    soc_ppm: Ints
    """(steps, batteries)"""


def _with_head(truth: PointTruth) -> Sensed:
    return Sensed(
        np.column_stack([truth.p_kw, -truth.head_p_kw]),
        np.column_stack([truth.q_kvar, -truth.head_q_kvar]),
        np.column_stack([truth.vm_pu, truth.head_vm_pu]),
    )


def _since_sync(park: MeterPark, state: MeterState, steps: Ints) -> Ints:
    """(steps, meters) steps from the last setting of the clock to the end of each interval."""
    per_day = round(24.0 / park.clock.dt_h)
    columns = []
    for name, synced in zip(park.names, state.synced, strict=True):
        sets = (steps % per_day == 0) & ~down(park.model.link, park.model.seed, name, steps)
        columns.append(steps + 1 - np.maximum.accumulate(np.where(sets, steps, synced)))
    return np.stack(columns, axis=1)


def _registers(park: MeterPark, state: MeterState, seen: Sensed, since: Ints) -> tuple[Ints, Ints]:
    """Exact counts (meters, 3) after the last step, and displays (steps + 1, meters, 3), the first row those of `state`."""
    energy, reactive = (np.rint(each * (park.clock.dt_h * 1000.0 * MICRO)).astype(np.int64) for each in (seen.p_kw, seen.q_kvar))
    flows = np.stack([np.maximum(energy, 0), np.maximum(-energy, 0), reactive], axis=2)
    counts = state.counted + np.cumsum(flows, axis=0)
    drift = np.array([park.errors(meter).drift(park.model.drift_ppm) for meter in range(len(park.meters))])
    # `since` steps at the drift, in steps: the share of an interval's flow by which its display is ahead.
    ahead = np.rint(flows * (since * drift)[:, :, None]).astype(np.int64)
    shown = np.concatenate([state.shown[None], (counts + ahead) // MICRO])
    shown[:, :, :_REACTIVE] = np.maximum.accumulate(shown[:, :, :_REACTIVE], axis=0)
    return counts[-1], shown


def _soc(park: MeterPark, truth: PointTruth) -> Ints:
    columns = [
        park.errors(meter).soc(truth.soc[:, point.device], truth.step)
        for meter, point in enumerate(park.points)
        if point.kind == "battery"
    ]
    return (
        np.rint(np.stack(columns, axis=1) * SOC_FULL_PPM).astype(np.int64) if columns else np.empty((len(truth.step), 0), np.int64)
    )


def _signed(park: MeterPark, state: MeterState, columns: _Columns) -> tuple[MeterState, tuple[Message, ...]]:
    used = np.diff(columns.shown, axis=0)
    dead = np.isnan(columns.seen.vm_pu)
    voltage = np.rint(np.where(dead, 0.0, columns.seen.vm_pu) * (PHASE_V * 1000.0)).astype(np.int64)
    per_day = round(24.0 / park.clock.dt_h)
    minutes = round(60.0 * park.clock.dt_h)
    previous, messages = list(state.previous), []
    for row, step in enumerate(columns.truth.step.tolist()):
        start = park.clock.time_of(step)
        for meter, point in enumerate(park.meters):
            flags = _flags(bool(columns.since[row, meter] > per_day), bool(dead[row, meter]))
            reading = Reading(
                device=point.name,
                sequence=state.sequence + row,
                previous=previous[meter],
                start=start,
                minutes=minutes,
                injected_wh=int(used[row, meter, _INJECTED]),
                drawn_wh=int(used[row, meter, _DRAWN]),
                reactive_varh=int(used[row, meter, _REACTIVE]),
                voltage_mv=int(voltage[row, meter]),
                soc_ppm=int(columns.soc_ppm[row, point.device]) if point.kind == "battery" else None,
                flags=flags,
            )
            raw = sign(reading, park.keys[point.name])
            previous[meter] = message_hash(raw)
            messages.append(Message(point.name, step, raw))
    rows = len(columns.truth.step)
    return replace(state, step=state.step + rows, sequence=state.sequence + rows, previous=tuple(previous)), tuple(messages)


def _flags(unsynced: bool, dead: bool) -> frozenset[Flag]:
    if not unsynced and not dead:
        return frozenset()
    return frozenset(flag for flag, shown in ((Flag.CLOCK_UNSYNCED, unsynced), (Flag.NO_VOLTAGE, dead)) if shown)
