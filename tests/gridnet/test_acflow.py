"""The kernels: one lane and several give the same bits, whatever stands in the lanes beside."""

from __future__ import annotations

import numpy as np
import pytest

from gridnet import acflow
from gridnet.case import load_case


def solved(kernel: str, p_kw: np.ndarray, q_kvar: np.ndarray) -> np.ndarray:
    case = load_case("cigre_lv")
    out = np.full((len(p_kw), case.params.buses + len(case.params.network.branch_node) + acflow.BALANCE), -7.0)
    getattr(acflow, kernel)(case.params.network, p_kw, q_kvar, out)
    return out


@pytest.mark.parametrize("rows", [1, 7, 8, 9, 16, 19])
def test_lanes_give_the_bits_of_one_lane_and_fill_every_row(rows: int) -> None:
    rng = np.random.default_rng(rows)
    p_kw, q_kvar = rng.normal(0, 20, (2, rows, 44))
    p_kw[1::4] *= 1e4  # collapses beside rows that converge

    by_lanes, by_one = solved("solve_lanes", p_kw, q_kvar), solved("solve_one_lane", p_kw, q_kvar)

    assert by_lanes.tobytes() == by_one.tobytes()
    assert not (by_lanes == -7.0).any()
    np.testing.assert_array_equal(by_lanes[:, -1], np.arange(rows) % 4 != 1)


def test_no_rows_are_no_work() -> None:
    assert solved("solve_lanes", np.zeros((0, 44)), np.zeros((0, 44))).shape[0] == 0


def test_a_row_that_never_settles_ends_after_a_bounded_number_of_iterations() -> None:
    """Just beyond collapse the iteration neither settles nor runs away."""
    case = load_case("cigre_lv")
    demand = np.zeros((1, 44))
    np.subtract.at(demand[0], case.feeder.load_bus, case.feeder.load.p_rated_kw)
    for scale in np.linspace(3.5, 4.5, 21):
        row = solved("solve_one_lane", scale * demand, 0.3 * scale * demand)[0]
        assert row[-1] in (0.0, 1.0)
        assert np.isfinite(row[:-1]).all() == (row[-1] == 1.0)
