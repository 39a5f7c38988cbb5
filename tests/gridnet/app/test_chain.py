"""`gridnet chain` from its deployment to its reconciliation, as a person types it."""

from __future__ import annotations

import builtins
import json
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account

from gridnet.app.cli import main
from gridnet_contracts.ledger.ledger import Ledger
from gridnet_contracts.ledger.seal import Seal
from tests.contracts.gridnet_contracts.chain.parts import OTHER, OWNER, SECRET, produced
from tests.contracts.gridnet_contracts.ledger.builders import FOUND, NOW, ORIGIN, do, issue, solar
from tests.contracts.onchain.engines import Anvil

PASSWORD = "GRIDNET_KEY_PASSWORD"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ledger, its seal and a keystore."""
    (tmp_path / "key.json").write_text(json.dumps(Account.encrypt(SECRET, "pw", kdf="pbkdf2", iterations=2)))
    monkeypatch.setenv(PASSWORD, "pw")
    ledger = Ledger.found(f"sqlite:///{tmp_path}/ledger.db", Seal.make(tmp_path / "seal", ORIGIN), FOUND, NOW)
    do(ledger, solar(), *(issue(15 * k, wh=1000 + k) for k in range(3)))
    ledger.close()
    return tmp_path


def _run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Exit code, output, and what was said of errors: one message, no traceback."""
    code = main(["chain", *arguments])
    captured = capsys.readouterr()
    assert captured.err.count("gridnet: ") == (1 if code else 0)
    return code, captured.out, captured.err


def test_a_credit_goes_round(home: Path, node: Anvil, capsys: pytest.CaptureFixture[str]) -> None:
    rpc, key, db = (
        ["--rpc", node.url],
        ["--key", f"{home}/key.json", "--confirmations", "1"],
        ["--db", f"sqlite:///{home}/ledger.db"],
    )
    registry, seal, folder = ["--registry", f"{home}/registry.json"], ["--seal", f"{home}/seal"], home / "vouchers"
    assert _run(capsys, "deploy", *rpc, *key, "--out", f"{home}/registry.json")[0] == 0
    give = [*seal, "--give", f"{produced(2)}={OWNER}", "--give", f"ann={OWNER}", "--vouchers", str(folder)]
    code, out, _ = _run(capsys, "anchor", *rpc, *key, *registry, *db, *give)
    assert code == 0
    assert "3 certificates are locked for the chain; new batches: 0" in out
    assert "batch 0: 3 credits, 3,003 Wh, in block" in out
    assert "waiting   0" in _run(capsys, "status", *rpc, *registry, *db)[1]
    [voucher] = folder.iterdir()
    code, out, _ = _run(capsys, "claim", *rpc, *key, str(voucher))
    assert (code, out.count("block"), len(out.splitlines())) == (0, 3, 3)
    assert _run(capsys, "claim", *rpc, *key, str(voucher))[1].count("claimed before") == 3
    retire = ["retire", *rpc, *key, *registry, "--batch", "0", "--wh", "1001", "--beneficiary", "Mill Lane"]
    assert "retired in block" in _run(capsys, *retire)[1]
    assert "in the same words before" in _run(capsys, *retire)[1]
    check = ["reconcile", *rpc, *registry, *db, "--confirmations", "1"]
    code, out, _ = _run(capsys, *check, "--json", "-")
    batch = {"batch": 0, "leaves": 3, "wh": 3003, "claimed_wh": 3003, "retired_wh": 1001, "retired_in_the_ledger": 0}
    assert (code, json.loads(out)["batches"], json.loads(out)["agrees"]) == (0, [batch], True)
    assert "claimed in the ledger now" in _run(capsys, *check, *seal)[1]
    assert json.loads(_run(capsys, *check, "--json", "-")[1])["batches"] == [batch | {"retired_in_the_ledger": 1000}]
    assert _run(capsys, *retire[:-4], "--beneficiary", "all")[0] == 0
    assert "0 certificates" not in _run(capsys, *check)[1]


def test_without_a_node_it_locks_and_says_that_it_waits(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    gone = ["--rpc", "http://127.0.0.1:9"]
    deployment = {"chain_id": 31337, "contract": OTHER, "block": 0, "transaction": "0x" + "0" * 64}
    (home / "registry.json").write_text(json.dumps(deployment))
    rest = ["--key", f"{home}/key.json", "--registry", f"{home}/registry.json", "--db", f"sqlite:///{home}/ledger.db"]
    code, out, err = _run(capsys, "anchor", *gone, *rest, "--seal", f"{home}/seal", "--give", f"ann={OWNER}")
    assert (code, "3 certificates are locked" in out, "waits in the ledger" in err) == (5, True, True)
    assert _run(capsys, "anchor", *gone, *rest, "--give", f"ann={OWNER}")[0] == 2
    assert _run(capsys, "anchor", *gone, *rest, "--confirmations", "0")[0] == 2
    assert _run(capsys, "status", *gone, "--registry", f"{home}/registry.json")[0] == 5
    assert _run(capsys, "anchor", *gone, *rest, "--password-file", f"{home}/nothing")[0] == 2
    (home / "password").write_text("wrong\n")
    assert _run(capsys, "anchor", *gone, *rest, "--password-file", f"{home}/password")[0] == 2
    (home / "password").write_text("pw\n")
    assert _run(capsys, "anchor", *gone, *rest, "--password-file", f"{home}/password")[0] == 5


def test_without_the_extra_it_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    real = builtins.__import__
    missing = "web3"

    def without(name: str, *arguments: Any, **options: Any) -> Any:
        if name.partition(".")[0] == missing:
            raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)
        return real(name, *arguments, **options)

    import sys

    for loaded in [each for each in sys.modules if each.startswith(("gridnet.app.chain", "gridnet_contracts.chain"))]:
        if loaded != "gridnet.app.chain_options":
            monkeypatch.delitem(sys.modules, loaded)
    monkeypatch.setattr(builtins, "__import__", without)
    code, _, err = _run(capsys, "status", "--rpc", "http://127.0.0.1:9", "--registry", "x")
    assert (code, "pip install 'gridnet-dispatch[chain]'" in err) == (2, True)
