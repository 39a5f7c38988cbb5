"""The application: every protocol's router over one service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from prometheus_client import CollectorRegistry

from gridnet.app.api import admin
from gridnet.app.api.guard import Guard, Metrics, Rates
from gridnet.app.api.native import credits, devices, dispatches, health, readings, subscriptions, tokens
from gridnet.app.api.openadr.router import make_router as openadr
from gridnet.app.api.problems import add_handlers
from gridnet.app.api.s2.router import make_router as s2
from gridnet.app.api.sep.router import make_router as sep
from gridnet.app.dashboard.router import make_router as console
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.service import Service

DESCRIPTION = """Setpoints for devices, and what they report. Powers are in kW at the device's terminals and **positive where the
device generates**; times are RFC 3339 in UTC; errors are problem details (RFC 9457)."""


@asynccontextmanager
async def _few_threads(app: FastAPI) -> AsyncIterator[None]:
    """Handlers run in threads, and threads of one process compute in turn: many of them spend their time on taking turns."""
    current_default_thread_limiter().total_tokens = app.state.service.config.threads
    yield


def make_app(service: Service, live: LiveFeeder | None = None) -> FastAPI:
    """The application of a service; with its live feeder also the console."""
    app = FastAPI(
        title="gridnet dispatch", version="1", description=DESCRIPTION, docs_url=None, redoc_url=None, lifespan=_few_threads
    )
    app.state.service = service
    app.state.registry = registry = CollectorRegistry()
    app.state.rates = Rates(service.config.requests_per_minute)
    add_handlers(app)
    for part in (devices, readings, dispatches, subscriptions, credits, tokens, health):
        app.include_router(part.router)
    subscriptions.add_renderer(service)
    app.include_router(admin.make_router(service))
    app.include_router(sep(service))
    app.include_router(openadr(service, "3.1.0"))
    app.include_router(openadr(service, "3.0.1"))
    app.include_router(s2(service))
    if live is not None:
        app.include_router(console(service, live))
    app.add_middleware(Guard, config=service.config, metrics=Metrics(registry))
    return app
