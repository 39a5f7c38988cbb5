// The dispatch view: charts of a day, and its replay quarter-hour by quarter-hour with the forecast that was there at the time.

import { Chart } from "./chart.js";
import { QUARTER_S, dayStart, later, quarterOf, read, say, timeOf } from "./common.js";

const PLAY_MS = 400, OUTLOOK_MS = 180;
const at = (id) => document.getElementById(id);
const box = at("charts"), slider = at("quarter"), play = at("play");
const rows = new Map([...document.querySelectorAll("#orders [data-quarter]")].map((row) => [Number(row.dataset.quarter), row]));
const charts = {};
let day = null, x = [], playing = 0, outlook = null, wanted = null;

/** The feed's numbers in their units, one for each of the 96 quarter-hours, null where none is kept. */
function unpacked(body) {
  const found = { ...body };
  for (const [name, scale] of Object.entries(body.scale)) {
    found[name] = Array(96).fill(null);
    body.numbers.forEach((quarter, place) => {
      const whole = body[name][place];
      found[name][quarter] = whole === null ? null : whole / scale;
    });
  }
  return found;
}

function flat(value) {
  return x.map(() => value);
}

function drawDay() {
  charts.power.show(x, [
    { label: "asked", colour: "--policy", values: day.asked_kw, step: true, dash: true },
    { label: "done", colour: "--battery", values: day.given_kw, step: true },
    { label: "highest possible", colour: "--limit", values: flat(day.most_kw), dash: true },
    { label: "lowest possible", colour: "--limit", values: flat(day.least_kw), dash: true },
  ]);
  if (charts.soc && day.soc_window) {
    charts.soc.show(x, [
      { label: "window", colour: "--exchange", low: flat(day.soc_window[0]), high: flat(day.soc_window[1]) },
      { label: "charge", colour: "--battery", values: day.soc_percent },
    ]);
  }
  charts.limits?.show(x, [
    { label: "highest loading", colour: "--import", values: day.loading_percent, step: true },
    { label: "worst voltage", colour: "--export", values: day.vm_percent, step: true },
    { label: "limit", colour: "--limit", values: flat(100), dash: true },
  ]);
  drawAhead();
}

/** What depends on the outlook: prices that were known ahead, and forecasts beside what came. */
function drawAhead() {
  const start = slider.valueAsNumber, ahead = outlook ?? { levels: [], load_kw: [], pv_kw: [], import_ct: [], export_ct: [] };
  const until = outlook ? Math.max(96, start + (ahead.load_kw[0]?.length ?? 0), start + ahead.import_ct.length) : 96;
  const times = [...Array(until).keys()].map((each) => dayStart(box.dataset.day) + each * QUARTER_S);
  const came = (values) => times.map((_, quarter) => values[quarter] ?? null);
  const told = (values) => times.map((_, quarter) => values?.[quarter - start] ?? null);
  const prices = [
    { label: "import", colour: "--import", values: came(day.import_ct), step: true },
    { label: "export", colour: "--export", values: came(day.export_ct), step: true },
  ];
  if (ahead.import_ct.length) {
    prices.push({ label: "import, known ahead", colour: "--import", values: told(ahead.import_ct), step: true, dash: true });
    prices.push({ label: "export, known ahead", colour: "--export", values: told(ahead.export_ct), step: true, dash: true });
  }
  charts.price.show(times, prices);
  const middle = ahead.levels.indexOf(0.5), last = ahead.levels.length - 1;
  for (const [name, colour] of [["load", "--load"], ["pv", "--pv"]]) {
    if (!charts[name]) continue;
    const told_kw = ahead[`${name}_kw`], series = [];
    if (last > 0) {
      const band = `forecast, ${percent(ahead.levels[0])} to ${percent(ahead.levels[last])}`;
      series.push({ label: band, colour, low: told(told_kw[0]), high: told(told_kw[last]) });
    }
    if (last >= 0) series.push({ label: "forecast", colour, values: told(told_kw[middle < 0 ? 0 : middle]), dash: true });
    series.push({ label: name === "pv" ? "given" : "drawn", colour: "--ink", values: came(day[`${name}_kw`]), step: true });
    charts[name].show(times, series);
  }
  mark(start);
}

