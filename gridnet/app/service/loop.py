"""The loops of a process: a thread for each live feeder, which keeps it going where this process holds it, and one that notifies.

What fails is tried again: a database that is away, a power flow without a solution. A feeder whose policy or power flow hangs stops
no other.
"""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Sequence
from functools import partial

import httpx

from gridnet.app.service.caught import Caught
from gridnet.app.service.fencing import named
from gridnet.app.service.keeper import Keeper
from gridnet.app.service.leader import Leadership
from gridnet.app.service.service import Service
from gridnet.app.service.telemetry import QUARTER_S

LOG = logging.getLogger("gridnet.service")
TICK_S = 1.0
RETRY_S = 5.0
_BEAT_S = 5.0


class Loop:
    """Keeps feeders going, each in a thread beside the server's. `tick_s`: how often is looked whether something is due."""

    def __init__(self, service: Service, keepers: Sequence[Keeper], tick_s: float = TICK_S, retry_s: float = RETRY_S) -> None:
        self._service, self._keepers = service, tuple(keepers)
        self._tick_s, self._retry_s = tick_s, retry_s
        self._leadership = Leadership(service.store.database, [keeper.name for keeper in keepers])
        self._stopping = threading.Event()
        works: list[Callable[[], None]] = [self._notify, self._beat, *(partial(self._run, keeper) for keeper in self._keepers)]
        self._threads = [threading.Thread(target=work, daemon=True) for work in works]

    def start(self) -> None:
        """Begins."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Ends after the step that each feeder is in, or after 10 s."""
        self._stopping.set()
        for thread in self._threads:
            thread.join(timeout=10.0)
        self._leadership.release()

    def tick(self) -> None:
        """What is due now, feeder by feeder, in the caller's thread; for whoever is sure to be alone."""
        for keeper in self._keepers:
            keeper.tick()

    def _run(self, keeper: Keeper) -> None:
        done = -1
        while not self._stopping.wait(self._tick_s if done >= 0 else 0.0):
            now_q = self._service.store.now_s() // QUARTER_S
            with Caught() as caught:
                if not self._goes_on(keeper):
                    keeper.drop()
                    self._stopping.wait(self._tick_s)
                elif now_q == done:
                    # Between two quarter-hours nothing is lost by a move.
                    if self._leadership.spared(keeper.name):
                        LOG.info("%s is left to another process", named(keeper.name))
                elif keeper.tick(lambda: self._goes_on(keeper)):
                    done = now_q
            if caught.words is not None:
                LOG.error("%s waits: %s", named(keeper.name), caught.words)
                # What it remembers may be half of a step: it is rebuilt from what is stored.
                keeper.drop()
                self._stopping.wait(self._retry_s)

    def _goes_on(self, keeper: Keeper) -> bool:
        return not self._stopping.is_set() and self._leadership.held(keeper.name)

    def _beat(self) -> None:
        """A feeder's thread may compute for longer than the database waits for a word of a process that holds feeders."""
        while not self._stopping.wait(min(self._tick_s, _BEAT_S)):
            self._leadership.beat()

    def _notify(self) -> None:
        """Of what is due any process sends a part: rows are taken in turn."""
        trusted = ssl.create_default_context(cafile=self._service.config.webhook_ca or None)
        with httpx.Client(verify=trusted) as client:
            while not self._stopping.wait(self._tick_s):
                with Caught() as caught:
                    self._service.webhooks.send_due(client)
                if caught.words is not None:
                    LOG.error("notifications wait: %s", caught.words)
