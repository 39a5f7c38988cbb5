"""People at the console in a real browser, Debian's Chromium, each in a window without a past."""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from sqlalchemy import insert

from gridnet.app.dashboard.login import COOKIE
from gridnet.app.service.people import TOKEN_S
from gridnet.app.service.schema import tokens
from tests.gridnet.app.service.lived import Lived, served

try:
    from playwright import sync_api as api
except ImportError:
    api = None

WIDE, NARROW = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
PLACES = ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome")
_ARGUMENTS = ("--disable-background-networking", "--disable-component-update", "--disable-gpu")
_PATIENCE_MS, _PAUSE_MS = 15_000.0, 20.0
_NAME = """() => {
  const own = document.activeElement, by = own.getAttribute('aria-labelledby');
  const words = own.getAttribute('aria-label') ?? (by ? document.getElementById(by).textContent : null)
    ?? own.labels?.[0]?.textContent ?? own.textContent;
  return words.replace(/\\s+/g, ' ').trim();
}"""


def chromium() -> str | None:
    """Where it is, if it is."""
    return next((found for each in PLACES if (found := shutil.which(each))), None)


@contextmanager
def launched() -> Iterator[Any]:
    """A browser; skips where none is installed."""
    if api is None:
        pytest.skip("PLAYWRIGHT IS MISSING: no page of the console was looked at in a browser; install the extra `test`")
    binary = chromium()
    if binary is None:
        pytest.skip("CHROMIUM IS MISSING: no page of the console was looked at in a browser; install Debian's package `chromium`")
    # Chromium's sandbox refuses to run as root, as in containers.
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=arguments)
        yield browser
        browser.close()


@dataclass
class Window:
    """A page of the browser, and what a visitor should never meet while it was open."""

    page: Any
    address: str
    wrong: list[str] = field(default_factory=list)
    """Errors of scripts, breaches of the content security policy, failed requests, requests to another host."""
    times: list[int] = field(default_factory=list)
    """Of its last navigation, ms, where a test asked."""
    weights: list[tuple[str, int]] = field(default_factory=list)
    """What was asked for, and its bytes on the wire."""

    under_way: set[Any] = field(default_factory=set)
    """Requests that have no answer yet."""

    def __post_init__(self) -> None:
        self.page.set_default_timeout(_PATIENCE_MS)
        self.page.on("console", self._listen)
        self.page.on("pageerror", lambda error: self.wrong.append(f"page error: {error}"))
        self.page.on("request", self._watch)
        self.page.on("requestfailed", self._miss)
        self.page.on("requestfinished", self._weigh)

    def open(self, path: str) -> int:
        """Goes to a page below /console and waits for its scripts and feeds; gives the status."""
        answer = self.page.goto(f"{self.address}/console{path}")
        end = time.monotonic() + _PATIENCE_MS / 1000.0
        while self.under_way and time.monotonic() < end:
            self.page.wait_for_timeout(_PAUSE_MS)
        return int(answer.status)

    def see(self, selector: str) -> Any:
        """The first mark that a selector finds."""
        return self.page.locator(selector).first

    def text(self, selector: str) -> str:
        """What it says, spaces as one."""
        return " ".join(self.see(selector).inner_text().split())

    def until(self, selector: str, words: str) -> None:
        """Waits until a mark says so, whatever its clock is told."""
        api.expect(self.see(selector)).to_have_text(words, timeout=_PATIENCE_MS)

    def focused(self) -> str:
        """The name of what has the keyboard's focus."""
        return str(self.page.evaluate(_NAME))

    def _listen(self, message: Any) -> None:
        if message.type in {"error", "warning"}:
            self.wrong.append(f"console {message.type}: {message.text} {message.location}")

    def _watch(self, request: Any) -> None:
        self.under_way.add(request)
        if urlsplit(request.url).netloc != urlsplit(self.address).netloc and urlsplit(request.url).scheme not in {"data", "blob"}:
            self.wrong.append(f"asks another host: {request.url}")

    def _miss(self, request: Any) -> None:
        self.under_way.discard(request)
        self.wrong.append(f"failed: {request.url} {request.failure}")

    def _weigh(self, request: Any) -> None:
        self.under_way.discard(request)
        sizes = request.sizes()
        self.weights.append((request.url, sizes["responseBodySize"] + sizes["responseHeadersSize"]))


@dataclass
class Site:
    """A served console."""

    browser: Any
    lived: Lived
    address: str

    @contextmanager
    def window(self, name: str | None, **settings: Any) -> Iterator[Window]:
        """Somebody's, logged in; nobody's for None. `settings` are Playwright's of a context."""
        context = self.browser.new_context(ignore_https_errors=True, **{"viewport": WIDE, "reduced_motion": "reduce", **settings})
        if name is not None:
            kept = {"name": COOKIE, "value": self.token(name), "url": self.address}
            context.add_cookies([{**kept, "secure": True, "httpOnly": True, "sameSite": "Strict"}])
        try:
            yield Window(context.new_page(), self.address)
        finally:
            context.close()

    def token(self, name: str) -> str:
        """One that is good from now on. Not asked for with a secret: scrypt is slow, and logging in is tested on its own."""
        service, made = self.lived.service, f"{name}'s token in a browser"
        row = {"hash": hashlib.sha256(made.encode()).hexdigest(), "principal": name, "expires_s": service.store.now_s() + TOKEN_S}
        with service.store.write() as connection:
            connection.execute(tokens.delete().where(tokens.c.hash == row["hash"]))
            connection.execute(insert(tokens), [row])
        return made


@contextmanager
def sited(browser: Any, lived: Lived, tls: Path) -> Iterator[Site]:
    """The console over a service, by https: browsers keep its cookie nowhere else."""
    with served(lived.service, lived.live, tls) as address:
        yield Site(browser, lived, address)
