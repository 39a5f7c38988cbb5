"""What devices answer to controls."""

from __future__ import annotations

from datetime import timedelta

import pytest
from envoy_schema.server.schema.sep2.response import Response, ResponseListResponse, ResponseType

from gridnet.app.api.sep.responses import MEANINGS
from tests.gridnet.app.api.sep.parties import ANN, BOB, BOSS, NS, START, World

PATH = "/sep2/edev/bob-bat/rsp"


def answer(subject: str, code: object = 1, lfdi: str = BOB, root: str = "DERControlResponse", at_s: object = 1772366760) -> str:
    inside = f"<createdDateTime>{at_s}</createdDateTime><endDeviceLFDI>{lfdi.upper()}</endDeviceLFDI>"
    return f"<{root} {NS}>{inside}<status>{code}</status><subject>{subject}</subject></{root}>"


# IEEE 2030.5-2018, table 27.
TABLE = {1: "received", 2: "started", 3: "completed", 4: "opt_out", 5: "opt_in", 6: "cancelled", 7: "superseded"}
TABLE |= {8: "opt_out", 9: "opt_in", 10: "opt_out", 11: "received", 13: "superseded", 14: "superseded"}
TABLE |= dict.fromkeys((252, 253, 254), "rejected")


def test_every_code_of_the_standard_that_is_about_controls_means_something() -> None:
    assert set(ResponseType) - set(MEANINGS) == {ResponseType.CANNOT_BE_DISPLAYED}


@pytest.mark.parametrize(("code", "status"), TABLE.items())
def test_an_answer_is_an_acknowledgement(world: World, code: int, status: str) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)

    location = world.bob.post(PATH, answer(control.id.upper(), code))

    [ack] = world.service.controls.acks(BOSS, "bob-bat")
    assert (ack.control, ack.status, ack.code) == (control.id, status, code)
    assert ack.at.timestamp() == 1772366760
    kept = world.bob.get(Response, location)
    assert (kept.subject, kept.status, kept.endDeviceLFDI) == (control.id.upper(), code, BOB.upper())


def test_answers_are_listed(world: World) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)
    for number, code in enumerate((1, 2, 3)):
        world.bob.post(PATH, answer(control.id, code, root="Response", at_s=1772366760 + number))

    found = world.bob.get(ResponseListResponse, PATH, l=2)

    assert (found.all_, [each.status for each in found.Response_ or []]) == (3, [1, 2])
    assert world.ann.status("GET", PATH) == 404
    assert world.bob.status("GET", f"{PATH}/none") == 404


def test_an_answer_that_comes_late_is_taken(world: World) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)
    world.clock.now += timedelta(days=2)

    world.bob.post(PATH, answer(control.id, 3))


def test_an_answer_without_a_time_is_of_now(world: World) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)

    world.bob.post(PATH, answer(control.id).replace("<createdDateTime>1772366760</createdDateTime>", ""))

    assert [ack.at for ack in world.service.controls.acks(BOSS, "bob-bat")] == [START]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"code": 15}, 400),
        ({"code": 12}, 400),
        ({"code": ""}, 400),
        ({"code": "one"}, 400),
        ({"lfdi": ANN}, 400),
        ({"lfdi": "0F423F"}, 400),
        ({"lfdi": ""}, 400),
        ({"subject": ""}, 400),
        ({"subject": "0xFFFFFFFF"}, 400),
        ({"subject": "F" * 32}, 404),
        ({"at_s": 10**15}, 400),
    ],
)
def test_a_wrong_answer_is_refused(world: World, changes: dict[str, object], status: int) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)

    body = answer(**({"subject": control.id} | changes))  # type: ignore[arg-type]

    assert world.bob.status("POST", PATH, body) == status
    assert world.service.controls.acks(BOSS, "bob-bat") == []


def test_nobody_answers_for_another(world: World) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)

    assert world.ann.status("POST", PATH, answer(control.id)) == 404
    assert world.ann.status("POST", "/sep2/edev/ann-bat/rsp", answer(control.id, lfdi=ANN)) == 404
    assert world.service.controls.acks(BOSS, "bob-bat") == []
