"""The network map in a real browser: its marks, its slider, playing, following, timelines."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from gridnet.app.dashboard.plan import plan_of
from gridnet.app.service.frames import Frame
from tests.gridnet.app.dashboard.browser.browsing import Site, Window
from tests.gridnet.app.service.lived import END, QUARTER

NOW = 4 * END.hour
BEFORE = f"{END - timedelta(days=1):%Y-%m-%d}"
TOLD = """() => Object.fromEntries([...document.querySelectorAll('[data-total]')].map((each) =>
  [each.dataset.total, each.innerText.replace('\\u2212', '-')]))"""
COLOURS = """(kind) => Object.fromEntries([...document.querySelectorAll(`#map ${kind}`)].map((each) => [
  each.dataset.bus ?? each.dataset.branch ?? each.parentElement.dataset.home, Number(each.dataset.level)]))"""


@pytest.fixture
def window(site: Site) -> Iterator[Window]:
    """An operator's, at the map of now; nothing goes wrong there."""
    with site.window("boss") as made:
        made.open("/network")
        yield made
        assert made.wrong == []


def slide(window: Window, quarter: int) -> None:
    """As a hand does that drags it."""
    window.see("#quarter").fill(str(quarter))


def table(window: Window) -> dict[str, str]:
    """The numbers beside the map, with a plain minus sign."""
    told: dict[str, str] = window.page.evaluate(TOLD)
    return told


def fed(window: Window, day: str) -> dict[str, Any]:
    """A day of the feed, asked for by the browser itself."""
    body: dict[str, Any] = window.page.evaluate("(day) => fetch(`/console/feeds/network/${day}`).then((each) => each.json())", day)
    return body


def go_on(site: Site) -> Frame:
    """To the next quarter-hour: what was expected is measured, and something else is expected. Logins are prolonged."""
    service, now = site.lived.service, site.lived.clock.now
    last = service.frames.at(now)
    assert last is not None
    coming = replace(last, start=last.start + QUARTER, head_kw=last.head_kw + 1.0)
    with service.store.write() as connection:
        service.frames.put(connection, replace(last, kind="measured"))
        service.frames.put(connection, coming)
    site.lived.clock.forward(minutes=15)
    site.token("boss")
    return coming


def test_each_bus_line_transformer_and_home_is_drawn_once_and_within_the_drawing(window: Window, site: Site) -> None:
    feeder, plan = site.lived.live.case.feeder, plan_of(site.lived.live)
    page = window.page
    assert page.locator("#map circle.bus").count() == len(feeder.bus_name)
    assert page.locator("#map line.branch").count() == len(feeder.line_name)
    assert page.locator("#map g.branch").count() == len(feeder.trafo_name)
    assert page.locator("#map .home").count() == len(plan.homes)
    drawn = page.evaluate(
        "() => { const frame = document.querySelector('#map svg').getBoundingClientRect(); return [...document.querySelectorAll("
        "'#map circle.bus')].map((each) => each.getBoundingClientRect()).map((each) => [each.x - frame.x, each.y - frame.y, "
        "frame.right - each.right, frame.bottom - each.bottom, each.x, each.y]); }"
    )
    assert all(min(each[:4]) >= 0.0 for each in drawn)
    assert len({(each[4], each[5]) for each in drawn}) == len(drawn), "two buses lie on one another"


def test_the_slider_moves_every_number_to_what_the_feed_says(window: Window) -> None:
    window.open(f"/network?day={BEFORE}&at=00:00")
    body = fed(window, BEFORE)
    edges = window.page.evaluate(
        "() => { const { volts, flows } = document.getElementById('map').dataset; "
        "return { volts: JSON.parse(volts), flows: JSON.parse(flows) }; }"
    )
    seen = set()
    for quarter in (0, 37, 50, 79):
        slide(window, quarter)
        said, place = table(window), body["numbers"].index(quarter)
        for name, value in body["totals"][place].items():
            assert float(said[name]) == pytest.approx(value, abs=1e-9) if isinstance(value, int | float) else said[name] == value
        assert window.text("#totals-at").startswith(f"{BEFORE} {quarter // 4:02d}:{15 * (quarter % 4):02d} UTC")
        # No two quarter-hours of a day are alike, nor is the colouring of their marks.
        seen.add(str(sorted(said.items())))
        shown = window.page.evaluate(COLOURS, "circle.bus")
        assert shown == {
            str(bus): sum(vm / body["scale"]["vm_pu"] >= edge for edge in edges["volts"])
            for bus, vm in enumerate(body["vm_pu"][place])
        }
        rings = window.page.evaluate(COLOURS, ".ring")
        assert rings == {
            str(home): sum(kw / body["scale"]["net_kw"] >= edge for edge in edges["flows"])
            for home, kw in zip(body["homes"], body["net_kw"][place], strict=True)
        }
    assert len(seen) == 4


