"""openadr3-client as a VEN, in either version: finds its setpoint, registers itself, reports, subscribes."""

import json
import sys
from datetime import datetime, timedelta

from openadr3_client._models.common.interval import Interval
from openadr3_client._models.common.interval_period import IntervalPeriod
from openadr3_client.ven.http_factory import VirtualEndNodeHttpClientFactory
from openadr3_client.version import OADRVersion

facts = json.loads(sys.argv[1])
newer = facts["version"] == "3.1.0"
if newer:
    from openadr3_client.oadr310.models.event.event_payload import EventPayloadDescriptor, EventPayloadType
    from openadr3_client.oadr310.models.report.report import NewReport, ReportResource
    from openadr3_client.oadr310.models.report.report_payload import ReportPayload, ReportPayloadType
    from openadr3_client.oadr310.models.resource.resource import NewResourceVenRequest
    from openadr3_client.oadr310.models.subscriptions.subscription import NewSubscription, Object, ObjectOperation, Operation
    from openadr3_client.oadr310.models.ven.ven import NewVenVenRequest, VenUpdateVenRequest
else:
    from openadr3_client.oadr301.models.event.event_payload import EventPayloadDescriptor, EventPayloadType
    from openadr3_client.oadr301.models.report.report import NewReport, ReportResource
    from openadr3_client.oadr301.models.report.report_payload import ReportPayload, ReportPayloadType
    from openadr3_client.oadr301.models.subscriptions.subscription import NewSubscription, Object, ObjectOperation, Operation
    from openadr3_client.oadr301.models.ven.ven import NewVen, VenUpdate

url = f"{facts['url']}/openadr3/{facts['version']}"
client = VirtualEndNodeHttpClientFactory.create_http_ven_client(
    vtn_base_url=url,
    client_id=facts["client"],
    client_secret=facts["secret"],
    token_url=None if newer else f"{url}/auth/token",
    scopes=["read_all", "read_targets", "write_reports", "write_vens", "write_subscriptions"],
    version=OADRVersion.OADR_310 if newer else OADRVersion.OADR_301,
)
told = {}

[program] = [each for each in client.programs.get_programs(None, None) if each.name == "gridnet dispatch"]
events = client.events.get_events(None, None, program.id)
told["events"] = [each.id for each in events]
[event] = events
told["setpoints"] = [
    payload.values[0]
    for interval in event.intervals
    for payload in interval.payloads
    if payload.type == EventPayloadType.DISPATCH_SETPOINT
]
told["starts"] = [interval.interval_period.start.isoformat() for interval in event.intervals]
told["minutes"] = [interval.interval_period.duration / timedelta(minutes=1) for interval in event.intervals]
told["units"] = {each.payload_type: each.units for each in event.payload_descriptors}
assert client.events.get_event_by_id(event.id).id == event.id

ven = client.vens.create_ven((NewVenVenRequest if newer else NewVen)(ven_name="house 7"))
assert client.vens.get_ven_by_id(ven.id).ven_name == "house 7"
if newer:
    renamed = client.vens.update_ven_by_id(ven.id, VenUpdateVenRequest(ven_name="house 8"))
    made = client.resources.create_resource(NewResourceVenRequest(resource_name="bat-a", ven_id=ven.id))
    told["resources"] = [each.resource_name for each in client.resources.get_resources(ven_id=ven.id)]
    client.resources.delete_resource_by_id(made.id)
else:
    renamed = client.vens.update_ven_by_id(ven.id, ven.update(VenUpdate(ven_name="house 8")))
    # The client has no call that makes a resource in this version.
    answer = client.vens.session.post(f"{url}/vens/{ven.id}/resources", json={"resourceName": "bat-a", "venID": ven.id})
    assert answer.status_code == 201, answer.text
    made = client.vens.get_ven_resource_by_id(ven.id, answer.json()["id"])
    told["resources"] = [each.resource_name for each in client.vens.get_ven_resources(ven.id, None, None, None)]
    client.vens.delete_ven_resource_by_id(ven.id, made.id)
told["vens"] = [each.ven_name for each in client.vens.get_vens(None, None, None)]

period = IntervalPeriod(start=datetime.fromisoformat(facts["measured"]), duration=timedelta(minutes=5))
program_id = {} if newer else {"program_id": program.id}
report = client.reports.create_report(
    NewReport(
        event_id=event.id,
        client_name="house 8",
        **program_id,
        payload_descriptors=(EventPayloadDescriptor(payload_type="DEMAND", units="KW"),),
        resources=(
            ReportResource(
                resource_name="bat-a",
                interval_period=period,
                intervals=(
                    Interval(
                        id=0,
                        payloads=(
                            ReportPayload(type=ReportPayloadType.DEMAND, values=(told["setpoints"][0],)),
                            ReportPayload(type=ReportPayloadType.STORAGE_CHARGE_LEVEL, values=(64.0,)),
                        ),
                    ),
                ),
            ),
        ),
    )
)
told["reports"] = len(client.reports.get_reports(None, program.id, event.id, "house 8"))
client.reports.delete_report_by_id(report.id)

subscription = client.subscriptions.create_subscription(
    NewSubscription(
        client_name="house 8",
        program_id=program.id,
        object_operations=(
            ObjectOperation(
                objects=(Object.EVENT,), operations=(Operation.PUT,), callback_url="http://127.0.0.1:9/hook", bearer_token="t"
            ),
        ),
    )
)
assert client.subscriptions.get_subscription_by_id(subscription.id).object_operations[0].bearer_token == "t"
client.subscriptions.delete_subscription_by_id(subscription.id)
deleted = client.vens.delete_ven_by_id(ven.id)
assert deleted.id == ven.id
sys.stdout.write(json.dumps(told))
