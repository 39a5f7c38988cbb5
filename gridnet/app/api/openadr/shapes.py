"""What clients may send: the members that OpenADR 3 requires, and the types of those it knows. Others are kept as they came."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from gridnet.app.api.openadr.requests import input_error
from gridnet.app.api.openadr.times import NOW, duration_of, moment_of

Version = Literal["3.1.0", "3.0.1"]
Kind = Literal["program", "event", "report", "ven", "resource", "subscription"]
KINDS: tuple[Kind, ...] = ("program", "event", "report", "ven", "resource", "subscription")

OPERATIONS = {"GET": "READ", "POST": "CREATE", "PUT": "UPDATE", "DELETE": "DELETE"}
"""What 3.0.1 calls an operation, and what 3.1 does. Clients of either version use both."""

Name = Annotated[str, Field(min_length=1, max_length=128)]
Id = Annotated[str, Field(pattern=r"^[a-zA-Z0-9_-]{1,128}$")]


def _is_duration(text: str) -> str:
    duration_of(text)
    return text


def _is_moment(text: str) -> str:
    if text != NOW:
        moment_of(text)
    return text


Duration = Annotated[str, Field(max_length=64), AfterValidator(_is_duration)]
Moment = Annotated[str, Field(max_length=64), AfterValidator(_is_moment)]


class Shape(BaseModel):
    """A JSON object with known members."""

    model_config = ConfigDict(extra="allow", allow_inf_nan=False)


class Period(Shape):
    """Start and duration of an interval, or of each interval."""

    start: Moment | None = None
    duration: Duration | None = None
    randomizeStart: Duration | None = None


class Values(Shape):
    """Named values: a payload, an attribute, a target of 3.0.1."""

    type: Name
    values: list[bool | int | float | str | dict[str, float]]


class Interval(Shape):
    """Payloads, and when they hold."""

    id: int
    intervalPeriod: Period | None = None
    payloads: Annotated[list[Values], Field(min_length=1)]


class Descriptor(Shape):
    """Units of a payload."""

    payloadType: Name
    units: str | None = None


class Program(Shape):
    """A program."""

    programName: Name
    intervalPeriod: Period | None = None
    payloadDescriptors: list[Descriptor] | None = None
    attributes: list[Values] | None = None
    targets: list[Name] | None = None


class Event(Shape):
    """An event of a program."""

    programID: Id
    eventName: str | None = None
    priority: Annotated[int, Field(ge=0)] | None = None
    duration: Duration | None = None
    intervalPeriod: Period | None = None
    intervals: list[Interval] | None = None
    payloadDescriptors: list[Descriptor] | None = None
    targets: list[Name] | None = None


class ReportResource(Shape):
    """What one resource reports."""

    resourceName: Name
    intervalPeriod: Period | None = None
    intervals: Annotated[list[Interval], Field(min_length=1)]


class Report(Shape):
    """A report on an event."""

    eventID: Id
    clientName: Name
    reportName: str | None = None
    payloadDescriptors: list[Descriptor] | None = None
    resources: list[ReportResource]


class Ven(Shape):
    """A virtual end node: a client, or a part of one."""

    venName: Name
    clientID: Name | None = None
    attributes: list[Values] | None = None
    targets: list[Name] | None = None


class Resource(Shape):
    """Something behind a VEN."""

    resourceName: Name
    venID: Id
    clientID: Name | None = None
    attributes: list[Values] | None = None
    targets: list[Name] | None = None


class ObjectOperation(Shape):
    """Of what a subscriber wants to know, and where."""

    objects: Annotated[list[Literal["PROGRAM", "EVENT", "REPORT", "SUBSCRIPTION", "VEN", "RESOURCE"]], Field(min_length=1)]
    operations: Annotated[
        list[Literal["GET", "POST", "PUT", "DELETE", "READ", "CREATE", "UPDATE"]], Field(min_length=1, max_length=7)
    ]
    callbackUrl: Annotated[str, Field(min_length=1, max_length=2048)]
    bearerToken: Annotated[str, Field(max_length=4096, pattern=r"^[\x21-\x7e]*$")] | None = None


class Subscription(Shape):
    """A wish to be told of changes."""

    clientName: Name
    programID: Id | None = None
    objectOperations: Annotated[list[ObjectOperation], Field(min_length=1, max_length=16)]
    targets: list[Name] | None = None


class _Older(BaseModel):
    """3.0.1 writes targets as named values."""

    targets: list[Values] | None = None


class _Program301(_Older, Program):
    pass


class _Event301(_Older, Event):
    @model_validator(mode="after")
    def _has_intervals(self) -> _Event301:
        # Required there: a client of that version can't read an event without.
        if self.intervals is None:
            raise ValueError("intervals are required")
        return self


class _Report301(Report):
    programID: Id


class _Ven301(_Older, Ven):
    pass


class _Resource301(_Older, Resource):
    pass


class _Subscription301(_Older, Subscription):
    @model_validator(mode="after")
    def _has_program(self) -> _Subscription301:
        if self.programID is None:
            raise ValueError("programID is required")
        return self


_SHAPES: Mapping[Version, Mapping[Kind, type[Shape]]] = {
    "3.1.0": {
        "program": Program,
        "event": Event,
        "report": Report,
        "ven": Ven,
        "resource": Resource,
        "subscription": Subscription,
    },
    "3.0.1": {
        "program": _Program301,
        "event": _Event301,
        "report": _Report301,
        "ven": _Ven301,
        "resource": _Resource301,
        "subscription": _Subscription301,
    },
}


def check(version: Version, kind: Kind, body: Mapping[str, Any]) -> None:
    """Raises `InputError` naming every fault of an object that a client sent."""
    try:
        _SHAPES[version][kind].model_validate(body)
    except ValidationError as error:
        raise input_error(kind, error) from error
