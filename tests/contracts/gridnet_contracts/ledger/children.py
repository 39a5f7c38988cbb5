"""Processes of their own that work on a ledger, and die on it. They come from a server that has the imports behind it."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, ForkServerProcess
from multiprocessing.synchronize import Barrier
from struct import Struct
from typing import Any

import pytest
from sqlalchemy import event

from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.actions.certificates import Claim, Split, Transfer
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.errors import LedgerError
from gridnet_contracts.ledger.ledger import Ledger, Receipt
from gridnet_contracts.ledger.seal import Seal
from gridnet_contracts.ledger.sequencer import Sequencer
from tests.contracts.gridnet_contracts.ledger.builders import certificate, charge, discharge, issue, pay
from tests.contracts.gridnet_contracts.ledger.stores import Place

RECEIPT = Struct(">Q32s")
READY = b"ready"
OPENED: list[Ledger] = []


def context() -> ForkServerContext:
    """Where processes are started; the first one pays for the imports."""
    forks = multiprocessing.get_context("forkserver")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join(each for each in sys.path if each))
        forks.set_forkserver_preload([__name__])
        warm = forks.Process(target=os.getpid)
        warm.start()
    warm.join()
    return forks


def start(forks: ForkServerContext, work: Callable[..., None], *parts: Any) -> tuple[ForkServerProcess, Connection]:
    """A process that runs `work(pipe, *parts)`, and our end of its pipe, which ends when it does."""
    ours, theirs = forks.Pipe(duplex=False)
    process = forks.Process(target=work, args=(theirs, *parts))
    process.start()
    theirs.close()
    return process, ours


def received(pipe: Connection) -> Iterator[bytes]:
    """The whole messages in a pipe, to its end."""
    while True:
        try:
            yield pipe.recv_bytes()
        except (EOFError, ConnectionResetError):
            return
        except OSError as error:  # killed in the middle of a message
            if "got end of file" not in str(error):
                raise
            return


def receipts(messages: Iterable[bytes]) -> dict[int, bytes]:
    """Entry to leaf hash of the receipts among messages."""
    return dict(RECEIPT.unpack(message) for message in messages if message != READY)


def opened(place: Place) -> Ledger:
    """A ledger that was founded, on connections of this process; closed with the test, if not before."""
    OPENED.append(Ledger(Database(place.url), Seal.at(place.folder)))
    return OPENED[-1]


def acknowledge(pipe: Connection, made: list[Receipt]) -> None:
    """Says what was committed."""
    for receipt in made:
        pipe.send_bytes(RECEIPT.pack(receipt.entry, receipt.leaf_hash))


def story(minute: int, size: int) -> list[Action]:
    """A batch of several actions around the quarter-hour that begins `minute` minutes after the examples' hour."""
    name = certificate(minute)
    parts = certificate(minute, 0, 400), certificate(minute, 400, 1000)
    told: list[Action] = [
        pay(7, "source/bank"),
        issue(minute),
        Split(certificate=name, owner="ann", wh=400),
        Transfer(certificate=parts[0], owner="ann", to="bob"),
        Claim(certificate=parts[0], owner="bob", beneficiary="bob", purpose="heat"),
        charge(minute, 900, (parts[1],)),
        discharge(minute, 300),
        pay(5),
    ]
    return told[:size]


def keep_committing(pipe: Connection, place: Place, seed: int) -> None:
    """Commits batch after batch and acknowledges each entry, until it is killed. Ready after the first, which is slow."""
    ledger, chance = opened(place), random.Random(seed)
    for number in itertools.count(400 * seed):
        batch = story(15 * number, chance.randint(1, 8))
        acknowledge(pipe, ledger.commit([Order(f"{number}-{k}", action) for k, action in enumerate(batch)]))
        if number == 400 * seed:
            pipe.send_bytes(READY)


def die_at(pipe: Connection, place: Place, seed: int, step: int) -> None:
    """Commits one batch and is killed just before its `step`-th word with the database or the guard's disk. Sends "ready" where it
    comes to the end."""
    ledger = opened(place)
    steps = itertools.count(1)

    def pass_by(*_: object, **__: object) -> None:
        if next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    def passing(call: Callable[..., Any]) -> Callable[..., Any]:
        def passed(*parts: Any, **named: Any) -> Any:
            pass_by()
            return call(*parts, **named)

        return passed

    for moment in ("before_cursor_execute", "commit"):
        event.listen(ledger.database.engine, moment, pass_by)
    os.fsync, os.replace = passing(os.fsync), passing(os.replace)
    made = ledger.commit([Order(f"{seed}-{k}", action) for k, action in enumerate(story(15 * 400 * seed, 8))])
    pipe.send_bytes(READY)
    pass_by()
    acknowledge(pipe, made)


def attempt(pipe: Connection, place: Place, gate: Barrier, wanted: list[Order]) -> None:
    """Commits orders one by one as soon as all are at the gate, and sends how they ended: a name of an error, or "done"."""
    ledger = opened(place)
    ended: Counter[str] = Counter()
    gate.wait()
    for order in wanted:
        try:
            ledger.commit([order])
            ended["done"] += 1
        except LedgerError as error:
            ended[type(error).__name__] += 1
    ledger.close()
    pipe.send(ended)


def hurry(pipe: Connection, place: Place, gate: Barrier, number: int) -> None:
    """Four threads ask a sequencer for ten payments each, and twice for one that nobody can make; sends entry to leaf hash, and the
    names of the refusals."""
    sequencer = Sequencer(opened(place))
    here = threading.Barrier(4, gate.wait)

    def ask(thread: int) -> tuple[dict[int, bytes], Counter[str]]:
        made, refused = dict[int, bytes](), Counter[str]()
        here.wait()
        for turn in range(12):
            asked = Order(f"{number}-{thread}-{turn}", pay(2**40 if turn % 6 == 5 else 1))
            try:
                [receipt] = sequencer.commit([asked])
                made[receipt.entry] = receipt.leaf_hash
            except LedgerError as error:
                refused[type(error).__name__] += 1
        return made, refused

    entered, refusals = dict[int, bytes](), Counter[str]()
    with ThreadPoolExecutor(4) as threads:
        for made, refused in threads.map(ask, range(4)):
            entered |= made
            refusals += refused
    sequencer.ledger.close()
    pipe.send((entered, refusals))
