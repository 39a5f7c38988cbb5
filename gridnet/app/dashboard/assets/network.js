// The network map: colours the server's drawing from a feed of the day's frames, moves through the day, opens a home's timeline.

import { QUARTER_S, dayStart, level, number, quarterOf, read, say, signed, timeOf } from "./common.js";

const POLL_MS = 20000, PLAY_MS = 220;
const TOTALS = {
  vm_pu: (each) => number(each, 4), loading: (each) => number(each, 1), broken: (each) => number(each),
  head_kw: (each) => signed(each, 2), head_kvar: (each) => signed(each, 2), loss_kw: (each) => number(each, 3),
  import_ct: (each) => number(each, 3), export_ct: (each) => number(each, 3), carbon: (each) => number(each),
  bus: (each) => each ?? "", branch: (each) => each ?? "",
};

const at = (id) => document.getElementById(id);
const map = at("map"), slider = at("quarter"), play = at("play"), live = at("live"), chooser = at("home");
const edges = Object.fromEntries(["volts", "loads", "flows"].map((name) => [name, JSON.parse(map.dataset[name])]));
const buses = [...map.querySelectorAll("circle.bus")], branches = [...map.querySelectorAll(".branch")];
const homes = [...map.querySelectorAll(".home")];
const batteries = Number(map.dataset.batteries);
const shown = { day: map.dataset.day, number: null, home: null };
let frames = new Map();
let places = { home: new Map(), device: new Map() };
let scale = {};
let playing = 0;

/** Fetches the day's frames from a quarter-hour on, and puts them in the place of those that are there. */
async function fetchDay(day, since = 0) {
  const body = await read(`${map.dataset.feed}${day}?since=${since}`);
  if (day !== shown.day || since === 0) frames = new Map();
  shown.day = day;
  scale = body.scale;
  places = { home: placed(body.homes), device: placed(body.devices) };
  body.numbers.forEach((quarter, row) => {
    const frame = { measured: body.measured[row], totals: body.totals[row] };
    for (const name of Object.keys(scale)) frame[name] = body[name][row];
    frames.set(quarter, frame);
  });
  return body;
}

function placed(numbers) {
  return new Map(numbers.map((each, place) => [each, place]));
}

function value(frame, name, place) {
  const whole = place === undefined ? null : frame[name][place];
  return whole === null || whole === undefined ? null : whole / scale[name];
}

/** Shows the frame of a quarter-hour, or that there is none. */
function draw(quarter) {
  shown.number = quarter;
  slider.value = quarter;
  const frame = frames.get(quarter);
  const words = `${timeOf(quarter)} UTC, ${frame ? (frame.measured ? "measured" : "expected") : "nothing is kept"}`;
  at("at").textContent = words;
  slider.setAttribute("aria-valuetext", words);
  at("totals-at").textContent = `${shown.day} ${words}`;
  for (const cell of document.querySelectorAll("[data-total]")) {
    cell.textContent = frame ? TOTALS[cell.dataset.total](frame.totals[cell.dataset.total]) : "";
  }
  for (const each of buses) paint(each, frame && level(value(frame, "vm_pu", Number(each.dataset.bus)), edges.volts));
  for (const each of branches) {
    if (each.dataset.branch) paint(each, frame && level(value(frame, "loading", Number(each.dataset.branch)), edges.loads));
  }
  for (const each of homes) {
    const place = places.home.get(Number(each.dataset.home));
    paint(each.querySelector(".ring"), frame && level(value(frame, "net_kw", place), edges.flows));
  }
  for (const chart of Object.values(charts)) chart.mark(dayStart(shown.day) + quarter * QUARTER_S);
}

function paint(mark, found) {
  if (found === null || found === undefined) delete mark.dataset.level;
  else mark.dataset.level = found;
}

