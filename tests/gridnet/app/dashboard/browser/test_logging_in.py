"""Logging in and out, as a person does it."""

from __future__ import annotations

from gridnet.app.dashboard.login import COOKIE
from tests.gridnet.app.dashboard.browser.browsing import Site
from tests.gridnet.app.service.parts import secret_of


def test_a_login_leads_to_what_was_wanted_and_logging_out_ends_it(site: Site) -> None:
    with site.window(None) as window:
        page = window.page
        window.open("/dispatch")
        assert page.url.endswith("/console/login?next=/console/dispatch")
        page.fill("#id", "boss")
        page.fill("#secret", "another secret")
        page.keyboard.press("Enter")
        page.wait_for_selector("[role=alert]")
        assert "not its own" in window.text("[role=alert]")
        page.fill("#id", "boss")
        page.fill("#secret", secret_of("boss"))
        page.click("main button")
        page.wait_for_url("**/console/dispatch")

        (cookie,) = page.context.cookies()
        assert (cookie["name"], cookie["httpOnly"], cookie["secure"], cookie["sameSite"]) == (COOKIE, True, True, "Strict")
        assert page.evaluate("document.cookie") == ""
        page.click("text=Log out")
        page.wait_for_url("**/console/login")
        assert page.context.cookies() == []
        page.go_back()
        assert page.url.partition("?")[0].endswith("/console/login"), "the page before is shown to whoever sits down next"
        # Whoever kept the cookie has nothing of it.
        page.context.add_cookies([cookie])
        window.open("/network")
        assert page.url.endswith("/console/login?next=/console/network")


def test_a_login_that_has_ended_is_told_by_the_live_page(site: Site) -> None:
    with site.window("carol") as window:
        window.open("/network")
        window.page.context.clear_cookies()
        window.page.click("#live")
        window.page.click("#live")
        window.page.wait_for_selector("#trouble:not([hidden])")
        assert window.text("#trouble") == "Your login has ended. Load the page again to log in."
