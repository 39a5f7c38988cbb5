"""What the first view of a large feeder's map weighs: `rural3`, a whole day of frames whose digits nothing can compress."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gridnet.app.dashboard.plan import plan_of
from gridnet.app.service.config import Config
from gridnet.app.service.frames import Frame
from gridnet.app.service.live import LiveFeeder
from gridnet.app.service.service import Service
from gridnet.case import load_case
from gridnet_contracts.ledger.database import Database
from tests.gridnet.app.dashboard.browser.browsing import Site, Window, sited
from tests.gridnet.app.service.lived import END, QUARTER, Lived
from tests.gridnet.app.service.parts import OPERATOR, Clock

MOST_BYTES = 1_000_000
DAY = END.replace(hour=0)
TIMES = """() => { const [found] = performance.getEntriesByType('navigation');
  const feed = performance.getEntriesByType('resource').find((each) => each.name.includes('/feeds/'));
  return [found.responseEnd, found.loadEventEnd, feed.responseEnd]; }"""


def frame(live: LiveFeeder, number: int) -> Frame:
    """Of a quarter-hour, at random within what feeders do."""
    rng, feeder, fleet, homes = np.random.default_rng(number), live.case.feeder, live.case.fleet, len(plan_of(live).homes)

    def within(low: float, high: float, count: int) -> tuple[float, ...]:
        return tuple(rng.uniform(low, high, count).tolist())

    devices = len(fleet.s_kva)
    return Frame(
        start=DAY + number * QUARTER,
        kind="measured",
        vm_pu=within(0.9, 1.1, len(feeder.bus_name)),
        loading_percent=within(0.0, 100.0, len(feeder.line_name) + len(feeder.trafo_name)),
        asked_kw=within(-5.0, 5.0, devices),
        given_kw=within(-5.0, 5.0, devices),
        given_kvar=within(-2.0, 2.0, devices),
        soc=within(0.0, 1.0, fleet.batteries),
        load_kw=within(-9.0, 0.0, homes),
        net_kw=within(-9.0, 9.0, homes),
        head_kw=float(rng.uniform(-99.0, 99.0)),
        head_kvar=float(rng.uniform(-9.0, 9.0)),
        loss_kw=float(rng.uniform(0.0, 9.0)),
        import_eur_per_kwh=0.3,
        export_eur_per_kwh=0.08,
        carbon_g_per_kwh=400.0,
    )


@pytest.fixture(scope="module")
def large(browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The console of rural3, at the end of its day."""
    folder = tmp_path_factory.mktemp("rural3")
    clock = Clock(DAY + 95 * QUARTER)
    live = LiveFeeder.at(load_case("rural3"), clock.now)
    config = Config(scenario="rural3", policy="rule", requests_per_minute=1_000_000)
    service = Service.on(Database(f"sqlite:///{folder / 'rural3.db'}"), config, frozenset(), clock=clock)
    with service.store.write() as connection:
        service.people.enter(connection, OPERATOR, None)
        for number in range(96):
            service.frames.put(connection, frame(live, number))
    with sited(browser, Lived(service, live, clock), folder / "tls") as made:
        yield made
    service.store.database.close()


def seen(site: Site) -> Window:
    """The map as an operator's browser shows it that was never there before."""
    with site.window("boss") as window:
        assert window.open("/network") == 200
        assert window.text("#at") == "23:45 UTC, measured"
        assert window.page.locator("#map circle.bus").count() == len(site.lived.live.case.feeder.bus_name)
        window.times = [round(each) for each in window.page.evaluate(TIMES)]
        assert window.wrong == []
    return window


def test_the_first_view_of_a_large_feeder_is_light(large: Site, capsys: pytest.CaptureFixture[str]) -> None:
    seen(large)
    window = seen(large)
    weight = sum(size for _, size in window.weights)
    assert {"/console/network", f"/console/feeds/network/{DAY:%Y-%m-%d}"} <= {
        url.removeprefix(large.address).partition("?")[0] for url, _ in window.weights
    }
    # How long it takes is this machine's, and is told, not tested.
    with capsys.disabled():
        sys.stdout.write(
            f"\nrural3's map, first view: {weight / 1000:.0f} kB; answered, loaded, coloured after {window.times} ms\n"
        )
    assert weight < MOST_BYTES


def test_a_map_of_many_buses_scrolls_on_its_own_on_a_telephone(large: Site, shots: Path) -> None:
    with large.window("boss", viewport={"width": 360, "height": 740}) as window:
        window.open("/network")
        window.page.screenshot(path=shots / "rural3-narrow.png", full_page=True)
        assert window.page.evaluate("document.documentElement.scrollWidth") == 360
        window.page.set_viewport_size({"width": 1280, "height": 900})
        window.page.screenshot(path=shots / "rural3-light.png", full_page=True)
        window.page.emulate_media(color_scheme="dark")
        window.page.screenshot(path=shots / "rural3-dark.png", full_page=True)
