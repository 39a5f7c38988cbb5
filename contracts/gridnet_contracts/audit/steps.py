"""An audit is a numbered list of checks that stops at the first that fails."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from gridnet.errors import GridnetError

Check = Callable[[], str]
"""Gives what it found in order; raises a `GridnetError` that says what is not."""
UNREADABLE = (OSError, ValueError, LookupError, RecursionError)
"""What reading goes wrong with where evidence was made to mislead or can't be read: nothing is proven then either."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One check made."""

    number: int
    title: str
    passed: bool
    finding: str

    def __str__(self) -> str:
        return f"{self.number}. {'ok  ' if self.passed else 'FAIL'} {self.title}: {self.finding}"


def run(steps: Iterable[tuple[str, Check]]) -> Iterator[Outcome]:
    """Each check's outcome as it is made, the first failure the last."""
    for number, (title, check) in enumerate(steps, start=1):
        outcome = _made(number, title, check)
        yield outcome
        if not outcome.passed:
            return


def _made(number: int, title: str, check: Check) -> Outcome:
    try:
        return Outcome(number, title, passed=True, finding=check())
    except GridnetError as error:
        return Outcome(number, title, passed=False, finding=str(error))
    except UNREADABLE as error:
        return Outcome(number, title, passed=False, finding=f"can't be made sense of: {error or type(error).__name__}")
