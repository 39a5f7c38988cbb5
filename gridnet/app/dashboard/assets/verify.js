// Checks a proof of the ledger's log in this browser alone, as `gridnet audit verify` does: the file's form, the signature of its
// checkpoint, the entry's place in the tree, the entry, and whether the log continues what was seen before. Pure functions: nothing
// is fetched and nothing kept here. Formats: C2SP tlog-proof, signed-note, tlog-checkpoint; hashes: RFC 6962 over SHA-256.

const HEADER = 'c2sp.org/tlog-proof@v1';
const HASH_BYTES = 32;
const HASHES_MAX = 63;
const SIGNATURES_MAX = 100;
const PROOF_BYTES_MAX = 1_100_000;
const DECIMAL_MAX = 2n ** 63n - 1n;
const DASH = '\u2014 ';
const NOTE_KEY = 1;
const ENTRY_FIELDS = 'body,key,kind,movements,seq,time,v';

// What does not prove what it says; the message says why.
export class Refused extends Error {}

// --- Text that has one spelling ---------------------------------------------------------------------------------------------

export function fromBase64(text, what) {
  let raw;
  try {
    raw = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  } catch {
    throw new Refused(`${what}: not base64`);
  }
  if (toBase64(raw) !== text) throw new Refused(`${what}: base64 in another spelling than the canonical one`);
  return raw;
}

export function toBase64(raw) {
  let text = '';
  for (const each of raw) text += String.fromCharCode(each);
  return btoa(text);
}

export function toHex(raw) {
  return Array.from(raw, (each) => each.toString(16).padStart(2, '0')).join('');
}

function fromDecimal(text, what) {
  if (!/^(0|[1-9][0-9]{0,18})$/.test(text) || BigInt(text) > DECIMAL_MAX) {
    throw new Refused(`${what}: not a whole number from 0 to 2^63 - 1 without leading zeros`);
  }
  return BigInt(text);
}

function toText(raw, what) {
  if (raw.length > PROOF_BYTES_MAX) throw new Refused(`${what}: ${raw.length} bytes are too many`);
  let text;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(raw);
  } catch {
    throw new Refused(`${what}: not UTF-8`);
  }
  if (/[\u0000-\u0009\u000b-\u001f]/.test(text) || !text.endsWith('\n')) {
    throw new Refused(`${what}: a control character, or no newline at the end`);
  }
  return text;
}

function same(one, other) {
  return one.length === other.length && one.every((each, at) => each === other[at]);
}

// --- The tree ---------------------------------------------------------------------------------------------------------------

async function sha256(...parts) {
  const whole = new Uint8Array(parts.reduce((sum, each) => sum + each.length, 0));
  let at = 0;
  for (const each of parts) {
    whole.set(each, at);
    at += each.length;
  }
  return new Uint8Array(await crypto.subtle.digest('SHA-256', whole));
}

export const leafHash = (entry) => sha256(Uint8Array.of(0), entry);
export const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);

function wholeHashes(...hashes) {
  for (const each of hashes) {
    if (each.length !== HASH_BYTES) throw new Refused(`a hash of ${each.length} bytes, SHA-256 has ${HASH_BYTES}`);
  }
}

