"""A job: independent pieces of work on something that they share, and what every engine promises of it."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from threadpoolctl import threadpool_limits

from gridnet.errors import GridnetError

Shared = TypeVar("Shared")
Item = TypeVar("Item")
Answer = TypeVar("Answer")

POLL_S = 0.5
"""Pause between two looks at pieces that are under way."""


@dataclass(frozen=True)
class Job(Generic[Shared, Item, Answer]):
    """Pieces of work in the order in which their answers are wanted. No piece may need another's answer, and each may be done
    twice: where the process that did it was lost, it is done again from the start."""

    work: Callable[[Shared, Item], Answer]
    """A function of a module, which other processes find by its name."""
    shared: Shared
    """What all pieces look at: it reaches each process once. What a piece keeps in it, the next may find or not."""
    items: Sequence[Item]
    """A piece each; its `str` names it in messages."""


class WorkerLost(GridnetError):
    """A process that worked on a piece ended without an answer, or the cluster that was to give it is gone."""


def ignore(index: int) -> None:
    """Tells nobody that a piece is done."""


def rest() -> None:
    """Looks at nothing while pieces are under way."""


class Engine(Protocol):
    """Where a job's pieces run."""

    def run(
        self, job: Job[Shared, Item, Answer], told: Callable[[int], None] = ignore, look: Callable[[], None] = rest
    ) -> list[Answer]:
        """The answers in the order of the items, whatever the order in which they came.

        `told` gets the index of each piece that is done, `look` is called all the while. The first error, an interrupt too, ends
        all pieces and leaves nothing running. Raises what a piece raised, and `WorkerLost`.
        """
        ...


def perform(work: Callable[[Shared, Item], Answer], shared: Shared, item: Item) -> Answer:
    """One piece on one thread, wherever it runs: sums then always run in the same order, and processes don't share a core."""
    with threadpool_limits(1):
        return work(shared, item)


def pack(content: object) -> bytes:
    """For another process."""
    return pickle.dumps(content, protocol=5)


def perform_packed(work: Callable[[Any, Any], Any], shared: object, item: bytes) -> bytes:
    """One piece for another process: whether it was done, and the answer or the error that ended it."""
    try:
        return pack((True, perform(work, shared, pickle.loads(item))))
    except GridnetError as error:
        return pack((False, error))


def opened(said: tuple[bool, Any]) -> Any:
    """The answer in what `perform_packed` said. Raises the error in it."""
    done, content = said
    if not done:
        raise content
    return content
