// A chart over time: uPlot with bands, units, the page's colours in light and dark, and a cursor that the keyboard moves.

import uPlot from "./vendor/uPlot.esm.js";
import { number } from "./common.js";

const dark = matchMedia("(prefers-color-scheme: dark)");
const narrow = "12px system-ui, sans-serif";
let charts = 0;

/** A colour of the style by its name, "--pv". */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

/**
 * `box`: where it goes. `options`: `title` and `unit` (words), `decimals` of its numbers, `height` in px, `range` [low, high] that is
 * always shown, `sync`: charts of one name share their cursor.
 *
 * `show(x, series)` draws: `x` in seconds since 1970; each of `series` has `label`, `colour` (a name of the style) and `values`, null
 * where there is none, or `low` and `high` for a band; `step` (held until the next x) and `dash` say how it is drawn.
 * `mark(x)` draws a line at a time, null none.
 */
export class Chart {
  constructor(box, options) {
    this.options = { decimals: 2, height: 190, ...options };
    this.box = box;
    this.at = null;
    this.plot = null;
    this.shown = "";
    const id = `chart-${++charts}`;
    const figure = document.createElement("figure");
    const caption = document.createElement("figcaption");
    caption.id = id;
    caption.textContent = `${this.options.title} (${this.options.unit})`;
    this.keys = document.createElement("ul");
    this.keys.className = "keys";
    this.area = document.createElement("div");
    this.area.className = "plot";
    this.area.tabIndex = 0;
    this.area.setAttribute("role", "group");
    this.area.setAttribute("aria-roledescription", "chart");
    this.area.setAttribute("aria-labelledby", id);
    this.said = document.createElement("p");
    this.said.className = "sr-only";
    this.said.setAttribute("role", "status");
    figure.append(caption, this.keys, this.area, this.said);
    box.replaceChildren(figure);
    this.area.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.#size()).observe(this.area);
    dark.addEventListener("change", () => this.plot?.redraw(false));
  }

  show(x, series) {
    const form = JSON.stringify(series.map(({ label, colour, low, step, dash }) => [label, colour, !!low, !!step, !!dash]));
    const rows = [x, ...series.flatMap((each) => (each.low ? [each.high, each.low] : [each.values]))];
    this.series = series;
    if (form === this.shown && this.plot) {
      this.plot.setData(rows);
    } else {
      this.plot?.destroy();
      this.shown = form;
      this.#legend();
      this.plot = new uPlot(this.#settings(), rows, this.area);
    }
    this.#tell(this.plot.cursor.idx);
  }

  mark(x) {
    this.at = x;
    this.plot?.redraw(false);
  }

  #settings() {
    const { unit, height, range, sync, decimals } = this.options;
    const lines = [{}], bands = [];
    for (const each of this.series) {
      const paths = each.step ? { paths: uPlot.paths.stepped({ align: 1 }) } : {};
      const stroke = () => colour(each.colour);
      const drawn = { stroke, width: 2, dash: each.dash ? [6, 5] : undefined, points: { show: false }, spanGaps: false, ...paths };
      if (each.low) {
        bands.push({ series: [lines.length, lines.length + 1], fill: () => colour(each.colour) + "40" });
        lines.push({ ...drawn, width: 0 }, { ...drawn, width: 0 });
      } else {
        lines.push(drawn);
      }
    }
    const muted = () => colour("--muted"), grid = { stroke: () => colour("--grid"), width: 1 };
    const axis = { stroke: muted, grid, ticks: grid, font: narrow };
    return {
      width: Math.max(this.area.clientWidth, 200),
      height,
      series: lines,
      bands,
      legend: { show: false },
      tzDate: (at) => uPlot.tzDate(new Date(1000 * at), "Etc/UTC"),
      cursor: { drag: { x: false, y: false }, y: false, sync: sync ? { key: sync, setSeries: false } : undefined },
      scales: { y: { range: (_, low, high) => spread(low, high, range) } },
      axes: [
        { ...axis, size: 34, values: (_, ticks) => ticks.map(clock) },
        { ...axis, size: 62, space: 22, values: (_, ticks) => ticks.map((each) => number(each, needed(ticks))) },
      ],
      hooks: { setCursor: [(plot) => this.#tell(plot.cursor.idx)], draw: [(plot) => this.#line(plot)] },
    };
  }

  #legend() {
    this.outputs = this.series.map(() => document.createElement("output"));
    const items = this.series.map((each, place) => {
      const item = document.createElement("li"), swatch = document.createElement("span"), words = document.createElement("span");
      swatch.className = `swatch ${each.low ? "band" : each.dash ? "dash" : "line"}`;
      swatch.style.color = `var(${each.colour})`;
      words.textContent = each.label;
      this.outputs[place].setAttribute("aria-live", "off");
      item.append(swatch, words, this.outputs[place]);
      return item;
    });
    this.when = document.createElement("li");
    this.keys.replaceChildren(...items, this.when);
  }

  #tell(at) {
    const x = at === null || at === undefined ? null : this.plot?.data[0][at];
    this.series.forEach((each, place) => {
      const show = (value) => number(value, this.options.decimals);
      const words = each.low ? `${show(each.low[at])} to ${show(each.high[at])}` : show(each.values[at]);
      this.outputs[place].textContent = x === null || x === undefined ? "" : `${words} ${this.options.unit}`;
    });
    this.when.textContent = x === null || x === undefined ? "" : `at ${clock(x)} UTC`;
  }

  #line(plot) {
    if (this.at === null) return;
    const [x, { top, height }] = [Math.round(plot.valToPos(this.at, "x", true)), plot.bbox];
    if (x < plot.bbox.left || x > plot.bbox.left + plot.bbox.width) return;
    plot.ctx.save();
    plot.ctx.strokeStyle = colour("--ink");
    plot.ctx.setLineDash([3, 3]);
    plot.ctx.beginPath();
    plot.ctx.moveTo(x, top);
    plot.ctx.lineTo(x, top + height);
    plot.ctx.stroke();
    plot.ctx.restore();
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -4, PageDown: 4, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || !this.plot) return;
    event.preventDefault();
    const last = this.plot.data[0].length - 1, now = this.plot.cursor.idx ?? (step > 0 ? -1 : last + 1);
    const at = Math.max(0, Math.min(last, now + step));
    this.plot.setCursor({ left: this.plot.valToPos(this.plot.data[0][at], "x"), top: 10 });
    const parts = this.series.map((each, place) => `${each.label} ${this.outputs[place].textContent}`);
    this.said.textContent = `${clock(this.plot.data[0][at])}: ${parts.join(", ")}`;
  }

  #size() {
    const width = this.area.clientWidth;
    if (this.plot && width > 0 && width !== this.plot.width) this.plot.setSize({ width, height: this.options.height });
  }
}

function clock(at) {
  return new Date(1000 * at).toISOString().slice(11, 16);
}

/** Decimals that the step between ticks has: 1 for steps of 2.5. */
function needed(ticks) {
  const step = ticks.length > 1 ? Math.abs(ticks[1] - ticks[0]) : Math.abs(ticks[0] ?? 1);
  let decimals = 0;
  for (let whole = step; decimals < 6 && Math.abs(whole - Math.round(whole)) > 1e-6 * whole; whole *= 10) decimals += 1;
  return decimals;
}

function spread(low, high, range) {
  if (low === null || low === undefined) [low, high] = range ?? [0, 1];
  const [a, b] = range ? [Math.min(low, range[0]), Math.max(high, range[1])] : [low, high];
  const air = Math.max(0.06 * (b - a), 1e-6);
  return [a - air, b + air];
}
