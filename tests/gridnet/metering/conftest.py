"""A street of three homes, a battery and a PV plant, with truth made by hand: no power flow is needed to try a meter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from gridnet.clock import Clock
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import PERFECT, Link
from gridnet.metering.meters import MeterModel, MeterPark
from gridnet.metering.points import MeterPoint, PointTruth
from gridnet.metering.reading import FIRST, Reading

NOON = datetime(2018, 7, 1, 12, tzinfo=UTC)
POINTS = (
    MeterPoint("home-001", "home", 1, None, 17_250),
    MeterPoint("home-002", "home", 2, None, 17_250),
    MeterPoint("home-003", "home", 3, None, 17_250),
    MeterPoint("bat-00", "battery", 1, 0, 5_500),
    MeterPoint("pv-00", "pv", 1, 1, 11_000),
)
HEAD = MeterPoint("head", "head", 0, None, 160_000)


@pytest.fixture(scope="session")
def park() -> Callable[..., MeterPark]:
    """Makes the street's meters; without arguments exact ones, with perfect clocks, on a perfect link."""

    def make(link: Link = PERFECT, **model: object) -> MeterPark:
        chosen = replace(MeterModel(accuracy="exact", head_accuracy="exact", drift_ppm=0.0, link=link), **model)
        keys = {point.name: DeviceKey.simulated(1, point.name) for point in (*POINTS, HEAD)}
        return MeterPark(POINTS, HEAD, Clock(datetime(2018, 1, 1, tzinfo=UTC), 35_040), keys, chosen)

    return make


@pytest.fixture
def reading() -> Reading:
    return Reading(
        device="home-001",
        sequence=300,
        previous=FIRST,
        start=NOON,
        injected_wh=0,
        drawn_wh=123,
        reactive_varh=-31,
        voltage_mv=231_234,
    )


Street = Callable[..., PointTruth]


@pytest.fixture(scope="session")
def street() -> Street:
    return _street


def _street(first: int, steps: int, seed: int = 0) -> PointTruth:
    """Random truth of the street for steps `[first, first + steps)`; the same step of a seed is the same in any cut."""
    drawn = np.random.default_rng(seed).uniform(-4.0, 3.0, (first + steps, 12))[first:]
    p_kw, soc = drawn[:, :5], np.linspace(0.2, 0.9, steps)[:, None]
    return PointTruth(
        step=np.arange(first, first + steps),
        p_kw=p_kw,
        q_kvar=drawn[:, 5:10] / 4.0,
        vm_pu=1.0 + drawn[:, :5] / 100.0,
        soc=soc,
        head_p_kw=-p_kw[:, :3].sum(axis=1),
        head_q_kvar=drawn[:, 10],
        head_vm_pu=np.full(steps, 1.025),
    )
