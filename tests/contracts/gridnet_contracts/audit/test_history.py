"""A log whose operator cheats: entries that break the rules, well formed and signed, and a second history under the same key."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from gridnet.errors import VerificationError
from gridnet_contracts.audit.bundle import audit_bundle
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.audit.proof import audit_proof
from gridnet_contracts.ledger.actions import certificates, money, registry, storage
from gridnet_contracts.ledger.actions.base import Action
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.entry import Order, make_entry
from gridnet_contracts.ledger.export import export
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.replay import replay
from gridnet_contracts.ledger.seal import Seal, stored_checkpoint
from gridnet_contracts.ledger.state import Movement
from gridnet_contracts.log.checkpoint import Checkpoint, sign
from gridnet_contracts.log.cosignature import Policy
from gridnet_contracts.log.guard import FileGuard
from gridnet_contracts.log.keys import Algorithm, SignerKey
from gridnet_contracts.log.merkle import leaf_hash
from gridnet_contracts.log.note import Note
from gridnet_contracts.log.proof import TlogProof
from gridnet_contracts.log.tiles import MemoryTiles, inclusion, root
from gridnet_contracts.log.witness import Witness
from tests.contracts.gridnet_contracts.audit.story import (
    EXPIRES,
    FOUND,
    HASH,
    KEY,
    ORIGIN,
    POLICY,
    certificate,
    device,
    failed,
    issue,
    leaves_of,
    signed_folder,
)

TIME = "2026-06-09T12:00:00Z"
HONEST: list[tuple[str, Action]] = [
    ("found", FOUND),
    ("eur", registry.OpenAsset(asset="eur", unit="micro-euro")),
    ("pv", device("pv", "ann")),
    ("bat", device("bat", "ann", source="storage", storage_wh=10_000, efficiency_ppm=900_000)),
    ("seed", money.Move(legs=(("eur", "source/bank", "owned/ann", 500),), memo="seed")),
    ("made", issue("ann", 0)),
    ("claimed", certificates.Claim(certificate=certificate(0), owner="ann", beneficiary="ann", purpose="use")),
    ("more", issue("ann", 1)),
    ("little", issue("ann", 2, 1)),
    (
        "charged",
        storage.Charge(
            device="bat",
            owner="ann",
            start="2026-06-01T10:15Z",
            end="2026-06-01T10:30Z",
            wh=1000,
            certificates=(certificate(1),),
            evidence=HASH,
        ),
    ),
    ("given", certificates.Transfer(certificate=certificate(2, 0, 1), owner="ann", to="chain:1:0x12")),
    ("locked", certificates.Lock(certificate=certificate(2, 0, 1), owner="chain:1:0x12", reason="batch 0")),
]
LEAVES = leaves_of(HONEST)
NEXT = len(LEAVES)
PAY = money.Move(legs=(("eur", "owned/ann", "owned/bob", 5),), memo="pay")
PAID: list[Movement] = [("eur", "owned/ann", "owned/bob", 5)]


def _leaf(action: Action, movements: list[Movement], key: str = "next", time: str = TIME, seq: int = NEXT) -> bytes:
    """An entry as no ledger would make it: it moves what it is told to."""
    order = Order(key, action)
    return make_entry(seq, time, order, movements, order.body()).leaf


def _discharge(wh: int) -> storage.Discharge:
    span = {"start": "2026-06-01T18:15Z", "end": "2026-06-01T18:30Z"}
    return storage.Discharge(device="bat", owner="ann", **span, wh=wh, held=False, expires=EXPIRES, evidence=HASH)


def _claim(owner: str = "ann") -> certificates.Claim:
    return certificates.Claim(certificate=certificate(0), owner=owner, beneficiary="bob", purpose="again")


GC = "gc"
BROKEN: dict[str, bytes] = {
    "an amount other than the rules'": _leaf(PAY, [("eur", "owned/ann", "owned/bob", 6)]),
    "a creditor other than the rules'": _leaf(PAY, [("eur", "owned/ann", "owned/eve", 5)]),
    "movements that are left out": _leaf(PAY, []),
    "a movement too many": _leaf(PAY, [*PAID, ("eur", "owned/ann", "owned/eve", 1)]),
    "more than an account holds": _leaf(
        money.Move(legs=(("eur", "owned/ann", "owned/bob", 501),), memo="pay"), [("eur", "owned/ann", "owned/bob", 501)]
    ),
    "certified Wh moved as money": _leaf(
        money.Move(legs=(("gc", "source/eve", "owned/eve", 5),), memo="pay"), [("gc", "source/eve", "owned/eve", 5)]
    ),
    "a second issuance of a quarter-hour": _leaf(issue("ann", 0, 900), [(GC, "source/pv", "owned/ann", 900)]),
    "more than the device can give": _leaf(issue("ann", 2, 2501), [(GC, "source/pv", "owned/ann", 2501)]),
    "a key that was used": _leaf(PAY, PAID, key="seed"),
    "a time before the last": _leaf(PAY, PAID, time="2026-06-09T11:59:59Z"),
    "a number too high": _leaf(PAY, PAID, seq=NEXT + 1),
    "a number that was there": _leaf(PAY, PAID, seq=NEXT - 1),
    "a second claim": _leaf(_claim(), [(GC, "retired/ann", "retired/bob", 1000)]),
    "a claim by another": _leaf(_claim("bob"), [(GC, "retired/ann", "retired/bob", 1000)]),
    "a claim after storage took it": _leaf(
        certificates.Claim(certificate=certificate(1), owner="ann", beneficiary="ann", purpose="use"),
        [(GC, "lot/bat", "retired/ann", 1000)],
    ),
    "storage that gives certified more than it took": _leaf(
        _discharge(1200), [(GC, "lot/bat", "loss/bat", 100), (GC, "lot/bat", "owned/ann", 1200)]
    ),
    "storage that loses nothing": _leaf(_discharge(900), [(GC, "lot/bat", "owned/ann", 900)]),
    "what was locked for a chain, unlocked": _leaf(
        certificates.Unlock(certificate=certificate(2, 0, 1), owner="chain:1:0x12"),
        [(GC, "locked/chain:1:0x12", "owned/chain:1:0x12", 1)],
    ),
    "what was locked for a chain, claimed for another": _leaf(
        certificates.Claim(certificate=certificate(2, 0, 1), owner="chain:1:0x12", beneficiary="ann", purpose="use"),
        [(GC, "locked/chain:1:0x12", "retired/ann", 1)],
    ),
    "a second founding": _leaf(FOUND, []),
    "a leaf after its expiry": _leaf(
        certificates.Transfer(certificate=certificate(1), owner="ann", to="bob"), [], time="2031-01-01T00:00:00Z"
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_an_entry_that_breaks_the_rules_is_refused_though_it_is_signed(how: str, tmp_path: Path) -> None:
    with pytest.raises(VerificationError) as caught:
        replay([*LEAVES, BROKEN[how]])
    assert caught.value.step == NEXT
    folder = signed_folder(tmp_path / "export", [*LEAVES, BROKEN[how]], LEAVES)
    assert failed(audit_bundle(folder, POLICY)) == 4


def test_the_honest_entries_pass_alone_and_with_an_honest_one_more(tmp_path: Path) -> None:
    for count, leaves in enumerate([LEAVES, [*LEAVES, _leaf(PAY, PAID)]]):
        assert failed(audit_bundle(signed_folder(tmp_path / str(count), leaves), POLICY)) == 0


def test_a_discharge_of_what_went_in_passes(tmp_path: Path) -> None:
    honest = leaves_of([*HONEST, ("next", _discharge(900))])
    assert json.loads(honest[-1])["movements"] == [["gc", "lot/bat", "loss/bat", 100], ["gc", "lot/bat", "owned/ann", 900]]
    assert failed(audit_bundle(signed_folder(tmp_path / "export", honest), POLICY)) == 0


def _with(change: Callable[[dict[str, object]], object]) -> bytes:
    content = json.loads(LEAVES[7])
    change(content)
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "surrogatepass")


CROOKED: dict[str, bytes] = {
    "a space more": LEAVES[7].replace(b'"key":', b'"key": '),
    "a line end": LEAVES[7] + b"\n",
    "keys in another order": json.dumps(dict(reversed(json.loads(LEAVES[7]).items())), separators=(",", ":")).encode(),
    "an amount as a float": LEAVES[7].replace(b'"wh":1000', b'"wh":1000.0'),
    "a number as a float": LEAVES[7].replace(b'"seq":7', b'"seq":7.0'),
    "a movement's amount as a float": LEAVES[7].replace(b",1000]]", b",1000.0]]"),
    "a movement's amount as a truth": LEAVES[8].replace(b",1]]", b",true]]"),
    "an amount with an exponent": LEAVES[7].replace(b'"wh":1000', b'"wh":1e3'),
    "a key twice": LEAVES[7].replace(b'"key":"more"', b'"key":"more","key":"more"'),
    "a key twice, the last one good": LEAVES[7].replace(b'"wh":1000', b'"wh":9,"wh":1000'),
    "a field with a default left out": _with(lambda leaf: leaf["body"].pop("disclosure")),  # type: ignore[attr-defined]
    "a field too many": _with(lambda leaf: leaf["body"].update(more=1)),  # type: ignore[attr-defined]
    "a field of the entry left out": _with(lambda leaf: leaf.pop("time")),
    "another form": LEAVES[7].replace(b'"v":1', b'"v":2'),
    "a letter as an escape": LEAVES[7].replace(b'"ann"', b'"\\u0061nn"', 1),
    "true as a number": LEAVES[7].replace(b'"held":false', b'"held":0'),
    "a number as a text": LEAVES[7].replace(b'"wh":1000', b'"wh":"1000"'),
    "a kind that there is not": LEAVES[7].replace(b'"kind":"issue"', b'"kind":"mint"'),
    "a kind that is a list": LEAVES[7].replace(b'"kind":"issue"', b'"kind":[]'),
    "a time that is none": LEAVES[7].replace(TIME.encode(), b"2026-06-09T12:00Z"),
    "a list": b"[]",
    "nothing": b"",
    "no text": b"\xff\xfe",
    "no end of depth": b"[" * 60_000,
    "a mark before the text": b"\xef\xbb\xbf" + LEAVES[7],
    "a movement without an amount": LEAVES[7].replace(b",1000]]", b"]]"),
    "a movement of not a number": LEAVES[7].replace(b",1000]]", b",NaN]]"),
    "a movement without end": LEAVES[7].replace(b",1000]]", b",Infinity]]"),
    "a movement of half a letter": LEAVES[7].replace(b'"gc"', b'"\\ud800"'),
    "a movement of a list": LEAVES[7].replace(b",1000]]", b"," + b"[" * 900 + b"]" * 900 + b"]]"),
    "a key of half a letter": LEAVES[7].replace(b'"more"', b'"\\ud800"'),
}


@pytest.mark.parametrize("how", list(CROOKED))
def test_a_leaf_that_could_be_written_otherwise_is_refused(how: str, tmp_path: Path) -> None:
    place = 8 if how.endswith("a truth") else 7
    assert CROOKED[how] != LEAVES[place]
    leaves = [*LEAVES[:place], CROOKED[how], *LEAVES[place + 1 :]]
    folder = signed_folder(tmp_path / "export", leaves, LEAVES)
    assert failed(audit_bundle(folder, POLICY)) == 4


@pytest.mark.parametrize("how", list(CROOKED))
def test_a_proof_of_a_leaf_that_could_be_written_otherwise_is_refused(how: str) -> None:
    place = 8 if how.endswith("a truth") else 7

    def proof(leaf: bytes) -> bytes:
        leaves = [*LEAVES[:place], leaf, *LEAVES[place + 1 :]]
        tiles = MemoryTiles()
        tiles.append(0, [leaf_hash(each) for each in leaves])
        note = sign(Checkpoint(ORIGIN, len(leaves), root(tiles, len(leaves))), KEY)
        return TlogProof(place, tuple(inclusion(tiles, place, len(leaves))), note, leaf or None).encode()

    assert failed(audit_proof(proof(LEAVES[place]), POLICY)) == 0
    assert failed(audit_proof(proof(CROOKED[how]), POLICY)) == (4 if CROOKED[how] else 1)


WITNESS = SignerKey("witness.example", b"\x07" * 32, Algorithm.COSIGNATURE)
WATCHED = Policy(ORIGIN, KEY.verifier, (WITNESS.verifier,), 1)


def _written(folder: Path, amount: int, witness: Witness) -> tuple[Database, bytes]:
    """A ledger from scratch, under a guard of its own, and its newest checkpoint."""
    folder.mkdir()
    database = Database(f"sqlite:///{folder}/ledger.db")
    database.migrate()
    ledger = Ledger(database, Seal(KEY, FileGuard(folder / "last")), [witness])
    other = {"seed": money.Move(legs=(("eur", "source/bank", "owned/ann", amount),), memo="seed")}
    for key, action in HONEST:
        ledger.commit([Order(key, other.get(key, action))])
    with database.read() as connection:
        note = stored_checkpoint(connection)
    assert note is not None
    return database, note


def test_a_history_rewritten_by_who_holds_the_key_is_caught_by_what_was_seen_and_by_a_witness(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", WITNESS, {ORIGIN: [KEY.verifier]}, lambda: 1_800_000_000)
    first, seen = _written(tmp_path / "first", 500, witness)
    second, again = _written(tmp_path / "second", 900, witness)
    assert len(Note.decode(seen).signatures) == 2
    assert len(Note.decode(again).signatures) == 1, "the witness has seen another history"
    assert failed(audit_database(first, WATCHED, seen)) == 0
    assert failed(audit_database(second, POLICY)) == 0, "by itself a rewritten ledger is a ledger"
    assert failed(audit_database(second, POLICY, seen)) == 7
    assert failed(audit_database(second, WATCHED)) == 6
    for database in (first, second):
        database.close()


def test_an_export_of_a_rewritten_history_is_caught_the_same_way(tmp_path: Path) -> None:
    witness = Witness(tmp_path / "witness", WITNESS, {ORIGIN: [KEY.verifier]}, lambda: 1_800_000_000)
    first, seen = _written(tmp_path / "first", 500, witness)
    second, _ = _written(tmp_path / "second", 900, witness)
    for database, name in ((first, "honest"), (second, "rewritten")):
        export(database, tmp_path / name)
        database.close()
    honest, rewritten = tmp_path / "honest", tmp_path / "rewritten"
    assert failed(audit_bundle(honest, WATCHED, seen)) == 0
    assert failed(audit_bundle(rewritten, POLICY)) == 0
    assert failed(audit_bundle(rewritten, POLICY, seen)) == 7
    assert failed(audit_bundle(rewritten, WATCHED)) == 1
    longer = signed_folder(tmp_path / "longer", [*LEAVES, _leaf(PAY, PAID)])
    assert failed(audit_bundle(signed_folder(tmp_path / "same", LEAVES), POLICY, (longer / "checkpoint").read_bytes())) == 7
    assert failed(audit_bundle(longer, POLICY, (tmp_path / "same" / "checkpoint").read_bytes())) == 0
    assert failed(audit_bundle(longer, POLICY, b"no checkpoint")) == 7
