// What every page's script needs: numbers and times in words, and reading a feed.

const NARROW = "\u202f", MINUS = "\u2212", NOTHING = "\u2013";
export const QUARTER_S = 900;

/** With a true minus sign and thousands set apart. */
export function number(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return NOTHING;
  const text = Math.abs(value).toFixed(decimals);
  const [whole, rest] = text.split(".");
  const sign = value < 0 && Number(text) !== 0 ? MINUS : "";
  return sign + whole.replace(/\B(?=(\d{3})+$)/g, NARROW) + (rest ? "." + rest : "");
}

/** The same, with a plus sign where it is above zero. */
export function signed(value, decimals = 0) {
  const text = number(value, decimals);
  return value > 0 && Number(value.toFixed(decimals)) !== 0 ? "+" + text : text;
}

/** "14:15" of a quarter-hour's number in its day. */
export function timeOf(quarter) {
  const pad = (each) => String(each).padStart(2, "0");
  return `${pad(Math.floor(quarter / 4))}:${pad(15 * (quarter % 4))}`;
}

/** The number of a quarter-hour in its day, from "14:15". */
export function quarterOf(text) {
  const found = /^(\d\d):(\d\d)$/.exec(text ?? "");
  return found ? Math.min(95, 4 * Number(found[1]) + Math.floor(Number(found[2]) / 15)) : null;
}

/** Seconds since 1970 at the start of a day, "2026-03-01", in UTC. */
export function dayStart(day) {
  return Date.parse(day + "T00:00:00Z") / 1000;
}

/** How many of the edges a value has reached; null where there is no value. */
export function level(value, edges) {
  if (value === null || value === undefined) return null;
  let reached = 0;
  while (reached < edges.length && value >= edges[reached]) reached += 1;
  return reached;
}

/** A feed's object. Throws an Error in words that a person can read. */
export async function read(address) {
  let answer;
  try {
    answer = await fetch(address, { credentials: "same-origin", headers: { accept: "application/json" } });
  } catch {
    throw new Error("The service does not answer; what is shown may be old.");
  }
  if (answer.status === 401) throw new Error("Your login has ended. Load the page again to log in.");
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error(body.detail ?? `The service answered with ${answer.status}.`);
  return body;
}

/** Shows words in a box, or hides it where there are none. */
export function say(box, words) {
  box.textContent = words ?? "";
  box.hidden = !words;
}

/** Calls `act` once calls have paused for `wait` ms. */
export function later(act, wait) {
  let timer = 0;
  return (...given) => {
    clearTimeout(timer);
    timer = setTimeout(() => act(...given), wait);
  };
}
