"""The files that people keep: vouchers, keystores, deployments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from eth_account import Account

from gridnet.errors import InputError
from gridnet_contracts.chain.contract import Wish
from gridnet_contracts.chain.deployment import Deployment, read_deployment
from gridnet_contracts.chain.keystore import open_keystore
from gridnet_contracts.chain.node import Node
from gridnet_contracts.chain.voucher import Voucher, read_vouchers, write_vouchers
from tests.contracts.gridnet_contracts.chain.parts import KEY, OTHER, OWNER, SOMEWHERE
from tests.contracts.onchain.onchain import batch_of


def test_each_owner_is_given_a_file_and_it_reads_as_it_was_written(tmp_path: Path) -> None:
    batch = batch_of(SOMEWHERE, 5, 3, owners=(OWNER, OTHER))
    written = write_vouchers(batch, tmp_path / "vouchers")
    assert [path.name for path in written] == [f"batch-3-{OTHER}.json", f"batch-3-{OWNER}.json"]
    read = [each for path in written for each in read_vouchers(path)]
    assert sorted(read, key=lambda each: each.index) == [Voucher.of(batch, k) for k in range(5)]
    for each in read:
        each.verify(batch.root(), 5)
        assert each.registry == SOMEWHERE


@pytest.mark.parametrize(
    "change",
    [
        {"wh": 0},
        {"wh": "1"},
        {"wh": 2**53},
        {"owner": "0x12"},
        {"owner": OWNER.upper()},
        {"proof": ["00"]},
        {"proof": ["0" * 64] * 33},
        {"chain_id": 0},
        {"batch": -1},
        {"more": 1},
    ],
)
def test_a_voucher_that_is_none_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    content = json.loads(Voucher.of(batch_of(SOMEWHERE, 2), 0).model_dump_json())
    path = tmp_path / "v.json"
    path.write_text(json.dumps([content | change]))
    with pytest.raises(InputError, match=next(iter(change))):
        read_vouchers(path)


@pytest.mark.parametrize("text", ["", "{}", "[", "[1]", '{"a": 1}'])
def test_a_file_without_vouchers_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "v.json"
    path.write_text(text)
    with pytest.raises(InputError):
        read_vouchers(path)
    with pytest.raises(InputError):
        read_vouchers(tmp_path / "nothing")


def test_a_keystore_opens_with_its_password_alone(tmp_path: Path) -> None:
    path = tmp_path / "key.json"
    path.write_text(json.dumps(Account.encrypt(KEY[1], "right", kdf="pbkdf2", iterations=2)))
    key = open_keystore(path, "right")
    assert (key.address, key.secret) == KEY
    assert KEY[1].hex() not in repr(key)
    with pytest.raises(InputError):
        open_keystore(path, "wrong")


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"version": 3}', '"x"', '{"version": 9, "crypto": {}}'])
def test_a_file_that_is_no_keystore_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "key.json"
    path.write_text(text)
    with pytest.raises(InputError):
        open_keystore(path, "x")
    with pytest.raises(InputError):
        open_keystore(tmp_path / "nothing", "x")


def test_a_deployment_reads_as_it_was_written(tmp_path: Path) -> None:
    made = Deployment(chain_id=31337, contract=SOMEWHERE.contract, block=4, transaction="0x" + "0" * 64)
    path = tmp_path / "registry.json"
    path.write_text(made.model_dump_json())
    assert read_deployment(path) == made
    assert made.registry == SOMEWHERE
    for text in ("", "{}", made.model_dump_json().replace("0x1", "1x1")):
        path.write_text(text)
        with pytest.raises(InputError):
            read_deployment(path)
    with pytest.raises(InputError):
        read_deployment(tmp_path / "nothing")


@pytest.mark.parametrize("words", [(0, "b", "p"), (1, "", "p"), (1, "b" * 65, "p"), (1, "\u00e4" * 33, "p"), (1, "b", "p" * 201)])
def test_a_retirement_that_the_contract_can_not_write_down_is_refused(words: tuple[int, str, str]) -> None:
    with pytest.raises(InputError):
        Wish(0, *words)
    assert Wish(0, 1, "b" * 64, "p" * 200).wh == 1


def test_a_url_that_is_none_is_refused() -> None:
    with pytest.raises(InputError):
        Node("ftp://example.net")
