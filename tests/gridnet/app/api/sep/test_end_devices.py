"""Where clients begin, what they see of devices, and how devices are registered."""

from __future__ import annotations

import pytest
from envoy_schema.server.schema.csip_aus.connection_point import ConnectionPointResponse
from envoy_schema.server.schema.sep2.device_capability import DeviceCapabilityResponse
from envoy_schema.server.schema.sep2.end_device import EndDeviceListResponse, EndDeviceResponse, RegistrationResponse
from envoy_schema.server.schema.sep2.time import TimeResponse
from envoy_schema.server.schema.sep2.types import DeviceCategory

from gridnet.app.api.sep.connection_point import check_digit, is_nmi
from gridnet.app.api.sep.end_devices import kind_of
from gridnet.app.service.model import sfdi_of
from tests.gridnet.app.api.sep.parties import AGGREGATOR, ANN, BOB, BOSS, CAROL, NS, START, Party, World, end_device

EDEV = "/sep2/edev"
NEW = "e5" * 20


def seen(party: Party, **query: int) -> list[str]:
    found = party.get(EndDeviceListResponse, EDEV, **query)
    assert found.results == len(found.EndDevice or [])
    return [each.lFDI or "" for each in found.EndDevice or []]


def test_the_capability_leads_to_everything_and_counts_it(world: World) -> None:
    found = world.ann.get(DeviceCapabilityResponse, "/sep2/dcap")

    assert found.pollRate == 60
    assert (found.EndDeviceListLink and found.EndDeviceListLink.all_) == 1
    assert (found.MirrorUsagePointListLink and found.MirrorUsagePointListLink.all_) == 0
    assert (found.TimeLink and found.TimeLink.href) == "/sep2/tm"


def test_the_time_is_the_services(world: World) -> None:
    found = world.ann.get(TimeResponse, "/sep2/tm")

    assert found.currentTime == int(START.timestamp())
    assert (found.localTime, found.tzOffset, found.dstOffset) == (found.currentTime, 0, 0)


def test_a_device_sees_itself_alone(world: World) -> None:
    assert seen(world.ann, l=10) == [ANN.upper()]
    assert seen(world.party(CAROL), l=10) == []
    assert world.ann.status("GET", f"{EDEV}/ann-bat") == 200
    assert world.bob.status("GET", f"{EDEV}/ann-bat") == 404


def test_without_a_certificate_nobody_is_let_in(world: World) -> None:
    assert world.party("").status("GET", "/sep2/dcap") == 401


def test_a_revoked_certificate_fails_at_once_and_may_be_restored(world: World) -> None:
    world.service.people.revoke(BOSS, ANN)
    assert world.ann.status("GET", EDEV) == 401

    world.service.people.restore(BOSS, ANN)
    assert world.ann.status("GET", EDEV) == 200


def test_a_list_is_read_page_by_page(world: World) -> None:
    assert seen(world.boss) == [ANN.upper()]
    assert seen(world.boss, s=1, l=1) == [BOB.upper()]
    assert seen(world.boss, s=2, l=10) == []
    assert seen(world.boss, l=0) == []
    assert world.boss.get(EndDeviceListResponse, EDEV).all_ == 2


def test_a_list_leaves_out_what_is_older(world: World) -> None:
    at = int(START.timestamp())

    assert seen(world.boss, l=10, a=at) == []
    assert seen(world.boss, l=10, a=at - 1) == [ANN.upper(), BOB.upper()]


@pytest.mark.parametrize("query", ["s=-1", "l=x", "a=1e9", "s=99999999999"])
def test_a_part_that_can_not_be_is_refused(world: World, query: str) -> None:
    assert world.ann.status("GET", f"{EDEV}?{query}") == 400


def test_a_device_registers_itself_and_is_found_under_its_location(world: World) -> None:
    carol = world.party(CAROL)

    location = carol.post(EDEV, end_device(CAROL))

    found = carol.get(EndDeviceResponse, location)
    assert (found.lFDI, found.sFDI) == (CAROL.upper(), sfdi_of(CAROL))
    assert int(found.deviceCategory or "0", 16) == DeviceCategory.OTHER_STORAGE_SYSTEM
    assert found.RegistrationLink is None
    assert world.service.devices.by_lfdi(BOSS, CAROL).owner == f"lfdi:{CAROL}"


def test_a_plain_2030_5_device_may_leave_out_its_lfdi(world: World) -> None:
    body = f"<EndDevice {NS}><sFDI>{sfdi_of(CAROL)}</sFDI><changedTime>1</changedTime></EndDevice>"

    world.party(CAROL).post(EDEV, body)

    assert seen(world.party(CAROL)) == [CAROL.upper()]


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (end_device(ANN), 403),
        (end_device(CAROL[:16]), 400),
        (end_device("Z" * 40, sfdi=1), 400),
        (end_device(CAROL, sfdi=sfdi_of(CAROL) + 1), 400),
        (f"<EndDevice {NS}><lFDI>{CAROL}</lFDI></EndDevice>", 400),
        ("<EndDevice", 400),
    ],
)
def test_nobody_registers_another_or_nonsense(world: World, body: str, status: int) -> None:
    assert world.party(CAROL).status("POST", EDEV, body) == status
    assert seen(world.boss, l=10) == [ANN.upper(), BOB.upper()]


