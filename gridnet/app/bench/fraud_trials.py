"""Feeder weeks for `gridnet bench --fraud`: the truth, meters that err, meters that cheat, and a model that is wrong.

A trial differs from another in its week, in the errors of its meters and in who cheats. Errors are those of
`gridnet.metering.accuracy`, drawn for all homes at once; registers count whole Wh. Signatures are left out: they see no fraud here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gridnet.app.bench.evaluate import run_week
from gridnet.case import Case
from gridnet.feeder import SolvedModel
from gridnet.metering.accuracy import Accuracy
from gridnet.metering.points import head_point, meter_points
from gridnet.metering.tamper import PAIRS, Model, Recording, Sensed, Tamper, tampered
from gridnet.powerflow import compile_power_flow
from gridnet.verification.grid import DISPLAY_KW, Grid, Reported, series_admittance
from gridnet.verification.settings import Settings
from gridnet_policies.rule import Rule

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_DAY = 96


@dataclass(frozen=True)
class Homes:
    """The home meters of a case."""

    name: tuple[str, ...]
    bus: Ints
    capacity_kw: Floats
    head_capacity_kw: float


@dataclass(frozen=True)
class Week:
    """What truly happened at the homes in one week: (steps, homes), and at the head (steps,)."""

    seen: Sensed
    head_kw: Floats
    head_kvar: Floats


def homes_of(case: Case) -> Homes:
    """The home meters of `case`."""
    homes = [point for point in meter_points(case) if point.kind == "home"]
    return Homes(
        tuple(point.name for point in homes),
        np.array([point.bus for point in homes], dtype=np.int64),
        np.array([point.capacity_w / 1000.0 for point in homes]),
        head_point(case).capacity_w / 1000.0,
    )


def true_week(case: Case, homes: Homes, week: int) -> Week:
    """A week under the rule policy. Raises `PowerFlowDiverged`."""
    run, params = run_week(case, Rule(), week), case.params
    span = slice(run.start, run.start + len(run.slack_p_kw))
    at_bus = [np.zeros((len(run.slack_p_kw), params.buses)) for _ in range(2)]
    for target, load, done in zip(at_bus, (params.load_p_kw, params.load_q_kvar), (run.done[:, 0], run.done[:, 1]), strict=True):
        np.add.at(target.T, params.load_bus, load[span].T)
        np.add.at(target.T, params.device_bus, done.T)
    seen = Sensed(at_bus[0][:, homes.bus], at_bus[1][:, homes.bus], run.vm_pu[:, homes.bus])
    return Week(seen, run.slack_p_kw, case.power_flow.solve(*at_bus).slack_q_kvar)


def draw_tamper(model: Model, size: float, homes: Homes, weeks: Sequence[Week], rng: np.random.Generator) -> Tamper:
    """A fraud by homes drawn at random, among those where it changes anything; its past is a day of another of `weeks`."""
    past = weeks[int(rng.integers(len(weeks)))].seen
    able = (past.p_kw > 0.0).any(axis=0) if model == "inflated" else (past.p_kw != 0.0).any(axis=0)
    chosen = rng.choice(np.flatnonzero(able), size=2 if model in PAIRS else 1, replace=False)
    recording = Recording(0, Sensed(*(each[:_DAY, chosen[0]] for each in past)))
    return Tamper(model, tuple(homes.name[home] for home in chosen), size, recording=recording)


def measured(week: Week, homes: Homes, tampers: Sequence[Tamper], settings: Settings, rng: np.random.Generator) -> Reported:
    """What the meters say of the week."""
    true, meter = week.seen, settings.meter
    sensed = Sensed(
        _powers(true.p_kw, meter, homes.capacity_kw, rng),
        _powers(true.q_kvar, meter, homes.capacity_kw, rng),
        true.vm_pu * (1.0 + meter.voltage * _errors(meter, true.vm_pu.shape, rng)),
    )
    counted = tampered(sensed, np.arange(len(week.head_kw)), homes.name, tampers)
    # Of the head, P and Q are two columns that err by themselves.
    head = _powers(np.column_stack([week.head_kw, week.head_kvar]), settings.head, np.full(2, homes.head_capacity_kw), rng)
    p_kw, q_kvar, at_head = (_registered(each, rng) for each in (counted.p_kw, counted.q_kvar, head))
    return Reported(p_kw, q_kvar, counted.vm_pu, at_head[:, 0], at_head[:, 1])


def wrong_impedances(case: Case, error: float, rng: np.random.Generator) -> Case:
    """The case as somebody knows it whose impedances are off by `error` (standard deviation, each branch by itself)."""
    model = case.feeder.model
    factor = 1.0 / np.maximum(1.0 + error * rng.standard_normal(len(model.branch_node)), 0.2)
    changed = _rescaled(model, factor)
    return replace(case, feeder=replace(case.feeder, model=changed), power_flow=compile_power_flow(changed))


def make_grid(case: Case, homes: Homes, settings: Settings) -> Grid:
    """The verifier's model of `case`."""
    return Grid(case, homes.bus, homes.capacity_kw, settings)


def _rescaled(model: SolvedModel, factor: Floats) -> SolvedModel:
    """The model with each branch's series admittance times `factor`; what stands across it (iron, charging) stays."""
    moved = (factor - 1.0)[:, None] * series_admittance(model)
    admittance, branches = model.admittance.copy(), model.branch_admittance + moved
    for (start, end), (dff, dft, dtf, dtt) in zip(model.branch_node, moved, strict=True):
        if start >= 0 and end >= 0:
            admittance[start, start] += dff
            admittance[start, end] += dft
            admittance[end, start] += dtf
            admittance[end, end] += dtt
    return model._replace(admittance=admittance, branch_admittance=branches)


def _errors(accuracy: Accuracy, shape: tuple[int, ...], rng: np.random.Generator) -> Floats:
    """In units of the class."""
    kept = accuracy.lasting * rng.standard_normal(shape[1])
    return np.asarray(kept + accuracy.anew * rng.standard_normal(shape))


def _powers(true: Floats, accuracy: Accuracy, capacity_kw: Floats, rng: np.random.Generator) -> Floats:
    floor = (true != 0.0) * accuracy.full_scale * capacity_kw * rng.standard_normal(true.shape)
    return np.asarray(true * (1.0 + accuracy.power * _errors(accuracy, true.shape, rng)) + floor)


def _registered(power: Floats, rng: np.random.Generator) -> Floats:
    """Differences of displays in whole Wh. The registers have run before: they begin anywhere between two of them."""
    count = rng.random(power.shape[1]) + np.cumsum(power / DISPLAY_KW, axis=0)
    return np.diff(np.floor(count), axis=0, prepend=0.0) * DISPLAY_KW
