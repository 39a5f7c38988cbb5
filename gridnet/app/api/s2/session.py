"""One S2 connection with a resource manager (RM): what it says, and what it is told. No network here, and no waiting.

1. Both shake hands; the RM speaks this version, or the session ends.
2. The RM describes itself; fill rate based control is selected, where it has it.
3. It describes its system and how full it is. From then on it gets instructions: the setpoint now, those planned after it, each
   with the time at which it begins, and last the default control. An RM that loses the link follows them, and ends in the default.
4. Instructions that are no longer right are revoked before they begin, and sent anew.
5. Power measurements and fill levels become telemetry, an instruction's status an acknowledgement of the control behind it.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from s2python.common import (
    ControlType,
    EnergyManagementRole,
    Handshake,
    HandshakeResponse,
    InstructionStatus,
    InstructionStatusUpdate,
    PowerMeasurement,
    ReceptionStatus,
    ReceptionStatusValues,
    ResourceManagerDetails,
    RevokableObjects,
    RevokeObject,
    SelectControlType,
    SessionRequest,
    SessionRequestType,
)
from s2python.frbc import FRBCActuatorStatus, FRBCInstruction, FRBCStorageStatus, FRBCSystemDescription
from s2python.message import S2Message
from s2python.s2_parser import S2Parser
from s2python.s2_validation_error import S2ValidationError
from s2python.version import S2_VERSION

from gridnet.app.api.s2.fill_rate import Choice, choose, measured_kw, soc_of
from gridnet.app.service.errors import status_of
from gridnet.app.service.model import Ack, AckStatus, Device, Effective, Measurement, Principal
from gridnet.app.service.service import Service
from gridnet.app.service.timeline import timeline
from gridnet.errors import GridnetError

DETAILS = "s2/resource-manager"
"""Kind of the document that an RM's own description is kept as."""

ACKS: Mapping[InstructionStatus, AckStatus] = {
    InstructionStatus.NEW: "received",
    InstructionStatus.ACCEPTED: "received",
    InstructionStatus.REJECTED: "rejected",
    InstructionStatus.REVOKED: "cancelled",
    InstructionStatus.STARTED: "started",
    InstructionStatus.SUCCEEDED: "completed",
    InstructionStatus.ABORTED: "opt_out",
}
_NOBODY = uuid.UUID(int=0)
_LONGEST_LABEL = 300
_REMEMBERED = timedelta(hours=1)
"""How long after its beginning an instruction's status is still taken."""


@dataclass(frozen=True)
class Told:
    """What an instruction says. `start` None: at once, without a control behind it."""

    control: str
    start: datetime | None
    choice: Choice


@dataclass(frozen=True)
class Sent:
    """An instruction on its way."""

    told: Told
    begins: datetime


