"""All of the console as one router."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from anyio import to_thread
from fastapi import APIRouter, Request, Response

from gridnet.app.dashboard import answers, audit, dispatch, fraud, home, login, network
from gridnet.app.dashboard.console import ROOT, Act, Console, Make
from gridnet.app.dashboard.downloads import Download
from gridnet.app.dashboard.looking import Deed, Feed, Page
from gridnet.app.service.errors import NotFound
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.service import Service
from gridnet.errors import GridnetError

PAGES: tuple[Page, ...] = (*network.PAGES, *dispatch.PAGES, *home.PAGES, *audit.PAGES, *fraud.PAGES)
FEEDS: tuple[Feed, ...] = (*network.FEEDS, *dispatch.FEEDS, *home.FEEDS, *audit.FEEDS, *fraud.FEEDS)
DEEDS: tuple[Deed, ...] = (*network.DEEDS, *dispatch.DEEDS, *home.DEEDS, *audit.DEEDS, *fraud.DEEDS)
DOWNLOADS: tuple[Download, ...] = audit.DOWNLOADS
_GONE = NotFound("no such file, or not in this version: load the page again")

Answer = Callable[[Request], Awaitable[Response]]


def make_router(service: Service, live: LiveFeeder) -> APIRouter:
    """The router over a service and its live feeder."""
    console = Console(service, live, PAGES)
    router = APIRouter(prefix=ROOT, include_in_schema=False)

    def add(path: str, answer: Answer, method: str = "GET") -> None:
        router.add_api_route(path, answer, methods=[method], response_class=Response, response_model=None)

    add("/assets/{digest}/{name:path}", _handing_out(console))
    add("/login", _reading(console, console.ask_in))
    add("/login", _doing(console, console.log_in), "POST")
    add("/logout", _doing(console, console.log_out), "POST")
    for page in PAGES:
        add(page.path, _reading(console, console.showing(page)))
    for feed in FEEDS:
        add("/feeds" + feed.path, _reading(console, console.feeding(feed), in_words=False))
    for download in DOWNLOADS:
        add(download.path, _reading(console, console.saving(download)))
    for deed in DEEDS:
        add(deed.path, _doing(console, console.acting(deed)), "POST")
    add("", _reading(console, console.start))
    add("/{rest:path}", _reading(console, console.lost))
    return router


def _handing_out(console: Console) -> Answer:
    async def hand_out(request: Request) -> Response:
        # From memory, and to anybody: the login page has a style too.
        found = console.files.get(request.path_params["digest"], request.path_params["name"])
        return answers.file(request, found) if found is not None else console.refused(request, _GONE, in_words=False)

    return hand_out


def _reading(console: Console, make: Make, *, in_words: bool = True) -> Answer:
    def read(request: Request) -> Response:
        try:
            return make(request)
        except GridnetError as error:
            return console.refused(request, error, in_words=in_words)

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(read, request)

    return answer


def _doing(console: Console, act: Act) -> Answer:
    def do(request: Request, body: bytes) -> Response:
        try:
            login.check_origin(request)
            return act(request, login.form_of(request, body))
        except GridnetError as error:
            return console.refused(request, error, in_words=True)

    async def answer(request: Request) -> Response:
        return await to_thread.run_sync(do, request, await request.body())

    return answer
