"""The ladder: all messages of a feeder in, accepted readings and verdicts out.

Per message, in this order, and the first that fails decides:

- L0: signature and key (`gridnet.metering.cose.open_message`), a meter of this feeder, time, then sequence and chain;
- L1: what its device could have done.

A reading that level 0 refuses does not count. One that level 1 doubts counts, and is held: a meter may be broken rather than its
owner dishonest, and energy has to be settled on something. Per interval the head is weighed against the homes (L2), and per day a
window of days (L2; L3 where it fired). Nobody is named by chance of order: messages are taken by device and sequence.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from hashlib import sha256

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.clock import STEPS_PER_DAY
from gridnet.errors import Fault, InputError, VerificationError
from gridnet.metering.cose import key_name, open_message
from gridnet.metering.points import PHASE_V, MeterPoint, head_point
from gridnet.metering.reading import Flag, Reading
from gridnet.metering.registry import KeyRegistry
from gridnet.verification.balance import balance
from gridnet.verification.chain import QUARTER_MINUTES, Chain, time_fault
from gridnet.verification.findings import balance_verdicts, located_verdicts
from gridnet.verification.grid import Grid, Reported
from gridnet.verification.known import DRAWN_WH, FLAGS, INJECTED_WH, REACTIVE_VARH, VOLTAGE_MV, Known, Numbers
from gridnet.verification.locate import locate
from gridnet.verification.possible import Possible
from gridnet.verification.settings import Settings
from gridnet.verification.verdict import Level, Verdict, hold

Floats = NDArray[np.float64]

_QUARTER = timedelta(minutes=QUARTER_MINUTES)
_UNKNOWN = "unknown"
_WATT = 1000.0
_MILLI = 1000.0


@dataclass(frozen=True)
class Judged:
    """What came of the messages of one call."""

    readings: tuple[Reading, ...]
    """Accepted, by start and device: those of the interval and late ones, each with its own interval."""
    verdicts: tuple[Verdict, ...]
    """One of level 0 or 1 on each message, more where more is wrong; one of level 2 on the interval where its head is known."""
    missing: tuple[str, ...]
    """Devices whose reading of the interval is not there."""

    @property
    def by_device(self) -> Mapping[str, tuple[Reading, ...]]:
        """The accepted readings of each device."""
        grouped: dict[str, list[Reading]] = defaultdict(list)
        for reading in self.readings:
            grouped[reading.device].append(reading)
        return {name: tuple(own) for name, own in grouped.items()}


class Ladder:
    """The checks of one feeder. `points` are its meters (`meter_points`), with or without the head, which is added.

    Raises `InputError` naming the meters that have no key in `registry`.
    """

    def __init__(self, case: Case, points: Sequence[MeterPoint], registry: KeyRegistry, settings: Settings | None = None) -> None:
        self.settings = settings or Settings()
        self.registry = registry
        head = head_point(case)
        self._points = {point.name: point for point in (*points, head)}
        self._head = head.name
        keyed = {entry.device for entry in registry.entries}
        without = sorted(self._points.keys() - keyed)
        if without:
            raise InputError(
                "the ladder can't verify its meters", [Fault(name, "no key", "one in the registry") for name in without]
            )
        self._homes = [point for point in self._points.values() if point.kind == "home"]
        bus = np.array([point.bus for point in self._homes], dtype=np.int64)
        self.grid = Grid(case, bus, np.array([point.capacity_w for point in self._homes]) / _WATT, self.settings)
        self._possible = Possible(case, tuple(self._points.values()), self.settings)
        self._chains: dict[bytes, Chain] = defaultdict(Chain)  # by key: another meter in the place of one begins anew
        self._known = Known(tuple(self._points))
        self._home_rows = self._known.places(self.homes)
        (self._head_row,) = self._known.places([self._head]).tolist()

    @property
    def homes(self) -> tuple[str, ...]:
        """Names of the home meters, in the order of the grid's arrays."""
        return tuple(point.name for point in self._homes)

    def judge(self, start: datetime, messages: Iterable[bytes], now: datetime) -> Judged:
        """Judges all that arrived by `now` in the course of the interval that began at `start`, late readings with it.

        A late reading comes back with its own interval and the verdicts on it. Order does not matter.
        """
        accepted, verdicts = [], []
        opened = [self._opened(raw, start, now) for raw in messages]
        verdicts += sorted((each for each in opened if isinstance(each, Verdict)), key=lambda each: each.encode())
        genuine = [each for each in opened if not isinstance(each, Verdict)]
        for reading, raw in sorted(genuine, key=lambda each: (each[0].device, each[0].sequence, each[1])):
            verdict = self._follows_on(reading, raw, now)
            if verdict is not None:
                verdicts.append(verdict)
                continue
            self._chains[key_name(raw)].add(reading, raw)
            self._known.add(reading)
            accepted.append((reading, raw))
        verdicts += self._plausible(accepted)
        verdicts += self._interval(start)
        self._forget(now)
        readings = tuple(sorted((reading for reading, _ in accepted), key=lambda each: (each.start, each.device)))
        missing = tuple(name for name in self._points if not self._known.has(start, name))
        return Judged(readings, tuple(verdicts), missing)

    def close_day(self, day: date) -> list[Verdict]:
        """Levels 1 to 3 over the window that ends with `day` (UTC), once its readings are there; late ones may follow.

        Held: the head where the balance fired, meters whose voltage does not follow the grid, homes that level 3 suspects, and
        batteries whose charge does not move as their energy says.
        """
        end = datetime.combine(day, time(), UTC) + timedelta(days=1)
        last = end - timedelta(days=1)
        verdicts = list(self._battery_days(last, end))
        residual = self.grid.residual(self.reported(end - timedelta(days=self.settings.window_days), end))
        if len(residual.step) < STEPS_PER_DAY // 4:
            return verdicts
        seen = balance(self.grid, residual)
        verdicts += balance_verdicts(seen, self.homes, self._head, last)
        if seen.unbalanced:
            found = locate(self.grid, residual)
            verdicts += located_verdicts(found, self.homes, self.settings.impedance_error, last)
        return verdicts

    def reported(self, first: datetime, end: datetime) -> Reported:
        """Accepted readings of homes and head in `[first, end)` as arrays, from the first that is known on."""
        known = [start for start in self._known.starts if first <= start < end]
        first = min(known, default=end)
        steps = round((end - first) / _QUARTER)
        p_kw, q_kvar, vm_pu = (np.full((steps, len(self._homes)), np.nan) for _ in range(3))
        head_kw, head_kvar = np.full(steps, np.nan), np.full(steps, np.nan)
        arrays = Reported(p_kw, q_kvar, vm_pu, head_kw, head_kvar)
        for start in known:
            row, (numbers, told) = round((start - first) / _QUARTER), self._known.rows(start)
            active, reactive = _kilo(numbers[:, INJECTED_WH] - numbers[:, DRAWN_WH]), _kilo(numbers[:, REACTIVE_VARH])
            here = told[self._home_rows]
            homes = self._home_rows[here]
            p_kw[row, here], q_kvar[row, here] = active[homes], reactive[homes]
            live = here & (numbers[self._home_rows, FLAGS] & Flag.NO_VOLTAGE.value == 0)
            vm_pu[row, live] = numbers[self._home_rows[live], VOLTAGE_MV] / (_MILLI * PHASE_V)
            if told[self._head_row]:
                head_kw[row], head_kvar[row] = -active[self._head_row], -reactive[self._head_row]
        return arrays

    def _opened(self, raw: bytes, start: datetime, now: datetime) -> tuple[Reading, bytes] | Verdict:
        try:
            reading = open_message(raw, self.registry, now)
        except VerificationError as error:
            name = error.device if error.device in self._points else _UNKNOWN
            evidence: dict[str, int | str] = {"message": sha256(raw).hexdigest(), "error": type(error).__name__}
            return Verdict(name or _UNKNOWN, start, Level.SIGNED, "reject", _short(str(error)), evidence)
        return (reading, raw) if reading.device in self._points else _refused(reading, raw, "no meter of this feeder")

    def _follows_on(self, reading: Reading, raw: bytes, now: datetime) -> Verdict | None:
        chain = self._chains[key_name(raw)]
        if chain.knows(raw, reading):
            evidence: dict[str, int | str] = {"message": sha256(raw).hexdigest(), "sequence": reading.sequence}
            finding = "a copy of a message that is known; not counted again"
            return Verdict(reading.device, reading.start, Level.SIGNED, "pass", finding, evidence)
        fault = time_fault(reading, now, self.settings.late, self.settings.clock_s) or chain.fault(reading, raw)
        return None if fault is None else _refused(reading, raw, fault)

    def _plausible(self, accepted: Sequence[tuple[Reading, bytes]]) -> Iterator[Verdict]:
        against: dict[tuple[str, datetime], list[Verdict]] = defaultdict(list)
        for reading, _ in accepted:
            against[reading.device, reading.start] += self._possible.alone(reading)
        places: dict[datetime, set[int]] = defaultdict(set)
        for reading, _ in accepted:
            places[reading.start].add(self._points[reading.device].bus)
        for start in sorted(places):
            # A late reading says something of its own bus alone; the others were looked at when they came.
            beside = {name: each for name, each in self._known.at(start).items() if self._points[name].bus in places[start]}
            for verdict in self._possible.together(beside, self._known.at(start - _QUARTER)):
                against[verdict.device, start].append(verdict)
        for reading, raw in accepted:
            doubts = against.pop((reading.device, reading.start), [])
            yield from doubts
            if not doubts:
                evidence: dict[str, int | str] = {"message": sha256(raw).hexdigest(), "net_wh": reading.net_wh}
                finding = "signed, next in its chain, and possible"
                yield Verdict(reading.device, reading.start, Level.POSSIBLE, "pass", finding, evidence)
        # A late reading may show that one accepted before it was impossible.
        for key in sorted(against):
            yield from against[key]

    def _interval(self, start: datetime) -> Iterator[Verdict]:
        if not self._known.has(start, self._head):
            return
        residual = self.grid.residual(self.reported(start, start + _QUARTER))
        if not len(residual.step):
            finding = "the power flow has no solution for what the meters say"
            yield hold(Level.BALANCED, self._head, start, finding)
            return
        # One interval can't tell an error that lasts from one that does not: both count.
        off, whole = float(residual.off_kw[0]), self.grid.lasting_sd(residual)[0]
        evidence = {"off_w": round(_WATT * off), "sd_w": round(_WATT * whole), "loss_w": round(_WATT * float(residual.loss_kw[0]))}
        finding = f"head off by {_WATT * off:+.0f} W, standard deviation {_WATT * whole:.0f} W"
        fine = abs(off) <= self.settings.interval_sigmas * whole
        yield Verdict(self._head, start, Level.BALANCED, "pass" if fine else "hold", finding, evidence)

    def _battery_days(self, first: datetime, end: datetime) -> Iterator[Verdict]:
        starts = [start for start in sorted(self._known.starts) if first <= start < end]
        for point in self._points.values():
            if point.kind != "battery":
                continue
            own = [reading for start in starts if (reading := self._known.of(start, point.name)) is not None]
            verdict = self._possible.day(own) if own else None
            if verdict is not None:
                yield verdict

    def _forget(self, now: datetime) -> None:
        self._known.forget(now - timedelta(days=self.settings.window_days + 1) - self.settings.late)
        for chain in self._chains.values():
            chain.forget(now - self.settings.late - timedelta(days=1))


def _kilo(per_quarter: Numbers) -> Floats:
    """Whole Wh of a quarter-hour as kW."""
    return np.asarray(per_quarter * (60 / QUARTER_MINUTES) / _WATT)


def _short(words: str) -> str:
    return " ".join(words.split())[:200]


def _refused(reading: Reading, raw: bytes, fault: str) -> Verdict:
    device = _UNKNOWN if fault == "no meter of this feeder" else reading.device
    evidence: dict[str, int | str] = {"message": sha256(raw).hexdigest(), "sequence": reading.sequence}
    return Verdict(device, reading.start, Level.SIGNED, "reject", fault, evidence)
