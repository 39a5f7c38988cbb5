// Draws the table of hourly matching as a heat map: days down, hours across. The table stays, folded, as the same in words.

const NS = 'http://www.w3.org/2000/svg';
const CELL = { width: 26, height: 16, left: 84, top: 20 };
const LEVELS = [
  ['0 %', 1],
  ['below 25 %', 25],
  ['below 50 %', 50],
  ['below 75 %', 75],
  ['below 100 %', 100],
  ['100 %', Infinity],
];
const COLOURS = ['--grid', '--use-0', '--use-1', '--use-2', '--use-3', '--battery'];

// The number of the level that a share in % lies in.
export function levelOf(percent) {
  return LEVELS.findIndex(([, below]) => percent < below);
}

function element(name, attributes, words) {
  const made = document.createElementNS(NS, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  if (words !== undefined) made.textContent = words;
  return made;
}

function text(x, y, words, anchor) {
  const made = element('text', { x, y, 'text-anchor': anchor, 'font-size': 11 }, words);
  made.style.fill = 'var(--muted)';
  return made;
}

function cell(day, hour, row, words) {
  const place = { x: CELL.left + hour * CELL.width, y: CELL.top + row * CELL.height, width: CELL.width - 1, height: CELL.height - 1 };
  const made = element('rect', place);
  const known = /^[0-9]+$/.test(words);
  made.style.fill = known ? `var(${COLOURS[levelOf(Number(words))]})` : 'none';
  made.style.stroke = known ? 'none' : 'var(--grid)';
  const clock = `${String(hour).padStart(2, '0')}:00`;
  made.append(element('title', {}, `${day} ${clock} UTC: ${known ? `${words} %` : 'nothing drawn or recorded'}`));
  return made;
}

function draw(table) {
  const rows = [...table.tBodies[0].rows];
  const width = CELL.left + 24 * CELL.width;
  const height = CELL.top + rows.length * CELL.height;
  const svg = element('svg', { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': 'Heat map of hourly matching; the table says the same' });
  for (let hour = 0; hour < 24; hour += 3) svg.append(text(CELL.left + (hour + 0.5) * CELL.width, 13, String(hour).padStart(2, '0'), 'middle'));
  rows.forEach((row, at) => {
    const [head, ...cells] = row.cells;
    svg.append(text(CELL.left - 8, CELL.top + (at + 0.75) * CELL.height, head.textContent, 'end'));
    cells.forEach((each, hour) => svg.append(cell(head.textContent, hour, at, each.textContent.trim())));
  });
  svg.style.display = 'block';
  svg.style.width = '100%';
  svg.style.maxWidth = '60rem';
  svg.style.minWidth = '36rem';
  const frame = document.createElement('div');
  frame.className = 'wide';
  frame.tabIndex = 0;
  frame.setAttribute('role', 'region');
  frame.setAttribute('aria-label', 'Heat map');
  frame.append(svg);
  return frame;
}

function legend() {
  const list = document.createElement('ul');
  list.className = 'keys';
  LEVELS.forEach(([words], level) => {
    const item = document.createElement('li');
    const swatch = document.createElement('span');
    swatch.className = 'swatch';
    swatch.style.color = `var(${COLOURS[level]})`;
    item.append(swatch, words);
    list.append(item);
  });
  return list;
}

const figure = globalThis.document?.getElementById('heatmap');
if (figure) {
  figure.append(legend(), draw(document.getElementById(figure.dataset.table)));
  figure.hidden = false;
  document.getElementById('matched-details').open = false;
}
