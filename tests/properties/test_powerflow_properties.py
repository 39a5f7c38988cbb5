"""Properties of the AC power flow on networks drawn at random, held against Kirchhoff's laws written out in numpy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gridnet.case import load_case
from gridnet.feeder import SolvedModel
from gridnet.powerflow import compile_power_flow

QUANTITIES = ("vm_pu", "line_percent", "trafo_percent", "loss_kw", "slack_p_kw", "slack_q_kvar", "converged")

Floats = NDArray[np.float64]


def random_model(seed: int, nodes: int, extra: int) -> SolvedModel:
    """A tree of `nodes` nodes with `extra` more branches, shunts, tapped and shifted branches, and shuffled buses.

    One bus is dead, two buses share a node, the last branch is out of service.
    """
    rng = np.random.default_rng(seed)
    ends = [(int(rng.integers(node)), node) for node in range(1, nodes)]
    ends += [tuple(rng.choice(nodes, 2, replace=False).tolist()) for _ in range(extra)]
    slack = int(rng.integers(nodes))
    admittance = np.diag(1j * rng.uniform(0, 0.02, nodes) + rng.uniform(0, 0.002, nodes)).astype(complex)
    two_ports = np.zeros((len(ends) + 1, 4), dtype=complex)
    for k, (f, t) in enumerate(ends):
        y = 1 / complex(rng.uniform(0.005, 0.05), rng.uniform(0.002, 0.05))
        ratio = rng.uniform(0.95, 1.05) * np.exp(1j * rng.uniform(-0.3, 0.3)) if k % 3 == 0 and k < nodes - 1 else 1.0
        charge = 0.5j * rng.uniform(0, 0.01)
        two_ports[k] = (y + charge) / abs(ratio) ** 2, -y / np.conj(ratio), -y / ratio, y + charge
        admittance[np.ix_([f, t], [f, t])] += two_ports[k].reshape(2, 2)
    bus_node = rng.permutation([*range(nodes), int(rng.integers(nodes)), -1])
    return SolvedModel(
        bus_node=bus_node,
        slack_node=slack,
        slack_voltage=1.01 * np.exp(0.1j),
        admittance=admittance,
        branch_node=np.array([*ends, (-1, -1)]),
        branch_admittance=two_ports,
        branch_percent=rng.uniform(50, 200, (len(ends) + 1, 2)),
        lines=len(ends),
    )


@given(seed=st.integers(0, 10_000), nodes=st.integers(2, 14), extra=st.integers(0, 4), heavy=st.floats(0.0, 60.0))
def test_a_solved_row_obeys_kirchhoff(seed: int, nodes: int, extra: int, heavy: float) -> None:
    model = random_model(seed, nodes, extra)
    power_flow = compile_power_flow(model)
    rng = np.random.default_rng(seed + 1)
    p_kw, q_kvar = rng.normal(0, heavy, (2, 3, len(model.bus_node)))

    flow = power_flow.solve(p_kw, q_kvar)
    volts = np.empty((3, nodes), dtype=complex)
    volts[:, power_flow.order] = power_flow.voltages(p_kw, q_kvar)

    live = model.bus_node >= 0
    assert flow.converged.all()
    for row in range(3):
        v = volts[row]
        injected = np.zeros(nodes, dtype=complex)
        np.add.at(injected, model.bus_node[live], (p_kw[row] + 1j * q_kvar[row])[live])
        drawn = 1e3 * v * np.conj(model.admittance @ v)
        slack = drawn[model.slack_node] - injected[model.slack_node]
        others = np.arange(nodes) != model.slack_node
        np.testing.assert_allclose(drawn[others], injected[others], rtol=0, atol=2e-5)
        np.testing.assert_allclose([flow.slack_p_kw[row], flow.slack_q_kvar[row]], [slack.real, slack.imag], atol=1e-9)
        np.testing.assert_allclose(flow.loss_kw[row], slack.real + p_kw[row, live].sum(), rtol=0, atol=1e-9)
        assert flow.loss_kw[row] > -1e-6
        assert v[model.slack_node] == pytest.approx(model.slack_voltage)
        np.testing.assert_allclose(flow.vm_pu[row, live], np.abs(v[model.bus_node[live]]), rtol=0, atol=1e-14)
        assert np.isnan(flow.vm_pu[row, ~live]).all()
        for k, (f, t) in enumerate(model.branch_node[:-1]):
            ends = np.abs(model.branch_admittance[k].reshape(2, 2) @ v[[f, t]]) * model.branch_percent[k]
            assert flow.line_percent[row, k] == pytest.approx(ends.max(), abs=1e-9)
        assert np.append(flow.line_percent[row], flow.trafo_percent[row])[-1] == 0.0, "a dead branch carries nothing"


@given(
    scenario=st.sampled_from(["cigre_lv", "ieee33", "rural1"]),
    seed=st.integers(0, 1000),
    batch=st.integers(1, 20),
    collapsing=st.floats(0.0, 0.6),
)
def test_a_row_gives_the_same_bits_alone_and_in_any_batch(scenario: str, seed: int, batch: int, collapsing: float) -> None:
    case = load_case(scenario)
    rng = np.random.default_rng(seed)
    size = case.feeder.load.p_rated_kw.sum() / case.power_flow.buses
    scale = np.where(rng.random((batch, 1)) < collapsing, 1e3, 2.0) * size
    p_kw, q_kvar = rng.normal(0, 1, (2, batch, case.power_flow.buses)) * scale
    order = rng.permutation(batch)

    whole, shuffled = case.power_flow.solve(p_kw, q_kvar), case.power_flow.solve(p_kw[order], q_kvar[order])

    for row in range(batch):
        alone = case.power_flow.solve(p_kw[row], q_kvar[row])
        for field in QUANTITIES:
            bits = np.asarray(getattr(alone, field)).tobytes()
            assert getattr(whole, field)[row].tobytes() == bits, field
            assert getattr(shuffled, field)[order == row][0].tobytes() == bits, field
