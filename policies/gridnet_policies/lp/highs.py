"""HiGHS as a linear programme that changes in place: rows are added, bounds, costs and coefficients set, the basis stays."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
from numpy.typing import NDArray

from gridnet.errors import Infeasible
from gridnet_policies.lp.engine import NEGLIGIBLE

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

INFINITY = highspy.kHighsInf


class HighsProgramme:
    """`minimise cost @ x, lower <= x <= upper` and the rows added. One thread and a fixed seed: the same answer every time."""

    def __init__(self, cost: Floats, lower: Floats, upper: Floats) -> None:
        self.rows = 0
        self._highs: Any = highspy.Highs()  # type: ignore[no-untyped-call]
        for option, setting in (("output_flag", False), ("threads", 1), ("random_seed", 0)):
            self._highs.setOptionValue(option, setting)
        self._no_rows = np.zeros(0, dtype=np.int32)
        self._highs.addCols(len(cost), cost, lower, upper, 0, self._no_rows, self._no_rows, np.zeros(0))

    def add_rows(self, lower: Floats, upper: Floats, columns: Ints, coefficients: Floats) -> Ints:
        """Adds rows of equal length: `columns`, `coefficients` (rows, entries). Gives their numbers."""
        present = np.abs(coefficients) > NEGLIGIBLE
        starts = np.concatenate([[0], np.cumsum(present.sum(axis=1))[:-1]]).astype(np.int32)
        entries = columns[present].astype(np.int32)
        self._highs.addRows(len(lower), lower, upper, len(entries), starts, entries, coefficients[present])
        numbers = np.arange(self.rows, self.rows + len(lower), dtype=np.int32)
        self.rows += len(lower)
        return numbers

    def bound_rows(self, rows: Ints, lower: Floats, upper: Floats) -> None:
        """Sets the bounds of `rows`."""
        if len(rows):
            self._highs.changeRowsBounds(len(rows), rows, lower, upper)

    def bound_columns(self, columns: Ints, lower: Floats, upper: Floats) -> None:
        """Sets the bounds of `columns`."""
        if len(columns):
            self._highs.changeColsBounds(len(columns), columns, lower, upper)

    def price_columns(self, columns: Ints, cost: Floats) -> None:
        """Sets the cost of `columns`."""
        self._highs.changeColsCost(len(columns), columns, cost)

    def set_coefficients(self, row: int, columns: Ints, coefficients: Floats) -> None:
        """Sets single coefficients of one row."""
        kept = np.where(np.abs(coefficients) > NEGLIGIBLE, coefficients, 0.0)
        for column, coefficient in zip(columns.tolist(), kept.tolist(), strict=True):
            self._highs.changeCoeff(row, column, coefficient)

    def run(self, time_limit_s: float | None) -> bool:
        """Solves; False where the time did not suffice. Raises `Infeasible` where there is no solution at all."""
        limit = INFINITY if time_limit_s is None else self._highs.getRunTime() + time_limit_s
        self._highs.setOptionValue("time_limit", limit)
        self._highs.run()
        status = self._highs.getModelStatus()
        if status not in (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kTimeLimit):
            # A basis that has become singular with the coefficients changed under it: begin afresh.
            self._highs.clearSolver()
            self._highs.run()
            status = self._highs.getModelStatus()
        if status == highspy.HighsModelStatus.kTimeLimit:
            return False
        if status != highspy.HighsModelStatus.kOptimal:
            raise Infeasible(
                f"HiGHS found no schedule ({self._highs.modelStatusToString(status)}); "
                "check prices and device ratings for extreme values"
            )
        return True

    def values(self) -> Floats:
        """(columns,) the solution."""
        return np.array(self._highs.getSolution().col_value)

    def duals(self) -> Floats:
        """(rows,) what the objective gains per unit of a row's bound."""
        return np.array(self._highs.getSolution().row_dual)

    @property
    def objective(self) -> float:
        """The objective of the solution."""
        return float(self._highs.getInfo().objective_function_value)
