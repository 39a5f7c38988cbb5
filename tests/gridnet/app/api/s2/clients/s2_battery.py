"""s2-python as the resource manager of a battery: describes itself, takes instructions, says what it does with them."""

import asyncio
import json
import sys
import urllib.parse
import urllib.request
import uuid
from datetime import UTC, datetime

from s2python.common import (
    Commodity,
    CommodityQuantity,
    Duration,
    InstructionStatus,
    InstructionStatusUpdate,
    NumberRange,
    PowerMeasurement,
    PowerRange,
    PowerValue,
    Role,
    RoleType,
)
from s2python.connection import AssetDetails
from s2python.connection.async_ import S2AsyncConnection
from s2python.connection.async_.control_type.class_based import FRBCControlType, ResourceManagerHandler
from s2python.connection.async_.medium.websocket import WebsocketClientMedium
from s2python.frbc import (
    FRBCActuatorDescription,
    FRBCActuatorStatus,
    FRBCOperationMode,
    FRBCOperationModeElement,
    FRBCStorageDescription,
    FRBCStorageStatus,
    FRBCSystemDescription,
)

facts = json.loads(sys.argv[1])
POWER = CommodityQuantity.ELECTRIC_POWER_3_PHASE_SYMMETRIC
ACTUATOR, MODE = uuid.uuid4(), uuid.uuid4()
ENOUGH = 4
"""The setpoint now, two planned ones, the default."""


def battery():
    # From 5 kW of discharge to 5 kW of charge: S2 counts consumption.
    element = FRBCOperationModeElement(
        fill_level_range=NumberRange(start_of_range=0, end_of_range=100),
        fill_rate=NumberRange(start_of_range=-0.014, end_of_range=0.014),
        power_ranges=[PowerRange(start_of_range=-5000, end_of_range=5000, commodity_quantity=POWER)],
    )
    mode = FRBCOperationMode(id=MODE, elements=[element], abnormal_condition_only=False)
    actuator = FRBCActuatorDescription(
        id=ACTUATOR, supported_commodities=[Commodity.ELECTRICITY], operation_modes=[mode], transitions=[], timers=[]
    )
    storage = FRBCStorageDescription(
        fill_level_label="state of charge in %",
        provides_leakage_behaviour=False,
        provides_fill_level_target_profile=False,
        provides_usage_forecast=False,
        fill_level_range=NumberRange(start_of_range=10, end_of_range=90),
    )
    now = datetime.now(UTC)
    return FRBCSystemDescription(message_id=uuid.uuid4(), valid_from=now, actuators=[actuator], storage=storage)


class Battery(FRBCControlType):
    def __init__(self):
        self.watts, self.times = [], []

    async def handle_instruction(self, connection, msg, send_okay):
        await send_okay()
        assert (msg.actuator_id, msg.operation_mode) == (ACTUATOR, MODE)
        watts = -5000 + msg.operation_mode_factor * 10000
        self.watts.append(round(watts, 3))
        self.times.append(msg.execution_time.isoformat())
        for status in (InstructionStatus.ACCEPTED, InstructionStatus.STARTED):
            if len(self.watts) == 1:
                update = InstructionStatusUpdate(
                    message_id=uuid.uuid4(), instruction_id=msg.id, status_type=status, timestamp=datetime.now(UTC)
                )
                await connection.send_msg_and_await_reception_status(update)
        if len(self.watts) == 1:
            value = PowerValue(commodity_quantity=POWER, value=watts)
            measured = PowerMeasurement(message_id=uuid.uuid4(), measurement_timestamp=datetime.now(UTC), values=[value])
            await connection.send_msg_and_await_reception_status(measured)
        if len(self.watts) == ENOUGH:
            await connection.stop()

    async def activate(self, connection):
        await connection.send_msg_and_await_reception_status(battery())
        status = FRBCActuatorStatus(
            message_id=uuid.uuid4(), actuator_id=ACTUATOR, active_operation_mode_id=MODE, operation_mode_factor=0.5
        )
        await connection.send_msg_and_await_reception_status(status)
        await connection.send_msg_and_await_reception_status(FRBCStorageStatus(message_id=uuid.uuid4(), present_fill_level=64))

    async def deactivate(self, connection):
        pass


async def main():
    form = {"grant_type": "client_credentials", "client_id": facts["client"], "client_secret": facts["secret"]}
    with urllib.request.urlopen(f"{facts['url']}/openadr3/3.1.0/auth/token", urllib.parse.urlencode(form).encode()) as answer:
        token = json.load(answer)["access_token"]
    control = Battery()
    details = AssetDetails(
        resource_id=uuid.uuid4(),
        name="battery",
        provides_forecast=False,
        provides_power_measurements=[POWER],
        instruction_processing_delay=Duration.from_milliseconds(0),
        roles=[Role(role=RoleType.ENERGY_STORAGE, commodity=Commodity.ELECTRICITY)],
    )
    address = facts["url"].replace("http", "ws", 1)
    async with WebsocketClientMedium(f"{address}/s2/bat-a", bearer_token=token) as medium:
        connection = S2AsyncConnection(medium)
        ResourceManagerHandler([control], details).register_handlers(connection)
        await asyncio.wait_for(connection.run(), 20)
    return {"watts": control.watts, "times": control.times}


sys.stdout.write(json.dumps(asyncio.run(main())))