def test_a_device_is_registered_once(world: World) -> None:
    assert world.ann.status("POST", EDEV, end_device(ANN)) == 409


def test_an_aggregator_comes_first_and_owns_many(world: World) -> None:
    fleet = world.fleet()
    fleet.post(EDEV, end_device(CAROL))
    fleet.post(EDEV, end_device(NEW))

    assert seen(fleet, l=10) == [str(AGGREGATOR.lfdi).upper(), CAROL.upper(), NEW.upper()]
    assert seen(fleet, s=1, l=1) == [CAROL.upper()]
    assert fleet.get(EndDeviceListResponse, EDEV).all_ == 3
    assert fleet.status("GET", f"{EDEV}/ann-bat") == 404
    assert fleet.status("POST", EDEV, end_device(CAROL)) == 409
    assert fleet.status("POST", EDEV, end_device(str(AGGREGATOR.lfdi))) == 409


def test_subscriptions_hang_from_an_aggregators_own_device(world: World) -> None:
    fleet = world.fleet()
    own = fleet.get(EndDeviceListResponse, EDEV).EndDevice
    theirs = fleet.get(EndDeviceResponse, fleet.post(EDEV, end_device(CAROL)))

    assert own is not None
    assert own[0].SubscriptionListLink is not None
    assert fleet.get(EndDeviceResponse, str(own[0].href)) == own[0]
    assert theirs.SubscriptionListLink is None
    assert world.ann.get(EndDeviceResponse, f"{EDEV}/ann-bat").SubscriptionListLink is not None
    assert world.ann.status("GET", str(own[0].href)) == 404


def test_a_device_can_be_taken_back(world: World) -> None:
    assert world.bob.status("DELETE", f"{EDEV}/ann-bat") == 404
    assert world.bob.status("DELETE", f"{EDEV}/bob-bat") == 204
    assert seen(world.boss, l=10) == [ANN.upper()]


def test_the_pin_is_for_its_own_device(world: World) -> None:
    assert world.ann.get(RegistrationResponse, f"{EDEV}/ann-bat/rg").pIN == 111115
    assert world.bob.status("GET", f"{EDEV}/ann-bat/rg") == 404


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        (DeviceCategory.PHOTOVOLTAIC_SYSTEM, "pv"),
        (DeviceCategory.OTHER_STORAGE_SYSTEM, "battery"),
        (DeviceCategory.COMBINED_PV_AND_STORAGE, "battery"),
        (DeviceCategory.VIRTUAL_OR_MIXED_DER, "site"),
        (DeviceCategory(0), "site"),
    ],
)
def test_a_category_gives_the_kind(category: DeviceCategory, kind: str) -> None:
    assert kind_of(category) == kind


# Of the procedure's own worked examples (AEMO, National Metering Identifier Procedure, appendix on the checksum).
NMIS = {"2001985732": 8, "2001985733": 6, "3075621875": 8, "QAAAVZZZZZ": 3, "NAAAMYS582": 6, "VKTS786150": 2}


@pytest.mark.parametrize(("nmi", "digit"), NMIS.items())
def test_the_check_digit_is_the_procedures(nmi: str, digit: int) -> None:
    assert check_digit(nmi) == digit
    assert is_nmi(nmi)
    assert is_nmi(f"{nmi}{digit}")
    assert not is_nmi(f"{nmi}{(digit + 1) % 10}")


@pytest.mark.parametrize("text", ["", "NOTAVALIDID", "123456789", "200198573I", "2001-85732", "200198573٢"])
def test_what_is_no_identifier(text: str) -> None:
    assert not is_nmi(text)


def test_a_connection_point_is_kept_and_changed(world: World) -> None:
    path = f"{EDEV}/ann-bat/cp"
    assert world.ann.status("GET", path) == 404

    world.ann.put(
        path,
        f"<csipaus:ConnectionPoint {NS}><csipaus:connectionPointId>20019857328</csipaus:connectionPointId>"
        "</csipaus:ConnectionPoint>",
    )
    assert world.ann.get(ConnectionPointResponse, path).id == "20019857328"

    world.ann.put(path, f"<csipaus:ConnectionPoint {NS}><csipaus:id>2001985733</csipaus:id></csipaus:ConnectionPoint>")
    assert world.ann.get(ConnectionPointResponse, path).id == "2001985733"
    assert world.bob.status("GET", path) == 404


def test_what_is_no_connection_point_is_refused(world: World) -> None:
    inside = "<csipaus:connectionPointId>NOTAVALIDID</csipaus:connectionPointId>"

    answer = world.ann.send("PUT", f"{EDEV}/ann-bat/cp", f"<csipaus:ConnectionPoint {NS}>{inside}</csipaus:ConnectionPoint>")

    assert answer.status_code == 400
    assert b"<reasonCode>1</reasonCode>" in answer.content
