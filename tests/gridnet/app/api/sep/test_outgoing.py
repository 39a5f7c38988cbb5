"""Errors as 2030.5 puts them."""

from __future__ import annotations

import pytest
from envoy_schema.server.schema.sep2.error import ErrorResponse

from gridnet.app.api.sep.incoming import Malformed
from gridnet.app.api.sep.outgoing import refused
from gridnet.app.service.errors import Conflict, Forbidden, NotAuthenticated, NotFound, TooLarge, TooMany, Unavailable
from gridnet.errors import GridnetError, InputError, ModelError
from tests.gridnet.app.api.sep.parties import World


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (Malformed("no XML"), 400, 0),
        (InputError("wrong"), 400, 1),
        (NotAuthenticated("who?"), 401, 1),
        (Forbidden("not yours"), 403, 1),
        (NotFound("nothing"), 404, 1),
        (Conflict("there"), 409, 1),
        (TooLarge("too much"), 413, 2),
        (TooMany("too often", retry_after_s=7), 429, 4),
        (Unavailable("away", retry_after_s=5), 503, 2),
        (ModelError("no answer"), 503, 1),
    ],
)
def test_an_error_has_a_status_and_a_reason(error: GridnetError, status: int, reason: int) -> None:
    answer = refused(error)

    made = ErrorResponse.from_xml(bytes(answer.body))
    assert (answer.status_code, made.reasonCode) == (status, reason)
    wait_s = getattr(error, "retry_after_s", None)
    assert (made.maxRetryDuration, answer.headers.get("retry-after")) == (wait_s, wait_s and str(wait_s))


def test_the_words_are_for_a_person_and_can_not_break_the_document() -> None:
    body = bytes(refused(InputError("a --> b\n <c>\x00-")).body)

    assert ErrorResponse.from_xml(body).reasonCode == 1
    assert b"<!-- a - -> b  <c>" in body


def test_a_wrong_method_or_a_wrong_path_is_no_fault_of_the_service(world: World) -> None:
    assert world.bob.send("POST", "/sep2/dcap").status_code == 405
    assert world.bob.send("GET", "/sep2/none").status_code == 404


def test_a_body_that_is_nested_without_end_is_too_large(world: World) -> None:
    assert world.bob.status("POST", "/sep2/edev", "<a>" * 100 + "</a>" * 100) == 413
