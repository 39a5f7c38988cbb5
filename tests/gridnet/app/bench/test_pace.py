"""The pace of the physics, measured for the report's table."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet.app.bench import pace
from gridnet.case import Case, load_case
from gridnet.network import reference_flow, reference_solver


@pytest.fixture(scope="module")
def case() -> Case:
    return load_case("tiny")


def test_the_compiled_flow_is_timed_beside_pandapower(case: Case) -> None:
    found = pace.measure_pace(case)
    assert found.buses == case.params.buses
    assert 0 < found.batched_us < found.step_us < found.reference_us
    assert found.single_us < found.reference_us / 20


def test_what_is_timed_is_the_scenarios_own_loads_and_sun(case: Case) -> None:
    steps = np.array([40, 50])
    p_kw, q_kvar = pace._injections(case, steps)
    series = case.series
    assert p_kw.sum(axis=1) == pytest.approx(series.load_p_kw[steps].sum(axis=1) + series.pv_p_kw[steps].sum(axis=1))
    assert q_kvar.sum(axis=1) == pytest.approx(case.params.load_q_kvar[steps].sum(axis=1))
    assert np.flatnonzero(p_kw[0]).tolist() == sorted({*case.feeder.load_bus.tolist(), *case.feeder.pv_bus.tolist()})


def test_the_solver_of_one_row_is_the_reference_of_many(case: Case) -> None:
    p_kw, q_kvar = pace._injections(case, np.array([40, 50]))
    many, solve = reference_flow(case.scenario, p_kw, q_kvar), reference_solver(case.scenario)
    for place in (1, 0):
        for key, row in solve(p_kw[place], q_kvar[place]).items():
            assert row.tobytes() == many[key][place].tobytes()
    assert np.abs(case.power_flow.solve(p_kw, q_kvar).vm_pu - many["vm_pu"]).max() < 1e-8
