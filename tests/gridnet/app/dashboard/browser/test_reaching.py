"""Coming in and getting around: logging in and out as a person does it, and every control by keyboard alone."""

from __future__ import annotations

from datetime import timedelta

from gridnet.app.dashboard.login import COOKIE
from tests.gridnet.app.dashboard.browser.browsing import Site, Window
from tests.gridnet.app.service.lived import END
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


def walk(window: Window, until: str) -> list[str]:
    """Names of all that the tabulator comes by until it reaches one."""
    names = []
    for _ in range(60):
        window.page.keyboard.press("Tab")
        names.append(window.focused())
        if names[-1] == until:
            break
    assert names[-1] == until, names
    return names


def marked(window: Window) -> bool:
    """Whether what has the focus is drawn as such, by itself or by the mark within it."""
    return bool(
        window.page.evaluate(
            "() => { const own = document.activeElement, hit = own.querySelector('.hit'), style = getComputedStyle(own);"
            " return (style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2)"
            " || (hit !== null && getComputedStyle(hit).stroke !== 'none'); }"
        )
    )


def test_the_menu_is_walked_and_leads_on(site: Site) -> None:
    with site.window("boss") as window:
        window.open("/network")
        assert walk(window, "Dispatch") == ["Skip to the page", "gridnet", "Network", "Dispatch"]
        assert marked(window)
        with window.page.expect_navigation():
            window.page.keyboard.press("Enter")
        assert window.text("h1") == "Dispatch"
        assert window.wrong == []


def test_the_menu_is_skipped(site: Site) -> None:
    with site.window("boss") as window:
        window.open("/network")
        window.page.keyboard.press("Tab")
        box = window.page.locator(".skip").bounding_box()
        assert box is not None
        assert box["x"] >= 0
        window.page.keyboard.press("Enter")
        window.page.keyboard.press("Tab")
        assert window.focused().startswith("Day (UTC)")


def test_slider_playing_and_homes_are_reached_and_work(site: Site) -> None:
    with site.window("boss") as window:
        window.open("/network")
        walk(window, "Quarter-hour of the day")
        assert marked(window)
        window.page.keyboard.press("ArrowLeft")
        assert window.text("#at").startswith("19:45 UTC")
        window.page.keyboard.press("Home")
        assert window.text("#at").startswith("00:00 UTC")
        assert window.see("#quarter").get_attribute("aria-valuetext") == "00:00 UTC, measured"
        names = walk(window, "The feeder as a drawing")
        assert names == ["Play", "Live", "The feeder as a drawing"]
        window.page.keyboard.press("Tab")
        first = window.focused()
        assert first.startswith("home-")
        assert marked(window)
        window.page.keyboard.press("ArrowRight")
        assert window.focused() != first
        assert window.text("#readout").startswith(window.focused())
        walk(window, "Timeline of a home")
        window.page.keyboard.press("ArrowDown")
        window.page.wait_for_selector("#timeline:not([hidden]) canvas")
        assert window.wrong == []


def test_a_day_is_picked(site: Site) -> None:
    with site.window("boss") as window:
        window.open("/network")
        window.page.locator("#day").focus()
        day = END - timedelta(days=1)
        window.page.keyboard.type(f"{day:%m%d%Y}")
        assert marked(window)
        with window.page.expect_navigation():
            window.page.keyboard.press("Enter")
        assert window.text("#totals-at").startswith(f"{day:%Y-%m-%d}")
        assert window.see("#live").get_attribute("aria-pressed") == "false"
        assert window.wrong == []
