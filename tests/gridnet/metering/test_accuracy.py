"""Errors have the size of the table, are partly one meter's own, and depend on seed, meter and step alone."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.metering.accuracy import ACCURACY, CONSTANT_SHARE, INTERVAL_SHARE, ClassName, Errors, white
from gridnet.metering.tamper import Sensed

STEPS = np.arange(100, 772)
TRUTH = Sensed(np.full(len(STEPS), -2.0), np.full(len(STEPS), 0.5), np.full(len(STEPS), 1.01))
classes = pytest.mark.parametrize("name", ["0.2", "0.5", "1"])


def _relative(name: ClassName, meters: int = 300) -> np.ndarray:
    """(3, steps, meters) relative errors of P, Q and V, without the part of full scale."""
    seen = [Errors(f"home-{k}", ACCURACY[name], 7).sensed(TRUTH, STEPS, 0.0) for k in range(meters)]
    columns = zip(*seen, strict=True)
    return np.stack([np.stack(each, axis=1) / truth[:, None] - 1.0 for each, truth in zip(columns, TRUTH, strict=True)])


@classes
def test_the_spread_is_the_tables_and_the_split_as_told(name: ClassName) -> None:
    errors, table = _relative(name), ACCURACY[name]
    for series, sigma in zip(errors, (table.power, table.power, table.voltage), strict=True):
        assert np.sqrt((series**2).mean()) == pytest.approx(sigma, rel=0.1)
        assert series.mean(axis=0).std() == pytest.approx(CONSTANT_SHARE * sigma, rel=0.1)
        assert series.std(axis=0).mean() == pytest.approx(INTERVAL_SHARE * sigma, rel=0.05)
    assert np.hypot(CONSTANT_SHARE, INTERVAL_SHARE) == pytest.approx(1.0)


def test_a_white_class_keeps_nothing_for_life_and_its_size() -> None:
    seen = np.stack([Errors(f"home-{k}", white(ACCURACY["0.5"]), 7).sensed(TRUTH, STEPS, 0.0).p_kw for k in range(300)], axis=1)
    errors = seen / TRUTH.p_kw[:, None] - 1.0

    assert errors.std() == pytest.approx(0.005, rel=0.05)
    assert errors.mean(axis=0).std() < 0.1 * CONSTANT_SHARE * 0.005


def test_an_exact_meter_is_exact() -> None:
    errors = Errors("x", ACCURACY["exact"], 7)
    assert all(np.array_equal(*each) for each in zip(errors.sensed(TRUTH, STEPS, 100.0), TRUTH, strict=True))
    assert np.array_equal(errors.soc(TRUTH.vm_pu / 2.0, STEPS), TRUTH.vm_pu / 2.0)


@classes
def test_full_scale_adds_its_share_while_something_flows(name: ClassName) -> None:
    errors, table = Errors("x", ACCURACY[name], 7), ACCURACY[name]
    extra = errors.sensed(TRUTH, STEPS, 100.0).p_kw - errors.sensed(TRUTH, STEPS, 0.0).p_kw
    assert extra.std() == pytest.approx(table.full_scale * 100.0, rel=0.1)
    assert not errors.sensed(TRUTH._replace(p_kw=0.0 * STEPS, q_kvar=0.0 * STEPS), STEPS, 100.0).p_kw.any()


def test_errors_depend_on_seed_meter_and_step() -> None:
    whole = Errors("x", ACCURACY["1"], 7).sensed(TRUTH, STEPS, 10.0).p_kw
    part = Errors("x", ACCURACY["1"], 7).sensed(Sensed(*(each[200:300] for each in TRUTH)), STEPS[200:300], 10.0).p_kw
    assert np.array_equal(whole[200:300], part)
    for other in (Errors("y", ACCURACY["1"], 7), Errors("x", ACCURACY["1"], 8)):
        assert not (other.sensed(TRUTH, STEPS, 10.0).p_kw == whole).any()


def test_a_charge_stays_between_empty_and_full() -> None:
    said = np.stack([Errors(f"b{k}", ACCURACY["0.5"], 7).soc(np.linspace(0, 1, len(STEPS)), STEPS) for k in range(50)])
    assert said.min() == 0.0
    assert said.max() == 1.0
    assert (said - np.linspace(0, 1, len(STEPS)))[:, 300:400].std() == pytest.approx(0.01, rel=0.3)


def test_drift_has_the_spread_asked_for() -> None:
    drifts = [Errors(f"x{k}", ACCURACY["exact"], 7).drift(20.0) for k in range(500)]
    assert np.std(drifts) == pytest.approx(20e-6, rel=0.1)
