"""A process beside this one, spoken with over a pipe."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any, TypeAlias

from gridnet.engines.job import WorkerLost

Pipe: TypeAlias = "Connection[Any, Any]"

_SAID: dict[int | None, str] = {-9: " (killed, perhaps for want of memory)"}


class Child:
    """Runs `serve(pipe, *arguments)`, a module's own function, in a fresh process. What passes is pickled by whoever sends it, so
    that it can be handed on unopened."""

    def __init__(self, serve: Callable[..., None], *arguments: object) -> None:
        # Fresh rather than forked: torch and numba keep threads, which a fork loses.
        fresh = multiprocessing.get_context("spawn")
        self.pipe, theirs = fresh.Pipe()
        self.piece = "a process"
        """What it works on, for messages."""
        self._process = fresh.Process(target=_begin, args=(serve, theirs, *arguments))
        self._process.start()
        theirs.close()

    def send(self, content: bytes) -> None:
        """Raises `WorkerLost` where the process has ended."""
        try:
            self.pipe.send_bytes(content)
        except (BrokenPipeError, ConnectionResetError):
            raise self._lost() from None

    def receive(self) -> Any:
        """What it said next, opened. Raises `WorkerLost` where it ended without a word."""
        try:
            return pickle.loads(self.pipe.recv_bytes())
        except (EOFError, ConnectionResetError):
            raise self._lost() from None

    def end(self, patience_s: float = 0.0) -> None:
        """Ends the process, whatever it is at; it sees the pipe closed, and has so long to end by itself."""
        self.pipe.close()
        self._process.join(patience_s)
        self._process.kill()
        self._process.join()

    @property
    def pid(self) -> int:
        """Of the process."""
        assert self._process.pid is not None
        return self._process.pid

    def _lost(self) -> WorkerLost:
        self._process.join()
        code = self._process.exitcode
        return WorkerLost(f"{self.piece} ended with code {code}{_SAID.get(code, '')}")


def _begin(serve: Callable[..., None], pipe: Pipe, *arguments: object) -> None:
    # An interrupt from the terminal reaches every process: the parent alone answers, and ends the others.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(pipe, *arguments)
