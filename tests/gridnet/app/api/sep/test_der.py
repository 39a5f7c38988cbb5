"""What a device says of itself, as it is kept and used."""

from __future__ import annotations

import pytest
from envoy_schema.server.schema.sep2.der import DER, DERCapability, DERControlListResponse, DERListResponse, DERSettings, DERStatus

from tests.gridnet.app.api.sep.parties import BOSS, NS, START, Party, World

DER_OF_BOB = "/sep2/edev/bob-bat/der/1"


def power(tag: str, value: int, multiplier: int = 0) -> str:
    return f"<{tag}><multiplier>{multiplier}</multiplier><value>{value}</value></{tag}>"


def capability(
    modes: str = "00000003", doe: str = "<csipaus:doeModesSupported>03</csipaus:doeModesSupported>", **rated: int
) -> str:
    said = "".join(power(tag, value) for tag, value in rated.items())
    return f"<DERCapability {NS}><modesSupported>{modes}</modesSupported>{said}<type>80</type>{doe}</DERCapability>"


def settings(inside: str = "<updatedTime>1772366700</updatedTime>") -> str:
    return f"<DERSettings {NS}><setGradW>1000</setGradW>{power('setMaxW', 4000)}{inside}</DERSettings>"


def status(charge: int, at_s: int = int(START.timestamp())) -> str:
    inside = f"<stateOfChargeStatus><dateTime>{at_s}</dateTime><value>{charge}</value></stateOfChargeStatus>"
    return f"<DERStatus {NS}><readingTime>{at_s}</readingTime>{inside}</DERStatus>"


def test_a_device_has_one_der_with_four_parts(world: World) -> None:
    found = world.bob.get(DERListResponse, "/sep2/edev/bob-bat/der", l=10)

    assert (found.all_, found.results, found.pollRate) == (1, 1, 60)
    [der] = found.DER_ or []
    assert world.bob.get(DER, DER_OF_BOB) == der
    for part in ("dercap", "derg", "ders", "dera"):
        assert world.bob.status("GET", f"{DER_OF_BOB}/{part}") == 404
        assert world.ann.status("GET", f"{DER_OF_BOB}/{part}") == 404
    assert world.bob.status("GET", f"{DER_OF_BOB}/other") == 404


def test_what_was_said_is_read_again(world: World) -> None:
    world.bob.put(f"{DER_OF_BOB}/dercap", capability(rtgMaxW=6000))
    world.bob.put(f"{DER_OF_BOB}/derg", settings())

    cap = world.bob.get(DERCapability, f"{DER_OF_BOB}/dercap")
    said = world.bob.get(DERSettings, f"{DER_OF_BOB}/derg")

    assert (cap.type_, cap.modesSupported, cap.doeModesSupported) == (80, "00000003", "03")
    assert (cap.rtgMaxW.value, cap.rtgMaxW.multiplier) == (6000, 0)
    assert (said.updatedTime, said.setGradW, said.setMaxW.value) == (1772366700, 1000, 4000)


def test_a_plain_2030_5_capability_supports_no_australian_mode(world: World) -> None:
    world.bob.put(f"{DER_OF_BOB}/dercap", capability(doe="<unheardOf><of>1</of></unheardOf>", rtgMaxW=5000))

    assert world.bob.get(DERCapability, f"{DER_OF_BOB}/dercap").doeModesSupported == "00"


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("derg", settings("")),
        ("derg", settings("<updatedTime>yesterday</updatedTime>")),
        ("derg", capability(rtgMaxW=5000)),
        ("dercap", capability()),
        ("dercap", capability(modes="XY", rtgMaxW=5000)),
        ("dercap", capability().replace("<type>", power("rtgMaxW", 1, 10) + "<type>")),
        ("ders", status(10_001)),
        ("ders", status(-1)),
        ("ders", status(5000, -1)),
        ("ders", status(5000, 10**15)),
    ],
)
def test_what_is_incomplete_or_impossible_changes_nothing(world: World, part: str, body: str) -> None:
    before = world.service.devices.get(BOSS, "bob-bat")

    assert world.bob.status("PUT", f"{DER_OF_BOB}/{part}", body) == 400

    assert world.bob.status("GET", f"{DER_OF_BOB}/{part}") == 404
    assert world.service.devices.get(BOSS, "bob-bat") == before


def test_another_may_not_speak_for_a_device(world: World) -> None:
    assert world.ann.status("PUT", f"{DER_OF_BOB}/ders", status(5000)) == 404


def test_ratings_become_the_nameplate_of_a_device_that_the_grids_model_does_not_hold(world: World) -> None:
    said = capability(rtgMaxW=6000, rtgMaxChargeRateW=4000, rtgMaxVA=7000, rtgMaxWh=13500)

    world.bob.put(f"{DER_OF_BOB}/dercap", said)
    world.ann.put("/sep2/edev/ann-bat/der/1/dercap", said)

    bob, ann = (world.service.devices.get(BOSS, name) for name in ("bob-bat", "ann-bat"))
    assert (bob.discharge_kw, bob.charge_kw, bob.s_kva, bob.e_kwh) == (6.0, 4.0, 7.0, 13.5)
    assert (ann.discharge_kw, ann.charge_kw, ann.s_kva, ann.e_kwh) == (5.0, 5.0, 5.0, 10.0)


def test_the_state_of_charge_is_measured(world: World) -> None:
    world.bob.put(f"{DER_OF_BOB}/ders", status(4250))

    latest = world.service.telemetry.latest(BOSS, "bob-bat", "soc")

    assert latest is not None
    assert (latest.value, latest.start) == (0.425, START)
    assert world.bob.get(DERStatus, f"{DER_OF_BOB}/ders").readingTime == int(START.timestamp())


def asked(party: Party) -> tuple[int | None, bool]:
    """Percentage, and whether watts are there."""
    [control] = party.get(DERControlListResponse, "/sep2/edev/bob-bat/derp/operator/derc", l=9).DERControl or []
    return control.DERControlBase_.opModFixedW, control.DERControlBase_.opModTargetW is not None


def test_a_setpoint_takes_the_form_that_the_device_said_it_follows(world: World) -> None:
    world.dispatch("bob-bat", p_kw=2.0)
    assert asked(world.bob) == (None, True)

    world.bob.put(f"{DER_OF_BOB}/dercap", capability(modes="00000080", rtgMaxW=5000))
    assert asked(world.bob) == (4000, False)

    world.bob.put(f"{DER_OF_BOB}/derg", settings())
    assert asked(world.bob) == (5000, False)
