"""The auditor's side over HTTP: what each party sees of the ledger, and that what it is shown can be verified offline."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from gridnet.app.cli import main
from gridnet.app.service.model import Principal
from gridnet_contracts.ledger.schema import balances
from tests.contracts.gridnet_contracts.audit.story import KEY, tell
from tests.gridnet.app.service.parts import OPERATOR, Caller, calling


@pytest.fixture(scope="module")
def call(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A service beside a ledger with a history, and a prosumer for each of its parties."""
    folder = tmp_path_factory.mktemp("credits")
    tell(f"sqlite:///{folder / 'service.db'}", folder / "seal")
    with calling(folder) as made:
        for party in _parties(made):
            made.service.people.add(OPERATOR, Principal(f"of-{party}"[:64], "prosumer", None, party))
        yield made


def _holdings(call: Caller) -> list[tuple[str, str, int]]:
    with call.service.store.read() as connection:
        return [(row.account, row.asset, row.amount) for row in connection.execute(select(balances).where(balances.c.amount != 0))]


def _parties(call: Caller) -> set[str]:
    return {account.partition("/")[2] for account, _, _ in _holdings(call) if not account.startswith("source/")}


def test_a_party_sees_what_it_holds_and_nothing_else(call: Caller) -> None:
    parties = _parties(call)
    assert len(parties) >= 2
    for party in parties:
        shown = call(f"of-{party}", "GET", "/credits").json()
        got = {(each["account"], each["asset"], each["amount"]) for each in shown["balances"]}
        assert got == {each for each in _holdings(call) if each[0].endswith(f"/{party}")}
        assert got
        certificates = call(f"of-{party}", "GET", "/certificates").json()["certificates"]
        assert {each["party"] for each in certificates} <= {party}


def test_another_partys_holdings_are_for_auditors_and_operators(call: Caller) -> None:
    first, second = sorted(_parties(call))[:2]
    for path in ("/credits", "/certificates"):
        assert call(f"of-{first}", "GET", path, params={"party": second}).status_code == 403
        assert call("alice", "GET", path).status_code == 404, "alice is no party"
        assert call("alice", "GET", path, params={"party": first}).status_code == 403
        for by in ("auditor", "boss"):
            assert call(by, "GET", path, params={"party": second}).status_code == 200


@pytest.mark.parametrize("pattern", ["%", "_", "%%", "\\%", "", "/", "*"])
def test_a_pattern_is_no_party(call: Caller, pattern: str) -> None:
    assert call("auditor", "GET", "/credits", params={"party": pattern}).json().get("balances", []) == []


def test_pages_of_certificates_are_whole_and_in_order(call: Caller) -> None:
    everything = [each["certificate"] for each in call("auditor", "GET", "/certificates").json()["certificates"]]
    assert everything == sorted(everything)
    paged, after = [], ""
    for _ in range(len(everything) + 1):
        page = call("auditor", "GET", "/certificates", params={"after": after, "limit": 1}).json()
        paged += [each["certificate"] for each in page["certificates"]]
        after = page["next"]
        if after is None:
            break
    assert paged == everything


def test_a_proof_and_an_export_are_verified_offline(call: Caller, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = KEY.verifier.encode()
    checkpoint = call("alice", "GET", "/log/checkpoint").text
    assert checkpoint.startswith(KEY.name)
    proof = call("auditor", "GET", "/log/proof", params={"entry": 2}).content
    (tmp_path / "two.tlog-proof").write_bytes(proof)
    assert main(["audit", "verify", str(tmp_path / "two.tlog-proof"), "--key", key]) == 0
    (tmp_path / "changed.tlog-proof").write_bytes(proof.replace(b"\n", b"\n ", 1))
    assert main(["audit", "verify", str(tmp_path / "changed.tlog-proof"), "--key", key]) != 0
    exported = call("auditor", "GET", "/audit/export")
    assert exported.headers["content-type"] == "application/zip"
    zipfile.ZipFile(io.BytesIO(exported.content)).extractall(tmp_path / "export")
    assert main(["audit", "verify", str(tmp_path / "export"), "--key", key]) == 0
    capsys.readouterr()


def test_an_entry_that_is_not_there_is_not_found(call: Caller) -> None:
    for entry in (10**6, 2**53 - 1):
        assert call("auditor", "GET", "/log/proof", params={"entry": entry}).status_code == 404
    for entry in (-1, 2**53, "x"):
        assert call("auditor", "GET", "/log/proof", params={"entry": entry}).status_code == 422
