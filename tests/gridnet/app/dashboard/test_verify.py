"""The console's verifier of proofs, in JavaScript, against proofs that the ledger's own code makes. Run by Node."""

from __future__ import annotations

import json
import shutil
import subprocess
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from gridnet.app import dashboard
from gridnet_contracts.ledger.canonical import canonical
from gridnet_contracts.log import tiles
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.cosignature import cosign
from gridnet_contracts.log.keys import Algorithm, SignerKey
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.note import Note
from gridnet_contracts.log.proof import TlogProof
from gridnet_contracts.log.tiles import MemoryTiles

MODULE = Path(dashboard.__file__).parent / "assets" / "verify.js"
NODE = shutil.which("node")
ORIGIN = "example.net/credits"
KEY, OTHER = SignerKey(ORIGIN, bytes(range(32))), SignerKey(ORIGIN, bytes(range(1, 33)))
SIZES = range(1, 21)
Ask = Callable[[str, Any], Any]

pytestmark = pytest.mark.skipif(
    NODE is None, reason="NODE IS MISSING: the console's verifier of proofs was not tested at all; install node 20 or newer"
)

SCRIPT = """
import * as it from './verify.mjs';
import { readFileSync, writeFileSync } from 'node:fs';

const bytes = (text) => Uint8Array.from(Buffer.from(text, 'base64'));
const verified = async ({ proof, key, seen = null, hashes = [] }) => {
  const asked = [];
  const consistency = async (from, to) => { asked.push([Number(from), Number(to)]); return hashes.map(bytes); };
  const { passed, steps } = await it.verifyProof(bytes(proof), { keyLine: key, seen, consistency });
  return { passed, steps, asked };
};
const kinds = {
  proofs: (cases) => Promise.all(cases.map(verified)),
  async consistencies(cases) {
    const found = [];
    for (const [oldSize, oldRoot, newSize, newRoot, hashes] of cases) {
      try {
        await it.verifyConsistency(BigInt(oldSize), bytes(oldRoot), BigInt(newSize), bytes(newRoot), hashes.map(bytes));
        found.push('');
      } catch (error) {
        if (!(error instanceof it.Refused)) throw error;
        found.push(error.message);
      }
    }
    return found;
  },
  async mutations({ proof, key, seen, values }) {
    const kept = [];
    for (let at = 0; at < bytes(proof).length; at += 1) {
      for (const value of values) {
        const raw = bytes(proof);
        if (raw[at] === value) continue;
        raw[at] = value;
        const { passed } = await it.verifyProof(raw, { keyLine: key, seen });
        if (passed) kept.push([at, value]);
      }
    }
    return kept;
  },
  async withoutEd25519(one) {
    const original = crypto.subtle.importKey;
    crypto.subtle.importKey = async () => { throw new DOMException('no such algorithm', 'NotSupportedError'); };
    try { return await verified(one); } finally { crypto.subtle.importKey = original; }
  },
};
const { kind, cases } = JSON.parse(readFileSync('asked.json', 'utf8'));
writeFileSync('answered.json', JSON.stringify(await kinds[kind](cases)));
"""


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Asks the module, in a process of Node."""
    (tmp_path / "verify.mjs").write_bytes(MODULE.read_bytes())
    (tmp_path / "run.mjs").write_text(SCRIPT, encoding="utf-8")

    def answered(kind: str, cases: Any) -> Any:
        (tmp_path / "asked.json").write_text(json.dumps({"kind": kind, "cases": cases}), encoding="utf-8")
        done = subprocess.run([str(NODE), "run.mjs"], cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "answered.json").read_text(encoding="utf-8"))

    return answered


def entry(seq: int, **changes: Any) -> bytes:
    """A leaf of a ledger, with a word that needs more than ASCII."""
    body = {"device": "pv", "purpose": 'gr\u00fcn "und" gut\n', "wh": 1000 + seq}
    fields = {"body": body, "key": f"k{seq}", "kind": "issue", "movements": [["gc", "source/pv", "owned/ann", 1]]}
    return canonical({**fields, "seq": seq, "time": "2026-06-01T10:00:00Z", "v": 1, **changes})


def tree(leaves: Sequence[bytes]) -> MemoryTiles:
    made = MemoryTiles()
    made.append(0, [leaf_hash(each) for each in leaves])
    return made


LEAVES = [entry(k) for k in range(max(SIZES))]
TREE = tree(LEAVES)


def head(size: int, key: SignerKey = KEY, made: MemoryTiles = TREE, origin: str = ORIGIN) -> bytes:
    return sign(Checkpoint(origin, size, tiles.root(made, size)), key)


def proof(index: int, size: int) -> TlogProof:
    return TlogProof(index, tuple(tiles.inclusion(TREE, index, size)), head(size), LEAVES[index])


def case(one: TlogProof | bytes, **more: Any) -> dict[str, Any]:
    return {"proof": encoded(one if isinstance(one, bytes) else one.encode()), "key": KEY.verifier.encode(), **more}


def encoded(raw: bytes) -> str:
    return b64encode(raw).decode()


def failed(answer: Mapping[str, Any]) -> tuple[int, str]:
    """The number of the step that failed, from 1, and its words."""
    assert not answer["passed"]
    assert [each["passed"] for each in answer["steps"]] == [True] * (len(answer["steps"]) - 1) + [False]
    return len(answer["steps"]), answer["steps"][-1]["words"]


def test_every_leaf_of_every_tree_is_accepted_and_no_other_leaf_in_its_place(ask: Ask) -> None:
    asked = [(k, size) for size in SIZES for k in range(size)]
    answers = ask("proofs", [case(proof(k, size)) for k, size in asked])
    assert [each["passed"] for each in answers] == [True] * len(asked)
    assert all(len(each["steps"]) == 5 for each in answers)

    wrong = [(k, size) for k, size in asked if size > 1]
    moved = [TlogProof((k + 1) % size, proof(k, size).hashes, head(size), LEAVES[k]) for k, size in wrong]
    answers = ask("proofs", [case(each) for each in moved])
    assert {failed(each)[0] for each in answers} == {3}


def test_of_every_two_sizes_the_smaller_tree_begins_the_larger_and_no_other_tree_does(ask: Ask) -> None:
    other = tree([entry(k, key="another") for k in range(max(SIZES))])
    asked, forged = [], []
    for old in range(max(SIZES) + 1):
        for new in range(max(old, 1), max(SIZES) + 1):
            hashes = [encoded(each) for each in tiles.consistency(TREE, old, new)]
            roots = [encoded(tiles.root(TREE, size)) for size in (old, new)]
            asked.append([old, roots[0], new, roots[1], hashes])
            if old:
                forged += [[old, encoded(tiles.root(other, old)), new, roots[1], hashes]]
                forged += [[old, roots[0], new, encoded(tiles.root(other, new)), hashes]]
            if hashes:
                forged += [[old, roots[0], new, roots[1], hashes[:-1]], [old, roots[0], new, roots[1], [*hashes, hashes[0]]]]
    forged += [[3, roots[0], 2, roots[1], []]]
    assert set(ask("consistencies", asked)) == {""}
    assert "" not in ask("consistencies", forged)


def test_every_change_of_one_byte_is_refused(ask: Ask) -> None:
    raw = proof(4, 7).encode()
    # All that base64, decimals and the format's own signs could become, and some that are no text.
    values = sorted({*b"ABdQgz01589+/= \n\t", 0, 0x7F, 0x80, 0xC3, 0xFF})
    assert ask("proofs", [case(raw)])[0]["passed"]
    assert ask("mutations", {**case(raw), "seen": None, "values": values}) == []


def test_the_step_that_fails_says_why(ask: Ask) -> None:
    good = proof(4, 7)
    stranger = sign(Checkpoint("example.net/other", 7, tiles.root(TREE, 7)), KEY)
    leaf = LEAVES[4]
    loose = leaf.replace(b'{"body"', b'{ "body"')
    numbered = entry(5)

    def containing(one: bytes, at: int = 4) -> TlogProof:
        made = tree([*LEAVES[:at], one, *LEAVES[at + 1 : 7]])
        return TlogProof(at, tuple(tiles.inclusion(made, at, 7)), head(7, made=made), one)

    wrong = {
        "without its entry": case(TlogProof(4, good.hashes, good.checkpoint)),
        "first line": case(b"c2sp.org/tlog-proof@v2" + good.encode()[22:]),
        "has not signed": case(TlogProof(4, good.hashes, head(7, OTHER), leaf)),
        "not of": case(TlogProof(4, good.hashes, stranger, leaf)),
        "copy it again": case(good, key=f"{ORIGIN}+{KEY.verifier.key_id.hex()}"),
        "does not belong": case(good, key=KEY.verifier.encode().replace("credits", "debits")),
        "witness": case(good, key=SignerKey(ORIGIN, KEY.seed, Algorithm.COSIGNATURE).verifier.encode()),
        "was changed": case(TlogProof(4, good.hashes, good.checkpoint, entry(4, key="k-4"))),
        "canonical form": case(containing(loose)),
        "calls itself 5": case(containing(numbered)),
        "other fields": case(containing(canonical({"seq": 4}))),
        "no JSON": case(containing(b"\xff")),
    }
    steps = dict(zip(wrong, [1, 1, 2, 2, 2, 2, 2, 3, 4, 4, 4, 4], strict=True))
    for (words, step), answer in zip(steps.items(), ask("proofs", list(wrong.values())), strict=True):
        at, said = failed(answer)
        assert (at, words in said) == (step, True), (words, said)


def test_a_witness_beside_the_log_disturbs_nothing(ask: Ask) -> None:
    witness = SignerKey("witness.example", bytes(32), Algorithm.COSIGNATURE)
    note = Note.decode(head(7))
    both = Note(note.text, (cosign(Checkpoint.parse(note.text), witness, 1_780_000_000), *note.signatures)).encode()
    [answer] = ask("proofs", [case(TlogProof(4, proof(4, 7).hashes, both, LEAVES[4]))])
    assert answer["passed"]


def test_a_head_seen_before_must_begin_this_log_or_continue_it(ask: Ask) -> None:
    def hashes(old: int, new: int) -> list[str]:
        return [encoded(each) for each in tiles.consistency(TREE, old, new)]

    fork = tree([entry(k, key="another") for k in range(7)])
    grown, older, same = ask(
        "proofs",
        [
            case(proof(4, 7), seen=head(5).decode(), hashes=hashes(5, 7)),
            case(proof(4, 7), seen=head(11).decode(), hashes=hashes(7, 11)),
            case(proof(4, 7), seen=head(7).decode()),
        ],
    )
    assert [grown["passed"], older["passed"], same["passed"]] == [True, True, True]
    assert [grown["asked"], older["asked"], same["asked"]] == [[[5, 7]], [[7, 11]], []]
    assert "older head" in older["steps"][-1]["words"]

    refused = ask(
        "proofs",
        [
            case(proof(4, 7), seen=head(5, made=fork).decode(), hashes=hashes(5, 7)),
            case(proof(4, 7), seen=head(7, made=fork).decode()),
            case(proof(4, 7), seen=head(5, OTHER).decode(), hashes=hashes(5, 7)),
            case(proof(4, 7), seen=head(5).decode(), hashes=[]),
        ],
    )
    assert [failed(each)[0] for each in refused] == [5, 5, 5, 5]
    assert "two histories" in failed(refused[1])[1]


def test_a_browser_without_ed25519_is_told_so_and_nothing_turns_green(ask: Ask) -> None:
    at, said = failed(ask("withoutEd25519", case(proof(4, 7))))
    assert at == 2
    assert "can't check Ed25519 signatures (NotSupportedError)" in said
