"""toadr3 (3.0.1): finds its setpoint, reports with the library's own help, subscribes."""

import asyncio
import json
import sys

import toadr3
from toadr3.models import ObjectOperation, ObjectType, OperationType, Report, Subscription, TargetType

facts = json.loads(sys.argv[1])
url = f"{facts['url']}/openadr3/3.0.1"


async def main():
    told = {}
    config = toadr3.OAuthScopeConfig(
        token_url=f"{url}/auth/token",
        grant_type="client_credentials",
        scope="read_all write_reports",
        client_id=facts["client"],
        client_secret=facts["secret"],
    )
    async with toadr3.ToadrClient(url, config) as client:
        [program] = await client.get_programs()
        told["program"] = program.program_name
        [event] = await client.get_events(program_id=program.id)
        [same] = await client.get_events(target_type=TargetType.RESOURCE_NAME, target_values=["bat-a"])
        told["others"] = len(await client.get_events(target_type=TargetType.RESOURCE_NAME, target_values=["bat.b"]))
        assert same.id == event.id
        payloads = [payload for interval in event.intervals for payload in interval.payloads]
        told["setpoints"] = [each.values[0] for each in payloads if each.type == "DISPATCH_SETPOINT"]
        report = Report.create_report(event, "house-7", "DEMAND", [told["setpoints"][0]], "now")
        sent = await client.post_report(report)
        told["reports"] = [each.id == sent.id for each in await client.get_reports(program_id=program.id, event_id=event.id)]
        wanted = ObjectOperation(
            objects=[ObjectType.EVENT], operations=[OperationType.PUT], callback_url="http://127.0.0.1:9/hook", bearer_token="t"
        )
        subscription = Subscription(client_name="house-7", program_id=program.id, object_operations=[wanted])
        made = await client.post_subscription(subscription)
        told["subscriptions"] = len(await client.get_subscriptions(program_id=program.id))
        await client.delete_subscription(made.id)
        try:
            await client.post_report(report.model_copy(update={"event_id": "dispatch-bat_2e_b"}))
        except toadr3.ToadrError as error:
            told["refused"] = error.status_code
    return told


sys.stdout.write(json.dumps(asyncio.run(main())))
