"""Errors as problem details (RFC 9457), one form for all of the native API."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from gridnet.app.service.errors import ServiceError, status_of
from gridnet.errors import GridnetError, InputError

MEDIA_TYPE = "application/problem+json"


class FaultOut(BaseModel):
    """One thing wrong with a request."""

    where: str = Field(examples=["p_kw"])
    got: str = Field(examples=["7 kW"])
    expected: str = Field(examples=["-5 to 5 kW"])


class Problem(BaseModel):
    """Problem details of RFC 9457."""

    type: str = Field(examples=["urn:gridnet:problem:not-found"])
    title: str = Field(examples=["not found"])
    status: int = Field(examples=[404])
    detail: str = Field(examples=["no device bat-99"])
    instance: str = Field(description="id of the request, for the operator's log", examples=["5f0c1e9a"])
    faults: list[FaultOut] = Field(default_factory=list)


RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"model": Problem, "description": words, "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, words in {
        400: "The request can't be read",
        401: "No credentials, or ones that are not valid",
        403: "Not yours to do",
        404: "No such object, or none that you may know of",
        409: "It is there already, or in a state that forbids this",
        413: "The body is too long or too deeply nested",
        422: "The input can't be used; every fault is listed",
        429: "Too many requests; Retry-After says when to come again",
        503: "Something that the service needs is away; Retry-After says when to come again",
    }.items()
}
"""What any operation may answer with."""


def add_handlers(app: FastAPI) -> None:
    """Has every error answered as problem details."""
    app.add_exception_handler(GridnetError, _ours)
    app.add_exception_handler(RequestValidationError, _malformed)
    app.add_exception_handler(HTTPException, _theirs)
    app.add_exception_handler(Exception, _unforeseen)


def problem(request: Request, status: int, kind: str, detail: str, faults: tuple[FaultOut, ...] = ()) -> JSONResponse:
    """An answer that says what is wrong."""
    body = Problem(
        type=f"urn:gridnet:problem:{kind}",
        title=kind.replace("-", " "),
        status=status,
        detail=detail,
        instance=answer_id(request),
        faults=list(faults),
    )
    return JSONResponse(body.model_dump(), status, media_type=MEDIA_TYPE)


def _ours(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, GridnetError)
    status, kind = status_of(error)
    faults = error.faults if isinstance(error, InputError) else ()
    shown = tuple(FaultOut(where=each.where, got=each.got, expected=each.expected) for each in faults)
    answer = problem(request, status, kind, str(error).splitlines()[0], shown)
    if isinstance(error, ServiceError) and error.retry_after_s is not None:
        answer.headers["retry-after"] = str(error.retry_after_s)
    if status == 401:
        answer.headers["www-authenticate"] = 'Bearer realm="gridnet"'
    return answer


def _malformed(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = tuple(
        FaultOut(where=".".join(map(str, each["loc"])), got=repr(each.get("input"))[:80], expected=each["msg"])
        for each in error.errors()[:50]
    )
    return problem(request, 422, "invalid-input", "the request does not have the form that it should", faults)


def _unforeseen(request: Request, error: Exception) -> JSONResponse:
    """The server logs the error; whoever asked learns under which id."""
    answer = problem(request, 500, "internal", "something went wrong here; the operator finds it by the id")
    answer.headers["x-request-id"] = answer_id(request)
    return answer


def answer_id(request: Request) -> str:
    """The request's id."""
    return str(request.scope.get("state", {}).get("request_id", ""))


def _theirs(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    kind = {404: "not-found", 405: "method-not-allowed"}.get(error.status_code, "bad-request")
    answer = problem(request, error.status_code, kind, str(error.detail))
    for name, value in (error.headers or {}).items():
        answer.headers[name] = value
    return answer
