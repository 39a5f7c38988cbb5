"""What a device is asked to do, as it reads it."""

from __future__ import annotations

from datetime import timedelta

from envoy_schema.server.schema.sep2.der import (
    DefaultDERControl,
    DERControlListResponse,
    DERControlResponse,
    DERProgramListResponse,
    DERProgramResponse,
)
from envoy_schema.server.schema.sep2.function_set_assignments import (
    FunctionSetAssignmentsListResponse,
    FunctionSetAssignmentsResponse,
)

from gridnet.app.service.model import Fields, Program, Setpoint
from tests.gridnet.app.api.sep.parties import BOSS, START, Party, World

BOB = "/sep2/edev/bob-bat"
ANN = "/sep2/edev/ann-bat"
QUARTER = timedelta(minutes=15)
CONTROLS = f"{BOB}/derp/operator/derc"


def listed(party: Party, path: str = CONTROLS, **query: int) -> list[tuple[float, int]]:
    """Targets in W and statuses."""
    found = party.get(DERControlListResponse, path, **({"l": 255} | query)).DERControl or []
    targets = [each.DERControlBase_.opModTargetW for each in found]
    assert all(target is not None for target in targets)
    return [
        (target.value * 10.0**target.multiplier, each.EventStatus_.currentStatus)
        for each, target in zip(found, targets, strict=True)
        if target is not None
    ]


def test_the_operators_programme_is_everybodys(world: World) -> None:
    assignments = world.bob.get(FunctionSetAssignmentsListResponse, f"{BOB}/fsa", l=10)

    assert (assignments.all_, assignments.pollRate) == (1, 60)
    [one] = assignments.FunctionSetAssignments or []
    assert world.bob.get(FunctionSetAssignmentsResponse, str(one.href)) == one
    assert one.DERProgramListLink is not None
    programs = world.bob.get(DERProgramListResponse, one.DERProgramListLink.href, l=10)
    [program] = programs.DERProgram or []
    assert (program.primacy, programs.all_, one.DERProgramListLink.all_) == (1, 1, 1)
    assert world.bob.get(DERProgramResponse, str(program.href)) == program


def test_the_policys_programme_is_for_devices_on_the_grids_model(world: World) -> None:
    def names(party: Party, path: str) -> set[str]:
        found = party.get(FunctionSetAssignmentsListResponse, path, l=10).FunctionSetAssignments or []
        return {str(each.description) for each in found}

    assert names(world.bob, f"{BOB}/fsa") == {"operator"}
    assert names(world.ann, f"{ANN}/fsa") == {"operator", "dispatch"}
    assert world.bob.status("GET", f"{BOB}/derp/dispatch/derc") == 404


def test_a_setpoint_and_the_plan_after_it_are_contiguous(world: World) -> None:
    first = START.replace(minute=0)
    made = [
        Setpoint("bat-00", first + number * QUARTER, first + (number + 1) * QUARTER, p_kw, 0.0, "rule", "")
        for number, p_kw in enumerate((2.5, -1.5, 0.0))
    ]
    world.service.controls.decided(made[:1], made[1:])

    path = f"{ANN}/derp/dispatch/derc"
    assert listed(world.ann, path) == [(2500.0, 1), (-1500.0, 0), (0.0, 0)]
    intervals = [each.interval for each in world.ann.get(DERControlListResponse, path, l=9).DERControl or []]
    assert [one.start + one.duration for one in intervals[:-1]] == [one.start for one in intervals[1:]]


def test_controls_are_listed_by_start_until_they_are_over(world: World) -> None:
    world.dispatch("bob-bat", 1800, 900, p_kw=2.0)
    world.dispatch("bob-bat", 0, 900, p_kw=1.0)

    assert listed(world.bob) == [(1000.0, 1), (2000.0, 0)]
    assert listed(world.bob, s=1, l=1) == [(2000.0, 0)]
    assert listed(world.bob, a=int(START.timestamp())) == [(2000.0, 0)]
    assert world.bob.get(DERControlListResponse, CONTROLS).all_ == 2

    world.clock.now += timedelta(seconds=900)
    assert listed(world.bob) == [(2000.0, 0)]


