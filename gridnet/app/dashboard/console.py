"""What becomes of one request to the console: who looks, whether they may, the page, or why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from urllib.parse import urlsplit

from fastapi import Request, Response

from gridnet.app.api.problems import problem
from gridnet.app.dashboard import answers, login
from gridnet.app.dashboard.downloads import Download
from gridnet.app.dashboard.files import Files
from gridnet.app.dashboard.looking import Deed, Feed, Looking, Page
from gridnet.app.dashboard.rendering import Renderer
from gridnet.app.service.errors import Forbidden, NotAuthenticated, NotFound, ServiceError, status_of
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.model import Principal, Role
from gridnet.app.service.service import Service
from gridnet.errors import GridnetError, InputError

ROOT = "/console"
FIRST: Mapping[Role, str] = {"prosumer": "/home"}
"""The page that a role comes to first, where that is not the first of its menu."""
_TITLES = {403: "Not for you", 404: "Not found", 422: "This can't be", 429: "Too much at a time", 503: "Away for a while"}

Form = Mapping[str, str]
Make = Callable[[Request], Response]
Act = Callable[[Request, Form], Response]


class Console:
    """Makes answers; each of its methods blocks, and is called in a thread."""

    def __init__(self, service: Service, live: LiveFeeder, pages: Sequence[Page]) -> None:
        self.files = Files()
        self._service, self._live, self._pages = service, live, pages
        self._renderer = Renderer(self.files)

    def start(self, request: Request) -> Response:
        """On to the first page of whoever looks."""
        return answers.elsewhere(self._first(self._known(request)))

    def lost(self, request: Request) -> Response:
        """Raises `NotFound` for whoever is known."""
        self._known(request)
        raise NotFound("the console has no page at this address")

    def ask_in(self, request: Request) -> Response:
        """The login page."""
        return self._login(request, request.query_params.get("next", ""))

    def log_in(self, request: Request, form: Form) -> Response:
        """With the right id and secret on to the page that was wanted, else the login page again."""
        wanted = login.own_path(form.get("next", ""))
        try:
            token, _ = self._service.people.issue_token(form.get("id", "").strip(), form.get("secret", ""))
        except NotAuthenticated:
            return self._login(request, wanted or "", failed=True)
        first = self._first(self._service.people.by_token(token))
        return login.give(answers.elsewhere(wanted or first), token)

    def log_out(self, request: Request, _: Form) -> Response:
        """Ends the token, whether it was still good or not."""
        self._service.people.end_token(request.cookies.get(login.COOKIE, ""))
        return login.take(answers.elsewhere(login.PATH))

    def showing(self, page: Page) -> Make:
        """What shows a page."""

        def show(request: Request) -> Response:
            looking = self._looking(request, page.roles)
            with self._service.store.view():
                shown = page.view(looking, **request.path_params)
            return self._html(request, page, looking.by, shown)

        return show

    def feeding(self, feed: Feed) -> Make:
        """What answers a page's script."""

        def give(request: Request) -> Response:
            looking = self._looking(request, feed.roles)
            with self._service.store.view():
                body = feed.view(looking, **request.path_params)
            return answers.feed(request, body)

        return give

    def saving(self, download: Download) -> Make:
        """What gives a file to keep."""

        def save(request: Request) -> Response:
            looking = self._looking(request, download.roles)
            return answers.attachment(download.make(looking, **request.path_params))

        return save

    def acting(self, deed: Deed) -> Act:
        """What does as a form says."""

        def act(request: Request, form: Form) -> Response:
            path = deed.act(self._looking(request, deed.roles), form, **request.path_params)
            return answers.elsewhere(path if path.startswith(ROOT) else ROOT + path)

        return act

    def refused(self, request: Request, error: GridnetError, *, in_words: bool) -> Response:
        """The answer that an error comes to: the login page for whoever is not known, else a page or an object that says why."""
        status, kind = status_of(error)
        if not in_words:
            answer: Response = problem(request, status, kind, str(error).splitlines()[0])
            answer.headers.update({**answers.HEADERS, "cache-control": answers.NEVER})
        elif status == 401:
            answer = login.take(answers.elsewhere(login.way_in(request)))
        else:
            answer = self._refusal(request, error, status)
        if isinstance(error, ServiceError) and error.retry_after_s is not None:
            answer.headers["retry-after"] = str(error.retry_after_s)
        return answer

    def _known(self, request: Request) -> Principal:
        """Whoever looks, and one request more of theirs. Raises `NotAuthenticated`, `TooMany`."""
        token = login.token_of(request)
        by = self._service.people.by_token(token)
        request.state.by = by
        request.app.state.rates.take(by.id)
        self._service.people.prolong(token)
        return by

    def _looking(self, request: Request, roles: Sequence[Role]) -> Looking:
        by = self._known(request)
        if by.role not in roles:
            raise Forbidden(f"this is for {_listed(roles)}; {by.id} is known here as {_with_article(by.role)}")
        return Looking(self._service, self._live, by, dict(request.query_params))

    def _menu(self, by: Principal) -> list[Page]:
        return [page for page in self._pages if "{" not in page.path and by.role in page.roles]

    def _first(self, by: Principal) -> str:
        paths = [page.path for page in self._menu(by)]
        first = FIRST.get(by.role)
        return ROOT + (first if first in paths else paths[0] if paths else "/nothing")

    def _login(self, request: Request, wanted: str, *, failed: bool = False) -> Response:
        page = Page("/login", "Log in", "login.html.j2", dict)
        # A failure is told by its status too: those of one address are counted.
        shown = {"next": login.own_path(wanted) or "", "failed": failed}
        return self._html(request, page, None, shown, 401 if failed else 200)

    def _refusal(self, request: Request, error: GridnetError, status: int) -> Response:
        page = Page("/refused", _TITLES.get(status, "This did not work"), "refused.html.j2", dict)
        by = getattr(request.state, "by", None)
        shown = {
            "words": str(error).splitlines()[0],
            "faults": error.faults if isinstance(error, InputError) else (),
            "back": login.own_path(urlsplit(request.headers.get("referer", "")).path),
        }
        return self._html(request, page, by, shown, status)

    def _html(self, request: Request, page: Page, by: Principal | None, shown: Mapping[str, object], status: int = 200) -> Response:
        menu = [] if by is None else self._menu(by)
        frame = {"page": page, "by": by, "menu": menu, "root": ROOT, "feeder": self._live.case.scenario.name}
        return answers.page(request, self._renderer.page(page.template, {**frame, **shown}), status)


def _listed(roles: Sequence[Role]) -> str:
    names = [f"{role}s" for role in roles]
    return " and ".join((", ".join(names[:-1]), names[-1])) if len(names) > 1 else "".join(names) or "nobody"


def _with_article(role: Role) -> str:
    return f"an {role}" if role[0] in "aeiou" else f"a {role}"
