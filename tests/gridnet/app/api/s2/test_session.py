"""A connection's state: what is said when, and what becomes of what the other side says."""

from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from s2python.common import (
    Commodity,
    ControlType,
    Duration,
    EnergyManagementRole,
    Handshake,
    HandshakeResponse,
    InstructionStatus,
    InstructionStatusUpdate,
    PowerMeasurement,
    PowerValue,
    ReceptionStatus,
    ReceptionStatusValues,
    ResourceManagerDetails,
    RevokeObject,
    Role,
    RoleType,
    SelectControlType,
    SessionRequest,
    SessionRequestType,
)
from s2python.frbc import FRBCInstruction, FRBCStorageStatus
from s2python.message import S2Message
from s2python.version import S2_VERSION

from gridnet.app.api.s2.session import DETAILS, Session
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import OPERATOR, Fields, Order
from gridnet.app.service.service import Service
from tests.gridnet.app.api.openadr.vtns import BOSS, PEOPLE, QUARTER, START, Clock, decide, make_service
from tests.gridnet.app.api.s2.batteries import SYMMETRIC, battery

ANN = PEOPLE["ann"]
M = TypeVar("M", bound=S2Message)


class Rm:
    """The other side, and the service behind this one."""

    def __init__(self, folder: Path) -> None:
        self.clock = Clock()
        self.service: Service = make_service(folder, self.clock)
        self.session = Session(self.service, ANN, self.service.devices.get(ANN, "bat-a"))

    def say(self, message: Any) -> list[S2Message]:
        """What is answered."""
        return self.session.received(message if isinstance(message, str) else message.to_json())

    def ready(self) -> None:
        """As far as instructions."""
        for message in (handshake(), details(), battery(), level(50.0)):
            assert status(self.say(message)) is ReceptionStatusValues.OK

    def instructed(self) -> dict[datetime, float]:
        """Power that the instructions which are due ask for, kW of generation, by the time at which they begin."""
        return powers(self.session.due())


@pytest.fixture
def rm(tmp_path: Path) -> Rm:
    return Rm(tmp_path)


def handshake(*versions: str) -> Handshake:
    versions = versions or (S2_VERSION,)
    return Handshake(message_id=uuid.uuid4(), role=EnergyManagementRole.RM, supported_protocol_versions=list(versions))


def details(*controls: ControlType) -> ResourceManagerDetails:
    return ResourceManagerDetails(
        message_id=uuid.uuid4(),
        resource_id=uuid.uuid4(),
        roles=[Role(role=RoleType.ENERGY_STORAGE, commodity=Commodity.ELECTRICITY)],
        instruction_processing_delay=Duration.from_milliseconds(0),
        available_control_types=list(controls or (ControlType.FILL_RATE_BASED_CONTROL,)),
        provides_forecast=False,
        provides_power_measurement_types=[SYMMETRIC],
    )


def level(percent: float) -> FRBCStorageStatus:
    return FRBCStorageStatus(message_id=uuid.uuid4(), present_fill_level=percent)


def status(answers: list[S2Message]) -> ReceptionStatusValues:
    [first, *_] = answers
    assert isinstance(first, ReceptionStatus)
    return first.status


def only(answers: list[S2Message], kind: type[M]) -> M:
    [found] = [each for each in answers if isinstance(each, kind)]
    return found


def powers(messages: list[S2Message]) -> dict[datetime, float]:
    found = [each for each in messages if isinstance(each, FRBCInstruction)]
    return {each.execution_time: round(5.0 - 10.0 * each.operation_mode_factor, 6) for each in found}


def followed(instruction: uuid.UUID, kind: InstructionStatus) -> InstructionStatusUpdate:
    return InstructionStatusUpdate(message_id=uuid.uuid4(), instruction_id=instruction, status_type=kind, timestamp=START)


def test_hands_are_shaken_in_this_version(rm: Rm) -> None:
    assert only(rm.session.opened(), Handshake).role is EnergyManagementRole.CEM
    answers = rm.say(handshake("0.1.0", S2_VERSION))

    assert status(answers) is ReceptionStatusValues.OK
    assert only(answers, HandshakeResponse).selected_protocol_version == S2_VERSION


