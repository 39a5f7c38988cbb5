"""The steps' conic programmes in Clarabel, and what their dual solutions prove.

For `minimise c x, A x + s = b, s in K` any `z` in the dual cone proves, for every feasible `x`,

    c x  =  (c + A'z) x - z'(b - s)  >=  (c + A'z) x - b'z  >=  sum of the least of (c + A'z)_i x_i  -  b'z

with `x_i` in the range that a step can reach at all. At the exact dual solution `c + A'z = 0`; what a solver leaves of it
costs the bound a little and never its truth: nothing here rests on Clarabel's tolerances or on its word that it has solved.

Source: Jansson, Chaykin, Keil, "Rigorous error bounds for the optimal value in semidefinite programming", SIAM J. Numerical
Analysis 46(1), 2008.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import clarabel
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from gridnet_policies.bound.relaxation import Relaxation
from gridnet_policies.bound.step_problems import Problems

Floats = NDArray[np.float64]

ITERATIONS = 60
"""Of the interior-point method at most; 10 to 20 are usual, and a point that is not yet optimal proves something too."""

TOLERANCE = 1e-7
"""Relative, of gap and residuals: tighter costs time, looser costs the bound more than it saves."""

_ROUNDING = 1e-13
"""Of the sum of magnitudes: taken off a bound for the rounding of its own sums."""


class Solved(NamedTuple):
    """What came of a batch of problems."""

    bound_eur: Floats
    """(problems,) proven: no feasible point costs less."""
    infeasible: NDArray[np.bool_]
    """(problems,) which ones have no feasible point, as far as the solver can tell."""
    x: Floats
    """(columns, problems) near the least cost."""


class ConicSolver:
    """One relaxation in Clarabel, ordered and scaled once; a problem only brings its right-hand side and its cost."""

    def __init__(self, relaxation: Relaxation) -> None:
        rows = relaxation.rows
        self._matrix = relaxation.matrix
        self._second_order = ((rows.branch_cone, 4), (rows.circle, 3))
        equalities = int(rows.slack_u[0]) + 1
        inequalities = self._matrix.shape[0] - equalities - sum(len(part) for part, _ in self._second_order)
        self._nonnegative = slice(equalities, equalities + inequalities)
        cones = [clarabel.ZeroConeT(equalities), clarabel.NonnegativeConeT(inequalities)]
        cones += [clarabel.SecondOrderConeT(height) for part, height in self._second_order for _ in range(len(part) // height)]
        height, width = self._matrix.shape
        quadratic = sparse.csc_matrix((width, width))
        self._clarabel = clarabel.DefaultSolver(quadratic, np.ones(width), self._matrix, np.ones(height), cones, _settings())

    def solve(self, problems: Problems, cost: Floats) -> Solved:
        """Solves each column of `problems` at its column of `cost` (columns, problems), EUR per unit of `x`."""
        z, x = np.zeros_like(problems.right), np.zeros_like(cost)
        infeasible = np.zeros(cost.shape[1], dtype=np.bool_)
        scale = np.maximum(np.abs(cost).max(axis=0, initial=0.0), 1e-9)
        for k in range(cost.shape[1]):
            self._clarabel.update(q=cost[:, k] / scale[k], b=problems.right[:, k])
            found = self._clarabel.solve()
            z[:, k], x[:, k] = found.z, found.x
            infeasible[k] = found.status in (clarabel.SolverStatus.PrimalInfeasible, clarabel.SolverStatus.AlmostPrimalInfeasible)
        bound = self.proven(problems, cost, z * scale)
        # More than anything within range can cost: proof that nothing is feasible, whatever the solver said.
        most = np.maximum(cost * problems.low, cost * problems.high).sum(axis=0)
        return Solved(bound, infeasible | (bound > most), x)

    def proven(self, problems: Problems, cost: Floats, z: Floats) -> Floats:
        """(problems,) the bound that any `z` (rows, problems) proves; never less than what the ranges alone do."""
        z = self._in_dual_cone(z)
        left: Floats = cost + self._matrix.T @ z
        low, high, paid = left * problems.low, left * problems.high, problems.right * z
        summed = np.abs(paid).sum(axis=0) + np.maximum(np.abs(low), np.abs(high)).sum(axis=0)
        by_dual = np.minimum(low, high).sum(axis=0) - paid.sum(axis=0) - _ROUNDING * summed
        by_range = np.minimum(cost * problems.low, cost * problems.high).sum(axis=0)
        best: Floats = np.maximum(by_dual, by_range)
        return best

    def _in_dual_cone(self, z: Floats) -> Floats:
        """The nearest multipliers that prove something: not below zero, and inside the second-order cones."""
        z = np.where(np.isfinite(z).all(axis=0), z, 0.0)
        z[self._nonnegative] = np.maximum(z[self._nonnegative], 0.0)
        for rows, height in self._second_order:
            part = z[rows].reshape(len(rows) // height, height, z.shape[1])
            norm = np.sqrt((part[:, 1:] ** 2).sum(axis=1)) * (1 + 1e-15)
            part[:, 0] = np.maximum(part[:, 0], norm)
            z[rows] = part.reshape(len(rows), z.shape[1])
        return z


def _settings() -> Any:
    """One thread, and nothing that would forbid new right-hand sides."""
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.presolve_enable = False
    settings.chordal_decomposition_enable = False
    settings.max_threads = 1
    settings.direct_solve_method = "qdldl"
    settings.max_iter = ITERATIONS
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
    return settings
