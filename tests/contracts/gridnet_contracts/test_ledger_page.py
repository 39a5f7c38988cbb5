"""The ledger's page: its example runs as it stands, and what it makes is verified as the audit guide says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from gridnet.app.cli import main
from gridnet_contracts.ledger.actions.parse import KINDS
from gridnet_contracts.ledger.rules.certificates import ACCOUNTS, STATUSES
from gridnet_contracts.ledger.seal import Seal

DOCS = Path(__file__).resolve().parents[3] / "docs"
PAGE = (DOCS / "ledger.md").read_text(encoding="utf-8")


def test_the_example_runs_and_its_proof_verifies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    [example] = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)
    exec(compile(example, "docs/ledger.md", "exec"), {})
    key = Seal.at(tmp_path / "seal").key.verifier.encode()
    assert main(["audit", "verify", "claim.tlog-proof", "--key", key]) == 0
    assert "claim of" in capsys.readouterr().out
    assert main(["audit", "verify", "--db", "sqlite:///credits.db", "--key", key]) == 0
    assert main(["ledger", "export", "--db", "sqlite:///credits.db", "--out", "export", "--disclose"]) == 0
    assert main(["audit", "verify", "export", "--key", key]) == 0
    assert "2 disclosed" in capsys.readouterr().out


def test_every_account_and_status_is_on_the_page() -> None:
    for account in {*ACCOUNTS.values(), "source", "lot", "loss", "delivered"}:
        assert f"`{account}/" in PAGE, account
    for status in STATUSES:
        assert status.replace("_", " ") in PAGE, status


def test_the_actions_that_the_page_names_exist() -> None:
    names = {action.__name__ for action in KINDS.values()}
    for named in ("OpenAsset", "Move", "Release", "Transfer", "Charge", "Discharge", "Impact", "Consume", "GridFactor"):
        assert named in names
        assert f"`{named}`" in PAGE
