"""The auditor's pages: search, a certificate's way, proofs and exports that the auditor's own command accepts."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from gridnet.app.cli import main
from gridnet.app.dashboard.downloads import zipped
from gridnet.app.dashboard.rendering import NOTHING
from gridnet.app.service.model import Principal
from gridnet.app.service.story import story
from gridnet_contracts.chain.batch import Registry
from gridnet_contracts.chain.export import export
from gridnet_contracts.ledger.actions.certificates import Claim
from gridnet_contracts.ledger.entry import Order
from gridnet_contracts.ledger.stored import stored_checkpoints
from gridnet_contracts.log.canonical import from_base64
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.merkle import verify_consistency
from gridnet_contracts.log.note import Note
from tests.gridnet.app.dashboard.lane import BARE_FEEDER, LANE, Lane, said
from tests.gridnet.app.dashboard.visiting import Visits, visiting

FIRST = f"{LANE}:pv-00@2026-03-01T10:00Z"
SOLD, STORED, LEFT, WAITING = f"{FIRST}/0-400", f"{FIRST}/400-500", f"{FIRST}/500-1000", f"{LANE}:pv-00@2026-03-01T10:15Z/0-800"
CONTRACT = Registry(31337, f"0x{'ab' * 20}")


@pytest.fixture(scope="module")
def lane(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lane]:
    """One quarter-hour released: sold and claimed, stored, gone to a chain; one that waits, with a doubt."""
    made = Lane(tmp_path_factory.mktemp("lane"))
    for name in ("ann", "ben"):
        with made.service.store.write() as connection:
            made.service.people.enter(connection, Principal(name, "prosumer", party=made.party[name]), None)
    made.settles(0, (900, 0), (0, 400), pv_wh=1000)
    made.settles(1, (900, 0), (0, 400), pv_wh=800)
    made.judges("pv-00", made.quarter(1).start, 1, "hold", "<b>more</b> than the sun gives")
    made.releases(0, charged_wh=100)
    made.commit(
        [Order("claim", Claim(certificate=SOLD, owner=made.party["ben"], beneficiary=made.party["ben"], purpose="own use"))]
    )
    export(made.ledger, CONTRACT, [(LEFT, f"0x{'cd' * 20}")])
    yield made
    made.close()


@pytest.fixture(scope="module")
def visitor(lane: Lane) -> Iterator[Visits]:
    with visiting(lane.service, BARE_FEEDER) as made:
        yield made


def certificate(name: str) -> str:
    return f"/audit/certificates/{quote(name)}"


def entries(page: str) -> list[int]:
    return [int(each) for each in re.findall(r'<tr data-entry="(\d+)"', page)]


def verified(folder: Path, name: str, content: bytes, lane: Lane) -> int:
    (folder / name).write_bytes(content)
    return main(["audit", "verify", str(folder / name), "--key", lane.key])


def test_the_search_finds_and_links_to_each_certificate(visitor: Visits) -> None:
    answer = visitor.get("auditor", "/audit")
    assert "The log example.net/lane is signed over" in said(answer)
    found = re.findall(r'href="/console(/audit/certificates/[^"]+)"', answer.text)
    assert len(found) == 6  # the whole, two splits of two, and the one that waits
    for path in found:
        assert said(visitor.get("auditor", path))
    assert WAITING in said(visitor.get("auditor", "/audit?status=held"))
    assert "1 fits" in said(visitor.get("auditor", "/audit?status=held&device=pv-00&since=2026-03-01"))
    assert "No certificate fits" in said(visitor.get("auditor", "/audit?until=2026-03-01"))
    assert said(visitor.get("auditor", "/audit?since=soon"), 422)


def test_a_certificates_page_tells_its_way_in_order(lane: Lane, visitor: Visits) -> None:
    answer = visitor.get("auditor", certificate(SOLD))
    words = said(answer)
    told = story(lane.view, SOLD)
    order = [
        "reading",
        "is the evidence",
        "verdicts",
        "settlement",
        "issue:",
        "release:",
        "split:",
        "transfer:",
        "claim:",
        "inclusion",
    ]
    places = [words.index(each, words.index("From the reading")) for each in [*order, "checkpoint", "not exported to a chain"]]
    assert places == sorted(places)
    assert entries(answer.text) == [
        *(each.entry for each in told.verifications),
        *(each.seq for each in (*told.settlements, *told.entries)),
    ]
    assert lane.evidence[lane.quarter(0).start] in words
    assert "home-001" not in answer.text


def test_a_doubt_and_a_chain_stand_on_the_page(visitor: Visits) -> None:
    doubted = visitor.get("auditor", certificate(WAITING))
    assert "verdict, level 1" in said(doubted)
    assert "&lt;b&gt;more&lt;/b&gt;" in doubted.text
    exported = said(visitor.get("auditor", certificate(LEFT)))
    assert f"locked for contract {CONTRACT.contract} of chain 31337: batch 0, leaf 0" in exported


def test_who_may_see_what(lane: Lane, visitor: Visits) -> None:
    for path in ("/audit", "/audit/reports", "/fraud", "/audit/export.zip"):
        statuses = [visitor.get(name, path).status_code for name in ("boss", "auditor", "ann", "alice", "many", "inverter")]
        assert statuses == [200, 200, 403, 403, 403, 403], path
    for path in (certificate(SOLD), f"/audit/proofs/{quote(SOLD)}"):
        names = ("boss", "auditor", "ben", "ann", "alice", "many", "inverter")
        assert [visitor.get(name, path).status_code for name in names] == [200, 200, 200, 404, 404, 403, 403]
    assert said(visitor.get("auditor", certificate(f"{FIRST}/0-999")), 404)


def test_a_prosumer_sees_its_own_entries_and_no_settlement(lane: Lane, visitor: Visits) -> None:
    answer = visitor.get("ben", certificate(SOLD))
    told = story(lane.view, SOLD)
    own = [each.seq for each in told.entries]
    assert entries(answer.text) == own
    asked = [
        (entry, visitor.get("ben", f"/feeds/audit/proof?entry={entry}&certificate={quote(SOLD)}").status_code) for entry in range(8)
    ]
    assert {entry: status for entry, status in asked if status != 200} == {k: 403 for k in range(8) if k not in own}
    assert visitor.get("ben", f"/feeds/audit/proof?entry={own[0]}&certificate={quote(LEFT)}").status_code == 404
    assert visitor.get("ben", f"/feeds/audit/proof?entry={own[0]}").status_code == 404
    archive = zipfile.ZipFile(io.BytesIO(visitor.get("ben", f"/audit/proofs/{quote(SOLD)}").content))
    assert {each for each in archive.namelist() if each.startswith("entry")} == {f"entry-{each}.tlog-proof" for each in own}


def test_proofs_are_what_the_auditors_command_accepts(
    lane: Lane, visitor: Visits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = visitor.get("auditor", f"/audit/proofs/{quote(SOLD)}")
    assert answer.headers["content-type"] == "application/zip"
    assert answer.headers["content-disposition"] == 'attachment; filename="lane_pv-00_2026-03-01T10_00Z_0-400.zip"'
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    proofs = [each for each in archive.namelist() if each.endswith(".tlog-proof")]
    assert len(proofs) == len(story(lane.view, SOLD).proven) == 7
    for each in proofs:
        assert verified(tmp_path, each, archive.read(each), lane) == 0
        fed = visitor.get("auditor", f"/feeds/audit/proof?entry={each[6:].partition('.')[0]}").json()
        assert fed["proof"].encode() == archive.read(each)
    changed = archive.read(proofs[0]).replace(b"extra e", b"extra f", 1)
    assert verified(tmp_path, "changed", changed, lane) == 1
    assert archive.read("checkpoint").decode() == lane.view.checkpoint()
    capsys.readouterr()


def test_the_whole_ledger_is_what_the_auditors_command_accepts(
    lane: Lane, visitor: Visits, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = zipfile.ZipFile(io.BytesIO(visitor.get("auditor", "/audit/export.zip").content))
    assert "disclosures.jsonl" not in archive.namelist()
    archive.extractall(tmp_path)
    assert main(["audit", "verify", str(tmp_path), "--key", lane.key]) == 0
    capsys.readouterr()


def test_the_log_continues_what_was_seen(lane: Lane, visitor: Visits) -> None:
    seen = [Checkpoint.parse(Note.decode(each).text) for each in _checkpoints(lane)]
    assert len(seen) > 3
    newest = seen[-1]
    for old in seen:
        answer = visitor.get("auditor", f"/feeds/audit/consistency?old={old.size}&new={newest.size}").json()
        hashes = [from_base64(each, "hash") for each in answer["hashes"]]
        verify_consistency(old.size, old.root, newest.size, newest.root, hashes)
    for query, status in (("old=5&new=4", 404), (f"old=1&new={newest.size + 1}", 404), ("old=-1&new=4", 422), ("old=1", 422)):
        assert visitor.get("auditor", f"/feeds/audit/consistency?{query}").status_code == status


def _checkpoints(lane: Lane) -> list[bytes]:

    with lane.service.store.read() as connection:
        return [note for _, note in stored_checkpoints(connection)]


def test_an_entry_that_is_not_there_has_no_proof(visitor: Visits) -> None:
    assert visitor.get("auditor", "/feeds/audit/proof?entry=99999").status_code == 404
    for query in ("entry=x", "entry=-1", "entry=1e3", ""):
        assert visitor.get("auditor", f"/feeds/audit/proof?{query}").status_code == 422


def test_the_key_is_never_the_servers(lane: Lane, visitor: Visits) -> None:
    public = lane.key.rpartition("+")[2]
    for path in ("/audit", certificate(SOLD), f"/feeds/audit/proof?entry={story(lane.view, SOLD).proven[0]}"):
        text = visitor.get("auditor", path).text
        assert public not in text
    assert "not from this page" in said(visitor.get("auditor", "/audit"))


def test_the_reports_say_what_the_ledger_adds_up_to(visitor: Visits) -> None:
    words = said(visitor.get("auditor", "/audit/reports?month=2026-03"))
    assert "Balanced : every watt-hour of the whole ledger is accounted for" in words
    assert "lane:pv-00 1.800 0.000 0.800 0.500 0.000 0.400 0.000 0.000 0.000 0.100 0.000" in words
    assert "Of 0.4 kWh drawn in 2026-03, 0.4 kWh are covered" in words
    page = visitor.get("auditor", "/audit/reports?month=2026-03").text
    row = re.search(r'<tr><th scope="row">2026-03-01</th>(.*?)</tr>', page)
    assert row is not None
    assert re.findall(r"<td>(.*?)</td>", row[1]) == [NOTHING] * 10 + ["100"] + [NOTHING] * 13
    empty = said(visitor.get("auditor", "/audit/reports?month=2025-03&consumer=nobody"))
    assert "No consumption is recorded in 2025-03" in empty
    for query in ("month=March", "month=2026-13", "month=9999-12"):
        assert said(visitor.get("auditor", f"/audit/reports?{query}"), 422)


def test_the_same_files_make_the_same_archive() -> None:
    assert zipped({"a": b"1", "b": b"2"}) == zipped({"a": b"1", "b": b"2"}) != zipped({"a": b"1", "b": b"3"})
