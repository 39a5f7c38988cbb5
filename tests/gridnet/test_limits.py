"""Limits: where there are any, what breaks them, and by how much."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.case import load_case
from gridnet.limits import (
    PERCENT_TOLERANCE,
    VM_TOLERANCE_PU,
    NetworkLimits,
    loading_excess_percent,
    make_limits,
    voltage_excess_pu,
)
from gridnet.scenario import Limits

LIMITS = NetworkLimits(
    vm_min_pu=np.array([-np.inf, 0.9, 0.9]), vm_max_pu=np.array([np.inf, 1.1, 1.1]), percent=np.array([100.0, 80.0])
)
FINE = [1.3, 1.0, 1.0, 50.0, 50.0, 0.0, 0.0, 0.0, 1.0]


def flow(**changed: float) -> np.ndarray:
    names = ["slack", "vm1", "vm2", "line", "trafo", "loss", "p", "q", "converged"]
    return np.array([changed.get(name, value) for name, value in zip(names, FINE, strict=True)])


def test_every_live_bus_but_the_slack_has_limits_whether_or_not_a_device_is_there() -> None:
    case = load_case("rural1")
    own = Limits(vm_min_pu=0.95, vm_max_pu=1.04, line_percent=70, trafo_percent=90)
    scenario = case.scenario.model_copy(update={"limits": own})

    limits = make_limits(scenario, case.feeder)

    slack = np.arange(15) == case.feeder.slack_bus
    np.testing.assert_array_equal(limits.vm_min_pu, np.where(slack, -np.inf, 0.95))
    np.testing.assert_array_equal(limits.vm_max_pu, np.where(slack, np.inf, 1.04))
    np.testing.assert_array_equal(limits.percent, [70.0] * 13 + [90.0])


def test_a_dead_bus_breaks_nothing() -> None:
    case = load_case("rural1")
    bus_node = case.feeder.model.bus_node.copy()
    bus_node[3] = -1
    feeder = type(case.feeder)(**{**vars(case.feeder), "model": case.feeder.model._replace(bus_node=bus_node)})
    limits = make_limits(case.scenario, feeder)
    vm_pu = np.ones((1, 15))
    vm_pu[0, 3] = np.nan
    assert not limits.broken(vm_pu, np.zeros((1, 14)))[0]
    assert voltage_excess_pu(limits, np.concatenate([vm_pu[0], np.zeros(14), [0, 0, 0, 1]])) == 0.0


@pytest.mark.parametrize(
    ("changed", "volts", "percent"),
    [
        ({}, 0.0, 0.0),
        ({"vm1": 1.12}, 0.02, 0.0),
        ({"vm1": 1.12, "vm2": 0.87}, 0.05, 0.0),
        ({"line": 130.0, "trafo": 90.0}, 0.0, 40.0),
        ({"vm2": 1.1 + 0.9 * VM_TOLERANCE_PU, "line": 100 + 0.9 * PERCENT_TOLERANCE}, 0.0, 0.0),
        ({"vm2": 0.9 - 1.1 * VM_TOLERANCE_PU}, 1.1e-4, 0.0),
        ({"trafo": 80 + 1.1 * PERCENT_TOLERANCE}, 0.0, 0.11),
        ({"slack": 9.0}, 0.0, 0.0),
    ],
)
def test_excess_adds_up_over_buses_and_branches_beyond_the_tolerance(
    changed: dict[str, float], volts: float, percent: float
) -> None:
    row = flow(**changed)
    assert voltage_excess_pu(LIMITS, row) == pytest.approx(volts, abs=1e-12)
    assert loading_excess_percent(LIMITS, row) == pytest.approx(percent, abs=1e-12)
    broken = LIMITS.broken(row[None, :3], row[None, 3:5])
    assert broken.tolist() == [volts > 0 or percent > 0]
