// The auditor's side of a page: takes the log's key from the person, keeps it and the heads of the log in this browser, and shows what
// verify.js finds, step by step. Proofs and hashes come from the server; nothing that is trusted does.

import { TITLES, fromBase64, readKey, verifyProof } from './verify.js';

const KEY = 'gridnet.log.key';
const SEEN = 'gridnet.log.seen ';
const place = document.getElementById('verifier');
const keyField = document.getElementById('key');
const keyWords = document.getElementById('key-words');
const outcome = document.getElementById('outcome');
const PAGE_TITLE = 'The page says of this entry what was proven';

// --- What this browser remembers --------------------------------------------------------------------------------------------

function remembered(name) {
  try {
    return localStorage.getItem(name);
  } catch {
    return null; // a browser that keeps nothing: every visit is a first one
  }
}

function remember(name, text) {
  try {
    localStorage.setItem(name, text);
    return true;
  } catch {
    return false;
  }
}

async function trust(line) {
  try {
    const key = await readKey(line);
    const known = remembered(KEY) === key.text;
    const kept = remember(KEY, key.text);
    keyField.value = key.text;
    const since = known ? 'as in an earlier visit' : kept ? 'from now on; this browser remembers it' : 'now; this browser keeps nothing';
    keyWords.textContent = `Trusted ${since}: ${key.name}.`;
    return key.text;
  } catch (error) {
    keyWords.textContent = `This key can't be trusted: ${error.message}.`;
    return null;
  }
}

function forget() {
  try {
    const own = Object.keys(localStorage).filter((name) => name === KEY || name.startsWith(SEEN));
    own.forEach((name) => localStorage.removeItem(name));
  } catch {
    // nothing was kept
  }
  keyField.value = '';
  keyWords.textContent = 'Forgotten: the next visit is a first one, which has nothing to compare with.';
}

// --- Asking the server for evidence -----------------------------------------------------------------------------------------

async function asked(path, query) {
  const answer = await fetch(`${place.dataset.feeds}/${path}?${new URLSearchParams(query)}`, { headers: { accept: 'application/json' } });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.detail ?? `the server answered ${answer.status}`);
  return body;
}

async function consistency(oldSize, newSize) {
  const { hashes } = await asked('consistency', { old: String(oldSize), new: String(newSize) });
  return hashes.map((each) => fromBase64(each, 'a hash of the consistency proof'));
}

async function proofOf(entry) {
  const { proof } = await asked('proof', { entry, certificate: place.dataset.certificate });
  return new TextEncoder().encode(proof);
}

// --- Verifying and showing --------------------------------------------------------------------------------------------------

// All steps of a proof, and whether the row of the page (or null) says what was proven.
async function verified(raw, row) {
  if (!keyField.value.trim()) throw new Error("paste the log's key first");
  const keyLine = await trust(keyField.value);
  if (keyLine === null) throw new Error(keyWords.textContent);
  const seen = remembered(SEEN + keyLine);
  const found = await verifyProof(raw, { keyLine, seen, consistency });
  if (found.passed && row) found.steps.push(agreement(found, row));
  found.passed = found.passed && found.steps.every((each) => each.passed);
  if (found.passed) keepHead(keyLine, seen, found);
  return found;
}

function agreement({ entry }, row) {
  const wrong = ['entry', 'kind', 'key', 'time'].filter((name) => {
    const said = row.dataset[name];
    return said !== undefined && said !== String(name === 'entry' ? entry.seq : entry[name]);
  });
  const words = wrong.length ? `the page shows another ${wrong.join(', ')} than entry ${entry.seq} has` : 'number, kind, key and time';
  return { title: PAGE_TITLE, passed: !wrong.length, words };
}

function keepHead(keyLine, seen, { checkpoint, head }) {
  const size = seen === null ? -1n : BigInt(seen.split('\n')[1]);
  if (head.size > size) remember(SEEN + keyLine, checkpoint);
}

function mark(passed, words) {
  const made = document.createElement('span');
  made.className = passed ? 'good' : 'bad';
  made.textContent = words;
  return made;
}

function line(tag, ...parts) {
  const made = document.createElement(tag);
  made.append(...parts);
  return made;
}

function show(title, found) {
  const steps = document.createElement('ol');
  for (const each of found.steps) steps.append(line('li', mark(each.passed, each.passed ? 'holds' : 'FAILS'), ` ${each.title}: ${each.words}.`));
  const left = TITLES.slice(found.steps.length);
  for (const each of left) steps.append(line('li', `not tried: ${each}.`));
  const verdict = found.passed
    ? [mark(true, 'Verified'), ` in this browser: ${title}.`]
    : [mark(false, 'NOT verified'), ` ${title}: don't rely on it.`];
  const parts = [line('h3', title), line('p', ...verdict), steps];
  if (found.entry && found.passed) {
    const content = document.createElement('code');
    content.textContent = JSON.stringify(found.entry.body, null, 1);
    parts.push(line('details', line('summary', 'What the proven entry says'), line('pre', content)));
  }
  return line('section', ...parts);
}

function failure(error) {
  return { passed: false, steps: [{ title: 'The check could be made', passed: false, words: error.message }], entry: null };
}

async function check(title, take, row = null) {
  let found;
  try {
    found = await verified(await take(), row);
  } catch (error) {
    found = failure(error);
  }
  outcome.hidden = false;
  outcome.append(show(title, found));
  const state = row?.querySelector('.state');
  if (state) {
    state.className = `state ${found.passed ? 'good' : 'bad'}`;
    state.textContent = found.passed ? 'verified here' : 'NOT verified';
  }
  return found.passed;
}

const ofRow = (row) => check(`entry ${row.dataset.entry}`, () => proofOf(row.dataset.entry), row);

async function all(rows) {
  outcome.replaceChildren();
  let good = 0;
  for (const row of rows) good += await ofRow(row);
  const words = `${good} of ${rows.length} entries verified in this browser`;
  outcome.prepend(line('p', mark(good === rows.length, good === rows.length ? 'All hold' : 'NOT all hold'), `: ${words}.`));
  outcome.focus();
}

async function one(row) {
  outcome.replaceChildren();
  await ofRow(row);
  outcome.focus();
}

function start() {
  const rows = [...document.querySelectorAll('tr[data-entry]')];
  document.getElementById('key-form').hidden = false;
  document.getElementById('file-form').hidden = false;
  for (const row of rows) {
    const button = row.querySelector('button.verify');
    button.hidden = false;
    button.addEventListener('click', () => one(row));
  }
  document.getElementById('key-form').addEventListener('submit', (event) => {
    event.preventDefault();
    trust(keyField.value);
  });
  document.getElementById('forget').addEventListener('click', forget);
  document.getElementById('verify-all')?.addEventListener('click', () => all(rows));
  document.getElementById('file').addEventListener('change', async (event) => {
    const [file] = event.target.files;
    if (!file) return;
    outcome.replaceChildren();
    await check(`the file ${file.name}`, async () => new Uint8Array(await file.arrayBuffer()));
    event.target.value = '';
    outcome.focus();
  });
  const known = remembered(KEY);
  if (known) trust(known);
  else keyWords.textContent = 'No key is remembered in this browser: paste the one that the operator publishes.';
}

start();
