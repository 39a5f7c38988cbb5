"""python-oa3-client (3.1): registers, polls its setpoint, reports, and is told of a change by webhook."""

import json
import sys
from itertools import pairwise

from openadr3_client import BlClient, VenClient

facts = json.loads(sys.argv[1])
url = f"{facts['url']}/openadr3/3.1.0"
told = {}
with VenClient(url=url, client_id=facts["client"], client_secret=facts["secret"]) as ven:
    ven.register("house 7")
    again = ven.ven_id
    ven.register("house 7")
    assert ven.ven_id == again
    told["notifiers"], told["mqtt"] = ven.discover_notifiers(), ven.vtn_supports_mqtt()
    [event] = ven.poll_events("gridnet dispatch")
    told["setpoints"] = [
        payload.values[0] for each in event.intervals for payload in each.payloads if payload.type == "DISPATCH_SETPOINT"
    ]
    spans = [each.interval_period.period for each in event.resolved_intervals()]
    told["contiguous"] = all(first[1] == second[0] for first, second in pairwise(spans))
    report = {
        "objectType": "REPORT",
        "eventID": event.id,
        "clientName": "house 7",
        "payloadDescriptors": [{"objectType": "REPORT_PAYLOAD_DESCRIPTOR", "payloadType": "READING", "units": "KW"}],
        "resources": [
            {
                "resourceName": "bat-a",
                "intervalPeriod": {"start": facts["measured"], "duration": "PT5M"},
                "intervals": [{"id": 0, "payloads": [{"type": "READING", "values": [float(told["setpoints"][0])]}]}],
            }
        ],
    }
    answer = ven.create_report(report)
    assert answer.status_code == 201, answer.text
    told["reports"] = len(ven.reports(eventID=event.id))

    hook = ven.add_webhook(host="127.0.0.1", bearer_token="open-sesame")
    hook.start()
    ven.subscribe(["gridnet dispatch"], ["EVENT"], ["CREATE", "UPDATE"], hook)
    [subscription] = ven.subscriptions()
    # The test changes the setpoint when it reads this line.
    sys.stderr.write("subscribed\n")
    messages = hook.await_messages(1, timeout=20.0)
    told["messages"] = [[each.payload.operation, each.payload.object_type, each.payload.object.id] for each in messages]
    told["pushed"] = [each.payload.object.intervals[0].payloads[0].values[0] for each in messages]
    told["deleted"] = ven.delete_subscription(subscription.id).status_code
with BlClient(url=url, client_id="boss", client_secret=facts["secret"]) as bl:
    program = bl.create_program({"programName": "tariff", "targets": ["street-4"]}).json()
    told["programs"] = [each.program_name for each in bl.programs()]
    told["forbidden"] = bl.create_report(report).status_code
    bl.delete_program(program["id"])
sys.stdout.write(json.dumps(told, default=float))
