"""The one error tree, and what each error means to a shell.

Every error a user can meet is a `GridnetError`. Its message says what is wrong, where, and what to do about it; the
attributes carry the same facts for programs. Input checks collect every fault before they raise (`InputError.faults`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """One thing wrong with an input: `where` (file and key, or file and row), what was `got`, what was `expected`."""

    where: str
    got: str
    expected: str

    def __str__(self) -> str:
        return f"{self.where}: got {self.got}, expected {self.expected}"


class GridnetError(Exception):
    """Base of every error gridnet raises on purpose."""

    exit_code = 1

    def __init__(
        self,
        message: str,
        *,
        device: str | None = None,
        step: int | None = None,
        expected: object = None,
        got: object = None,
        unit: str | None = None,
    ) -> None:
        super().__init__(message)
        self.device = device
        self.step = step
        self.expected = expected
        self.got = got
        self.unit = unit


class InputError(GridnetError):
    """A user's input can't be used. Lists all faults found, one a line."""

    exit_code = 2

    def __init__(self, message: str, faults: Sequence[Fault] = ()) -> None:
        self.faults = tuple(faults)
        lines = [message, *(f"  - {fault}" for fault in self.faults)]
        super().__init__("\n".join(lines))


class ModelError(GridnetError):
    """The physical or mathematical model has no answer for a valid input."""

    exit_code = 3


class PowerFlowDiverged(ModelError):
    """The AC power flow has no solution at the stated operating point (voltage collapse, or a broken network)."""


class Infeasible(ModelError):
    """The optimiser found no schedule within the limits."""


class VerificationError(GridnetError):
    """Evidence does not prove what it claims; names the numbered check that failed."""

    exit_code = 1


class LedgerError(GridnetError):
    """The ledger refuses: nothing was written."""

    exit_code = 4