@pytest.mark.parametrize("greeting", [handshake("9.9.9"), handshake().model_copy(update={"role": EnergyManagementRole.CEM})])
def test_who_speaks_another_version_or_is_no_rm_is_sent_away(rm: Rm, greeting: Handshake) -> None:
    answers = rm.say(greeting)

    assert only(answers, SessionRequest).request is SessionRequestType.TERMINATE
    assert rm.session.ended


def test_fill_rate_based_control_is_selected_and_the_rm_remembered(rm: Rm) -> None:
    answers = rm.say(details(ControlType.OPERATION_MODE_BASED_CONTROL, ControlType.FILL_RATE_BASED_CONTROL))

    assert only(answers, SelectControlType).control_type is ControlType.FILL_RATE_BASED_CONTROL
    assert rm.service.documents.get(ANN, DETAILS, "bat-a").body["provides_forecast"] is False


def test_an_rm_with_other_controls_alone_is_not_controlled(rm: Rm) -> None:
    assert rm.say(details(ControlType.OPERATION_MODE_BASED_CONTROL))[1:] == []
    answers = rm.say(details(ControlType.NOT_CONTROLABLE))
    rm.say(battery())
    rm.say(level(50.0))

    assert only(answers, SelectControlType).control_type is ControlType.NOT_CONTROLABLE
    assert rm.session.due() == []


def test_nothing_is_instructed_before_the_system_and_its_level_are_known(rm: Rm) -> None:
    decide(rm.service, "bat-a", START, 2.5)
    for message in (handshake(), details(), battery()):
        rm.say(message)
        assert rm.session.due() == []
    rm.say(level(50.0))

    assert rm.session.due() != []


def test_the_setpoint_the_plan_and_the_default_are_instructed_once(rm: Rm) -> None:
    decide(rm.service, "bat-a", START, 2.5, -1.25, 0.5)
    rm.ready()

    # S2 counts consumption: the battery's modes run from -5 kW, which is discharge, to 5 kW.
    assert rm.instructed() == {START: 2.5, START + QUARTER: -1.25, START + 2 * QUARTER: 0.5, START + 3 * QUARTER: 0.0}
    assert rm.session.due() == []


def test_what_was_sent_ahead_begins_by_itself(rm: Rm) -> None:
    decide(rm.service, "bat-a", START, 2.5, -1.25)
    rm.ready()
    rm.session.due()
    rm.clock.now = START + QUARTER + timedelta(seconds=5)
    decide(rm.service, "bat-a", START + QUARTER, -1.25, 1.0)

    messages = rm.session.due()

    # The default that was to follow is revoked: another step follows now, and the default after it.
    assert [type(each) for each in messages] == [RevokeObject, FRBCInstruction, FRBCInstruction]
    assert powers(messages) == {START + 2 * QUARTER: 1.0, START + 3 * QUARTER: 0.0}


def test_a_plan_that_is_not_right_any_more_is_revoked(rm: Rm) -> None:
    decide(rm.service, "bat-a", START, 2.5, -1.25)
    rm.ready()
    before = {each.execution_time: each.id for each in rm.session.due() if isinstance(each, FRBCInstruction)}
    rm.service.controls.dispatch(BOSS, Order(OPERATOR, "bat-a", Fields(p_kw=4.0), START + QUARTER, START + 2 * QUARTER))

    messages = rm.session.due()

    assert only(messages, RevokeObject).object_id == before[START + QUARTER]
    assert powers(messages) == {START + QUARTER: 4.0}


def test_another_setpoint_is_instructed_at_once(rm: Rm) -> None:
    decide(rm.service, "bat-a", START, 2.5)
    rm.ready()
    rm.session.due()
    rm.service.controls.dispatch(BOSS, Order(OPERATOR, "bat-a", Fields(p_kw=4.0), START, START + QUARTER))

    assert rm.instructed() == {START: 4.0}


def test_without_a_control_the_default_is_instructed_once(rm: Rm) -> None:
    rm.ready()
    first = rm.instructed()
    rm.clock.now += timedelta(minutes=1)

    assert set(first.values()) == {0.0}
    assert rm.clock.now - timedelta(minutes=1) in first
    assert [each for each in rm.session.due() if isinstance(each, FRBCInstruction)] == []


