"""Webhooks: signed, retried, and only to where they are allowed to go."""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets

from fastapi import APIRouter, Response

from gridnet.app.api.answering import AnsweringRoute, Asking
from gridnet.app.api.identity import Serving
from gridnet.app.api.problems import RESPONSES
from gridnet.app.api.schemas import SIGN, SubscriptionBody, SubscriptionOut
from gridnet.app.service.service import Service
from gridnet.app.service.webhooks import Rendered, Subscription, Target

PROTOCOL = "json"
SIGNATURE = "x-gridnet-signature"
router = APIRouter(prefix="/api/v1/subscriptions", tags=["subscriptions"], responses=RESPONSES, route_class=AnsweringRoute)


@router.post("", status_code=201, summary="Subscribe")
def subscribe(body: SubscriptionBody, by: Asking, service: Serving, response: Response) -> SubscriptionOut:
    """What is sent carries `X-Gridnet-Signature`, HMAC-SHA256 over the body with the secret that this answer shows once."""
    if body.device is not None:
        service.devices.get(by, body.device)
    secret = secrets.token_urlsafe(32)
    made = service.webhooks.subscribe(by, Target(PROTOCOL, body.url), body.topic, body.device, {"secret": secret})
    response.headers["location"] = f"/api/v1/subscriptions/{made.id}"
    return SubscriptionOut(id=made.id, topic=made.topic, device=made.device, url=made.url, secret=secret)


@router.get("", summary="Your subscriptions")
def listed(by: Asking, service: Serving) -> list[SubscriptionOut]:
    """Without their secrets."""
    return [_out(each) for each in service.webhooks.subscriptions(by, PROTOCOL)]


@router.get("/{subscription}", summary="One subscription")
def one(subscription: str, by: Asking, service: Serving) -> SubscriptionOut:
    """Without its secret."""
    return _out(service.webhooks.get(by, subscription))


@router.delete("/{subscription}", status_code=204, summary="Unsubscribe")
def remove(subscription: str, by: Asking, service: Serving) -> None:
    """What is on its way is not sent any more."""
    service.webhooks.remove(by, subscription)


def add_renderer(service: Service) -> None:
    """Has native subscriptions sent: what changed, not what it is now; whoever wants that asks."""

    def render(subscription: Subscription, topic: str) -> Rendered:
        said = {"topic": topic, "device": subscription.device, "subscription": subscription.id, "sign": SIGN}
        body = json.dumps({**said, "at": service.clock().isoformat()}).encode()
        signature = hmac.new(str(subscription.body["secret"]).encode(), body, hashlib.sha256).hexdigest()
        return Rendered(body, "application/json", {SIGNATURE: f"sha256={signature}"})

    service.webhooks.renderers[PROTOCOL] = render


def _out(subscription: Subscription) -> SubscriptionOut:
    return SubscriptionOut(
        id=subscription.id, topic=subscription.topic, device=subscription.device, url=subscription.url, secret=None
    )
