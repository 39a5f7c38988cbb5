"""The override switch in a real browser: what a prosumer presses is what its device is asked, by the API."""

from __future__ import annotations

import json
import ssl
import urllib.request
from datetime import timedelta
from typing import Any

from tests.gridnet.app.dashboard.browser.browsing import Site, Window
from tests.gridnet.app.dashboard.browser.pages import battery_of

HOME = "/home"


def asked(site: Site, device: str) -> dict[str, Any]:
    """What the API tells the device to do now."""
    request = urllib.request.Request(
        f"{site.address}/api/v1/devices/{device}/setpoint", headers={"authorization": f"Bearer {site.token('alice')}"}
    )
    trusting = ssl._create_unverified_context()
    with urllib.request.urlopen(request, context=trusting) as answer:
        body: dict[str, Any] = json.load(answer)
    return body


def shown_kw(window: Window, device: str) -> float:
    """What the page says that it is asked."""
    words = window.text(f".setpoint[data-device='{device}']")
    return float(words.removesuffix(" kW").replace("\N{MINUS SIGN}", "-"))


def test_an_override_changes_the_setpoint_and_opting_in_undoes_it(own_site: Site) -> None:
    device = f"alice-{battery_of(own_site)}"
    before = asked(own_site, device)
    assert before["source"] == "rule"
    assert abs(before["p_kw"]) > 1.0
    with own_site.window("alice") as window:
        page = window.page
        window.open(HOME)
        assert abs(shown_kw(window, device) - before["p_kw"]) < 0.005
        # Without a reason the browser does not send it.
        page.get_by_role("button", name=f"Opt out with {device}").click()
        assert asked(own_site, device) == before

        page.get_by_label("Opt out for").select_option("24 hours")
        page.get_by_label("Reason").fill("a power cut is announced")
        page.get_by_role("button", name=f"Opt out with {device}").click()
        page.wait_for_selector(".bad:has-text('Opted out')")
        after = asked(own_site, device)
        assert (after["source"], after["p_kw"]) == ("override", 0.0)
        assert "a power cut is announced" in after["reason"]
        until = own_site.lived.clock.now + timedelta(hours=24)
        assert f"until {until:%Y-%m-%d %H:%M} UTC" in window.text("#devices >> xpath=..")
        assert shown_kw(window, device) == 0.0
        assert "a power cut is announced" in window.text("main")

        page.get_by_role("button", name=f"Opt in again with {device}").click()
        page.get_by_role("button", name=f"Opt out with {device}").wait_for()
        assert asked(own_site, device) == before
        assert abs(shown_kw(window, device) - before["p_kw"]) < 0.005
        assert window.wrong == []


def test_the_keyboard_alone_overrides(own_site: Site) -> None:
    device = f"alice-{battery_of(own_site)}"
    with own_site.window("alice") as window:
        window.open(HOME)
        reach(window, "Opt out for")
        window.page.keyboard.press("ArrowDown")
        reach(window, "Reason")
        window.page.keyboard.type("by hand")
        window.page.keyboard.press("Enter")
        window.page.wait_for_selector(".bad:has-text('Opted out')")
        assert asked(own_site, device)["source"] == "override"
        reach(window, f"Opt in again with {device}")
        window.page.keyboard.press("Enter")
        window.page.get_by_role("button", name=f"Opt out with {device}").wait_for()
        assert asked(own_site, device)["source"] == "rule"
        assert window.wrong == []


def reach(window: Window, name: str) -> None:
    """Presses the tabulator until the control of that name is reached."""
    for _ in range(60):
        window.page.keyboard.press("Tab")
        if window.focused() == name:
            return
    raise AssertionError(f"the tabulator never reaches {name}")
