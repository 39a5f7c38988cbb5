"""Webhooks of OpenADR's subscriptions, sent by the service's outbox.

What the service publishes itself, a device's event, is told by its state: when controls change, the event is sent as it is then.
What clients write is told by the change: each object that was made, changed or removed is sent once, as it was at that moment.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from gridnet.app.api.openadr.access import HOUSE, PUBLISHED, Access
from gridnet.app.api.openadr.live import PROGRAM, Live
from gridnet.app.api.openadr.queries import Query
from gridnet.app.api.openadr.shapes import OPERATIONS, Kind, Version
from gridnet.app.service.errors import NotAuthenticated, NotFound
from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service
from gridnet.app.service.webhooks import Rendered, Target, target_problem
from gridnet.app.service.webhooks import Subscription as Webhook
from gridnet.errors import Fault, InputError

_LIVE_TOPICS = ("controls", "default")
_GIVEN_UP = timedelta(minutes=20)
"""After this the outbox has long delivered a notice, or given it up."""


class Notices:
    """Subscriptions of one version of the protocol."""

    def __init__(self, service: Service, version: Version, access: Access, live: Live) -> None:
        self._service = service
        self._protocol = f"openadr-{version}"
        self._access = access
        self._live = live
        service.webhooks.renderers[self._protocol] = self.render

    def check(self, subscription: Mapping[str, Any]) -> None:
        """Raises `InputError` for a callback that nothing may be sent to."""
        urls = [each["callbackUrl"] for each in subscription["objectOperations"]]
        problems = [(url, target_problem(url, self._service.config)) for url in urls]
        faults = [Fault("callbackUrl", url[:200], problem) for url, problem in problems if problem is not None]
        if faults:
            raise InputError("nothing can be sent there:", faults)

    def follow(self, owner: str, subscription: Mapping[str, Any]) -> None:
        """Has the events of the owner's devices, as many as there are now, sent whenever they change."""
        by = self._subscriber(owner)
        if by is None or subscription.get("programID") not in (None, PROGRAM):
            return
        for wanted in _wanted(subscription, "EVENT", "UPDATE"):
            for device in self._live.devices(by):
                if Query({}, frozenset(_strings(subscription))).fits({"targets": [device.id]}):
                    for topic in _LIVE_TOPICS:
                        body = {"subscription": subscription["id"], "operation": wanted["word"], "token": wanted["bearerToken"]}
                        self._service.webhooks.subscribe(by, Target(self._protocol, wanted["callbackUrl"]), topic, device.id, body)

    def drop(self, by: Principal, subscription: str) -> None:
        """Sends nothing more for a subscription."""
        for each in self._service.webhooks.subscriptions(by, self._protocol):
            if each.body["subscription"] == subscription:
                self._service.webhooks.remove(by, each.id)

    def tell(self, kind: Kind, operation: str, body: Mapping[str, Any], owner: str) -> None:
        """Sends an object that `owner` has and that was just made, changed or removed to all who asked and may see it."""
        now, told = self._service.clock(), False
        for document in self._access.all(HOUSE, "subscription"):
            subscription, wanted = document.body, list(_wanted(document.body, kind.upper(), operation))
            program = body["id"] if kind == "program" else body.get("programID")
            if not wanted or subscription.get("programID") not in (None, program):
                continue
            subscriber = self._subscriber(document.owner)
            if subscriber is None or not self._may_hear(subscriber, kind, body, owner):
                continue
            if not Query({}, frozenset(_strings(subscription))).fits(body):
                continue
            for each in wanted:
                notice = {"objectType": kind.upper(), "operation": each["word"], "object": without_token(body)}
                self._send_once(subscriber, {**each, "subscription": document.id}, notice, now)
                told = True
        if told:
            self._sweep(now)

    def render(self, webhook: Webhook, topic: str) -> Rendered:
        """What is sent to one subscriber. Raises `NotFound` where the device is gone, `NotAuthenticated` where the subscriber was
        revoked."""
        owner, notice = self._access.principal(webhook.owner), webhook.body.get("notice")
        if notice is None:
            event = self._live.event_of(owner, self._service.devices.get(owner, str(webhook.device)))
            notice = {"objectType": "EVENT", "operation": webhook.body["operation"], "object": event}
        token = webhook.body.get("token")
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return Rendered(json.dumps(notice, allow_nan=False).encode(), "application/json", headers)

    def _subscriber(self, name: str) -> Principal | None:
        try:
            return self._access.principal(name)
        except NotAuthenticated:
            return None

    def _may_hear(self, by: Principal, kind: Kind, body: Mapping[str, Any], owner: str) -> bool:
        if kind not in PUBLISHED:
            return by.operates or by.id == owner
        try:
            return self._access.sees(by, kind, body)
        except NotFound:
            return False

    def _send_once(self, by: Principal, wanted: Mapping[str, Any], notice: Mapping[str, Any], now: datetime) -> None:
        # A topic of its own: the outbox joins notices of one topic, and these differ.
        topic = f"{self._protocol}/{secrets.token_hex(16)}"
        body = {"subscription": wanted["subscription"], "token": wanted["bearerToken"], "notice": notice, "made": now.isoformat()}
        self._service.webhooks.subscribe(by, Target(self._protocol, wanted["callbackUrl"]), topic, None, body)
        self._service.webhooks.publish(topic)

    def _sweep(self, now: datetime) -> None:
        for each in self._service.webhooks.subscriptions(HOUSE, self._protocol):
            if "made" in each.body and datetime.fromisoformat(each.body["made"]) < now - _GIVEN_UP:
                self._service.webhooks.remove(HOUSE, each.id)


def without_token(body: Mapping[str, Any]) -> dict[str, Any]:
    """A subscription without its secret; another object as it is."""
    operations = body.get("objectOperations")
    if operations is None:
        return dict(body)
    return {**body, "objectOperations": [{**each, "bearerToken": None} for each in operations]}


def _wanted(subscription: Mapping[str, Any], kind: str, operation: str) -> Iterator[dict[str, Any]]:
    """Where it wants to hear of the operation, and the word that it has for it."""
    for each in subscription["objectOperations"]:
        word = next((word for word in each["operations"] if OPERATIONS.get(word, word) == operation), None)
        if kind in each["objects"] and word is not None:
            yield {"callbackUrl": each["callbackUrl"], "bearerToken": each.get("bearerToken"), "word": word}


def _strings(subscription: Mapping[str, Any]) -> Iterator[str]:
    for each in subscription.get("targets") or ():
        yield from [each] if isinstance(each, str) else map(str, each["values"])
