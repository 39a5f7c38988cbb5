"""Every page in a real browser: clean, within its policy, accessible in light and dark, whole at 360 px, read without scripts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.gridnet.app.dashboard.browser.accessibility import findings
from tests.gridnet.app.dashboard.browser.browsing import NARROW, Site, Window
from tests.gridnet.app.dashboard.browser.pages import LOOKS, Look, filled

# Of each template one page: scanning takes longer than everything else.
_SCANNED = ("login", "operator-network", "operator-dispatch", "operator-audit", "operator-reports", "operator-certificate")
SCANNED = {*_SCANNED, "operator-fraud", "prosumer-home", "prosumer-refused"}
HIDDEN = """() => [...document.querySelectorAll('main *, header *, footer *')].filter((each) => {
  const box = each.getBoundingClientRect(), frame = each.closest('.wide, .map');
  if (!box.width || !box.height || each.closest('.sr-only, .skip') || (frame && frame !== each)) return false;
  return box.right > innerWidth + 0.5 || box.left < -0.5;
}).map((each) => each.outerHTML.slice(0, 120))"""
"""Marks beyond the edge of the window, but for those in frames that scroll on their own."""
SCROLLED = """() => [...document.querySelectorAll('.wide, .map')]
  .filter((each) => each.scrollWidth > each.clientWidth && each.tabIndex < 0).map((each) => each.outerHTML.slice(0, 120))"""
"""Frames that scroll sideways and can't be reached by the keyboard."""


@pytest.fixture(params=LOOKS, ids=lambda look: look.name)
def look(request: pytest.FixtureRequest) -> Look:
    """Each page, as each that may see it."""
    found: Look = request.param
    return found


@pytest.fixture
def window(site: Site, look: Look) -> Iterator[Window]:
    """It, open."""
    with site.window(look.who) as made:
        status = made.open(filled(site, look.path))
        assert status == (403 if look.name.endswith("refused") else 200)
        yield made


def picture(page: Any, shots: Path, look: Look, how: str) -> None:
    """Leaves a picture of the whole page; what auditors see of the ledger operators see too."""
    if look.who != "auditor":
        page.screenshot(path=shots / f"{look.name}-{how}.png", full_page=True)


def test_a_page_is_clean_accessible_and_whole_in_light_in_dark_and_on_a_telephone(window: Window, look: Look, shots: Path) -> None:
    page = window.page
    page.wait_for_load_state("networkidle")
    assert window.text("h1") == look.heading
    # The browser itself puts a page's status of 403 on the console.
    assert [each for each in window.wrong if "status of 403" not in each] == []

    scanned = look.name in SCANNED
    picture(page, shots, look, "light")
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "a page of 1280 px scrolls sideways"
    assert not scanned or findings(page) == []
    page.emulate_media(color_scheme="dark")
    picture(page, shots, look, "dark")
    # The other rules ask nothing that colours change.
    assert not scanned or findings(page, "color-contrast") == []
    page.emulate_media(color_scheme="light")
    page.set_viewport_size(NARROW)
    picture(page, shots, look, "narrow")
    assert page.evaluate("document.documentElement.scrollWidth") == NARROW["width"]
    assert page.evaluate(HIDDEN) == []
    assert page.evaluate(SCROLLED) == []
    assert [each for each in window.wrong if "status of 403" not in each] == []


def test_what_would_be_wrong_is_seen(site: Site) -> None:
    """The nets of the tests above hold: each is shown what it must catch."""
    with site.window("boss") as window:
        window.open("/fraud")
        page = window.page
        page.set_viewport_size(NARROW)
        assert window.wrong == []
        assert page.evaluate(HIDDEN) == []
        page.evaluate(
            "() => { const wide = document.createElement('p'); wide.style.width = '500px'; wide.textContent = 'too pale'; "
            "document.querySelector('main').append(wide, document.createElement('input')); wide.style.color = '#eee'; }"
        )
        assert len(page.evaluate(HIDDEN)) == 1
        assert [each.split()[0] for each in findings(page)] == ["color-contrast", "label"]
        page.evaluate(
            "() => { console.error('one'); setTimeout(() => { throw new Error('two'); });"
            " fetch('https://elsewhere.example/three').catch(() => 0); }"
        )
        page.evaluate(
            "() => { const four = document.createElement('script'); four.textContent = '1'; document.body.append(four); }"
        )
        page.wait_for_timeout(100)
        said = "\n".join(window.wrong)
        assert "one" in said
        assert "two" in said
        assert "connect-src" in said
        assert "script-src" in said


@pytest.mark.parametrize(
    ("who", "path", "words"),
    [
        ("boss", "/network", ["Worst voltage", "20:00 UTC, expected", "15 buses"]),
        ("boss", "/dispatch", ["Decisions", "as the policy decided", "rule"]),
        ("alice", "/home", ["With the community", "EUR", "Opt out", "Score, 0 to 1"]),
        ("auditor", "/audit", ["Search", "rural1:", "gridnet audit verify FILE"]),
        ("auditor", "/audit/certificates/{certificate}", ["settlement", "claim", "root", "gridnet audit verify FILE"]),
        ("auditor", "/audit/reports", ["Balanced", "whole ledger", "Share of the load covered"]),
        ("auditor", "/fraud", ["Nothing waits for a person", "False-alarm record"]),
    ],
)
def test_pages_are_read_without_javascript(site: Site, who: str, path: str, words: list[str]) -> None:
    with site.window(who, java_script_enabled=False) as window:
        assert window.open(filled(site, path)) == 200
        said = window.text("main")
        assert [each for each in words if each not in said] == []
        # A browser without JavaScript refuses to load the scripts.
        assert [each for each in window.wrong if not each.endswith(".js csp")] == []


def test_without_javascript_a_quarter_hour_is_chosen_by_a_form(site: Site) -> None:
    with site.window("boss", java_script_enabled=False) as window:
        window.open("/network")
        assert not window.see("#slider").is_visible()
        window.page.select_option("#quarter-at", "09:45")
        window.page.click("#daypicker button:has-text('Show')")
        assert "09:45 UTC, measured" in window.text("#totals-at")
