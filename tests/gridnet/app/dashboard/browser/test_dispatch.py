"""The dispatch view in a real browser: its replay says what its table says, its charts are drawn."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from tests.gridnet.app.dashboard.browser.browsing import Site
from tests.gridnet.app.dashboard.browser.pages import battery_of
from tests.gridnet.app.service.lived import END

BEFORE = f"{END - timedelta(days=1):%Y-%m-%d}"


def test_any_past_day_is_replayed(site: Site) -> None:
    with site.window("boss") as window:
        window.page.clock.install()
        window.open(f"/dispatch?day={BEFORE}&at=12:00&device={battery_of(site)}")
        for quarter in (48, 10, 90):
            window.see("#quarter").fill(str(quarter))
            row = window.page.locator(f"#orders [data-quarter='{quarter}']")
            time, source, asked, done = (row.locator("th, td").nth(place).inner_text() for place in range(4))
            assert row.get_attribute("class") == "now"
            assert window.text("#moment").startswith(f"{time} UTC: {source} asked for {asked} kW, {done} kW was done.")
        window.page.click("#play")
        window.page.clock.run_for(1300)
        assert window.text("#at").startswith("23:15 UTC, measured")
        assert window.wrong == []


def test_each_chart_is_drawn_and_says_its_numbers_to_the_keyboard(site: Site) -> None:
    with site.window("boss") as window:
        window.open("/dispatch")
        page = window.page
        titles = page.locator("#charts figcaption").all_inner_texts()
        assert len(titles) == 6
        assert all(title.endswith(")") for title in titles), "a chart without its unit"
        blank = """() => [...document.querySelectorAll('#charts canvas')].map((canvas) =>
          new Set(new Uint32Array(canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data.buffer)).size)"""
        assert min(page.evaluate(blank)) > 3
        row = page.locator("#orders [data-quarter='1']")
        page.locator("#chart-power .plot").focus()
        page.keyboard.press("Home")
        page.keyboard.press("ArrowRight")
        said = window.text("#chart-power .sr-only").replace("\N{MINUS SIGN}", "-")
        done = row.locator("td").nth(2).inner_text().replace("\N{MINUS SIGN}", "-").lstrip("+")
        assert said.startswith("00:15: ")
        assert f"done {done} kW" in said


def test_the_forecast_is_the_one_that_was_there_at_the_time(site: Site) -> None:
    with site.window("boss") as window:
        window.open("/dispatch")
        with window.page.expect_response("**/feeds/outlook/**/40") as answer:
            window.see("#quarter").fill("40")
        outlook = site.lived.service.frames.outlook(END.replace(hour=10))
        assert outlook is not None
        body, median = answer.value.json(), outlook.levels.index(0.5)
        assert len(outlook.levels) == 3
        for level in range(3):
            assert abs(body["load_kw"][level][0] - outlook.load_kw[level][0]) < 0.01
        window.page.locator("#chart-load .plot").focus()
        window.page.keyboard.press("Home")
        for _ in range(40):
            window.page.keyboard.press("ArrowRight")
        assert f"forecast {outlook.load_kw[median][0]:.1f} kW".replace("-", "\N{MINUS SIGN}") in window.text("#chart-load .sr-only")
        assert window.wrong == []


def test_the_device_is_chosen_and_the_day_kept(site: Site) -> None:
    with site.window("alice") as window:
        window.open(f"/dispatch?day={BEFORE}")
        with window.page.expect_navigation():
            window.page.select_option("#device", battery_of(site))
        assert window.text(".subtitle") == f"{battery_of(site)}, {BEFORE}"


def test_the_marks_of_an_axis_are_not_rounded_away(site: Site) -> None:
    """Steps of 2.5 or 0.0025 need a digit more than steps of 2 and 0.002."""
    asking = """async (high) => {
      const address = performance.getEntriesByType('resource').map((each) => each.name).find((each) => each.endsWith('/chart.js'));
      const { Chart } = await import(address), box = document.createElement('div'), said = [];
      document.querySelector('main').append(box);
      CanvasRenderingContext2D.prototype.fillText = function (text) { if (box.contains(this.canvas)) said.push(text); };
      new Chart(box, { title: 'x', unit: 'pu', height: 130 }).show([0, 900], [{ label: 'x', colour: '--pv', values: [0, high] }]);
      await new Promise((done) => setTimeout(done, 50));
      return said.filter((each) => !each.includes(':')); }"""
    with site.window("boss") as window:
        window.open("/dispatch")
        for high in (0.0065, 0.009, 0.013, 6.5, 9.0, 13.0, 650.0):
            marks = [float(each.replace("\N{MINUS SIGN}", "-")) for each in window.page.evaluate(asking, high)]
            steps = {round(after - before, 6) for before, after in pairwise(marks)}
            assert len(steps) == 1, marks
            assert min(steps) > 0.0, marks
        assert window.wrong == []
