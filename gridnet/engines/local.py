"""The engines of this machine: this process, or several beside it."""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable
from multiprocessing.connection import wait

from gridnet.engines.child import Child, Pipe
from gridnet.engines.job import POLL_S, Answer, Item, Job, Shared, ignore, opened, pack, perform, perform_packed, rest


class Here:
    """Runs one piece after the other in this process."""

    def run(
        self, job: Job[Shared, Item, Answer], told: Callable[[int], None] = ignore, look: Callable[[], None] = rest
    ) -> list[Answer]:
        """As `gridnet.engines.job.Engine`; looks between pieces alone."""
        answers = []
        for index, item in enumerate(job.items):
            answers.append(perform(job.work, job.shared, item))
            told(index)
            look()
        return answers


class Processes:
    """Runs `workers` pieces at once, in processes that live as long as the job. One that is killed ends the job: on one machine
    that is mostly for want of memory, and would come again."""

    def __init__(self, workers: int) -> None:
        self._workers = workers

    def run(
        self, job: Job[Shared, Item, Answer], told: Callable[[int], None] = ignore, look: Callable[[], None] = rest
    ) -> list[Answer]:
        """As `gridnet.engines.job.Engine`."""
        waiting = deque(enumerate(job.items))
        answers: dict[int, Answer] = {}
        crew: list[Child] = []
        at: dict[object, tuple[Child, int]] = {}

        def give(worker: Child) -> None:
            index, item = waiting.popleft()
            worker.piece, at[worker.pipe] = f"the process of {item}", (worker, index)
            worker.send(pack(item))

        try:
            # All are started before the first is given anything: they load their modules at the same time.
            for _ in range(min(self._workers, len(job.items))):
                crew.append(Child(_serve))
            shared = pack((job.work, job.shared))
            for worker in crew:
                worker.send(shared)
                give(worker)
            while at:
                for pipe in wait([worker.pipe for worker, _ in at.values()], POLL_S):
                    worker, index = at.pop(pipe)
                    answers[index] = opened(worker.receive())
                    told(index)
                    if waiting:
                        give(worker)
                look()
        finally:
            for worker in crew:
                worker.end()
        return [answers[index] for index in range(len(job.items))]


def _serve(pipe: Pipe) -> None:
    threading.Thread(target=_end_with_parent, daemon=True).start()
    work, shared = pickle.loads(pipe.recv_bytes())
    while True:
        pipe.send_bytes(perform_packed(work, shared, pipe.recv_bytes()))


def _end_with_parent() -> None:
    """A parent that was killed can't end its children; they see it go."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)