/** What a mark says in words, at the quarter-hour that is shown. */
function tell(mark) {
  const frame = frames.get(shown.number), bus = mark.dataset.bus, branch = mark.dataset.branch;
  if (!frame) return;
  const parts = [mark.getAttribute("aria-label") ?? mark.dataset.name];
  if (bus !== undefined) parts.push(`${number(value(frame, "vm_pu", Number(bus)), 4)} pu`);
  if (branch !== undefined) parts.push(`${number(value(frame, "loading", Number(branch)), 1)} % of its limit`);
  if (mark.dataset.home !== undefined) {
    const place = places.home.get(Number(mark.dataset.home)), net = value(frame, "net_kw", place);
    parts.push(`${net < 0 ? "draws" : "injects"} ${number(Math.abs(net), 2)} kW`);
  }
  at("readout").textContent = parts.join(", ");
}

const charts = {};

/** Opens the timeline of a home, null closes it. */
async function open(home, { focus = false } = {}) {
  shown.home = home;
  for (const each of homes) each.setAttribute("aria-pressed", String(Number(each.dataset.home) === home && home !== null));
  at("timeline").hidden = home === null;
  if (chooser) chooser.value = home ?? "";
  if (home === null) return;
  // Half of all bytes, and most views never need it.
  const { Chart } = await import("./chart.js");
  if (shown.home !== home) return;
  if (!charts.power) {
    charts.power = new Chart(at("timeline-power"), { title: "Power, above zero injects", unit: "kW", sync: "home", range: [0, 0] });
    charts.soc = new Chart(at("timeline-soc"), { title: "State of charge", unit: "%", decimals: 1, height: 130, sync: "home", range: [0, 100] });
    charts.volts = new Chart(at("timeline-volts"), { title: "Voltage at its bus", unit: "pu", decimals: 4, height: 140, sync: "home" });
  }
  timeline();
  draw(shown.number ?? 0);
  if (focus) at("timeline-title").focus();
}

/** Draws what the day's frames say of the home that is open. */
function timeline() {
  const mark = homes.find((each) => Number(each.dataset.home) === shown.home);
  if (!mark) return;
  const start = dayStart(shown.day), quarters = [...Array(96).keys()], x = quarters.map((each) => start + each * QUARTER_S);
  const line = (read) => quarters.map((each) => (frames.has(each) ? read(frames.get(each)) : null));
  const devices = (mark.dataset.devices || "").split(" ").filter(Boolean).map(Number);
  const stores = devices.filter((each) => each < batteries), plants = devices.filter((each) => each >= batteries);
  const home = places.home.get(shown.home);
  const sum = (frame, which) => which.reduce((total, each) => total + (value(frame, "given_kw", places.device.get(each)) ?? 0), 0);
  const power = [
    { label: "at its connection", colour: "--ink", values: line((frame) => value(frame, "net_kw", home)), step: true },
    { label: "loads", colour: "--load", values: line((frame) => value(frame, "load_kw", home)), step: true },
  ];
  if (plants.length) power.push({ label: "PV", colour: "--pv", values: line((frame) => sum(frame, plants)), step: true });
  if (stores.length) power.push({ label: "battery", colour: "--battery", values: line((frame) => sum(frame, stores)), step: true });
  charts.power.show(x, power);
  at("timeline-title").textContent = `Timeline of ${mark.getAttribute("aria-label")}, ${shown.day}`;
  at("timeline-soc").hidden = stores.length === 0;
  if (stores.length) {
    charts.soc.show(x, stores.map((each, place) => ({
      label: stores.length > 1 ? `battery ${place + 1}` : "battery", colour: "--battery",
      values: line((frame) => percent(value(frame, "soc", places.device.get(each)))),
    })));
  }
  charts.volts.show(x, [{ label: "voltage", colour: "--import", values: line((frame) => value(frame, "vm_pu", Number(mark.dataset.bus))) }]);
}

function percent(share) {
  return share === null ? null : 100 * share;
}

/** Keeps the address what would show the same again. */
function note() {
  const following = live.getAttribute("aria-pressed") === "true";
  history.replaceState(null, "", following ? location.pathname : `?day=${shown.day}&at=${timeOf(shown.number)}`);
}

