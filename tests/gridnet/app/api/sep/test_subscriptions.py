"""Subscriptions, and what they bring."""

from __future__ import annotations

from dataclasses import dataclass, field

import httpx
import pytest
from envoy_schema.server.schema.sep2.end_device import EndDeviceListResponse
from envoy_schema.server.schema.sep2.pub_sub import Notification, Subscription, SubscriptionListResponse
from lxml import etree

from gridnet.app.service.model import Device, Fields
from tests.gridnet.app.api.sep.parties import BOSS, CAROL, NS, World, end_device

SUB = "/sep2/sub"
URL = "http://127.0.0.1:9/hook"
CONTROLS = "/sep2/edev/bob-bat/derp/operator/derc"
DEFAULT = "/sep2/edev/bob-bat/derp/operator/dderc"


def subscription(resource: str = CONTROLS, url: str = URL, limit: int = 100, more: str = "<encoding>0</encoding>") -> str:
    inside = f"{more}<level>+S1</level><limit>{limit}</limit><notificationURI>{url}</notificationURI>"
    return f"<Subscription {NS}><subscribedResource>{resource}</subscribedResource>{inside}</Subscription>"


@dataclass
class Inbox:
    """Where notifications arrive, unless it is `down`."""

    down: bool = False
    bodies: list[bytes] = field(default_factory=list)
    types: list[str] = field(default_factory=list)

    def take(self, request: httpx.Request) -> httpx.Response:
        if self.down:
            return httpx.Response(503)
        self.bodies.append(request.content)
        self.types.append(request.headers["content-type"])
        return httpx.Response(204)

    def deliver(self, world: World) -> int:
        """Sends what is due."""
        with httpx.Client(transport=httpx.MockTransport(self.take)) as client:
            return world.service.webhooks.send_due(client)


def resource(body: bytes) -> tuple[str, etree._Element]:
    """Its type, and the resource itself."""
    root = etree.fromstring(body)
    names = [etree.QName(each).localname for each in root]
    assert names == ["subscribedResource", "Resource", "status", "subscriptionURI"], "the schema's order"
    inside = root[1]
    return inside.get("{http://www.w3.org/2001/XMLSchema-instance}type"), inside


def test_a_subscription_is_kept_listed_and_removed(world: World) -> None:
    location = world.bob.post(SUB, subscription())

    kept = world.bob.get(Subscription, location)
    assert (kept.subscribedResource, kept.notificationURI, kept.limit, kept.level) == (CONTROLS, URL, 100, "+S1")
    listed = world.bob.get(SubscriptionListResponse, SUB, l=10)
    assert (listed.all_, listed.subscriptions) == (1, [kept])
    assert world.ann.get(SubscriptionListResponse, SUB, l=10).all_ == 0
    assert world.ann.status("GET", location) == 404
    assert world.ann.status("DELETE", location) == 404

    assert world.bob.status("DELETE", location) == 204
    assert world.bob.status("GET", location) == 404


def test_the_same_subscription_again_is_one(world: World) -> None:
    first = world.bob.post(SUB, subscription())

    assert world.bob.post(SUB, subscription()) == first
    changed = world.bob.post(SUB, subscription(limit=5))
    world.bob.post(SUB, subscription(url=URL + "/other"))

    assert world.bob.get(Subscription, changed).limit == 5
    assert world.bob.get(SubscriptionListResponse, SUB).all_ == 2


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (subscription("/sep2/edev/ann-bat/derp/operator/derc"), 404),
        (subscription("/sep2/tm"), 404),
        (subscription("/sep2/edev/bob-bat/derp/none/derc"), 404),
        (subscription("http://example.org/sep2/edev"), 404),
        (subscription(url="ftp://127.0.0.1/"), 400),
        (subscription(url="not a url"), 400),
        (subscription(more="<encoding>1</encoding>"), 400),
        (subscription(more="<Condition><attributeIdentifier>0</attributeIdentifier></Condition>"), 400),
        (subscription(limit=-1), 400),
    ],
)
def test_what_can_not_be_subscribed_to_is_refused(world: World, body: str, status: int) -> None:
    assert world.bob.status("POST", SUB, body) == status
    assert world.bob.get(SubscriptionListResponse, SUB).all_ == 0