@pytest.mark.parametrize(
    ("said", "acknowledged"),
    [
        (InstructionStatus.ACCEPTED, "received"),
        (InstructionStatus.STARTED, "started"),
        (InstructionStatus.SUCCEEDED, "completed"),
        (InstructionStatus.REJECTED, "rejected"),
        (InstructionStatus.ABORTED, "opt_out"),
    ],
)
def test_an_instruction_s_status_is_an_acknowledgement(rm: Rm, said: InstructionStatus, acknowledged: str) -> None:
    decide(rm.service, "bat-a", START, 2.5)
    rm.ready()
    instruction = next(each for each in rm.session.due() if isinstance(each, FRBCInstruction))

    rm.say(followed(instruction.id, said))

    [ack] = rm.service.controls.acks(ANN, "bat-a")
    assert (ack.control, ack.status, ack.at) == (rm.service.controls.effective(ANN, "bat-a").control, acknowledged, START)


def test_an_instruction_that_was_not_understood_counts_as_rejected(rm: Rm) -> None:
    decide(rm.service, "bat-a", START, 2.5)
    rm.ready()
    instruction = next(each for each in rm.session.due() if isinstance(each, FRBCInstruction))

    statuses = {}
    for kind in (ReceptionStatusValues.OK, ReceptionStatusValues.INVALID_CONTENT):
        assert rm.say(ReceptionStatus(subject_message_id=instruction.message_id, status=kind)) == []
        statuses[kind] = [each.status for each in rm.service.controls.acks(ANN, "bat-a")]

    assert statuses == {ReceptionStatusValues.OK: [], ReceptionStatusValues.INVALID_CONTENT: ["rejected"]}


def test_the_status_of_the_default_or_of_nothing_is_taken_and_forgotten(rm: Rm) -> None:
    rm.ready()
    instruction = next(each for each in rm.session.due() if isinstance(each, FRBCInstruction))

    for name in (instruction.id, uuid.uuid4()):
        assert status(rm.say(followed(name, InstructionStatus.STARTED))) is ReceptionStatusValues.OK
    assert rm.service.controls.acks(ANN, "bat-a") == []


def test_power_and_fill_level_are_measured_with_our_sign(rm: Rm) -> None:
    rm.ready()
    values = [PowerValue(commodity_quantity=SYMMETRIC, value=-2500.0)]

    rm.say(PowerMeasurement(message_id=uuid.uuid4(), measurement_timestamp=START, values=values))

    power, soc = (rm.service.telemetry.latest(ANN, "bat-a", channel) for channel in ("p_kw", "soc"))
    assert power is not None
    assert (power.start, power.value) == (START, 2.5)
    assert soc is not None
    assert (soc.start, soc.value) == (rm.clock.now, 0.5)


@pytest.mark.parametrize("text", ["", "{", "[]", "5", "{}", '{"message_type": {}}', "[" * 5000, '{"message_type": 1}'])
def test_what_is_no_message_is_said_to_be_none(rm: Rm, text: str) -> None:
    assert status(rm.say(text)) is ReceptionStatusValues.INVALID_DATA


@pytest.mark.parametrize("change", [{"role": "COOK"}, {"colour": "blue"}, {"supported_protocol_versions": []}])
def test_a_message_with_faults_is_named(rm: Rm, change: dict[str, Any]) -> None:
    greeting = json.loads(handshake().to_json())

    [answer] = rm.say(json.dumps(greeting | change))

    assert isinstance(answer, ReceptionStatus)
    assert (answer.status, str(answer.subject_message_id)) == (ReceptionStatusValues.INVALID_MESSAGE, greeting["message_id"])


def test_a_measurement_that_is_no_number_changes_nothing(rm: Rm) -> None:
    rm.ready()
    values = [PowerValue(commodity_quantity=SYMMETRIC, value=1.0)]
    text = PowerMeasurement(message_id=uuid.uuid4(), measurement_timestamp=datetime.now(UTC), values=values).to_json()

    assert status(rm.say(text.replace("1.0", "1e999"))) is ReceptionStatusValues.INVALID_CONTENT
    assert rm.service.telemetry.latest(ANN, "bat-a", "p_kw") is None


def test_the_rm_may_end_it(rm: Rm) -> None:
    rm.say(SessionRequest(message_id=uuid.uuid4(), request=SessionRequestType.TERMINATE))

    assert rm.session.ended


def test_a_device_that_is_gone_ends_it(rm: Rm) -> None:
    rm.ready()
    rm.service.devices.remove(BOSS, "bat-a")

    with pytest.raises(NotFound):
        rm.session.due()