function press(button, down) {
  button.setAttribute("aria-pressed", String(down));
}

function stop() {
  clearInterval(playing);
  playing = 0;
  press(play, false);
}

function go(quarter) {
  press(live, false);
  draw(quarter);
  note();
}

/** The newest frame, and whatever has been measured since. */
async function follow() {
  const open = [...frames].filter(([, frame]) => !frame.measured).map(([quarter]) => quarter);
  const since = frames.size ? Math.min(Math.max(...frames.keys()), ...open) : 0;
  const body = await fetchDay(shown.day, since);
  const newest = body.newest?.slice(0, 10);
  if (newest && newest !== shown.day) {
    await fetchDay(newest);
    at("day").value = at("day").max = newest;
  }
  if (frames.size) draw(Math.max(...frames.keys()));
  if (shown.home !== null && charts.power) timeline();
  const empty = at("empty");
  if (empty) empty.hidden = frames.size > 0;
}

/** Does it, and says what went wrong where something did. */
async function attempt(act) {
  try {
    await act();
    say(at("trouble"), null);
  } catch (error) {
    say(at("trouble"), error.message);
  }
}

slider.addEventListener("input", () => { stop(); go(Number(slider.value)); });
play.addEventListener("click", () => {
  if (playing) return stop();
  press(play, true);
  const last = Math.max(0, ...frames.keys());
  if (shown.number >= last) go(0);
  playing = setInterval(() => (shown.number >= last ? stop() : go(shown.number + 1)), PLAY_MS);
});
live.addEventListener("click", () => {
  const down = live.getAttribute("aria-pressed") !== "true";
  stop();
  press(live, down);
  if (down) attempt(follow).then(note);
  else note();
});
setInterval(() => {
  if (live.getAttribute("aria-pressed") === "true" && !document.hidden) attempt(follow);
}, POLL_MS);

map.addEventListener("pointerover", (event) => {
  const mark = event.target.closest("[data-home], [data-bus], [data-branch]");
  if (mark) tell(mark);
});
map.addEventListener("click", (event) => {
  const home = event.target.closest("[data-home]");
  if (home) { roam(home); attempt(() => open(Number(home.dataset.home))); }
});
map.addEventListener("focusin", (event) => {
  const home = event.target.closest("[data-home]");
  if (home) tell(home);
});
map.addEventListener("keydown", (event) => {
  const home = event.target.closest("[data-home]");
  if (!home) return;
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (step) {
    event.preventDefault();
    const next = homes[(homes.indexOf(home) + step + homes.length) % homes.length];
    roam(next);
    next.focus();
  } else if (event.key === "Enter" || event.key === " ") {
    event.preventDefault();
    attempt(() => open(Number(home.dataset.home), { focus: true }));
  }
});

/** One home alone is reached by the tabulator; arrows go on from it. */
function roam(home) {
  for (const each of homes) each.setAttribute("tabindex", each === home ? "0" : "-1");
}

chooser?.addEventListener("change", () => attempt(() => open(chooser.value === "" ? null : Number(chooser.value))));
at("close").addEventListener("click", () => {
  const home = shown.home;
  open(null);
  homes.find((each) => Number(each.dataset.home) === home)?.focus();
});

for (const each of document.querySelectorAll(".without-script")) {
  each.hidden = true;
  for (const control of each.querySelectorAll("select")) control.disabled = true;
}
// A drawing wider than its frame begins where the feeder does.
const slack = map.querySelector(".bus.slack")?.getBoundingClientRect(), frame = map.getBoundingClientRect();
if (slack) map.scrollLeft += slack.x - frame.x - map.clientWidth / 2;
for (const id of ["slider", "homes"]) if (at(id)) at(id).hidden = false;
const asked = new URLSearchParams(location.search);
attempt(async () => {
  const first = quarterOf(asked.get("at"));
  press(live, !asked.has("day") && first === null);
  await fetchDay(shown.day);
  draw(first ?? (frames.size ? Math.max(...frames.keys()) : 0));
});