def test_a_change_brings_the_resource_as_its_own_type(world: World) -> None:
    inbox, location = Inbox(), world.bob.post(SUB, subscription())
    control = world.dispatch("bob-bat", p_kw=2.0)

    assert inbox.deliver(world) == 1

    [body] = inbox.bodies
    assert inbox.types == ["application/sep+xml"]
    found = Notification.from_xml(body)
    assert (found.subscribedResource, found.subscriptionURI, found.status) == (CONTROLS, location, 0)
    kind, inside = resource(body)
    assert (kind, inside.get("href"), inside.get("all")) == ("DERControlList", CONTROLS, "1")
    assert control.id.upper() in body.decode()


def test_the_limit_is_how_many_items_come(world: World) -> None:
    inbox = Inbox()
    world.bob.post(SUB, subscription(limit=1))
    for start_s in (0, 1800):
        world.dispatch("bob-bat", start_s, p_kw=2.0)

    inbox.deliver(world)

    _, inside = resource(inbox.bodies[-1])
    assert (inside.get("results"), inside.get("all")) == ("1", "2")


def test_a_receiver_that_is_down_gets_it_later(world: World) -> None:
    inbox = Inbox(down=True)
    world.bob.post(SUB, subscription())
    world.dispatch("bob-bat", p_kw=2.0)

    assert inbox.deliver(world) == 0
    inbox.down = False
    assert inbox.deliver(world) == 0
    world.clock.now = world.clock.now.replace(minute=world.clock.now.minute + 1)
    assert inbox.deliver(world) == 1


def test_default_controls_programmes_and_devices_bring_notifications_too(world: World) -> None:
    inbox, fleet = Inbox(), world.fleet()
    device = fleet.post("/sep2/edev", end_device(CAROL)).rpartition("/")[2]
    for path in ("/sep2/edev", f"/sep2/edev/{device}/fsa", f"/sep2/edev/{device}/derp/operator/dderc"):
        fleet.post(SUB, subscription(path))

    world.service.devices.change(BOSS, device, default=Fields(p_kw=0.0, export_limit_kw=2.0))
    world.service.webhooks.publish("programs", device)
    world.service.webhooks.publish("device")
    inbox.deliver(world)

    kinds = {resource(body)[0] for body in inbox.bodies}
    assert kinds == {"EndDeviceList", "FunctionSetAssignmentsList", "DefaultDERControl"}


def test_what_a_device_says_of_itself_can_be_subscribed_to(world: World) -> None:
    inbox, path = Inbox(), "/sep2/edev/bob-bat/der/1/ders"
    status = f"<DERStatus {NS}><readingTime>1</readingTime></DERStatus>"
    world.bob.put(path, status)
    world.bob.post(SUB, subscription(path))

    world.bob.put(path, status)
    inbox.deliver(world)

    assert [resource(body)[0] for body in inbox.bodies] == ["DERStatus"]


def test_a_name_that_an_address_has_to_quote_is_found_again(world: World) -> None:
    world.service.devices.add(BOSS, Device("häuschen:1", f"lfdi:{CAROL}", "pv", 5.0, lfdi=CAROL))
    carol, inbox = world.party(CAROL), Inbox()
    [device] = carol.get(EndDeviceListResponse, "/sep2/edev", l=9).EndDevice or []
    carol.post(SUB, subscription(f"{device.href}/derp/operator/derc"))

    world.dispatch("häuschen:1", p_kw=1.0)

    assert inbox.deliver(world) == 1
    assert b'results="1"' in inbox.bodies[0]


def test_a_revoked_subscriber_hears_no_more(world: World) -> None:
    inbox = Inbox()
    world.bob.post(SUB, subscription())
    world.service.people.revoke(BOSS, world.bob.lfdi)

    world.dispatch("bob-bat", p_kw=2.0)

    assert inbox.deliver(world) == 0
    assert inbox.bodies == []


def test_anothers_changes_are_not_told(world: World) -> None:
    inbox = Inbox()
    world.bob.post(SUB, subscription())

    world.dispatch("ann-bat", p_kw=2.0)

    assert inbox.deliver(world) == 0
