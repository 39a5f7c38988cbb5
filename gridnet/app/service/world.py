"""The neighbourhood that is simulated around the devices that are real: homes, their sun, their meters and their batteries.

A battery or plant whose meter a registered device speaks for does what that device's readings say; all others do as they are told.
What flows then follows from the AC power flow, and the simulated meters sign what they see of it. The state is stored, so that a
restart goes on with the same registers, sequences and charges.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gridnet import simulate
from gridnet.app.service.live import LiveFeeder
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import PERFECT, Message
from gridnet.metering.meters import MeterModel, MeterPark, MeterState, measure
from gridnet.metering.points import head_point, meter_points, point_truth
from gridnet.metering.reading import SOC_FULL_PPM, Reading
from gridnet.simulate import State

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


class World:
    """The simulated part of a live feeder; `seed` makes its meters' errors and keys, and is the operator's secret."""

    def __init__(self, live: LiveFeeder, seed: int) -> None:
        case = live.case
        self._live = live
        points, head = meter_points(case), head_point(case)
        self.keys = {point.name: DeviceKey.simulated(seed, f"{case.scenario.name}/{point.name}") for point in (*points, head)}
        self._park = MeterPark(points, head, case.clock, self.keys, MeterModel(seed=seed % 2**31, link=PERFECT))

    def start(self, step: int) -> WorldState:
        """New meters, and batteries at the scenario's starting charge."""
        return WorldState(step, self._live.case.start(step).soc[0], MeterState.new(self._park, step))

    def advance(
        self, state: WorldState, asked: Floats, reported: Mapping[str, Reading], real: Collection[str]
    ) -> tuple[WorldState, tuple[Message, ...]]:
        """One quarter-hour with devices asked for `asked` (2, devices); those in `reported`, by meter, did what their reading says.
        Gives what all meters but the `real` ones send. Raises `PowerFlowDiverged`."""
        case = self._live.case
        params, asked = case.params, asked.copy()
        told = {point.device: reported[point.name] for point in self._live.points if point.name in reported}
        for device, reading in told.items():
            if device is not None:
                asked[0, device] = reading.net_wh / _WH_PER_KWH / params.fleet.dt_h
                asked[1, device] = reading.reactive_varh / _WH_PER_KWH / params.fleet.dt_h
        after, transition = simulate.step(State(np.array([state.step]), state.soc[None]), asked[None], params)
        soc = after.soc[0].copy()
        for device, reading in told.items():
            if device is not None and device < len(soc) and reading.soc_ppm is not None:
                soc[device] = reading.soc_ppm / SOC_FULL_PPM
        truth = point_truth(params, np.array([state.step]), transition, soc[None])
        meters, messages = measure(self._park, state.meters, truth)
        return WorldState(state.step + 1, soc, meters), tuple(each for each in messages if each.device not in real)

    def expected_soc(self, step: int, soc: Floats, asked: Floats) -> Floats:
        """(batteries,) the charge at the end of `step`, where all do as they are asked (2, devices)."""
        after, _ = simulate.step(State(np.array([step]), soc[None]), asked[None], self._live.case.params)
        return np.array(after.soc[0])
