"""Subscriptions, and the notifications that they bring."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from urllib.parse import unquote

from envoy_schema.server.schema.sep2.base import nsmap
from envoy_schema.server.schema.sep2.pub_sub import (
    Notification,
    NotificationStatus,
    SubscriptionEncoding,
    SubscriptionListResponse,
)
from envoy_schema.server.schema.sep2.pub_sub import Subscription as SepSubscription
from fastapi import Response
from lxml import etree

from gridnet.app.api.sep import hrefs, outgoing
from gridnet.app.api.sep.asking import MOST_ITEMS, Asking, Page, View
from gridnet.app.api.sep.incoming import UINT32, Reader
from gridnet.app.api.sep.rates import READER, poll_s
from gridnet.app.service.errors import Conflict, NotFound
from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service
from gridnet.app.service.webhooks import Rendered, Subscription, Target

PROTOCOL = "sep"
MOST_SUBSCRIPTIONS = 1000
"""Of one client."""
_TYPE = etree.QName(nsmap["xsi"], "type")


class Subscriptions:
    """Subscriptions to the resources of `views`."""

    def __init__(self, views: Sequence[View]) -> None:
        self._views = [(re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", each.path)), each) for each in views]

    def own(self, asking: Asking) -> SubscriptionListResponse:
        """The client's subscriptions."""
        known = asking.service.webhooks.subscriptions(asking.by, PROTOCOL)
        page = [_subscription(each) for each in asking.page.cut(known)]
        return SubscriptionListResponse(
            href=hrefs.SUBSCRIPTIONS,
            all_=len(known),
            results=len(page),
            pollRate=poll_s(asking.service, "SubscriptionList"),
            subscriptions=page,
        )

    def one(self, asking: Asking, name: str) -> SepSubscription:
        """One of them. Raises `NotFound`."""
        return _subscription(_found(asking, name))

    def subscribe(self, asking: Asking, reader: Reader) -> Response:
        """Wants to hear of a resource that it can read. The same resource to the same place is one subscription. Raises `NotFound`,
        `InputError`, `Conflict`."""
        href = reader.text("subscribedResource", 4096, needed=True)
        url = reader.text("notificationURI", 4096, needed=True)
        limit = reader.integer("limit", 0, UINT32, needed=True)
        level = reader.text("level", 16) or "+S1"
        if reader.integer("encoding", 0, 255) not in (None, SubscriptionEncoding.XML):
            reader.refuse("encoding", "EXI", "0, for XML")
        if reader.child("Condition") is not None:
            reader.refuse("Condition", "one", "none: notifications come with every change")
        reader.done()
        assert href is not None, "done() let a missing resource pass"
        assert url is not None, "done() let a missing address pass"
        view, names = self._resource(asking, href)
        known = asking.service.webhooks.subscriptions(asking.by, PROTOCOL)
        body = {"resource": href, "limit": limit or 0, "level": level}
        same = [each for each in known if each.url == url and each.body["resource"] == href]
        for each in same:
            if each.body == body:
                return outgoing.made(hrefs.subscription(each.id))
            asking.service.webhooks.remove(asking.by, each.id)
        if len(known) >= MOST_SUBSCRIPTIONS:
            raise Conflict(f"{MOST_SUBSCRIPTIONS} subscriptions are all that one client may have")
        made = asking.service.webhooks.subscribe(asking.by, Target(PROTOCOL, url), str(view.topic), names.get("device"), body)
        return outgoing.made(hrefs.subscription(made.id))

    def unsubscribe(self, asking: Asking, name: str) -> Response:
        """Raises `NotFound`."""
        asking.service.webhooks.remove(asking.by, _found(asking, name).id)
        return outgoing.gone()

    def render(self, service: Service, subscription: Subscription) -> Rendered:
        """What its subscriber would read now. Raises what reading raises, and `NotAuthenticated` for a client that was revoked."""
        href, limit = str(subscription.body["resource"]), min(int(subscription.body["limit"]), MOST_ITEMS)
        asking = Asking(service, _owner(service, subscription), Page(0, limit))
        view, names = self._match(href)
        body = notification(href, hrefs.subscription(subscription.id), view.make(asking, **names))
        return Rendered(body, outgoing.MEDIA_TYPE)

    def _resource(self, asking: Asking, href: str) -> tuple[View, Mapping[str, str]]:
        """The view of a resource that the client can read. Raises `NotFound`."""
        view, names = self._match(href)
        view.make(asking, **names)
        return view, names

    def _match(self, href: str) -> tuple[View, Mapping[str, str]]:
        for pattern, view in self._views:
            matched = pattern.fullmatch(href)
            if matched and view.topic is not None:
                return view, {name: unquote(part) for name, part in matched.groupdict().items()}
        raise NotFound(f"nothing to subscribe to at {href[:200]}")


def notification(href: str, subscription: str, model: object) -> bytes:
    """A Notification with the resource inside, as its own type."""
    root = outgoing.tree(Notification(subscribedResource=href, status=NotificationStatus.DEFAULT, subscriptionURI=subscription))
    resource = outgoing.tree(model)
    resource.set(_TYPE, etree.QName(resource).localname)
    resource.tag = etree.QName(nsmap[""], "Resource")
    # The schema's order: the resource comes after the subscribed resource's address.
    root.insert(1, resource)
    return outgoing.written(root)


def _subscription(subscription: Subscription) -> SepSubscription:
    return SepSubscription(
        href=hrefs.subscription(subscription.id),
        subscribedResource=str(subscription.body["resource"]),
        encoding=SubscriptionEncoding.XML,
        level=str(subscription.body["level"]),
        limit=int(subscription.body["limit"]),
        notificationURI=subscription.url,
    )


def _found(asking: Asking, name: str) -> Subscription:
    found = asking.service.webhooks.get(asking.by, name)
    if found.protocol != PROTOCOL:
        raise NotFound(f"no subscription {name[:64]}")
    return found


def _owner(service: Service, subscription: Subscription) -> Principal:
    if subscription.owner.startswith("lfdi:"):
        return service.people.by_certificate(subscription.owner.removeprefix("lfdi:"))
    owner = service.people.get(READER, subscription.owner).principal
    return owner if owner.lfdi is None else service.people.by_certificate(owner.lfdi)
