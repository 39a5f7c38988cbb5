"""All of 2030.5 as one router: every view can be read, and those with a topic subscribed to."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request, Response

from gridnet.app.api import answering
from gridnet.app.api.answering import AnsweringRoute
from gridnet.app.api.sep import (
    capability,
    connection_point,
    der,
    end_devices,
    hrefs,
    log_events,
    mirror,
    outgoing,
    programs,
    responses,
)
from gridnet.app.api.sep.asking import Action, Asking, Page, View, page_of
from gridnet.app.api.sep.incoming import parse
from gridnet.app.api.sep.subscriptions import PROTOCOL, Subscriptions
from gridnet.app.service.service import Service
from gridnet.errors import GridnetError

_PARTS = (end_devices, connection_point, der, programs, responses, mirror, log_events)
VIEWS = (*capability.VIEWS, *(view for part in _PARTS for view in part.VIEWS))
ACTIONS = tuple(action for part in (end_devices, connection_point, der, responses, mirror, log_events) for action in part.ACTIONS)

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class SepRoute(AnsweringRoute):
    """A route that answers its errors as 2030.5 does."""

    def get_route_handler(self) -> Handler:
        """The handler, and what comes of what it raises."""
        handler = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                return await handler(request)
            except GridnetError as error:
                return outgoing.refused(error)

        return answer


def make_router(service: Service) -> APIRouter:
    """The router over a service, whose notifications it renders from now on."""
    subscriptions = Subscriptions(VIEWS)
    service.webhooks.renderers[PROTOCOL] = lambda subscription, topic: subscriptions.render(service, subscription)
    views = (
        *VIEWS,
        View(hrefs.SUBSCRIPTIONS, subscriptions.own),
        View(hrefs.SUBSCRIPTIONS + "/{name}", subscriptions.one),
    )
    actions = (
        *ACTIONS,
        Action("POST", hrefs.SUBSCRIPTIONS, subscriptions.subscribe),
        Action("DELETE", hrefs.SUBSCRIPTIONS + "/{name}", subscriptions.unsubscribe),
    )
    router = APIRouter(route_class=SepRoute, tags=["IEEE 2030.5"])
    for view in views:
        router.add_api_route(view.path, _reading(service, view), methods=["GET"], response_class=Response)
    for action in actions:
        doing = _doing(service, action) if action.has_body else _removing(service, action)
        router.add_api_route(action.path, doing, methods=[action.method], response_class=Response)
    return router


def _reading(service: Service, view: View) -> Callable[..., Response]:
    def read(request: Request, by: answering.Asking, page: Annotated[Page, Depends(page_of)]) -> Response:
        return outgoing.found(view.make(Asking(service, by, page), **request.path_params))

    return read


def _doing(service: Service, action: Action) -> Callable[..., Response]:
    def act(request: Request, by: answering.Asking, body: Annotated[bytes, Depends(_body)]) -> Response:
        reader = parse(body, service.config.most_nesting)
        return action.act(Asking(service, by, Page()), reader, **request.path_params)

    return act


def _removing(service: Service, action: Action) -> Callable[..., Response]:
    def act(request: Request, by: answering.Asking) -> Response:
        return action.act(Asking(service, by, Page()), **request.path_params)

    return act


async def _body(request: Request) -> bytes:
    """The request's body, which the guard has let pass."""
    return await request.body()
