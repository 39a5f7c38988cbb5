"""Runs in processes of this machine, as many at once as it has cores."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import NamedTuple

from gridnet.errors import GridnetError
from gridnet_policies.rl.engines.task import POLL_S, Task, perform


class _Run(NamedTuple):
    """A task under way."""

    name: str
    process: SpawnProcess
    error: Connection
    """Gives the `GridnetError` that ended the process, if one did."""


def run_local(tasks: Sequence[Task], look: Callable[[], None]) -> None:
    """Performs all tasks and calls `look` all the while. The first error, an interrupt too, ends them all; their checkpoints
    stay. Raises what a task raised, or `GridnetError` where a process ended otherwise."""
    waiting, running = list(tasks), list[_Run]()
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                running.append(_start(waiting.pop(0)))
            wait([run.process.sentinel for run in running], POLL_S)
            look()
            for ended in [run for run in running if run.process.exitcode is not None]:
                running.remove(ended)
                _conclude(ended)
    finally:
        for run in running:
            run.process.terminate()
            run.process.join()
            run.error.close()


def _start(task: Task) -> _Run:
    # Fresh processes rather than forked ones: torch and numba keep threads, which a fork loses.
    fresh = multiprocessing.get_context("spawn")
    error, sender = fresh.Pipe(duplex=False)
    process = fresh.Process(target=_perform, args=(task.recipe.model_dump_json(), str(task.out), sender))
    process.start()
    sender.close()
    return _Run(task.name, process, error)


def _conclude(run: _Run) -> None:
    run.process.join()
    with run.error:
        if run.process.exitcode == 0:
            return
        try:
            error = run.error.recv()
        except EOFError:
            raise GridnetError(
                f"the training process of {run.name} ended with code {run.process.exitcode} "
                "(-9: killed, perhaps for want of memory); --resume goes on from its checkpoint"
            ) from None
        raise error


def _perform(recipe_json: str, out: str, sender: Connection) -> None:
    # An interrupt from the terminal reaches every process: the parent alone answers, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        perform(recipe_json, out)
    except GridnetError as error:
        sender.send(error)
        sys.exit(1)


def _end_with_parent() -> None:
    """A parent that was killed can't end its children; they see it go."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
