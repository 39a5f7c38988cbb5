"""openadr3-client as the business logic: programs and events with targets, made, found, changed and removed."""

import json
import sys
from datetime import UTC, datetime, timedelta

from openadr3_client._models.common.interval import Interval
from openadr3_client._models.common.interval_period import IntervalPeriod
from openadr3_client.bl.http_factory import BusinessLogicHttpClientFactory
from openadr3_client.version import OADRVersion

facts = json.loads(sys.argv[1])
newer = facts["version"] == "3.1.0"
if newer:
    from openadr3_client.oadr310._vtn.interfaces.filters import PaginationFilter, TargetFilter
    from openadr3_client.oadr310.models.event.event import EventUpdate, NewEvent
    from openadr3_client.oadr310.models.event.event_payload import EventPayload, EventPayloadType
    from openadr3_client.oadr310.models.program.program import NewProgram, ProgramUpdate
    from openadr3_client.oadr310.models.ven.ven import NewVenBlRequest

    targets, wanted = ("street-4",), TargetFilter(targets=["street-4"])
else:
    from openadr3_client.oadr301._vtn.interfaces.filters import PaginationFilter, TargetFilter
    from openadr3_client.oadr301.models.event.event import EventUpdate, NewEvent
    from openadr3_client.oadr301.models.event.event_payload import EventPayload, EventPayloadType
    from openadr3_client.oadr301.models.program.program import NewProgram, ProgramUpdate
    from openadr3_client.oadr301.models.target import Target

    targets = (Target(type="GROUP", values=("street-4",)),)
    wanted = TargetFilter(target_type="GROUP", target_values=["street-4"])

url = f"{facts['url']}/openadr3/{facts['version']}"
client = BusinessLogicHttpClientFactory.create_http_bl_client(
    vtn_base_url=url,
    client_id=facts["client"],
    client_secret=facts["secret"],
    token_url=None if newer else f"{url}/auth/token",
    version=OADRVersion.OADR_310 if newer else OADRVersion.OADR_301,
)
told = {}

program = client.programs.create_program(NewProgram(program_name="tariff"))
changed = ProgramUpdate(program_name="day tariff") if newer else program.update(ProgramUpdate(program_name="day tariff"))
told["program"] = client.programs.update_program_by_id(program.id, changed).program_name


def intervals(price):
    period = IntervalPeriod(start=datetime(2030, 1, 1, tzinfo=UTC), duration=timedelta(hours=1))
    payload = EventPayload(type=EventPayloadType.PRICE, values=(price,))
    return (Interval(id=0, interval_period=period, payloads=(payload,)),)


event = client.events.create_event(NewEvent(program_id=program.id, event_name="noon", targets=targets, intervals=intervals(0.17)))
client.events.create_event(NewEvent(program_id=program.id, event_name="for all", intervals=intervals(0.2)))
told["all"] = [each.event_name for each in client.events.get_events(None, None, program.id)]
told["second"] = [each.event_name for each in client.events.get_events(None, PaginationFilter(skip=1, limit=1), program.id)]
told["targeted"] = [each.event_name for each in client.events.get_events(wanted, None, program.id)]
members = {"program_id": program.id, "event_name": "noon", "targets": targets, "intervals": intervals(-0.05)}
update = EventUpdate(**members)
event = client.events.update_event_by_id(event.id, update if newer else event.update(update))
told["price"] = event.intervals[0].payloads[0].values[0]
told["hour"] = event.intervals[0].interval_period.duration / timedelta(hours=1)
if newer:
    ven = client.vens.create_ven(NewVenBlRequest(ven_name="house 7", client_id="ann", targets=targets))
    told["ven"] = [ven.client_id, list(ven.targets)]
client.events.delete_event_by_id(event.id)
told["left"] = [each.event_name for each in client.events.get_events(None, None, program.id)]
client.programs.delete_program_by_id(program.id)
told["programs"] = [each.program_name for each in client.programs.get_programs(None, None)]
sys.stdout.write(json.dumps(told))
