"""What a device is asked to do: FunctionSetAssignments, DERPrograms, DERControls and the default control."""

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
from envoy_schema.server.schema.sep2.identification import Link, ListLink

from gridnet.app.api.sep import hrefs
from gridnet.app.api.sep.asking import Asking, View
from gridnet.app.api.sep.der import ratings_of
from gridnet.app.api.sep.payloads import SUBSCRIBABLE, control_base, default_control, der_control
from gridnet.app.api.sep.rates import poll_s
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import DISPATCH, Control, Program

LISTED_AFTER_END = timedelta(minutes=15)
"""A control that was cancelled or superseded stays on the list until this long after its own end, so that a device that was away
sees it; .."""
MOST_LISTED = timedelta(days=1)
""".. but no longer than this after it was taken back."""


def visible(asking: Asking, device: str) -> list[Program]:
    """The device's programmes. The policy's is for the devices that the model of the grid holds: no other gets setpoints."""
    programs = asking.service.controls.programs(asking.by, device)
    if asking.service.devices.get(asking.by, device).meter is not None:
        return programs
    return [each for each in programs if each.id != DISPATCH]


def assignments(asking: Asking, device: str) -> FunctionSetAssignmentsListResponse:
    """The device's function set assignments, each with the programmes of that name."""
    programs = visible(asking, device)
    names = list(dict.fromkeys(each.fsa for each in programs))
    page = [_assignment(device, name, programs) for name in asking.page.cut(names)]
    return FunctionSetAssignmentsListResponse(
        href=hrefs.edev(device, "fsa"),
        subscribable=SUBSCRIBABLE,
        all_=len(names),
        results=len(page),
        pollRate=poll_s(asking.service, "FunctionSetAssignmentsList"),
        FunctionSetAssignments=page,
    )


def assignment(asking: Asking, device: str, fsa: str) -> FunctionSetAssignmentsResponse:
    """One of them. Raises `NotFound`."""
    return _assignment(device, fsa, visible(asking, device))


def program_list(asking: Asking, device: str, fsa: str) -> DERProgramListResponse:
    """The programmes of an assignment, by primacy. Raises `NotFound`."""
    own = _of(fsa, visible(asking, device))
    page = [_program(asking, device, each) for each in asking.page.cut(own)]
    return DERProgramListResponse(
        href=hrefs.edev(device, "fsa", fsa, "derp"),
        subscribable=SUBSCRIBABLE,
        all_=len(own),
        results=len(page),
        pollRate=poll_s(asking.service, "DERProgramList"),
        DERProgram=page,
    )


def program(asking: Asking, device: str, program: str) -> DERProgramResponse:
    """One programme. Raises `NotFound`."""
    return _program(asking, device, _one(asking, device, program))


def control_list(asking: Asking, device: str, program: str) -> DERControlListResponse:
    """What the programme asks for now and later, by start, and what it took back. Raises `NotFound`."""
    _one(asking, device, program)
    listed = asking.page.since(_listed(asking, device, program), lambda control: control.start)
    wanted = asking.page.cut(listed)
    known, now = ratings_of(asking, device), asking.service.clock()
    page = [der_control(each, device, control_base(each.fields, known), now) for each in wanted]
    return DERControlListResponse(
        href=hrefs.program(device, program, "derc"),
        subscribable=SUBSCRIBABLE,
        all_=len(listed),
        results=len(page),
        DERControl=page,
    )


def control(asking: Asking, device: str, program: str, control: str) -> DERControlResponse:
    """One control, as long as it is listed. Raises `NotFound`."""
    found = next((each for each in _listed(asking, device, program) if each.id == control), None)
    if found is None:
        raise NotFound(f"no control {control[:64]}")
    base = control_base(found.fields, ratings_of(asking, device))
    return der_control(found, device, base, asking.service.clock())


def default(asking: Asking, device: str, program: str) -> DefaultDERControl:
    """What the device does where no control speaks: under each programme the same, as it is all programmes' together. Raises
    `NotFound`."""
    fields = asking.service.controls.default(asking.by, device)
    base = control_base(fields, ratings_of(asking, device))
    return default_control(fields, device, _one(asking, device, program), base)


def _listed(asking: Asking, device: str, program: str) -> list[Control]:
    now = asking.service.clock()
    # A policy takes nothing back: it is asked for what is to come alone.
    since = None if program == DISPATCH else now - MOST_LISTED
    found = asking.service.controls.of_device(asking.by, device, program, since)
    return [each for each in found if each.status(now) != "completed" and each.end + LISTED_AFTER_END > now]


def _assignment(device: str, fsa: str, programs: list[Program]) -> FunctionSetAssignmentsResponse:
    return FunctionSetAssignmentsResponse(
        href=hrefs.edev(device, "fsa", fsa),
        subscribable=SUBSCRIBABLE,
        mRID=hrefs.mrid("fsa", device, fsa),
        description=fsa[:32],
        DERProgramListLink=ListLink(href=hrefs.edev(device, "fsa", fsa, "derp"), all_=len(_of(fsa, programs))),
        TimeLink=Link(href=hrefs.TIME),
    )


def _program(asking: Asking, device: str, program: Program) -> DERProgramResponse:
    return DERProgramResponse(
        href=hrefs.program(device, program.id),
        subscribable=SUBSCRIBABLE,
        mRID=hrefs.mrid("program", device, program.id),
        description=program.description[:32] or None,
        DefaultDERControlLink=Link(href=hrefs.program(device, program.id, "dderc")),
        DERControlListLink=ListLink(href=hrefs.program(device, program.id, "derc"), all_=len(_listed(asking, device, program.id))),
        primacy=program.primacy,
    )


def _of(fsa: str, programs: list[Program]) -> list[Program]:
    own = [each for each in programs if each.fsa == fsa]
    if not own:
        raise NotFound(f"no function set assignment {fsa[:64]}")
    return own


def _one(asking: Asking, device: str, program: str) -> Program:
    found = next((each for each in visible(asking, device) if each.id == program), None)
    if found is None:
        raise NotFound(f"no programme {program[:64]}")
    return found


_EDEV, _DERP = hrefs.EDEVS + "/{device}", hrefs.EDEVS + "/{device}/derp/{program}"
VIEWS = (
    View(_EDEV + "/fsa", assignments, "programs"),
    View(_EDEV + "/fsa/{fsa}", assignment, "programs"),
    View(_EDEV + "/fsa/{fsa}/derp", program_list, "programs"),
    View(_DERP, program, "programs"),
    View(_DERP + "/derc", control_list, "controls"),
    View(_DERP + "/derc/{control}", control, "controls"),
    View(_DERP + "/dderc", default, "default"),
)