function percent(level) {
  return `${Math.round(100 * level)} %`;
}

function mark(quarter) {
  for (const chart of Object.values(charts)) chart.mark(dayStart(box.dataset.day) + quarter * QUARTER_S);
}

/** Fetches the outlook of the quarter-hour that the slider is at, once it rests. */
const look = later(async (quarter) => {
  if (!box.dataset.all) return;
  wanted = quarter;
  await attempt(async () => {
    const found = await read(box.dataset.outlook + quarter);
    if (wanted !== quarter) return;
    outlook = found.levels.length || found.import_ct.length ? found : null;
    drawAhead();
  });
}, OUTLOOK_MS);

function go(quarter, { scroll = true } = {}) {
  slider.value = quarter;
  const row = rows.get(quarter);
  const words = `${timeOf(quarter)} UTC${row ? `, ${row.cells[5].textContent || "decided"}` : ", nothing is kept"}`;
  at("at").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  for (const each of rows.values()) each.classList.toggle("now", each === row);
  if (row) {
    const [from, by, asked, done, , , reason, bound] = [...row.cells].map((cell) => cell.textContent);
    const then = bound ? ` What bound: ${bound}.` : "";
    say(at("moment"), `${from} UTC: ${by} asked for ${asked} kW, ${done} kW was done. Why: ${reason}.${then}`);
    const frame = row.closest(".tall");
    if (scroll) frame.scrollTop = row.offsetTop - frame.clientHeight / 2;
  } else {
    say(at("moment"), null);
  }
  mark(quarter);
  look(quarter);
}

function stop() {
  clearInterval(playing);
  playing = 0;
  play.setAttribute("aria-pressed", "false");
}

function note() {
  const query = new URLSearchParams(location.search);
  query.set("day", box.dataset.day);
  query.set("at", timeOf(slider.valueAsNumber));
  history.replaceState(null, "", `?${query}`);
}

async function attempt(act) {
  try {
    await act();
    say(at("trouble"), null);
  } catch (error) {
    say(at("trouble"), error.message);
  }
}

for (const each of document.querySelectorAll(".without-script")) {
  each.hidden = true;
  for (const control of each.querySelectorAll("select")) control.disabled = true;
}
at("device").addEventListener("change", (event) => event.target.form.requestSubmit());

if (box) {
  at("slider").hidden = box.hidden = false;
  const made = {
    power: { title: at("chart-power").dataset.title, unit: "kW" },
    soc: { title: "State of charge at the end, with its window", unit: "%", decimals: 1, range: [0, 100] },
    price: { title: "Prices", unit: "ct/kWh", range: [0, 0] },
    limits: { title: "How near the network is to its limits", unit: "% of the limit", decimals: 1, range: [0, 100] },
    load: { title: "The community's loads, drawn below zero", unit: "kW", decimals: 1, range: [0, 0] },
    pv: { title: "The community's PV: sun forecast, power given", unit: "kW", decimals: 1, range: [0, 0] },
  };
  for (const [name, options] of Object.entries(made)) {
    if (at(`chart-${name}`)) charts[name] = new Chart(at(`chart-${name}`), { ...options, sync: "day" });
  }
  slider.addEventListener("input", () => { stop(); go(slider.valueAsNumber); });
  slider.addEventListener("change", note);
  play.addEventListener("click", () => {
    if (playing) return stop();
    play.setAttribute("aria-pressed", "true");
    const last = Math.max(...rows.keys());
    if (slider.valueAsNumber >= last) go(0);
    playing = setInterval(() => (slider.valueAsNumber >= last ? stop() : go(slider.valueAsNumber + 1)), PLAY_MS);
  });
  attempt(async () => {
    x = [...Array(96).keys()].map((each) => dayStart(box.dataset.day) + each * QUARTER_S);
    day = unpacked(await read(box.dataset.feed));
    drawDay();
    go(quarterOf(new URLSearchParams(location.search).get("at")) ?? slider.valueAsNumber, { scroll: true });
  });
}