class Session:
    """The state of one connection. `received` and `due` give what is to be sent, in order."""

    def __init__(self, service: Service, by: Principal, device: Device) -> None:
        self._service = service
        self._by = by
        self._device = device
        self._system: FRBCSystemDescription | None = None
        self._level: float | None = None
        self._active: uuid.UUID | None = None
        self._controls = False
        self._now: Told | None = None
        self._ahead: dict[Told, uuid.UUID] = {}
        self._sent: dict[uuid.UUID, Sent] = {}
        self.ended = False
        self._handlers: Mapping[type[Any], Callable[[Any], Iterator[S2Message]]] = {
            Handshake: self._shake_hands,
            ResourceManagerDetails: self._described,
            FRBCSystemDescription: self._system_described,
            FRBCStorageStatus: self._filled,
            FRBCActuatorStatus: self._moved,
            PowerMeasurement: self._measured,
            InstructionStatusUpdate: self._followed,
            SessionRequest: self._asked,
        }

    def opened(self) -> list[S2Message]:
        """What a connection begins with."""
        return [Handshake(message_id=uuid.uuid4(), role=EnergyManagementRole.CEM, supported_protocol_versions=[S2_VERSION])]

    def received(self, text: str) -> list[S2Message]:
        """Answers to one message. What can't be read or used is answered with the reason, and changes nothing."""
        try:
            message = S2Parser.parse_as_any_message(_object(text))
        except S2ValidationError as error:
            return [_status(_name_of(text), ReceptionStatusValues.INVALID_MESSAGE, error.msg)]
        except (ValueError, RecursionError) as error:
            return [_status(_NOBODY, ReceptionStatusValues.INVALID_DATA, str(error))]
        if isinstance(message, ReceptionStatus):
            self._arrived(message)
            return []
        handle = self._handlers.get(type(message))
        try:
            answers = [] if handle is None else list(handle(message))
        except GridnetError as error:
            status, _ = status_of(error)
            kind = ReceptionStatusValues.TEMPORARY_ERROR if status >= 500 else ReceptionStatusValues.INVALID_CONTENT
            return [_status(message.message_id, kind, str(error))]
        return [_status(message.message_id, ReceptionStatusValues.OK, ""), *answers]

    def due(self) -> list[S2Message]:
        """Instructions that the RM does not have yet, after the revocation of those that are no longer right. Raises `NotFound`
        where the device is gone."""
        if not self._controls or self._system is None or self._level is None:
            return []
        self._device = self._service.devices.get(self._by, self._device.id)
        line, now = timeline(self._service, self._by, self._device), self._service.clock()
        wanted = [told for step in (*line.steps, line.after) if (told := self._told(step, now)) is not None]
        if not wanted:
            return []
        first, later = wanted[0], dict.fromkeys(wanted[1:])
        made = []
        # What was sent ahead begins by itself.
        if self._ahead.pop(first, None) is None and first != self._now:
            made.append(self._instruct(first, first.start or now))
        self._now = first
        self._forget(now)
        revoked = [self._revoke(told) for told in list(self._ahead) if told not in later]
        for told in later:
            if told not in self._ahead and told.start is not None:
                instruction = self._instruct(told, told.start)
                self._ahead[told] = instruction.id
                made.append(instruction)
        return [*revoked, *made]

    def _told(self, step: Effective, now: datetime) -> Told | None:
        assert self._system is not None
        assert self._level is not None
        choice = choose(self._system, self._level, self._active, step.p_kw)
        at_once = step.is_default and step.start <= now
        return None if choice is None else Told(step.control, None if at_once else step.start, choice)

    def _instruct(self, told: Told, begins: datetime) -> FRBCInstruction:
        name = uuid.uuid4()
        self._sent[name] = Sent(told, begins)
        return FRBCInstruction(
            # One name for both, so that a message that was refused leads to its instruction.
            message_id=name,
            id=name,
            actuator_id=told.choice.actuator,
            operation_mode=told.choice.mode,
            operation_mode_factor=told.choice.factor,
            execution_time=begins,
            abnormal_condition=False,
        )

    def _revoke(self, told: Told) -> RevokeObject:
        name = self._ahead.pop(told)
        return RevokeObject(message_id=uuid.uuid4(), object_type=RevokableObjects.FRBC_Instruction, object_id=name)

    def _forget(self, now: datetime) -> None:
        """What has begun can't be revoked; what began long ago is not spoken of any more."""
        self._ahead = {told: name for told, name in self._ahead.items() if self._sent[name].begins > now}
        self._sent = {name: sent for name, sent in self._sent.items() if sent.begins > now - _REMEMBERED}

    def _shake_hands(self, message: Handshake) -> Iterator[S2Message]:
        if S2_VERSION in (message.supported_protocol_versions or ()) and message.role is EnergyManagementRole.RM:
            yield HandshakeResponse(message_id=uuid.uuid4(), selected_protocol_version=S2_VERSION)
            return
        self.ended = True
        label = f"this is a CEM that speaks {S2_VERSION} with RMs"
        yield SessionRequest(message_id=uuid.uuid4(), request=SessionRequestType.TERMINATE, diagnostic_label=label)

    def _described(self, message: ResourceManagerDetails) -> Iterator[S2Message]:
        body = message.model_dump(mode="json")
        self._service.documents.put(self._by, DETAILS, self._device.id, body, self._device.id)
        self._controls = ControlType.FILL_RATE_BASED_CONTROL in message.available_control_types
        kind = ControlType.FILL_RATE_BASED_CONTROL if self._controls else ControlType.NOT_CONTROLABLE
        if self._controls or kind in message.available_control_types:
            yield SelectControlType(message_id=uuid.uuid4(), control_type=kind)

    def _system_described(self, message: FRBCSystemDescription) -> Iterator[S2Message]:
        self._system, self._now = message, None
        return iter(())

    def _filled(self, message: FRBCStorageStatus) -> Iterator[S2Message]:
        if self._system is not None:
            soc = soc_of(self._system.storage, message.present_fill_level)
            if 0.0 <= soc <= 1.0:
                self._measure("soc", soc, self._service.clock())
        self._level = message.present_fill_level
        return iter(())

    def _moved(self, message: FRBCActuatorStatus) -> Iterator[S2Message]:
        self._active = message.active_operation_mode_id
        return iter(())

    def _measured(self, message: PowerMeasurement) -> Iterator[S2Message]:
        p_kw = measured_kw(message.values)
        if p_kw is not None:
            self._measure("p_kw", p_kw, message.measurement_timestamp)
        return iter(())

    def _followed(self, message: InstructionStatusUpdate) -> Iterator[S2Message]:
        self._acknowledge(message.instruction_id, ACKS[message.status_type], message.timestamp)
        return iter(())

    def _asked(self, message: SessionRequest) -> Iterator[S2Message]:
        self.ended = True
        return iter(())

    def _arrived(self, message: ReceptionStatus) -> None:
        if message.status is not ReceptionStatusValues.OK:
            self._acknowledge(message.subject_message_id, "rejected", self._service.clock())

    def _acknowledge(self, instruction: uuid.UUID, status: AckStatus, at: datetime) -> None:
        sent = self._sent.get(instruction)
        # The default control is nobody's order: there is nothing to acknowledge.
        if sent is not None and sent.told.control != "default":
            self._service.controls.acknowledge(self._by, Ack(sent.told.control, self._device.id, status, at))

    def _measure(self, channel: str, value: float, at: datetime) -> None:
        self._service.telemetry.measure(self._by, self._device.id, [Measurement(channel, at, value)])


def _object(text: str) -> dict[str, Any]:
    found = json.loads(text)
    if not isinstance(found, dict) or not isinstance(found.get("message_type"), str):
        raise ValueError("not a JSON object with a message_type")
    return found


def _name_of(text: str) -> uuid.UUID:
    """The id of a message that is no message otherwise."""
    try:
        return uuid.UUID(str(_object(text).get("message_id")))
    except ValueError:
        return _NOBODY


def _status(subject: uuid.UUID, status: ReceptionStatusValues, label: str) -> ReceptionStatus:
    return ReceptionStatus(subject_message_id=subject, status=status, diagnostic_label=label[:_LONGEST_LABEL])
