"""What clients make, and who may see it: a neighbour who looks around finds nothing."""

from __future__ import annotations

from typing import Any

import pytest

from gridnet.app.api.openadr.live import PROGRAM
from tests.gridnet.app.api.openadr.vtns import START, Vtn

VEN = {"objectType": "VEN_VEN_REQUEST", "venName": "house 7"}


OPERATION = {"objects": ["EVENT"], "operations": ["UPDATE"], "callbackUrl": "http://127.0.0.1:9/hook", "bearerToken": "sesame"}


def subscription(**members: Any) -> dict[str, Any]:
    return {"clientName": "house 7", "programID": PROGRAM, "objectOperations": [OPERATION], **members}


def report(**members: Any) -> dict[str, Any]:
    interval = {"id": 0, "payloads": [{"type": "DEMAND", "values": [1.0]}]}
    resource = {"resourceName": "bat-a", "intervals": [interval]}
    return {"programID": PROGRAM, "eventID": "dispatch-bat-a", "clientName": "house-7", "resources": [resource], **members}


def test_an_object_comes_back_as_it_was_sent_with_what_the_vtn_adds(vtn: Vtn) -> None:
    sent = {"programName": "tariff", "payloadDescriptors": None, "x-colour": "blue", "targets": vtn.targets("street-4")}

    made = vtn.post("boss", "/programs", sent)

    assert {**made, **sent} == made
    assert made["objectType"] == "PROGRAM"
    assert made["createdDateTime"] == made["modificationDateTime"] == "2026-03-01T12:05:00Z"
    assert vtn.get("boss", f"/programs/{made['id']}") == made


def test_a_change_keeps_id_and_making_and_forgets_the_rest(vtn: Vtn) -> None:
    made = vtn.program(**{"x-colour": "blue"})
    vtn.clock.now = START.replace(hour=13)

    changed = vtn.put("boss", f"/programs/{made['id']}", {"programName": "tariff 2", "id": "other", "createdDateTime": "never"})

    assert (changed["id"], changed["createdDateTime"]) == (made["id"], made["createdDateTime"])
    assert (changed["programName"], changed["modificationDateTime"]) == ("tariff 2", "2026-03-01T13:00:00Z")
    assert "x-colour" not in changed
    assert vtn.get("boss", f"/programs/{made['id']}") == changed


def test_what_is_removed_is_gone_and_its_parts_with_it(vtn: Vtn) -> None:
    program = vtn.program()
    event = vtn.event(program["id"])

    assert vtn.call("boss", "DELETE", f"/programs/{program['id']}").json() == program

    assert vtn.status("boss", "GET", f"/programs/{program['id']}") == 404
    assert vtn.status("boss", "GET", f"/events/{event['id']}") == 404


def test_a_ven_reads_what_has_no_targets_or_one_of_its_own(vtn: Vtn) -> None:
    program = vtn.program()
    names = {None: "all", "bat-a": "device", "ann": "client", "street-4": "street", "bat.b": "neighbour's"}
    for target, name in names.items():
        vtn.event(program["id"], eventName=name, targets=None if target is None else vtn.targets("nobody", target))

    def seen(by: str) -> list[str]:
        return [each["eventName"] for each in vtn.get(by, "/events", programID=program["id"])]

    assert seen("boss") == list(names.values())
    assert seen("ann") == ["all", "device", "client"]
    assert seen("bob") == ["all", "neighbour's"]
    assert seen("eve") == ["all"]


def test_an_event_is_as_hidden_as_its_program(vtn: Vtn) -> None:
    hidden = vtn.program(targets=vtn.targets("bat-a"))
    event = vtn.event(hidden["id"])

    assert vtn.status("ann", "GET", f"/events/{event['id']}") == vtn.status("ann", "GET", f"/programs/{hidden['id']}") == 200
    assert vtn.status("bob", "GET", f"/events/{event['id']}") == vtn.status("bob", "GET", f"/programs/{hidden['id']}") == 404
    assert vtn.get("bob", "/events", programID=hidden["id"]) == []
    assert [each["id"] for each in vtn.get("bob", "/programs")] == [PROGRAM]


def test_targets_are_given_by_the_business_logic_never_taken(vtn: Vtn) -> None:
    program = vtn.program()
    event = vtn.event(program["id"], targets=vtn.targets("street-4"))
    path = f"/events/{event['id']}"
    ven = vtn.post("eve", "/vens", {**VEN, "venName": "street-4", "targets": vtn.targets("street-4"), "clientID": "boss"})

    assert "targets" not in ven
    assert ven["clientID"] == "eve"
    assert vtn.status("eve", "GET", path) == 404
    given = vtn.put(
        "boss", f"/vens/{ven['id']}", {"objectType": "BL_VEN_REQUEST", "venName": "e", "targets": vtn.targets("street-4")}
    )
    assert given["clientID"] == "eve"
    assert vtn.status("eve", "GET", path) == 200
    # What it was given stays when the VEN changes what is its own to change.
    kept = vtn.put("eve", f"/vens/{ven['id']}", {**VEN, "targets": vtn.targets("street-5")})
    assert kept["targets"] == vtn.targets("street-4")
    assert vtn.status("eve", "GET", path) == 200
    vtn.put("boss", f"/vens/{ven['id']}", {"venName": "e"})
    assert vtn.status("eve", "GET", path) == 404


