"""What homes did for the grid in an epoch, from verified readings: the input of a reward programme."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from datetime import datetime

import numpy as np

from gridnet.app.community import Community
from gridnet.app.pipeline import Pipeline
from gridnet.app.run import Run
from gridnet.metering.points import MeterPoint
from gridnet.metering.reading import Reading
from gridnet_contracts.rewards.epoch import Rendered
from gridnet_contracts.rewards.programme import Programme, Service
from gridnet_contracts.rewards.services import available_quarters, curtailed_wh, shifted_wh, support_varh

Readings = Mapping[datetime, Mapping[str, Reading]]
WH_PER_KWH = 1000.0


def rendered(pipeline: Pipeline, programme: Programme, run: Run, baseline: Run) -> list[Rendered]:
    """What each party rendered over the span of `run`, held against the same homes without dispatch, with its reputation."""
    community, reputation = pipeline.community, pipeline.reputation_ppm()
    amounts: dict[tuple[str, Service], int] = defaultdict(int)
    counted = _Counted(community, pipeline.readings(community.case.clock.time_of(run.start)), run, baseline)
    for point in community.points:
        party = community.party(point)
        for service, amount in counted.of(point, programme):
            amounts[party, service] += amount
    return [
        Rendered(party, service, amount, reputation[party])
        for (party, service), amount in sorted(amounts.items())
        if service in programme.weights_ppm
    ]


class _Counted:
    def __init__(self, community: Community, readings: Readings, run: Run, baseline: Run) -> None:
        self._community = community
        self._run = run
        self._baseline = baseline
        clock = community.case.clock
        self._dt_h = clock.dt_h
        self._rows = [(row, clock.time_of(int(step))) for row, step in enumerate(run.truth.step)]
        self._readings = readings

    def of(self, point: MeterPoint, programme: Programme) -> Iterator[tuple[Service, int]]:
        """(service, amount) of one meter."""
        known = [(row, start, reading) for row, start in self._rows if (reading := self._readings.get(start, {}).get(point.name))]
        place = self._community.points.index(point)
        yield "readings", len(known)
        if point.kind == "home":
            without = self._wh(self._baseline.truth.p_kw[:, place])
            yield "shifted_energy", shifted_wh([(start, each.net_wh, without[row]) for row, start, each in known], programme.terms)
            yield "voltage_support", support_varh([(each.voltage_mv, each.reactive_varh) for _, _, each in known], programme.terms)
        elif point.kind == "battery":
            asked = self._wh(self._asked(point))
            yield "availability", available_quarters([(asked[row], each.net_wh) for row, _, each in known], programme.terms)
        else:
            possible = self._wh(self._sun(point))
            asked = self._wh(np.maximum(self._sun(point) - self._asked(point), 0.0))
            yield "curtailment", curtailed_wh([(asked[row], possible[row], each.injected_wh) for row, _, each in known])

    def _wh(self, p_kw: np.ndarray[tuple[int], np.dtype[np.float64]]) -> list[int]:
        return [round(each) for each in (p_kw * self._dt_h * WH_PER_KWH).tolist()]

    def _asked(self, point: MeterPoint) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        """Setpoints as sent: after the shield, within what the device can do."""
        return np.array([transition.done[0, 0, point.device] for transition in self._run.transitions])

    def _sun(self, point: MeterPoint) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        params = self._community.case.params
        assert point.device is not None, "a PV meter has its device"
        series: np.ndarray[tuple[int], np.dtype[np.float64]] = params.pv_p_kw[
            self._run.truth.step, point.device - params.fleet.batteries
        ]
        return series
