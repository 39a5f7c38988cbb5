"""How a body is read before it is believed, and how OpenADR's clients are told that it can't be: a `problem` (RFC 9457)."""

from __future__ import annotations

import json
from collections.abc import Callable, Coroutine
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from pydantic import ValidationError

from gridnet.app.api.answering import AnsweringRoute
from gridnet.app.api.problems import FaultOut, problem
from gridnet.errors import Fault, InputError


class Route(AnsweringRoute):
    """A route for which bad input is a 400: OpenADR has no 422. Other errors are answered as everywhere in the service."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """FastAPI's own handler, with this error caught."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except InputError as error:
                faults = tuple(FaultOut(where=each.where, got=each.got, expected=each.expected) for each in error.faults)
                return problem(request, HTTPStatus.BAD_REQUEST, "invalid-input", str(error), faults)

        return handled


async def read_object(request: Request) -> dict[str, Any]:
    """The JSON object that the request's body is. Raises `InputError`."""
    try:
        body = json.loads(await request.body(), parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise InputError("the body is not JSON:", [Fault("body", str(error)[:200], "one JSON object")]) from error
    if not isinstance(body, dict):
        raise InputError("the body is not an object:", [Fault("body", type(body).__name__, "one JSON object")])
    return body


Sent = Annotated[dict[str, Any], Depends(read_object)]


def input_error(what: str, error: ValidationError) -> InputError:
    """Pydantic's findings in the project's words."""
    found = [Fault(".".join(map(str, each["loc"])) or what, str(each["input"])[:80], each["msg"]) for each in error.errors()]
    return InputError(f"this is no {what}:", found)


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON number")
