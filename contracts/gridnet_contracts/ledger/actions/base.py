"""What all actions share: strict fields, their types, and errors in the ledger's own words."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator

from gridnet_contracts.ledger.canonical import MAX_AMOUNT
from gridnet_contracts.ledger.errors import AmountOverflow, MalformedAction, NotWholeNumber

QUARTER = timedelta(minutes=15)
HOUR = timedelta(hours=1)


@lru_cache(4096)
def moment(instant: str) -> datetime:
    """An instant of the ledger, e.g. `2018-06-01T10:15Z`, as a time in UTC."""
    return datetime.fromisoformat(instant)


def instant(time: datetime) -> str:
    """A time in UTC as the ledger writes it, to the minute."""
    return time.strftime("%Y-%m-%dT%H:%MZ")


def _real(text: str) -> str:
    moment(text)  # a 30th of February is a ValueError, which pydantic turns into a fault
    return text


Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._:-]{0,63}$")]
"""A device, an asset, a registry: lower case, no slash, no @ (they part the pieces of longer names)."""
Party = Name
"""Who owns: the pseudonym of a home (`p:` and 32 hexadecimal digits), or the public name of a company."""
CertificateName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9._:-]+@[0-9TZ:-]{17}/[0-9]+-[0-9]+$", max_length=140)]
Account = Annotated[str, StringConstraints(pattern=r"^(owned|source)/[a-z0-9][a-z0-9._:-]{0,63}$")]
"""`owned/PARTY`, never below zero, or `source/PARTY`, the world outside, which may go below zero."""
Amount = Annotated[int, Field(ge=1, le=MAX_AMOUNT)]
"""Wh, micro-euro, or the unit that the asset was opened with."""
Share = Annotated[int, Field(ge=0, le=1_000_000)]
"""Parts per million."""
Emissions = Annotated[int, Field(ge=0, le=10_000_000)]
"""mg of CO2 equivalent per kWh."""
Grams = Annotated[int, Field(ge=-MAX_AMOUNT, le=MAX_AMOUNT)]
Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
"""SHA-256 in hexadecimal, of evidence that is kept elsewhere."""
Words = Annotated[str, StringConstraints(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Instant = Annotated[
    str, StringConstraints(pattern=r"^[0-9]{4}-[0-9][0-9]-[0-9][0-9]T[0-9][0-9]:[0-9][0-9]Z$"), AfterValidator(_real)
]


class Action(BaseModel):
    """One thing asked of the ledger. Building one checks its form; whether the ledger can do it shows on commit."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)
    kind: ClassVar[str]

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise _refusal(type(self).kind, error) from error

    def body(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dict(self.__dict__)


class Interval(Action):
    """An action about an interval of time: whole quarter-hours in UTC, within one clock hour."""

    start: Instant
    end: Instant

    @model_validator(mode="after")
    def _within_an_hour(self) -> Self:
        start, end = moment(self.start), moment(self.end)
        if start.minute % 15 or end.minute % 15 or not start < end <= start.replace(minute=0) + HOUR:
            raise ValueError("an interval of whole quarter-hours, start before end, within one clock hour")
        return self

    def quarters(self) -> tuple[str, ...]:
        """The starts of its quarter-hours."""
        return _quarters(self.start, self.end)

    @property
    def minutes(self) -> int:
        """How long it is."""
        return (moment(self.end) - moment(self.start)) // timedelta(minutes=1)


@lru_cache(4096)
def _quarters(start: str, end: str) -> tuple[str, ...]:
    first = moment(start)
    return tuple(instant(first + k * QUARTER) for k in range((moment(end) - first) // QUARTER))


def _refusal(kind: str, error: ValidationError) -> MalformedAction | AmountOverflow | NotWholeNumber:
    faults = error.errors(include_url=False, include_context=False)
    lines = [f"  - {'.'.join(map(str, fault['loc'])) or 'all'}: {fault['msg']}, got {_short(fault['input'])}" for fault in faults]
    message = "\n".join([f"the ledger can't read this '{kind}':", *lines])
    kinds = {fault["type"] for fault in faults}
    if kinds & {"int_type", "int_from_float"}:
        return NotWholeNumber(message)
    if "less_than_equal" in kinds:
        return AmountOverflow(message)
    return MalformedAction(message)


def _short(got: object) -> str:
    text = repr(got)
    return text if len(text) <= 60 else text[:57] + "..."
