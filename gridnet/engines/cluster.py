"""Pieces as tasks of a Ray cluster, one core each. Every machine of it must have this version of gridnet installed.

Ray ends the process that speaks with a cluster when it loses the cluster's head, so that process is a child of this one, which
then says what happened.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import signal
import socket
import sys
import threading
import time
import uuid
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from gridnet.engines.child import Child, Pipe
from gridnet.engines.job import POLL_S, Answer, Item, Job, Shared, WorkerLost, ignore, opened, pack, perform_packed, rest
from gridnet.errors import InputError

_SPARE_BYTES = 80 * 2**20
"""Of the store of objects, beside what the pieces share: items and answers."""
_RETRIES = 3
_PATIENCE_S = 30.0
"""For Ray to start and to end."""
_KNOCK_S = 5.0


class Cluster:
    """Runs pieces on the Ray cluster at `address` (`auto` finds the one this machine belongs to), or on one started for the job on
    this machine, with `workers` cores (all of them). A piece whose process or machine is lost is done again elsewhere, three times
    at most; an answer counts once, by its place. A cluster whose head is lost ends the job."""

    def __init__(self, address: str | None = None, workers: int | None = None) -> None:
        self._address, self._workers = address, workers

    def run(
        self, job: Job[Shared, Item, Answer], told: Callable[[int], None] = ignore, look: Callable[[], None] = rest
    ) -> list[Answer]:
        """As `gridnet.engines.job.Engine`. Raises `InputError` where Ray is missing or can't be reached."""
        import_ray()
        _reach(self._address)
        answers: dict[int, Answer] = {}
        driver = Child(_drive, self._address, self._workers)
        driver.piece = "the process that spoke with it"
        try:
            driver.send(pack((job.work, job.shared)))
            driver.send(pack([pack(item) for item in job.items]))
            while len(answers) < len(job.items):
                if driver.pipe.poll(POLL_S):
                    index, said = driver.receive()
                    answers[index] = opened(pickle.loads(said))
                    told(index)
                look()
        except _PieceLost as error:
            raise WorkerLost(f"the cluster lost {job.items[error.index]}: {error}") from error
        except WorkerLost as error:
            raise WorkerLost(f"the Ray cluster at {self._address or 'this machine'} is lost, its head perhaps: {error}") from error
        finally:
            driver.end(_PATIENCE_S)
            # What a cluster that died on this machine left behind.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(driver.pid, signal.SIGKILL)
        return [answers[index] for index in range(len(job.items))]


class _PieceLost(WorkerLost):
    """As the driver says it, which doesn't know the pieces' names."""

    def __init__(self, message: str, index: int = -1) -> None:
        super().__init__(message)
        self.index = index


def import_ray() -> ModuleType:
    """The package. Raises `InputError` where it isn't installed."""
    try:
        import ray
    except ModuleNotFoundError as error:
        raise InputError("the extra 'cluster' beside it: pip install 'gridnet-dispatch[cluster]'") from error
    return ray


def _reach(address: str | None) -> None:
    """Ray itself asks for minutes where nobody answers. Raises `InputError`."""
    host, colon, port = (address or "").rpartition(":")
    if not colon or not port.isdecimal():
        return
    try:
        socket.create_connection((host.removeprefix("ray://"), int(port)), _KNOCK_S).close()
    except (OSError, OverflowError) as error:
        raise InputError(f"no Ray cluster at {address}: {error}") from error


def _drive(pipe: Pipe, address: str | None, workers: int | None) -> None:
    """Hands pieces to the cluster and answers back, both unopened."""
    os.setpgrp()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    ray = import_ray()
    shared, items = pipe.recv_bytes(), pickle.loads(pipe.recv_bytes())
    try:
        _connect(ray, address, workers, len(shared))
    except (ConnectionError, ValueError) as error:
        pipe.send_bytes(pack((-1, pack((False, InputError(f"no Ray cluster at {address or 'this machine'}: {error}"))))))
        return
    pending: dict[Any, int] = {}
    try:
        # Inside a list the reference travels, not what it refers to: a process fetches that once.
        held = [ray.put(shared)]
        remote, name = ray.remote(num_cpus=1, max_retries=_RETRIES)(_piece), uuid.uuid4().hex
        pending = {remote.remote(name, held, item): index for index, item in enumerate(items)}
        # Nothing more is said to this process: what comes is the end of the pipe.
        while pending and not pipe.poll():
            done, _ = ray.wait(list(pending), timeout=POLL_S)
            for each in done:
                index = pending.pop(each)
                pipe.send_bytes(pack((index, _answer(ray, each, index))))
    except BrokenPipeError:
        return  # nobody waits for answers any more
    finally:
        for each in pending:
            ray.cancel(each, force=True)
        ray.shutdown()


def _end_with_parent() -> None:
    """Where the parent was killed the pipe ends too, which may go unseen while Ray starts."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        time.sleep(_PATIENCE_S)
        os.killpg(0, signal.SIGKILL)


def _connect(ray: ModuleType, address: str | None, workers: int | None, shared_bytes: int) -> None:
    # Nothing about a run leaves the machine unless its user asks for it.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Or a cluster of this machine's own would give way to everything else on it.
    os.environ.setdefault("RAY_worker_niceness", "0")
    if address is not None:
        ray.init(address=address, log_to_driver=False)
        return
    ray.init(
        address="local",
        num_cpus=workers or os.cpu_count(),
        object_store_memory=_SPARE_BYTES + 2 * shared_bytes,
        include_dashboard=False,
        # Its processes find modules where this one does, also where gridnet is used from its source.
        runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(sys.path)}},
        log_to_driver=False,
    )


_held: dict[str, tuple[Callable[[Any, Any], Any], Any]] = {}
"""What the pieces of a job share, opened in this process: of one job at a time."""


def _piece(name: str, held: Sequence[Any], item: bytes) -> bytes:
    """One piece in a process of the cluster, which keeps what the job's pieces share."""
    if name not in _held:
        _held.clear()
        _held[name] = pickle.loads(import_ray().get(held[0]))
    work, shared = _held[name]
    return perform_packed(work, shared, item)


def _answer(ray: ModuleType, done: Any, index: int) -> bytes:
    try:
        said: bytes = ray.get(done)
    except ray.exceptions.RayError as error:
        return pack((False, _PieceLost(str(error), index)))
    return said