def test_the_business_logic_makes_a_ven_for_its_client(vtn: Vtn) -> None:
    ven = vtn.post("boss", "/vens", {"objectType": "BL_VEN_REQUEST", "venName": "house 7", "clientID": "ann"})

    assert vtn.get("ann", f"/vens/{ven['id']}")["clientID"] == "ann"
    assert vtn.status("bob", "GET", f"/vens/{ven['id']}") == 404


def test_a_ven_can_t_speak_as_the_business_logic(vtn: Vtn) -> None:
    assert vtn.status("ann", "POST", "/vens", {"objectType": "BL_VEN_REQUEST", "venName": "a", "clientID": "ann"}) == 403


@pytest.mark.parametrize(("kind", "body"), [("vens", VEN), ("subscriptions", subscription()), ("reports", report())])
def test_a_curious_neighbour_finds_nothing(vtn: Vtn, kind: str, body: dict[str, Any]) -> None:
    made = vtn.post("ann", f"/{kind}", body)
    path = f"/{kind}/{made['id']}"

    assert [each["id"] for each in vtn.get("ann", f"/{kind}")] == [made["id"]]
    assert vtn.get("bob", f"/{kind}") == []
    assert vtn.status("bob", "GET", path) == vtn.status("bob", "PUT", path, body) == vtn.status("bob", "DELETE", path) == 404
    assert vtn.get("ann", path) == made
    assert vtn.status("ann", "DELETE", path) == 200


def test_resources_belong_to_their_ven(vtn: Vtn) -> None:
    ven = vtn.post("ann", "/vens", VEN)
    place = "/resources" if vtn.version == "3.1.0" else f"/vens/{ven['id']}/resources"
    body = {"resourceName": "bat-a", "venID": ven["id"]}

    made = vtn.post("ann", place, body)

    assert made["clientID"] == "ann"
    assert [each["id"] for each in vtn.get("ann", place, venID=ven["id"])] == [made["id"]]
    assert vtn.put("ann", f"{place}/{made['id']}", {**body, "resourceName": "bat-a2"})["resourceName"] == "bat-a2"
    assert vtn.status("bob", "GET", f"{place}/{made['id']}") == 404
    assert vtn.status("bob", "POST", place, body) == 404
    assert vtn.status("ann", "POST", place, {**body, "resourceName": "bat-a2"}) == 409
    assert vtn.status("ann", "DELETE", f"/vens/{ven['id']}") == 200
    assert vtn.status("ann", "GET", f"{place}/{made['id']}") == 404


def test_a_subscriber_s_secret_is_for_itself(vtn: Vtn) -> None:
    made = vtn.post("ann", "/subscriptions", subscription())

    assert vtn.get("ann", f"/subscriptions/{made['id']}")["objectOperations"][0]["bearerToken"] == "sesame"
    assert vtn.get("boss", f"/subscriptions/{made['id']}")["objectOperations"][0]["bearerToken"] is None


@pytest.mark.parametrize(
    ("by", "kind", "body"),
    [
        ("ann", "programs", {"programName": "p"}),
        ("ann", "events", {"programID": PROGRAM, "intervals": []}),
        ("boss", "reports", report()),
    ],
)
def test_writing_needs_the_scope(vtn: Vtn, by: str, kind: str, body: dict[str, Any]) -> None:
    answer = vtn.call(by, "POST", f"/{kind}", body)

    assert answer.status_code == 403
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["status"] == 403


