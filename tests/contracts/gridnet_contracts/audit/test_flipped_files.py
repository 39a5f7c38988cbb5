"""A flipped byte in a file that an auditor is given is found, wherever it is."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from pyarrow import parquet

from gridnet_contracts.audit.bundle import audit_bundle
from gridnet_contracts.audit.proof import audit_proof
from gridnet_contracts.ledger.database import Database
from gridnet_contracts.ledger.export import export
from tests.contracts.gridnet_contracts.audit.story import ENTRIES, POLICY, Home, failed, opened

SAMPLE = 120
"""Flips of each file in the quick run; shorter files are flipped whole."""


@pytest.fixture(scope="module", params=["csv", "jsonl", "parquet"])
def bundle(request: pytest.FixtureRequest, told: Home, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export with disclosures."""
    folder = tmp_path_factory.mktemp("bundles") / request.param
    export(Database.reading(told.url), folder, request.param, disclose=True)
    return folder


def _flipped(raw: bytes, most: int) -> Iterator[tuple[str, bytes]]:
    """Copies of `raw` with one byte flipped, by one bit or all; `most` of them at the most, drawn by chance."""
    chance = random.Random(len(raw))
    for at in sorted(chance.sample(range(len(raw)), min(most, len(raw)))):
        for bits in {0xFF, 1 << chance.randrange(8)} if most > len(raw) else {chance.choice((0xFF, 1 << chance.randrange(8)))}:
            yield f"byte {at} with {bits:02x}", raw[:at] + bytes([raw[at] ^ bits]) + raw[at + 1 :]


def _all_found(bundle: Path, most: int) -> dict[str, set[int]]:
    """Flips bytes of every file; gives the checks at which each file's were found."""
    assert failed(audit_bundle(bundle, POLICY)) == 0
    found: dict[str, set[int]] = {}
    for path in sorted(each for each in bundle.rglob("*") if each.is_file()):
        name, raw = path.relative_to(bundle).as_posix(), path.read_bytes()
        values = parquet.read_table(path) if path.suffix == ".parquet" else None
        for where, changed in _flipped(raw, most):
            path.write_bytes(changed)
            number = failed(audit_bundle(bundle, POLICY))
            if not number:
                assert values is not None, f"{name}: {where} was not found"
                assert parquet.read_table(path).equals(values), f"{name}: {where} was not found"
            found.setdefault(name, set()).add(number)
        path.write_bytes(raw)
    assert failed(audit_bundle(bundle, POLICY)) == 0
    return found


def _found_where_they_should_be(bundle: Path, found: dict[str, set[int]]) -> None:
    table = f"certificates.{bundle.name}"
    assert found.keys() == {"checkpoint", "disclosures.jsonl", table, f"tile/0/000.p/{ENTRIES}", f"tile/entries/000.p/{ENTRIES}"}
    assert found["checkpoint"] <= {1, 3}
    assert found[f"tile/0/000.p/{ENTRIES}"] == found[f"tile/entries/000.p/{ENTRIES}"] == {3}
    assert found[table] - {0} == {6}
    assert found["disclosures.jsonl"] == {8}


def test_a_sample_of_flipped_bytes_of_an_export_is_found(bundle: Path) -> None:
    _found_where_they_should_be(bundle, _all_found(bundle, SAMPLE))


@pytest.mark.conformance
def test_every_flipped_byte_of_an_export_is_found(bundle: Path) -> None:
    _found_where_they_should_be(bundle, _all_found(bundle, 1 << 20))


@pytest.mark.parametrize("entry", [0, 17, ENTRIES - 1])
def test_every_flipped_byte_of_a_proof_is_found(told: Home, entry: int) -> None:
    ledger = opened(told)
    raw = ledger.prove(entry).encode()
    ledger.close()
    assert failed(audit_proof(raw, POLICY)) == 0
    found = {failed(audit_proof(changed, POLICY)) for _, changed in _flipped(raw, 1 << 20)}
    assert 0 not in found
    assert {1, 2, 3} <= found


@pytest.mark.parametrize("cut", [1, 2, 40])
def test_a_file_cut_short_or_with_more_at_its_end_is_found(bundle: Path, cut: int) -> None:
    for path in [each for each in bundle.rglob("*") if each.is_file() and each.suffix != ".parquet"]:
        raw = path.read_bytes()
        for changed in (raw[:-cut], raw + raw[-cut:], raw + raw):
            path.write_bytes(changed)
            assert failed(audit_bundle(bundle, POLICY)) != 0, path.name
        path.write_bytes(raw)
