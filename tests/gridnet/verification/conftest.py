"""A feeder of fourteen homes for a week, its meters, and signed days of the tiny feeder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import numpy as np
import pytest

from gridnet import simulate
from gridnet.app.bench.fraud_trials import Homes, Week, homes_of, make_grid, measured
from gridnet.case import Case, load_case
from gridnet.clock import STEPS_PER_DAY, STEPS_PER_WEEK
from gridnet.dispatch import idle
from gridnet.metering.accuracy import ACCURACY
from gridnet.metering.keys import DeviceKey
from gridnet.metering.link import PERFECT, Link
from gridnet.metering.meters import MeterModel, MeterPark, MeterState, measure
from gridnet.metering.points import head_point, meter_points, point_truth
from gridnet.metering.registry import KeyRegistry
from gridnet.metering.tamper import Sensed, Tamper
from gridnet.verification.grid import Grid, Reported
from gridnet.verification.ladder import Ladder
from gridnet.verification.settings import Settings

EXACT = Settings(meter=ACCURACY["exact"], head=ACCURACY["exact"])


@dataclass(frozen=True)
class Street:
    """A week of rural1 with its batteries at rest."""

    case: Case
    homes: Homes
    week: Week
    grid: Grid

    def reported(self, *tampers: Tamper, seed: int = 0, settings: Settings | None = None) -> Reported:
        """What class 0.5 meters say of the week, some tampered with."""
        rng = np.random.default_rng(seed)
        return measured(self.week, self.homes, tampers, settings or self.grid.settings, rng)

    def true(self) -> Reported:
        """What meters without any error, rounding or fraud would say."""
        return Reported(*(each.copy() for each in self.week.seen), self.week.head_kw.copy(), self.week.head_kvar.copy())

    @property
    def largest(self) -> int:
        """The home that uses most."""
        return int(np.abs(self.week.seen.p_kw).mean(axis=0).argmax())


@pytest.fixture(scope="session")
def street() -> Street:
    case = load_case("rural1")
    homes, params = homes_of(case), case.params
    span = np.arange(4 * STEPS_PER_WEEK, 5 * STEPS_PER_WEEK)
    at_bus = [np.zeros((len(span), params.buses)) for _ in range(2)]
    np.add.at(at_bus[0].T, params.load_bus, params.load_p_kw[span].T)
    np.add.at(at_bus[1].T, params.load_bus, params.load_q_kvar[span].T)
    np.add.at(at_bus[0].T, params.device_bus[case.fleet.batteries :], params.pv_p_kw[span].T)
    flow = case.power_flow.solve(*at_bus)
    seen = Sensed(at_bus[0][:, homes.bus], at_bus[1][:, homes.bus], flow.vm_pu[:, homes.bus])
    return Street(case, homes, Week(seen, flow.slack_p_kw, flow.slack_q_kvar), make_grid(case, homes, Settings()))


@dataclass(frozen=True)
class Signed:
    """A feeder's first steps as signed messages, by the step that they measure, and what is needed to judge them."""

    case: Case
    registry: KeyRegistry
    keys: dict[str, DeviceKey]
    messages: dict[int, tuple[bytes, ...]]

    def ladder(self, settings: Settings = EXACT) -> Ladder:
        """A ladder that has seen nothing yet."""
        return Ladder(self.case, meter_points(self.case), self.registry, settings)

    def time(self, step: int) -> datetime:
        """Start of a step."""
        return self.case.clock.time_of(step)


Sign = Callable[..., Signed]


@pytest.fixture(scope="session")
def signed() -> Sign:
    """Signs the first `steps` of tiny with the battery charging; exact meters unless told otherwise."""
    return _signed


def _signed(steps: int = STEPS_PER_DAY, tampers: tuple[Tamper, ...] = (), charge_kw: float = 0.1, link: Link = PERFECT) -> Signed:
    case = load_case("tiny")
    state, rows, charges = case.start(0), [], []
    for _ in range(steps):
        asked = idle(1, case.fleet.batteries, case.fleet.devices)
        asked[0, 0, : case.fleet.batteries] = -charge_kw
        state, transition = simulate.step(state, asked, case.params)
        rows.append(transition)
        charges.append(state.soc[0])
    whole = _joined(rows)
    truth = point_truth(case.params, np.arange(steps), whole, np.array(charges))
    points, head = meter_points(case), head_point(case)
    keys = {point.name: DeviceKey.simulated(7, point.name) for point in (*points, head)}
    registry = KeyRegistry()
    for name, key in keys.items():
        registry = registry.enrol(name, key.public_key, case.clock.start - timedelta(days=1))
    model = MeterModel(accuracy="exact", head_accuracy="exact", drift_ppm=0.0, link=link)
    park = MeterPark(points, head, case.clock, keys, model, tampers)
    _, sent = measure(park, MeterState.new(park, 0), truth)
    messages = {step: tuple(each.raw for each in sent if each.measured == step) for step in range(steps)}
    return Signed(case, registry, keys, messages)


def _joined(rows: list[simulate.Transition]) -> simulate.Transition:
    """One transition whose batch is the steps of `rows`."""
    return rows[0]._replace(
        asked=np.concatenate([row.asked for row in rows]),
        done=np.concatenate([row.done for row in rows]),
        flow=np.concatenate([row.flow for row in rows]),
    )


@pytest.fixture(scope="session")
def exact_street(street: Street) -> Street:
    """The street with a verifier that knows its meters to be exact."""
    return replace(street, grid=make_grid(street.case, street.homes, replace(EXACT, impedance_error=0.0)))
