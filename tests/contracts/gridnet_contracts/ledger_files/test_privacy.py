"""Names stay out of the log, out of exports, and, once forgotten, out of the file."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from gridnet.errors import LedgerError, VerificationError
from gridnet_contracts.audit.bundle import audit_bundle
from gridnet_contracts.audit.database import audit_database
from gridnet_contracts.ledger.canonical import canonical
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.errors import AlreadyThere
from gridnet_contracts.ledger.export import disclosure_line, export, read_disclosures
from gridnet_contracts.ledger.privacy import Privacy, check_disclosures, party_of, salted
from gridnet_contracts.ledger.schema import METADATA
from gridnet_contracts.ledger.state import State
from gridnet_contracts.ledger.stored import Disclosure
from tests.contracts.gridnet_contracts.audit.story import HASH, NAMES, POLICY, PRIVATE, Home, device, failed, salts

SECRETS = [words.encode() for words in (*NAMES, *PRIVATE.values(), "Rose Lane", "cellar", "52.52", "1EMH")]


@pytest.fixture
def database(home: Home) -> Iterator[Database]:
    opened = Database(home.url)
    yield opened
    opened.close()


def _files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_no_name_is_in_any_table_but_the_disclosures(database: Database) -> None:
    with database.read() as connection:
        for table in METADATA.sorted_tables:
            held = [value for row in connection.execute(table.select()) for value in row]
            raw = b"\n".join(value if isinstance(value, bytes) else str(value).encode() for value in held)
            found = [secret for secret in SECRETS if secret in raw]
            assert found == (SECRETS if table.name == "disclosures" else []), table.name


@pytest.mark.parametrize("table_format", ["csv", "jsonl", "parquet"])
def test_no_name_is_in_an_export_unless_it_is_asked_for(database: Database, tmp_path: Path, table_format: str) -> None:
    export(database, tmp_path / "closed", table_format)
    for name, raw in _files(tmp_path / "closed").items():
        assert not [secret for secret in SECRETS if secret in raw], name
    export(database, tmp_path / "open", table_format, disclose=True)
    opened = _files(tmp_path / "open")
    telling = [name for name, raw in opened.items() if any(secret in raw for secret in SECRETS)]
    assert telling == ["disclosures.jsonl"]
    del opened["disclosures.jsonl"]
    assert opened == _files(tmp_path / "closed")


def test_a_name_has_one_pseudonym_and_another_one_under_another_salt(home: Home, database: Database, tmp_path: Path) -> None:
    privacy = Privacy(database)
    assert privacy.pseudonym(NAMES[0]) == home.ann != home.bob == privacy.pseudonym(NAMES[1])
    other = Database(f"sqlite:///{tmp_path}/other.db")
    other.migrate()
    assert Privacy(other).pseudonym(NAMES[0]) not in {home.ann, home.bob}
    again = Database(f"sqlite:///{tmp_path}/again.db")
    again.migrate()
    assert Privacy(again, salts()).pseudonym(NAMES[0]) == home.ann, "the same salts repeat a simulation"
    for each in (other, again):
        each.close()


def test_a_pseudonym_can_be_the_party_of_an_action(database: Database) -> None:
    assert device("new", Privacy(database).pseudonym("Cem")).owner.startswith("p:")


def test_names_that_look_alike_are_different_homes(database: Database) -> None:
    privacy = Privacy(database)
    assert len({privacy.pseudonym(name) for name in ("Ann", "ann", "Ann ", "A\u0308nn", "\u00c4nn", "")}) == 6


def test_a_device_has_one_private_part(database: Database) -> None:
    privacy = Privacy(database)
    first = privacy.device("new", PRIVATE)
    assert privacy.device("new", dict(reversed(PRIVATE.items()))) == first, "after a crash the same words give the same hash"
    assert privacy.device("newer", PRIVATE) != first
    with pytest.raises(AlreadyThere):
        privacy.device("new", PRIVATE | {"meter": "2"})


def _bytes_of(home: Home) -> bytes:
    return b"".join(path.read_bytes() for path in home.file.parent.glob("ledger.db*"))


def test_what_is_forgotten_is_nowhere_in_the_file_and_the_audit_passes(home: Home, database: Database) -> None:
    assert NAMES[0].encode() in _bytes_of(home)
    privacy = Privacy(database)
    with database.read() as connection:
        [salt] = connection.execute(text("SELECT salt FROM disclosures WHERE subject = :ann"), {"ann": home.ann}).one()
    privacy.forget(home.ann)
    privacy.forget("bat")
    assert (home.file.parent / "ledger.db-wal").exists()
    raw = _bytes_of(home)
    assert NAMES[1].encode() in raw
    assert salt not in raw
    for secret in (NAMES[0], *PRIVATE.values()):
        assert secret.encode() not in raw, secret
    reading = Database.reading(home.url)
    assert failed(audit_database(reading, POLICY)) == 0
    reading.close()


def test_a_forgotten_pseudonym_is_not_found_by_trying_names(home: Home, database: Database) -> None:
    Privacy(database).forget(home.ann)
    content = canonical({"name": NAMES[0]})
    raw = _bytes_of(home)
    for size in (0, 32):
        tried = {hashlib.sha256(raw[at : at + size] + content).hexdigest()[:32] for at in range(0, len(raw) - 32)}
        assert home.ann[2:] not in tried
    assert Privacy(database).pseudonym(NAMES[0]) != home.ann, "the home that comes back is another one"


@pytest.mark.parametrize("seed", [1, 42])
def test_many_that_come_and_go_leave_nothing(home: Home, database: Database, seed: int) -> None:
    """Pages of the table split and empty as they do in use. With salts of seed 42 a split left a copy that outlived its row."""
    privacy, chance = Privacy(database, random.Random(seed).randbytes), random.Random(1)
    names = {privacy.pseudonym(f"Occupant number {k} of Long Street {'x' * chance.randrange(300)}"): k for k in range(150)}
    gone = chance.sample(sorted(names), 120)
    for subject in gone:
        privacy.forget(subject)
    raw = _bytes_of(home)
    left = [k for subject, k in names.items() if f"Occupant number {k} of".encode() in raw]
    assert left == [k for subject, k in names.items() if subject not in gone]


def test_nothing_to_forget_is_said(database: Database) -> None:
    with pytest.raises(LedgerError, match="nothing is kept"):
        Privacy(database).forget("p:nobody")


def test_a_reader_who_keeps_the_old_pages_alive_is_told_and_forgetting_again_ends_it(home: Home, database: Database) -> None:
    with database.engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA busy_timeout = 50")
    reading = Database(home.url)
    with reading.read() as connection:
        connection.execute(text("SELECT count(*) FROM disclosures")).scalar()
        with pytest.raises(LedgerError, match="again"):
            Privacy(database).forget(home.ann)
    with pytest.raises(LedgerError, match="nothing is kept"):
        Privacy(database).forget(home.ann)
    assert NAMES[0].encode() not in _bytes_of(home)
    reading.close()


GOOD = Disclosure(party_of(b"s" * 32, b'{"name":"Ann"}'), "party", b"s" * 32, b'{"name":"Ann"}')


def test_a_disclosure_is_what_its_pseudonym_stands_for_and_nothing_else() -> None:
    assert check_disclosures(State(), [GOOD]) == "1 disclosed, the others are pseudonyms to you"
    state = State()
    one = device("bat", "ann", salted(b"s" * 32, b'{"device":"bat"}'), storage_wh=1, efficiency_ppm=1)
    from gridnet_contracts.ledger.rows import Device

    state.add(Device(**one.body()))
    check_disclosures(state, [Disclosure("bat", "device", b"s" * 32, b'{"device":"bat"}')])
    for wrong in (
        Disclosure(GOOD.subject, "party", GOOD.salt, b'{"name":"Bob"}'),
        Disclosure(GOOD.subject, "party", b"t" * 32, GOOD.content),
        Disclosure(GOOD.subject, "device", GOOD.salt, GOOD.content),
        Disclosure(GOOD.subject, "", GOOD.salt, GOOD.content),
        Disclosure(party_of(b"s" * 31, b'n{"name":"Ann"}'), "party", b"s" * 31, b'n{"name":"Ann"}'),
        Disclosure(party_of(b"", GOOD.content), "party", b"", GOOD.content),
        Disclosure("bat", "device", b"t" * 32, b'{"device":"bat"}'),
        Disclosure("bat", "device", b"s" * 32, b'{"device":"bat","more":1}'),
        Disclosure("cat", "device", b"s" * 32, b'{"device":"bat"}'),
    ):
        with pytest.raises(VerificationError):
            check_disclosures(state, [wrong])


def test_a_disclosure_of_something_else_fails_the_audit_of_an_export(home: Home, database: Database, tmp_path: Path) -> None:
    export(database, tmp_path / "out", disclose=True)
    path = tmp_path / "out" / "disclosures.jsonl"
    raw = path.read_bytes()
    honest = list(read_disclosures(raw))
    assert b"".join(map(disclosure_line, honest)) == raw
    mallory = canonical({"name": "Mallory"})
    for lie in (
        raw.replace(NAMES[0].encode(), b"Mallory"),
        raw.replace(home.ann.encode(), home.bob.encode()),
        raw + raw.splitlines(keepends=True)[0],
        raw.replace(b'"kind":"device"', b'"kind":"party"'),
        raw.replace(b'"subject":"bat"', b'"subject":"cat"'),
        raw.replace(b'"subject":"bat"', b'"subject":7'),
        raw.replace(b'"kind":"device",', b""),
        raw.replace(b'"salt":"', b'"salt":" '),
        raw.rstrip(b"\n"),
        b"\n" + raw,
        disclosure_line(Disclosure(home.ann, "party", b"s" * 32, mallory)),
        b"[]\n",
        b'{"content":"\\ud800"}\n',
        b"\xff",
    ):
        assert lie != raw
        path.write_bytes(lie)
        assert failed(audit_bundle(tmp_path / "out", POLICY)) == 8, lie
    path.write_bytes(b"".join(raw.splitlines(keepends=True)[1:]))
    assert failed(audit_bundle(tmp_path / "out", POLICY)) == 0, "what is not disclosed nobody can tell"
    assert len(HASH) == 64
