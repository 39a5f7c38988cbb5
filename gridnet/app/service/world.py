"""The neighbourhood that is simulated around the devices that are real: homes, their sun, their meters and their batteries.

A battery or plant whose meter a registered device speaks for does what that device's readings say; all others do as they are told.
What flows then follows from the AC power flow, and the simulated meters sign what they see of it. The state is stored, so that a
restart goes on with the same registers, sequences and charges.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.service.frames import Frame, Kind
from gridnet.app.service.live import LiveFeeder
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import PERFECT, Message
from gridnet.metering.meters import MeterModel, MeterPark, MeterState, measure
from gridnet.metering.points import PointTruth, head_point, meter_points, point_truth
from gridnet.metering.reading import SOC_FULL_PPM, Reading
from gridnet.simulate import State, Transition

Floats = NDArray[np.float64]
_WH_PER_KWH = 1000.0


@dataclass(frozen=True)
class WorldState:
    """Where the neighbourhood stands at the start of `step`: (batteries,) charge, and what the meters remember."""

    step: int
    soc: Floats
    meters: MeterState

    def encode(self) -> str:
        """As text."""
        meters = self.meters
        kept = {"step": meters.step, "sequence": meters.sequence, "previous": [each.hex() for each in meters.previous]}
        kept |= {name: getattr(meters, name).tolist() for name in ("counted", "shown", "synced")}
        return json.dumps({"step": self.step, "soc": self.soc.tolist(), "meters": kept})

    @classmethod
    def decode(cls, text: str) -> WorldState:
        """From text."""
        stored: dict[str, Any] = json.loads(text)
        kept = stored["meters"]
        arrays = {name: np.array(kept[name], dtype=np.int64) for name in ("counted", "shown", "synced")}
        meters = MeterState(kept["step"], kept["sequence"], tuple(bytes.fromhex(each) for each in kept["previous"]), **arrays)
        return cls(stored["step"], np.array(stored["soc"], dtype=np.float64), meters)


class Lived(NamedTuple):
    """A quarter-hour that went by."""

    state: WorldState
    """At its end."""
    messages: tuple[Message, ...]
    """What simulated meters sent."""
    frame: Frame


class World:
    """The simulated part of a live feeder; `seed` makes its meters' errors and keys, and is the operator's secret."""

    def __init__(self, live: LiveFeeder, seed: int) -> None:
        case = live.case
        self._live = live
        homes = [(place, point.bus) for place, point in enumerate(meter_points(case)) if point.kind == "home"]
        self._homes, self._home_bus = np.array(homes, dtype=np.int64).T
        points, head = meter_points(case), head_point(case)
        self.keys = {point.name: DeviceKey.simulated(seed, f"{case.scenario.name}/{point.name}") for point in (*points, head)}
        self._park = MeterPark(points, head, case.clock, self.keys, MeterModel(seed=seed % 2**31, link=PERFECT))

    def start(self, step: int) -> WorldState:
        """New meters, and batteries at the scenario's starting charge."""
        return WorldState(step, self._live.case.start(step).soc[0], MeterState.new(self._park, step))

    def advance(self, state: WorldState, asked: Floats, reported: Mapping[str, Reading], real: Collection[str]) -> Lived:
        """One quarter-hour with devices asked for `asked` (2, devices); those in `reported`, by meter, did what their reading says.
        Messages are of all meters but the `real` ones. Raises `PowerFlowDiverged`."""
        params, did = self._live.case.params, asked.copy()
        told = {point.device: reported[point.name] for point in self._live.points if point.name in reported}
        for device, reading in told.items():
            if device is not None:
                did[0, device] = reading.net_wh / _WH_PER_KWH / params.fleet.dt_h
                did[1, device] = reading.reactive_varh / _WH_PER_KWH / params.fleet.dt_h
        after, transition = simulate.step(State(np.array([state.step]), state.soc[None]), did[None], params)
        soc = after.soc[0].copy()
        for device, reading in told.items():
            if device is not None and device < len(soc) and reading.soc_ppm is not None:
                soc[device] = reading.soc_ppm / SOC_FULL_PPM
        truth = point_truth(params, np.array([state.step]), transition, soc[None])
        meters, messages = measure(self._park, state.meters, truth)
        sent = tuple(each for each in messages if each.device not in real)
        return Lived(WorldState(state.step + 1, soc, meters), sent, self._frame("measured", asked, transition, truth))

    def expected(self, step: int, soc: Floats, asked: Floats) -> Frame:
        """What `step` will be, where all do as they are asked (2, devices) and the series come true, from `soc` (batteries,).
        Raises `PowerFlowDiverged`."""
        after, transition = simulate.step(State(np.array([step]), soc[None]), asked[None], self._live.case.params)
        truth = point_truth(self._live.case.params, np.array([step]), transition, after.soc)
        return self._frame("expected", asked, transition, truth)

    def expected_soc(self, step: int, soc: Floats, asked: Floats) -> Floats:
        """(batteries,) the charge at the end of `step`, where all do as they are asked (2, devices)."""
        after, _ = simulate.step(State(np.array([step]), soc[None]), asked[None], self._live.case.params)
        return np.array(after.soc[0])

    def _frame(self, kind: Kind, asked: Floats, transition: Transition, truth: PointTruth) -> Frame:
        step = int(truth.step[0])
        start = self._live.case.clock.time_of(step)
        worth = self._live.worth(start)
        assert worth is not None, "a step that was simulated lies in the series"
        loads = np.zeros(transition.params.buses)
        np.add.at(loads, transition.params.load_bus, transition.params.load_p_kw[step])
        live = ~np.isnan(truth.vm_pu[0, self._homes])
        return Frame(
            start=start,
            kind=kind,
            vm_pu=_gaps(transition.vm_pu[0]),
            loading_percent=_gaps(transition.loading_percent[0]),
            asked_kw=_numbers(asked[0]),
            given_kw=_numbers(transition.done[0, 0]),
            given_kvar=_numbers(transition.done[0, 1]),
            soc=_numbers(truth.soc[0]),
            load_kw=_numbers(np.where(live, loads[self._home_bus], 0.0)),
            net_kw=_numbers(truth.p_kw[0, self._homes]),
            head_kw=float(truth.head_p_kw[0]),
            head_kvar=float(truth.head_q_kvar[0]),
            loss_kw=float(transition.loss_kw[0]),
            import_eur_per_kwh=worth.import_eur_per_kwh,
            export_eur_per_kwh=worth.export_eur_per_kwh,
            carbon_g_per_kwh=worth.carbon_g_per_kwh,
        )


def _numbers(values: Floats) -> tuple[float, ...]:
    return tuple(values.tolist())


def _gaps(values: Floats) -> tuple[float | None, ...]:
    return tuple(None if math.isnan(each) else each for each in values.tolist())
