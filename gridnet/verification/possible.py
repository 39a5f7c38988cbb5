"""Level 1: could the device have done this at all? Each reading by itself, or beside the others of its bus.

| check | devices | what must hold |
|---|---|---|
| nameplate | all | apparent power within the point's capacity |
| voltage | all | 0.7 to 1.3 pu |
| irradiance | PV | injects no more than the sun gives by the irradiance model and its margin |
| direction | PV | draws nothing |
| energy balance | batteries | the state of charge moves as power and efficiency say, over an interval and over a day |
| behind the meter | homes | injects no more than its sub-meters do together: a home's own load never injects |

All allow `limit_sigmas` standard deviations of the meters. The irradiance model is the scenario's PV series; in service it would be
a measurement of irradiance.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from gridnet.case import Case
from gridnet.devices import battery_soc
from gridnet.metering.points import MeterPoint
from gridnet.metering.reading import SOC_FULL_PPM, Reading
from gridnet.verification.plate import ROUNDING_WH, against, by_kind, by_plate, margin_of
from gridnet.verification.settings import Settings
from gridnet.verification.verdict import Verdict

Floats = NDArray[np.float64]

_PPM = 1e6


class Possible:
    """The checks of level 1 for one case."""

    def __init__(self, case: Case, points: Sequence[MeterPoint], settings: Settings) -> None:
        self._case = case
        self._settings = settings
        self._points = {point.name: point for point in points}
        self._behind: dict[int, list[MeterPoint]] = {}
        for point in points:
            if point.device is not None:
                self._behind.setdefault(point.bus, []).append(point)
        # A user's load may inject by itself, say a generator inside a company: then the sub-meters bound nothing.
        injecting = case.params.load_p_kw.max(axis=0, initial=0.0) > 0.0
        self._unbounded = {int(bus) for bus in case.params.load_bus[injecting]}
        self._margin = margin_of(settings)

    def alone(self, reading: Reading) -> Iterator[Verdict]:
        """What speaks against the reading by itself."""
        point = self._points[reading.device]
        yield from by_plate(reading, point.capacity_w, self._margin)
        if point.kind == "pv":
            yield from self._irradiance(reading, point)

    def together(self, known: Mapping[str, Reading], before: Mapping[str, Reading]) -> Iterator[Verdict]:
        """What speaks against the readings of an interval beside one another, and beside those of the interval before."""
        for name, reading in known.items():
            point = self._points[name]
            if point.kind == "home" and point.bus not in self._unbounded:
                yield from self._behind_the_meter(reading, point, known)
            elif point.kind == "battery" and name in before:
                off = self._soc_off(point, before[name], reading)
                allowed = self._soc_allowed(point, [reading], cut=_is_cut(before[name]) or _is_cut(reading))
                if abs(off) > allowed:
                    yield _battery(reading, off, allowed, "over the interval")

    def day(self, readings: Sequence[Reading]) -> Verdict | None:
        """What speaks against a battery's readings of a day (in order of time), added up; gaps start the sum anew."""
        point = self._points[readings[0].device]
        worst, total, summed, cut = (0.0, 0.0, readings[0]), 0.0, [readings[0]], False
        for one, following in pairwise(readings):
            if following.start - one.start != timedelta(minutes=one.minutes):
                total, summed, cut = 0.0, [], False
                continue
            total += self._soc_off(point, one, following)
            summed.append(following)
            cut = cut or _is_cut(one) or _is_cut(following)
            allowed = self._soc_allowed(point, summed, cut)
            if abs(total) / allowed > worst[0]:
                worst = abs(total) / allowed, total, following
        ratio, off, at = worst
        return _battery(at, off, abs(off) / ratio, "since the day began") if ratio > 1.0 else None

    def _irradiance(self, reading: Reading, point: MeterPoint) -> Iterator[Verdict]:
        assert point.device is not None
        step = self._step(reading.start)
        series = self._case.params.pv_p_kw
        if not 0 <= step < len(series):
            yield against(reading, "its interval lies outside the irradiance model")
            return
        hours, plant = reading.minutes / 60.0, point.device - self._case.fleet.batteries
        sun_wh = 1000.0 * hours * float(series[step, plant])
        most = sun_wh * (1.0 + self._settings.irradiance_margin + self._margin) + ROUNDING_WH
        if reading.injected_wh > most:
            yield against(
                reading,
                f"{reading.injected_wh} Wh injected where the sun gave {sun_wh:.0f} Wh",
                injected_wh=reading.injected_wh,
                sun_wh=round(sun_wh),
            )
        yield from by_kind(reading, point.kind)

    def _behind_the_meter(self, reading: Reading, point: MeterPoint, known: Mapping[str, Reading]) -> Iterator[Verdict]:
        behind = self._behind.get(point.bus, [])
        if not all(each.name in known for each in behind):
            return
        subs = [known[each.name] for each in behind]
        handled = reading.injected_wh + reading.drawn_wh + sum(sub.injected_wh + sub.drawn_wh for sub in subs)
        most = sum(sub.net_wh for sub in subs) + self._margin * handled + ROUNDING_WH * (1 + len(subs))
        if reading.net_wh > most:
            inside = sum(sub.net_wh for sub in subs)
            yield against(
                reading,
                f"net {reading.net_wh} Wh injected where its sub-meters say {inside} Wh: its load would have to generate",
                net_wh=reading.net_wh,
                behind_wh=inside,
            )

    def _soc_off(self, point: MeterPoint, before: Reading, reading: Reading) -> float:
        """By how much the state of charge moved beyond what the energy explains, 0 to 1 of the capacity."""
        if before.soc_ppm is None or reading.soc_ppm is None or point.device is None:
            return 0.0
        p_kw = reading.net_wh / 1000.0 * 60.0 / reading.minutes
        explained = battery_soc(self._case.fleet, point.device, before.soc_ppm / SOC_FULL_PPM, p_kw)
        return reading.soc_ppm / SOC_FULL_PPM - float(explained)

    def _soc_allowed(self, point: MeterPoint, readings: Sequence[Reading], cut: bool) -> float:
        assert point.device is not None
        capacity_wh = 1000.0 * float(self._case.fleet.e_kwh[point.device])
        worst = 1.0 / float(self._case.fleet.efficiency.min())
        handled = sum(each.injected_wh + each.drawn_wh for each in readings)
        soc = self._settings.limit_sigmas * math.sqrt(2.0) * self._settings.meter.soc_interval
        if cut:
            # What a battery says of its charge is cut at empty and full, and with it a part of its constant error.
            soc += self._settings.limit_sigmas * self._settings.meter.soc_constant
        # Self-discharge works on the stated charge, which is off for life by its constant error: too little to count.
        return float(soc + worst * (self._margin * handled + ROUNDING_WH) / capacity_wh)

    def _step(self, start: datetime) -> int:
        clock = self._case.clock
        return round((start - clock.start) / timedelta(hours=clock.dt_h))


def _is_cut(reading: Reading) -> bool:
    return reading.soc_ppm in {0, SOC_FULL_PPM}


def _battery(reading: Reading, off: float, allowed: float, span: str) -> Verdict:
    finding = f"its charge moved {100 * off:+.2f} % beyond what its energy explains {span}; {100 * allowed:.2f} % are allowed"
    return against(reading, finding, off_ppm=round(off * _PPM), allowed_ppm=round(allowed * _PPM))