def test_what_was_taken_back_stays_to_be_seen_for_a_while(world: World) -> None:
    control = world.dispatch("bob-bat", 0, 900, p_kw=1.0)
    world.service.controls.cancel(BOSS, control.id)

    assert listed(world.bob) == [(1000.0, 2)]
    world.clock.now += timedelta(seconds=900 + 899)
    assert listed(world.bob) == [(1000.0, 2)]
    world.clock.now += timedelta(seconds=1)
    assert listed(world.bob) == []


def test_what_was_taken_back_long_ago_goes_even_if_it_were_not_over(world: World) -> None:
    control = world.dispatch("bob-bat", 0, 3 * 86_400, p_kw=1.0)
    world.service.controls.cancel(BOSS, control.id)

    world.clock.now += timedelta(days=1, seconds=-1)
    assert listed(world.bob) == [(1000.0, 2)]
    world.clock.now += timedelta(seconds=1)
    assert listed(world.bob) == []


def test_a_newer_control_supersedes(world: World) -> None:
    world.dispatch("bob-bat", 600, 900, p_kw=1.0)
    world.dispatch("bob-bat", 0, 900, p_kw=2.0)

    assert listed(world.bob) == [(2000.0, 1), (1000.0, 4)]


def test_a_control_is_found_by_its_address_as_long_as_it_is_listed(world: World) -> None:
    control = world.dispatch("bob-bat", p_kw=1.0)
    path = f"{CONTROLS}/{control.id}"

    assert world.bob.get(DERControlResponse, path).mRID == control.id.upper()
    assert world.ann.status("GET", path) == 404
    assert world.ann.status("GET", f"{ANN}/derp/operator/derc/{control.id}") == 404
    world.clock.now += timedelta(hours=1)
    assert world.bob.status("GET", path) == 404


def test_a_control_for_everybody_is_everybodys(world: World) -> None:
    world.dispatch(None, p_kw=0.5)

    assert listed(world.bob) == [(500.0, 1)]
    assert listed(world.ann, f"{ANN}/derp/operator/derc") == [(500.0, 1)]


def test_the_default_control_joins_the_programmes_and_the_devices_own(world: World) -> None:
    world.service.devices.change(BOSS, "bob-bat", default=Fields(p_kw=0.0, export_limit_kw=1.5))
    world.service.controls.put_program(BOSS, Program("safe", 5, "bob-bat", default=Fields(load_limit_kw=2.0)))

    found = world.bob.get(DefaultDERControl, f"{BOB}/derp/operator/dderc").DERControlBase_

    assert (found.opModTargetW and found.opModTargetW.value) == 0
    assert (found.opModExpLimW and found.opModExpLimW.value) == 1500
    assert (found.opModLoadLimW and found.opModLoadLimW.value) == 2000


def test_programmes_are_by_primacy_and_one_assignment_may_hold_several(world: World) -> None:
    world.service.controls.put_program(BOSS, Program("low", 90, "bob-bat", "operator"))
    world.service.controls.put_program(BOSS, Program("annes", 3, "ann-bat", "operator"))

    found = world.bob.get(DERProgramListResponse, f"{BOB}/fsa/operator/derp", l=10)

    assert [each.primacy for each in found.DERProgram or []] == [1, 90]
    assert world.bob.status("GET", f"{BOB}/derp/annes") == 404


def test_unknown_names_are_not_found(world: World) -> None:
    for path in ("fsa/none", "fsa/none/derp", "derp/none", "derp/none/derc", "derp/none/dderc", "derp/operator/derc/0"):
        assert world.bob.status("GET", f"{BOB}/{path}") == 404
