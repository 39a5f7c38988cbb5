"""A request's way through threads and transactions: one of each, where that can be.

Handlers run beside the event loop, since databases block. To change threads costs a third of a millisecond and to open a
transaction a tenth, so whoever asks is identified where the answer is made, and an answer that only reads sees one state of the
database.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from functools import wraps
from inspect import iscoroutinefunction
from typing import Annotated, Any, TypeVar

from anyio import to_thread
from fastapi import Depends, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute

from gridnet.app.api.identity import BEARER, principal_of, service_of
from gridnet.app.service.model import Principal
from gridnet.errors import InputError

T = TypeVar("T")
READING = ("GET", "HEAD")


class Asker:
    """Whoever sent a request, before it is known who that is."""

    def __init__(self, request: Request) -> None:
        self.request = request

    def answer(self, make: Callable[[Principal], T]) -> T:
        """What `make` gives for whoever asks; in a thread. Raises `NotAuthenticated`, `TooMany`, and what `make` raises."""
        reads = self.request.method in READING
        with service_of(self.request).store.view() if reads else nullcontext():
            return make(self.identified())

    def identified(self) -> Principal:
        """Raises `NotAuthenticated`, `TooMany`."""
        principal = principal_of(self.request)
        self.request.state.identified = True
        return principal


async def _asker(request: Request, _: Annotated[object, Depends(BEARER)] = None) -> Asker:
    return Asker(request)


Unidentified = Annotated[Asker, Depends(_asker)]
"""For a handler that is a coroutine: it calls `answer` in a thread."""
Asking = Annotated[Principal, Depends(_asker)]
"""For a handler that is a function of an `AnsweringRoute`, which puts the principal in the asker's place."""


class AnsweringRoute(APIRoute):
    """A route whose handler is called in one thread with whoever asks. Nobody learns what is wrong with a request before it is
    known who sent it."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint if iscoroutinefunction(endpoint) else _in_one_thread(endpoint), **options)

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own, and the asker's identity before an error of form."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except (RequestValidationError, InputError):
                if not getattr(request.state, "identified", False):
                    await to_thread.run_sync(principal_of, request)
                raise

        return handled


def _in_one_thread(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(endpoint)
    async def answered(**given: Any) -> Any:
        askers = [name for name, value in given.items() if isinstance(value, Asker)]
        if not askers:
            return await to_thread.run_sync(lambda: endpoint(**given))
        name = askers[0]
        return await to_thread.run_sync(given[name].answer, lambda by: endpoint(**{**given, name: by}))

    return answered
