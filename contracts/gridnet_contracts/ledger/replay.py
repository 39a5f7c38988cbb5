"""Replay: the whole ledger made again from the leaves of its log, by the rules that made it."""

from __future__ import annotations

import gc
import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from gridnet.errors import LedgerError, VerificationError
from gridnet_contracts.ledger.entry import Entry, read_entry
from gridnet_contracts.ledger.rules.apply import apply
from gridnet_contracts.ledger.rules.context import Context
from gridnet_contracts.ledger.state import Movement, State

KEPT_CHANGES = 10_000
"""Entries after which a replay that writes nothing forgets what changed."""


class Replay:
    """A ledger in memory that takes one leaf after the other. Each must follow from those before: what it says it moved is what
    the rules move, keys are used once, time does not go back."""

    def __init__(self) -> None:
        self.state = State()
        self.size = 0
        self._time = ""
        self._keys: set[str] = set()

    def entries(self, leaves: Iterable[bytes]) -> Iterator[Entry]:
        """The entries of these leaves, taken one after the other; what changed in the state is forgotten.
        Raises `VerificationError`."""
        with no_collection():
            for leaf in leaves:
                yield self.take(leaf)
                if self.size % KEPT_CHANGES == 0:
                    self.state.take_changes()

    @staticmethod
    def movements_of(leaf: bytes) -> list[Movement]:
        """The movements that a leaf which was taken says."""
        return [(asset, debit, credit, amount) for asset, debit, credit, amount in json.loads(leaf)["movements"]]

    def take(self, leaf: bytes) -> Entry:
        """The next entry. Raises `VerificationError` where it does not follow."""
        entry = read_entry(leaf, self.size)
        if entry.time < self._time:
            raise VerificationError(f"entry {entry.seq} is of {entry.time}, before the entry it follows", step=entry.seq)
        if entry.key in self._keys:
            raise VerificationError(f"entry {entry.seq}: key {entry.key!r} was used before", step=entry.seq)
        context = Context(self.state, entry.seq, entry.time)
        try:
            apply(context, entry.action)
        except LedgerError as error:
            raise VerificationError(f"entry {entry.seq} breaks the ledger's rules: {error}", step=entry.seq) from error
        if tuple(context.movements) != entry.movements:
            raise VerificationError(
                f"entry {entry.seq} moves {entry.movements}, the rules move {context.movements}", step=entry.seq
            )
        self._keys.add(entry.key)
        self._time = entry.time
        self.size += 1
        return entry


@contextmanager
def no_collection() -> Iterator[None]:
    """Keeps Python from looking for cycles, of which a replay makes none, among millions of rows again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def replay(leaves: Iterable[bytes]) -> State:
    """The state that all leaves of a log add up to. Raises `VerificationError` at the first that does not follow."""
    ledger = Replay()
    for _ in ledger.entries(leaves):
        pass
    return ledger.state