def test_a_quarter_hour_of_which_nothing_is_kept_says_so(window: Window) -> None:
    slide(window, 95)
    assert window.text("#at") == "23:45 UTC, nothing is kept"
    assert set(table(window).values()) == {""}
    assert window.page.locator("#map .bus[data-level]").count() == 0


def test_playing_goes_on_from_quarter_hour_to_quarter_hour_and_stops_at_the_newest(site: Site) -> None:
    with site.window("boss") as window:
        window.page.clock.install()
        window.open("/network")
        slide(window, NOW - 2)
        window.page.click("#play")
        assert window.see("#play").get_attribute("aria-pressed") == "true"
        window.page.clock.run_for(230)
        assert window.text("#at").startswith("19:45")
        window.page.clock.run_for(1000)
        assert window.text("#at").startswith("20:00")
        assert window.see("#play").get_attribute("aria-pressed") == "false"
        window.page.click("#play")
        assert window.text("#at").startswith("00:00")
        window.page.clock.run_for(1110)
        assert window.text("#at").startswith("01:15")
        window.page.click("#play")
        window.page.clock.run_for(1000)
        assert window.text("#at").startswith("01:15")
        assert window.wrong == []


def test_live_follows_the_service_until_somebody_slides(own_site: Site) -> None:
    with own_site.window("boss") as window:
        window.page.clock.install()
        window.open("/network")
        assert window.text("#at") == "20:00 UTC, expected"
        coming = go_on(own_site)
        window.page.clock.run_for(21_000)
        window.until("#at", "20:15 UTC, expected")
        assert table(window)["head_kw"] == f"{coming.head_kw:+.2f}"
        slide(window, NOW)
        assert window.text("#at") == "20:00 UTC, measured"
        assert window.see("#live").get_attribute("aria-pressed") == "false"
        assert window.page.url.endswith("at=20:00")
        go_on(own_site)
        window.page.clock.run_for(41_000)
        assert window.text("#at") == "20:00 UTC, measured"
        window.page.click("#live")
        window.until("#at", "20:30 UTC, expected")
        assert window.wrong == []


@pytest.mark.parametrize("by", ["click", "Enter"])
def test_a_home_opens_its_timeline(window: Window, shots: Path, by: str) -> None:
    home = window.page.locator("#map .home").nth(4)
    assert not window.see("#timeline").is_visible()
    if by == "click":
        home.click()
    else:
        window.page.locator("#map .home[tabindex='0']").focus()
        for _ in range(4):
            window.page.keyboard.press("ArrowRight")
        window.page.keyboard.press("Enter")
    window.page.wait_for_selector("#timeline:not([hidden]) canvas")
    name = home.get_attribute("aria-label")
    assert window.text("#timeline-title") == f"Timeline of {name}, {END:%Y-%m-%d}"
    assert home.get_attribute("aria-pressed") == "true"
    window.page.screenshot(path=shots / f"timeline-{by}.png", full_page=True)

    # Its numbers at a quarter-hour are the feed's.
    body = fed(window, f"{END:%Y-%m-%d}")
    window.page.locator("#timeline-power .plot").focus()
    window.page.keyboard.press("Home")
    for _ in range(40):
        window.page.keyboard.press("ArrowRight")
    place, number = body["numbers"].index(40), int(home.get_attribute("data-home"))
    kw = body["net_kw"][place][body["homes"].index(number)] / body["scale"]["net_kw"]
    said = window.text("#timeline-power .sr-only").replace("\N{MINUS SIGN}", "-")
    assert said.startswith(f"10:00: at its connection {kw:.2f} kW")
    window.page.click("#close")
    assert not window.see("#timeline").is_visible()


def test_a_prosumer_sees_the_whole_feeder_and_of_homes_its_own(site: Site) -> None:
    with site.window("alice") as window:
        window.open("/network")
        assert window.page.locator("#map circle.bus").count() == len(site.lived.live.case.feeder.bus_name)
        assert window.page.locator("#map .home").count() == 1
        window.page.locator("#map .home").click()
        window.page.wait_for_selector("#timeline:not([hidden]) canvas")
        assert window.wrong == []
