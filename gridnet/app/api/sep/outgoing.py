"""What clients get: XML of the payload models, and errors as 2030.5 puts them."""

from __future__ import annotations

from typing import Any, cast

from envoy_schema.server.schema.sep2.error import ErrorResponse
from envoy_schema.server.schema.sep2.types import ReasonCodeType
from fastapi import Response
from lxml import etree
from pydantic_xml import BaseXmlModel

from gridnet.app.api.sep.incoming import Malformed
from gridnet.app.service.errors import ServiceError, TooLarge, TooMany, Unavailable, status_of
from gridnet.errors import GridnetError, InputError

MEDIA_TYPE = "application/sep+xml"
_REASONS: tuple[tuple[type[GridnetError], ReasonCodeType], ...] = (
    (Malformed, ReasonCodeType.invalid_request_format),
    (TooLarge, ReasonCodeType.resource_limit_reached),
    (TooMany, ReasonCodeType.maximum_request_frequency_exceeded),
    (Unavailable, ReasonCodeType.resource_limit_reached),
)


def tree(model: object) -> Any:
    """A payload as elements."""
    return cast(BaseXmlModel, model).to_xml_tree(skip_empty=False, exclude_none=True)


def text(model: object) -> bytes:
    """A payload as a document."""
    return written(tree(model))


def written(root: Any) -> bytes:
    """Elements as a document in UTF-8. Without a declaration: some clients decode the bytes first, and trip over it."""
    return cast(bytes, etree.tostring(root, encoding="UTF-8", xml_declaration=False))


def found(model: object) -> Response:
    """The answer to a reader."""
    return Response(text(model), media_type=MEDIA_TYPE)


def made(href: str, status: int = 201) -> Response:
    """Something is there now, or was changed (204)."""
    return Response(status_code=status, headers={"Location": href})


def gone() -> Response:
    """Something was removed."""
    return Response(status_code=204)


def refused(error: GridnetError) -> Response:
    """An error: a reason code for the client, and the words for a person as a comment, which the schema lets pass."""
    status, _ = status_of(error)
    status = 400 if isinstance(error, InputError) else status
    reason = next((code for family, code in _REASONS if isinstance(error, family)), ReasonCodeType.invalid_request_values)
    wait_s = error.retry_after_s if isinstance(error, ServiceError) else None
    root = tree(ErrorResponse(reasonCode=reason, maxRetryDuration=wait_s))
    words = "".join(each if each.isprintable() else " " for each in str(error)).replace("--", "- -").rstrip("-")
    root.append(etree.Comment(f" {words} "))
    headers = {} if wait_s is None else {"Retry-After": str(wait_s)}
    return Response(written(root), status, headers, MEDIA_TYPE)
