"""Usage points and the readings posted there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from envoy_schema.server.schema.sep2.metering_mirror import MirrorUsagePoint, MirrorUsagePointListResponse

from gridnet.app.api.sep import mirror
from gridnet.app.api.sep.rates import KIND as RATE
from gridnet.app.service.model import Measurement
from tests.gridnet.app.api.sep.parties import ANN, BOB, BOSS, NS, World

MUP = "/sep2/mup"
FIRST, SECOND = "A" * 24 + "00028547", "B" * 24 + "00028547"
W, V = "1" * 24 + "00028547", "2" * 24 + "00028547"
AT = 1_772_366_400


def reading_type(uom: int = 38, flow: int = 1, multiplier: int = 0) -> str:
    inside = f"<flowDirection>{flow}</flowDirection><powerOfTenMultiplier>{multiplier}</powerOfTenMultiplier><uom>{uom}</uom>"
    return f"<ReadingType>{inside}</ReadingType>"


def meter_reading(mrid: str, inside: str) -> str:
    return f"<MirrorMeterReading><mRID>{mrid}</mRID>{inside}</MirrorMeterReading>"


def usage_point(mrid: str, lfdi: str, inside: str = "", role: str = "0049") -> str:
    about = f"<mRID>{mrid}</mRID><roleFlags>{role}</roleFlags><serviceCategoryKind>0</serviceCategoryKind><status>1</status>"
    return f"<MirrorUsagePoint {NS}>{about}<deviceLFDI>{lfdi.upper()}</deviceLFDI>{inside}</MirrorUsagePoint>"


def readings(*values: tuple[str, int], kind: str = "") -> str:
    period = f"<timePeriod><duration>300</duration><start>{AT}</start></timePeriod>"
    inside = "".join(meter_reading(mrid, f"<Reading>{period}<value>{value}</value></Reading>{kind}") for mrid, value in values)
    return f"<MirrorMeterReadingList {NS}>{inside}</MirrorMeterReadingList>"


def measured(world: World, device: str, channel: str) -> list[Measurement]:
    return world.service.telemetry.measurements(BOSS, device, channel, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_usage_point_is_kept_and_listed(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    found = world.bob.get(MirrorUsagePoint, location)
    assert (found.mRID, found.roleFlags, found.status, found.postRate) == (FIRST, "0049", 1, 300)
    assert found.deviceLFDI == BOB.upper()
    listed = world.bob.get(MirrorUsagePointListResponse, MUP, l=10)
    assert (listed.all_, listed.results, listed.pollRate, listed.mirrorUsagePoints) == (1, 1, 60, [found])


def test_the_operator_sets_how_often_readings_come(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB))

    world.service.documents.put(BOSS, RATE, "MirrorUsagePoint", {"post_s": 7})

    assert world.bob.get(MirrorUsagePoint, location).postRate == 7


def test_another_sees_nothing_of_it(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    assert world.ann.get(MirrorUsagePointListResponse, MUP, l=10).all_ == 0
    assert world.ann.status("GET", location) == 404
    assert world.ann.status("POST", location, readings((W, 1))) == 404
    assert world.ann.status("DELETE", location) == 404


def test_nobody_measures_for_anothers_device(world: World) -> None:
    assert world.ann.status("POST", MUP, usage_point(FIRST, BOB)) == 404
    assert world.bob.get(MirrorUsagePointListResponse, MUP).all_ == 0


@pytest.mark.parametrize("body", [usage_point(FIRST, ANN), usage_point(SECOND, ANN, meter_reading(W, reading_type()))])
def test_an_mrid_is_one_clients_alone(world: World, body: str) -> None:
    world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    assert world.ann.status("POST", MUP, body) == 409
    assert world.ann.get(MirrorUsagePointListResponse, MUP).all_ == 0


def test_the_same_mrid_replaces(world: World) -> None:
    first = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    second = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type(uom=63)), role="0003"))

    assert first == second
    assert world.bob.get(MirrorUsagePointListResponse, MUP).all_ == 1
    assert world.bob.get(MirrorUsagePoint, first).roleFlags == "0003"
    world.bob.post(first, readings((W, 1500)))
    assert [each.value for each in measured(world, "bob-bat", "site.q_kvar")] == [-1.5]


def test_a_usage_point_is_replaced_under_its_address_and_removed(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    assert world.bob.status("PUT", location, usage_point(SECOND, BOB)) == 400
    world.bob.put(location, usage_point(FIRST, BOB, role="0003"))
    assert world.bob.get(MirrorUsagePoint, location).roleFlags == "0003"

    assert world.bob.status("DELETE", location) == 204
    assert world.bob.status("GET", location) == 404
    assert world.bob.status("PUT", location, usage_point(FIRST, BOB)) == 404


def test_a_removed_points_mrids_are_free_again(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))
    world.bob.status("DELETE", location)

    world.ann.post(MUP, usage_point(FIRST, ANN, meter_reading(W, reading_type())))


def test_an_mrid_that_a_point_gives_up_is_free_again(world: World) -> None:
    world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type()) + meter_reading(V, reading_type())))
    world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(V, reading_type())))

    assert world.ann.status("POST", MUP, usage_point(SECOND, ANN, meter_reading(V, reading_type()))) == 409
    world.ann.post(MUP, usage_point(SECOND, ANN, meter_reading(W, reading_type())))


def test_a_device_has_so_many_points_and_no_more(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "MOST_POINTS", 1)
    world.bob.post(MUP, usage_point(FIRST, BOB))

    assert world.bob.status("POST", MUP, usage_point(SECOND, BOB)) == 409
    world.bob.post(MUP, usage_point(FIRST, BOB))
    world.ann.post(MUP, usage_point(SECOND, ANN))


def test_readings_become_measurements_with_gridnets_sign(world: World) -> None:
    inside = meter_reading(W, reading_type(flow=19, multiplier=1)) + meter_reading(V, reading_type(29, 0, -1))
    location = world.bob.post(MUP, usage_point(FIRST, BOB, inside))

    assert world.bob.post(location, readings((W, 250), (V, 2304))) == location

    at, length = datetime.fromtimestamp(AT, UTC), timedelta(seconds=300)
    assert measured(world, "bob-bat", "p_kw") == [Measurement("p_kw", at, -2.5, length)]
    assert measured(world, "bob-bat", "vm_v") == [Measurement("vm_v", at, pytest.approx(230.4), length)]


def test_a_reading_sent_again_counts_once(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    for value in (1000, 2000):
        world.bob.post(location, readings((W, value)))

    assert [each.value for each in measured(world, "bob-bat", "p_kw")] == [2.0]


def test_a_site_is_not_taken_for_the_device(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type()), role="0003"))

    world.bob.post(location, readings((W, 1000)))

    assert measured(world, "bob-bat", "p_kw") == []
    assert [each.value for each in measured(world, "bob-bat", "site.p_kw")] == [-1.0]


def test_a_single_meter_reading_may_bring_its_type_along(world: World) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB))
    one = meter_reading(W, f"<Reading><value>4000</value></Reading>{reading_type(flow=4)}").replace(
        "<MirrorMeterReading>", f"<MirrorMeterReading {NS}>"
    )

    world.bob.post(location, one)
    world.bob.post(location, readings((W, 5000)))

    assert [each.value for each in measured(world, "bob-bat", "p_kw")] == [5.0, 4.0]


@pytest.mark.parametrize("value", [2**47, -(2**47) - 1, 3_000_000_000_000_000])
def test_more_than_48_bits_are_refused_whole(world: World, value: int) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type()) + meter_reading(V, reading_type(29))))

    assert world.bob.status("POST", location, readings((V, 230), (W, value))) == 400
    assert measured(world, "bob-bat", "vm_v") == []


@pytest.mark.parametrize(
    "body",
    [
        readings((V, 1)),
        readings(("XY", 1)),
        readings((W, 1), kind=reading_type(multiplier=10)),
        readings((W, 1)).replace(f"<start>{AT}</start>", "<start>9999999999999</start>"),
        readings((W, 1)).replace("<value>1</value>", ""),
    ],
)
def test_readings_that_can_not_be_are_refused(world: World, body: str) -> None:
    location = world.bob.post(MUP, usage_point(FIRST, BOB, meter_reading(W, reading_type())))

    assert world.bob.status("POST", location, body) == 400


@pytest.mark.parametrize(
    "body",
    [
        usage_point("", BOB),
        usage_point("A" * 33, BOB),
        usage_point(FIRST, BOB[:20]),
        usage_point(FIRST, BOB, role="XY"),
        usage_point(FIRST, BOB, "".join(meter_reading(f"{number:032X}", reading_type()) for number in range(101))),
    ],
)
def test_usage_points_that_can_not_be_are_refused(world: World, body: str) -> None:
    assert world.bob.status("POST", MUP, body) == 400
    assert world.bob.get(MirrorUsagePointListResponse, MUP).all_ == 0