// Refuses unless the leaf with this hash stands at `index` in the tree of `size` leaves with this root (RFC 9162, 2.1.3.2).
export async function verifyInclusion(leaf, index, size, proof, root) {
  if (index < 0n || index >= size) throw new Refused(`leaf ${index} lies outside a tree of ${size}`);
  wholeHashes(leaf, root, ...proof);
  let node = index;
  let last = size - 1n;
  let reached = leaf;
  for (const sibling of proof) {
    if (last === 0n) throw new Refused(`the proof has more hashes than the path from leaf ${index} in ${size}`);
    if (node & 1n || node === last) {
      reached = await nodeHash(sibling, reached);
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else {
      reached = await nodeHash(reached, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last !== 0n) throw new Refused(`the proof has fewer hashes than the path from leaf ${index} in ${size}`);
  if (!same(reached, root)) throw new Refused(`entry ${index} of ${size} does not lead to the signed root: it was changed`);
}

// Refuses unless the tree of `newSize` leaves begins with the tree of `oldSize` (RFC 9162, 2.1.4.2).
export async function verifyConsistency(oldSize, oldRoot, newSize, newRoot, proof) {
  if (oldSize < 0n || oldSize > newSize) throw new Refused(`a log of ${newSize} entries does not begin with one of ${oldSize}`);
  wholeHashes(oldRoot, newRoot, ...proof);
  if (oldSize === 0n || oldSize === newSize) {
    const known = oldSize === newSize ? newRoot : await sha256();
    if (!same(oldRoot, known)) throw new Refused(`two roots at one size, ${oldSize}: the log shows two histories`);
    if (proof.length) throw new Refused('hashes where none is needed');
    return;
  }
  if (!proof.length) throw new Refused(`no proof from ${oldSize} to ${newSize}`);
  const path = oldSize & (oldSize - 1n) ? [...proof] : [oldRoot, ...proof];
  let [node, last] = [oldSize - 1n, newSize - 1n];
  while (node & 1n) [node, last] = [node >> 1n, last >> 1n];
  let [before, after] = [path[0], path[0]];
  for (const sibling of path.slice(1)) {
    if (last === 0n) throw new Refused(`too many hashes from ${oldSize} to ${newSize}`);
    if (node & 1n || node === last) {
      [before, after] = [await nodeHash(sibling, before), await nodeHash(sibling, after)];
      while (node && !(node & 1n)) [node, last] = [node >> 1n, last >> 1n];
    } else {
      after = await nodeHash(after, sibling);
    }
    [node, last] = [node >> 1n, last >> 1n];
  }
  if (last !== 0n) throw new Refused(`too few hashes from ${oldSize} to ${newSize}`);
  if (!same(before, oldRoot)) throw new Refused(`the first ${oldSize} entries are not those that were signed before`);
  if (!same(after, newRoot)) throw new Refused(`the proof does not lead to the root at ${newSize}`);
}

// --- Keys, notes, checkpoints -----------------------------------------------------------------------------------------------

// A key's name: not empty, no space, no plus, no control character.
function isName(name) {
  return name !== '' && !/[\s+\u0000-\u001f\u0085]/u.test(name);
}

async function keyId(name, algorithm, publicKey) {
  return (await sha256(new TextEncoder().encode(`${name}\n`), Uint8Array.of(algorithm), publicKey)).slice(0, 4);
}

// The verifier key in a line NAME+ID+BASE64.
export async function readKey(line) {
  const text = line.trim();
  const [, name, id, encoded] = /^([^+]+)\+([0-9a-f]{8})\+(.+)$/su.exec(text) ?? [];
  if (encoded === undefined || !isName(name)) throw new Refused('the key is not of the form NAME+ID+BASE64: copy it again, whole');
  const raw = fromBase64(encoded, 'the key');
  if (raw.length !== 1 + HASH_BYTES || raw[0] !== NOTE_KEY) throw new Refused("not a log's Ed25519 key (a witness's, perhaps)");
  const own = await keyId(name, raw[0], raw.slice(1));
  if (toHex(own) !== id) throw new Refused("the key's id does not belong to its name and bytes: copy it again, whole");
  return { name, id: own, publicKey: raw.slice(1), text };
}

function readSignature(line) {
  const cut = line.indexOf(' ', DASH.length);
  const name = line.slice(DASH.length, cut);
  if (!line.startsWith(DASH) || cut < 0 || !isName(name)) throw new Refused('a signature line has another form');
  const raw = fromBase64(line.slice(cut + 1), 'a signature');
  if (raw.length <= 4) throw new Refused('a signature line has another form');
  return { name, id: raw.slice(0, 4), payload: raw.slice(4) };
}

// The note in a text: what was signed, and by whom it says it was.
export function readNote(whole) {
  const at = whole.lastIndexOf('\n\n');
  if (at < 0 || !whole.endsWith('\n')) throw new Refused('the checkpoint has no blank line between text and signatures');
  const lines = whole.slice(at + 2).split('\n').slice(0, -1);
  if (lines.length < 1 || lines.length > SIGNATURES_MAX) throw new Refused(`a checkpoint with ${lines.length} signatures`);
  return { text: whole.slice(0, at + 1), signatures: lines.map(readSignature) };
}

// The head of the log in a note's text.
export function readCheckpoint(text) {
  const [origin, size, root, ...rest] = text.split('\n');
  if (root === undefined || rest.pop() !== '' || !origin || rest.includes('')) {
    throw new Refused('the checkpoint is not an origin, a size and a root, one a line');
  }
  const head = { origin, size: fromDecimal(size, "the checkpoint's size"), root: fromBase64(root, "the checkpoint's root") };
  wholeHashes(head.root);
  return head;
}

async function importKey(key) {
  if (!globalThis.crypto?.subtle) {
    throw new Refused('this browser offers no cryptography here: open the page by https');
  }
  try {
    return await crypto.subtle.importKey('raw', key.publicKey, { name: 'Ed25519' }, false, ['verify']);
  } catch (error) {
    throw new Refused(
      `this browser can't check Ed25519 signatures (${error.name}): use a newer one, or \`gridnet audit verify\` on the file`,
    );
  }
}

// The checkpoint in a note, if the key has signed it; signatures of keys that are not known are passed over.
export async function verifyCheckpoint(whole, key) {
  const note = readNote(whole);
  const head = readCheckpoint(note.text);
  const own = note.signatures.filter((each) => each.name === key.name && same(each.id, key.id));
  if (!own.length) throw new Refused(`the key ${key.name} has not signed this checkpoint`);
  const imported = await importKey(key);
  for (const each of own) {
    const fits = await crypto.subtle.verify('Ed25519', imported, each.payload, new TextEncoder().encode(note.text));
    if (!fits) throw new Refused(`the signature of ${key.name} does not fit the checkpoint: it was changed or forged`);
  }
  if (head.origin !== key.name) throw new Refused(`a checkpoint of ${head.origin}, not of ${key.name}`);
  return head;
}

// --- The proof file ---------------------------------------------------------------------------------------------------------

// The parts of a .tlog-proof file: claims, until they are verified.
export function readProof(raw) {
  const text = toText(raw, 'the proof');
  const cut = text.indexOf('\n\n');
  if (cut < 0) throw new Refused('the proof has no checkpoint');
  const [header, ...lines] = text.slice(0, cut).split('\n');
  if (header !== HEADER) throw new Refused(`the first line is not ${HEADER}`);
  if (!lines[0]?.startsWith('extra ')) throw new Refused('the proof comes without its entry');
  const entry = fromBase64(lines.shift().slice('extra '.length), "the proof's entry");
  if (!entry.length) throw new Refused('the entry is empty');
  if (!lines[0]?.startsWith('index ')) throw new Refused('the proof has no index');
  const index = fromDecimal(lines.shift().slice('index '.length), "the proof's index");
  const hashes = lines.map((line) => fromBase64(line, 'a hash of the proof'));
  if (hashes.length > HASHES_MAX) throw new Refused('the proof has too many hashes');
  wholeHashes(...hashes);
  return { entry, index, hashes, checkpoint: text.slice(cut + 2) };
}

function canonical(content) {
  if (Array.isArray(content)) return `[${content.map(canonical).join(',')}]`;
  if (content !== null && typeof content === 'object') {
    const members = Object.keys(content).sort().map((name) => `${JSON.stringify(name)}:${canonical(content[name])}`);
    return `{${members.join(',')}}`;
  }
  return JSON.stringify(content);
}

// The ledger's entry in a leaf, in its one canonical form and numbered as its place.
export function readEntry(leaf, index) {
  let text;
  let entry;
  try {
    text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(leaf);
    entry = JSON.parse(text);
  } catch {
    throw new Refused('the entry is no JSON');
  }
  if (entry === null || typeof entry !== 'object' || Object.keys(entry).sort().join(',') !== ENTRY_FIELDS) {
    throw new Refused("the entry has other fields than a ledger's");
  }
  if (canonical(entry) !== text) throw new Refused('the entry is not in canonical form');
  if (!Number.isSafeInteger(entry.seq) || BigInt(entry.seq) !== index) {
    throw new Refused(`the entry calls itself ${entry.seq} and stands at ${index}`);
  }
  return entry;
}

// --- All of it, step by step ------------------------------------------------------------------------------------------------

export const TITLES = [
  'The file is a proof with its entry',
  'The checkpoint is signed by the key you trust',
  'The entry stands in the tree under that checkpoint',
  'The entry is one of a ledger, numbered as its place',
  'The log continues what this browser saw before',
];

// Verifies a proof file. `keyLine`: the log's key; `seen`: a signed checkpoint kept from an earlier visit, or null;
// `consistency(oldSize, newSize)`: asks somebody, trusted or not, for the hashes between two sizes (Uint8Arrays).
// Gives { passed, steps: [{ title, passed, words }], entry, index, checkpoint }. The first step that fails ends it.
export async function verifyProof(raw, { keyLine, seen = null, consistency = async () => [] }) {
  const found = {};
  const checks = [
    async () => {
      found.proof = readProof(raw);
      return `entry ${found.proof.index}, ${found.proof.entry.length} bytes`;
    },
    async () => {
      found.key = await readKey(keyLine);
      found.head = await verifyCheckpoint(found.proof.checkpoint, found.key);
      return `${found.head.origin}, over ${found.head.size} entries`;
    },
    async () => {
      const { entry, index, hashes } = found.proof;
      await verifyInclusion(await leafHash(entry), index, found.head.size, hashes, found.head.root);
      return `${hashes.length} hashes lead to the root ${toHex(found.head.root).slice(0, 16)}..`;
    },
    async () => {
      found.entry = readEntry(found.proof.entry, found.proof.index);
      return `${found.entry.kind} of ${found.entry.time}`;
    },
    async () => continued(found.head, seen, found.key, consistency),
  ];
  const steps = [];
  for (const [at, check] of checks.entries()) {
    const step = { title: TITLES[at], passed: true, words: '' };
    steps.push(step);
    try {
      step.words = await check();
    } catch (error) {
      step.passed = false;
      step.words = error instanceof Refused ? error.message : `it could not be checked: ${error.message}`;
      break;
    }
  }
  const passed = steps.length === checks.length && steps.every((each) => each.passed);
  return { passed, steps, entry: found.entry, index: found.proof?.index, checkpoint: found.proof?.checkpoint, head: found.head };
}

async function continued(head, seen, key, consistency) {
  if (seen === null) return 'nothing was seen before: there is nothing to compare with on a first visit';
  const old = await verifyCheckpoint(seen, key);
  const [earlier, later] = old.size <= head.size ? [old, head] : [head, old];
  const hashes = earlier.size === 0n || earlier.size === later.size ? [] : await consistency(earlier.size, later.size);
  await verifyConsistency(earlier.size, earlier.root, later.size, later.root, hashes);
  if (old.size > head.size) return `an older head than the one seen here, over ${old.size} entries, and its beginning`;
  return `the ${old.size} entries seen before are the first of these ${head.size}`;
}
