"""Keys in the formats of signed-note and Go's sumdb: published keys read and written back, bad ones told and never leaked."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from gridnet.errors import InputError
from gridnet_contracts.log.keys import Algorithm, SignerKey, VerifierKey

# Documentation of golang.org/x/mod/sumdb/note.
GO_SIGNER = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
GO_VERIFIER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PUBLISHED = [
    GO_VERIFIER,
    # The specification signed-note, section "Verifier keys".
    "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k",
    # The public witnesses remora.n621.de and witness.stagemole.eu: type 0x04, cosignature/v1.
    "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
    "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
]
# RFC 8032, section 7.1, test 3: seed, public key, message and signature of Ed25519.
RFC_SEED = bytes.fromhex("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7")
RFC_PUBLIC = bytes.fromhex("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")
RFC_SIGNATURE = bytes.fromhex(
    "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
)


@pytest.mark.parametrize("text", PUBLISHED)
def test_a_published_verifier_key_is_read_and_written_back(text: str) -> None:
    key = VerifierKey.decode(text)
    assert key.encode() == text
    assert key.algorithm == (Algorithm.NOTE if "+A" in text else Algorithm.COSIGNATURE)
    assert f"{key.name}+{key.key_id.hex()}+" == text[: len(key.name) + 10]


def test_a_published_signer_key_has_the_published_verifier() -> None:
    key = SignerKey.decode(GO_SIGNER)
    assert key.encode() == GO_SIGNER
    assert key.verifier.encode() == GO_VERIFIER


def test_signing_is_ed25519_of_rfc_8032_and_repeats_exactly() -> None:
    key = SignerKey("rfc", RFC_SEED)
    assert key.verifier.public == RFC_PUBLIC
    assert key.sign(b"\xaf\x82") == RFC_SIGNATURE == key.sign(b"\xaf\x82")
    assert key.verifier.verify(b"\xaf\x82", RFC_SIGNATURE)
    assert not key.verifier.verify(b"\xaf\x83", RFC_SIGNATURE)
    assert not key.verifier.verify(b"\xaf\x82", RFC_SIGNATURE[:-1])
    assert not key.verifier.verify(b"\xaf\x82", b"")


def test_the_same_key_has_another_id_as_a_witness() -> None:
    note, witness = SignerKey("w", RFC_SEED).verifier, SignerKey("w", RFC_SEED, Algorithm.COSIGNATURE).verifier
    assert note.public == witness.public
    assert note.key_id != witness.key_id
    assert VerifierKey.decode(witness.encode()) == witness


def test_two_generated_keys_differ() -> None:
    assert SignerKey.generate("a").seed != SignerKey.generate("a").seed


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a3",
        GO_VERIFIER + "=",
        GO_VERIFIER + "\n",
        GO_VERIFIER.replace("c74f20a3", "c74f20a4"),
        GO_VERIFIER.replace("c74f20a3", "C74F20A3"),
        GO_VERIFIER.replace("PeterNeumann", "PeterNewmann"),
        GO_VERIFIER.replace("PeterNeumann", ""),
        GO_VERIFIER.replace("PeterNeumann", "Peter Neumann"),
        GO_VERIFIER.replace("PeterNeumann", "Peter\N{NO-BREAK SPACE}Neumann"),
        GO_VERIFIER[:-4],
        # Go's own bad keys: one too long and one of an unknown algorithm, both with the id that fits.
        "PeterNeumann+cc469956+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TWBADKEY==",
        "PeterNeumann+173116ae+ZRpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        GO_SIGNER,
    ],
)
def test_a_verifier_key_in_any_other_form_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        VerifierKey.decode(text)


def test_a_signer_key_in_another_form_is_refused_without_repeating_it() -> None:
    secret = GO_SIGNER.rpartition("+")[2]
    for text in (
        GO_VERIFIER,
        GO_SIGNER.replace("c7", "c8"),
        GO_SIGNER + "=",
        GO_SIGNER[:-4],
        GO_SIGNER.replace("PRIVATE", "private"),
    ):
        with pytest.raises(InputError) as told:
            SignerKey.decode(text)
        assert secret[:12] not in str(told.value)


def test_a_signer_key_does_not_show_its_secret() -> None:
    assert "seed" not in repr(SignerKey("a", RFC_SEED))
    assert repr(RFC_SEED) not in repr(SignerKey("a", RFC_SEED))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\tb", "a\x01b", "a\N{NO-BREAK SPACE}b", "\ud800"])
def test_a_name_that_breaks_a_note_is_refused(name: str) -> None:
    with pytest.raises(InputError, match="key name"):
        SignerKey.generate(name)


def test_a_saved_key_is_its_owner_s_alone_and_comes_back(tmp_path: Path) -> None:
    key, path = SignerKey.generate("example.org/log"), tmp_path / "log.key"
    before = os.umask(0)
    try:
        key.save(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.read_text() == f"{key.encode()}\n"
    assert SignerKey.load(path) == key


def test_a_key_file_is_never_overwritten(tmp_path: Path) -> None:
    key, path = SignerKey.generate("a"), tmp_path / "log.key"
    key.save(path)
    with pytest.raises(InputError, match="not overwritten"):
        SignerKey.generate("a").save(path)
    assert SignerKey.load(path) == key
    (tmp_path / "dangling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InputError, match="not overwritten"):
        key.save(tmp_path / "dangling")


@pytest.mark.parametrize("at", [1, 2], ids=["the file", "its folder"])
def test_a_key_that_can_not_be_saved_leaves_no_half_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    synced = 0

    def disk_full(_: int) -> None:
        nonlocal synced
        synced += 1
        if synced == at:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", disk_full)
    with pytest.raises(InputError, match="No space left"):
        SignerKey.generate("a").save(tmp_path / "log.key")
    assert list(tmp_path.iterdir()) == []


def test_a_key_is_not_saved_into_a_missing_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="folder that exists"):
        SignerKey.generate("a").save(tmp_path / "missing" / "log.key")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644, 0o620])
def test_a_key_that_others_can_reach_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "log.key"
    SignerKey.generate("a").save(path)
    path.chmod(mode)
    with pytest.raises(InputError, match="chmod 600"):
        SignerKey.load(path)


def test_a_key_file_that_is_missing_or_damaged_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="FileNotFoundError"):
        SignerKey.load(tmp_path / "missing")
    path = tmp_path / "log.key"
    for content in (b"", b"\xff", b"text\n", GO_SIGNER.encode() + b"\n\n"):
        path.write_bytes(content)
        path.chmod(0o600)
        with pytest.raises(InputError):
            SignerKey.load(path)