@pytest.mark.parametrize(
    ("by", "kind", "body", "place"),
    [
        ("boss", "programs", {}, "programName"),
        ("boss", "events", {"programID": "a b", "intervals": []}, "programID"),
        ("boss", "events", {"programID": "p", "intervals": [{"id": 0, "payloads": []}]}, "intervals.0.payloads"),
        ("boss", "programs", {"programName": "p", "intervalPeriod": {"duration": "15 min"}}, "intervalPeriod.duration"),
        ("ann", "vens", {"venName": "x" * 129}, "venName"),
        ("ann", "reports", report(resources=[{"resourceName": "bat-a", "intervals": []}]), "resources.0.intervals"),
        ("ann", "subscriptions", subscription(objectOperations=[]), "objectOperations"),
        ("ann", "subscriptions", subscription(objectOperations=[{**OPERATION, "operations": ["LOOK"]}]), "operations"),
        ("ann", "subscriptions", subscription(objectOperations=[{**OPERATION, "bearerToken": "a\r\nb"}]), "bearerToken"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(vtn: Vtn, by: str, kind: str, body: dict[str, Any], place: str) -> None:
    answer = vtn.call(by, "POST", f"/{kind}", body)

    assert answer.status_code == 400
    assert answer.headers["content-type"] == "application/problem+json"
    assert place in answer.json()["detail"]


@pytest.mark.parametrize("body", ["", "[1]", '{"programName": NaN}', "{" * 40])
def test_what_is_no_json_object_is_refused(vtn: Vtn, body: str) -> None:
    answer = vtn.http.post(f"/openadr3/{vtn.version}/programs", content=body, headers={"authorization": "Bearer boss"})

    assert answer.status_code in (400, 413)
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_name_is_given_once(vtn: Vtn) -> None:
    vtn.program("tariff")
    ven = vtn.post("ann", "/vens", VEN)

    assert vtn.status("boss", "POST", "/programs", {"programName": "tariff"}) == 409
    assert vtn.status("boss", "POST", "/programs", {"programName": "gridnet dispatch"}) == 409
    assert vtn.status("ann", "POST", "/vens", VEN) == 409
    assert vtn.status("ann", "PUT", f"/vens/{ven['id']}", VEN) == 200
    # Another's names are none of a VEN's business: a conflict would tell of them.
    assert vtn.status("bob", "POST", "/vens", VEN) == 201


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("reports", report(eventID="none")),
        ("reports", report(eventID="dispatch-bat_2e_b")),
        ("subscriptions", subscription(programID="none")),
    ],
)
def test_what_an_object_refers_to_must_be_there_for_its_writer(vtn: Vtn, kind: str, body: dict[str, Any]) -> None:
    assert vtn.status("ann", "POST", f"/{kind}", body) == 404


def test_the_versions_are_two_vtns(vtn: Vtn) -> None:
    program = vtn.program()
    vtn.version = "3.0.1" if vtn.version == "3.1.0" else "3.1.0"

    assert vtn.status("boss", "GET", f"/programs/{program['id']}") == 404
    assert [each["id"] for each in vtn.get("boss", "/programs")] == [PROGRAM]


def test_each_version_insists_on_its_own_members(vtn: Vtn) -> None:
    program, newer = vtn.program()["id"], vtn.version == "3.1.0"
    others = [{"type": "GROUP", "values": ["a"]}] if newer else ["a"]

    assert vtn.status("boss", "POST", "/events", {"programID": program, "intervals": [], "targets": others}) == 400
    assert vtn.status("boss", "POST", "/events", {"programID": program}) == (201 if newer else 400)
    assert vtn.status("ann", "POST", "/subscriptions", subscription(programID=None)) == (201 if newer else 400)
    assert vtn.status("ann", "GET", "/resources") == (200 if newer else 404)
    assert vtn.status("ann", "GET", "/notifiers") == (200 if newer else 404)


def test_a_search_skips_limits_and_filters(vtn: Vtn) -> None:
    program = vtn.program()["id"]
    for number in range(4):
        vtn.event(program, eventName=f"e{number}", targets=vtn.targets("odd" if number % 2 else "even", "all"))

    def names(**query: Any) -> list[str]:
        return [each["eventName"] for each in vtn.get("boss", "/events", programID=program, **query)]

    wanted = {"targets": ["odd", "all"]} if vtn.version == "3.1.0" else {"targetType": "GROUP", "targetValues": ["odd", "none"]}
    nothing = {"targets": ["odd", "even"]} if vtn.version == "3.1.0" else {"targetType": "AREA", "targetValues": ["odd"]}
    assert names() == ["e0", "e1", "e2", "e3"]
    assert names(skip=1, limit=2) == ["e1", "e2"]
    assert names(limit=0) == []
    assert names(**wanted) == ["e1", "e3"]
    assert names(**nothing) == []
    assert names(colour="blue", x_active="true") == names()
    assert vtn.call("boss", "GET", "/events", skip="-1").status_code == 400
    # The service's own events count, and come first.
    assert [each["id"] for each in vtn.get("boss", "/events", limit=2)] == ["dispatch-bat-a", "dispatch-bat_2e_b"]
    assert [each.get("eventName") for each in vtn.get("boss", "/events", skip=2, limit=1)] == ["e0"]


def test_the_oldest_report_goes_when_there_are_too_many(vtn: Vtn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gridnet.app.api.openadr.objects.MOST_OF_A_KIND", 2)
    names = ["one", "two", "three"]
    for name in names:
        vtn.post("ann", "/reports", report(reportName=name))
        vtn.status("ann", "POST", "/vens", {"venName": name})

    assert [each["reportName"] for each in vtn.get("ann", "/reports")] == ["two", "three"]
    assert [each["venName"] for each in vtn.get("ann", "/vens")] == ["one", "two"]


def test_nobody_unknown_is_answered(vtn: Vtn) -> None:
    answer = vtn.call("", "GET", "/programs")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_an_object_answers_to_its_own_name(vtn: Vtn) -> None:
    for name in ("house 7", "house 8"):
        vtn.post("ann", "/vens", {**VEN, "venName": name})
    found = vtn.get("ann", "/vens", targetType="VEN_NAME", targetValues=["house 8"])

    # 3.1 knows of no types of targets: keys of another version are ignored.
    assert [each["venName"] for each in found] == (["house 7", "house 8"] if vtn.version == "3.1.0" else ["house 8"])
    assert [each["venName"] for each in vtn.get("ann", "/vens", venName="house 7")] == ["house 7"]
