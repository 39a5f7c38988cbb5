"""Proof files: one verifies offline, and each way of bending one is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import VerificationError
from gridnet_contracts.log import checkpoint as checkpoints
from gridnet_contracts.log.canonical import Malformed, to_base64
from gridnet_contracts.log.checkpoint import Checkpoint
from gridnet_contracts.log.cosignature import Policy, QuorumMissed, cosign
from gridnet_contracts.log.keys import Algorithm, SignerKey
from gridnet_contracts.log.merkle import ProofRefused, leaf_hash
from gridnet_contracts.log.note import Note, SignatureRefused, sign
from gridnet_contracts.log.proof import NoEntry, Proven, TlogProof, verify
from gridnet_contracts.log.tiles import MemoryTiles, inclusion, root

ORIGIN, SIZE = "example.org/log", 21
LOG, ATTACKER = SignerKey(ORIGIN, b"\x01" * 32), SignerKey(ORIGIN, b"\x63" * 32)
WITNESSES = tuple(SignerKey(f"witness{n}.example", bytes([n]) * 32, Algorithm.COSIGNATURE) for n in (11, 12))
POLICY = Policy(ORIGIN, LOG.verifier, tuple(key.verifier for key in WITNESSES), quorum=2)
ENTRIES = [f"entry {number}".encode() for number in range(SIZE)]


def tree(entries: list[bytes]) -> MemoryTiles:
    made = MemoryTiles()
    made.append(0, [leaf_hash(entry) for entry in entries])
    return made


def signed(checkpoint: Checkpoint, log: SignerKey = LOG) -> bytes:
    made = tuple(cosign(checkpoint, key, 1_700_000_000) for key in WITNESSES)
    return Note(checkpoint.text(), (*sign(checkpoint.text(), log).signatures, *made)).encode()


TILES = tree(ENTRIES)
CHECKPOINT = Checkpoint(ORIGIN, SIZE, root(TILES, SIZE))


def proof_of(index: int) -> TlogProof:
    return TlogProof(index, tuple(inclusion(TILES, index, SIZE)), signed(CHECKPOINT), ENTRIES[index])


def test_every_entry_s_proof_shows_the_entry_its_place_and_the_checkpoint() -> None:
    for index, entry in enumerate(ENTRIES):
        assert verify(proof_of(index).encode(), POLICY) == Proven(entry, index, CHECKPOINT)


def test_a_proof_is_written_as_the_specification_says() -> None:
    proof = proof_of(3)
    lines = proof.encode().decode().split("\n")
    assert lines[:3] == ["c2sp.org/tlog-proof@v1", f"extra {to_base64(b'entry 3')}", "index 3"]
    assert lines[3:8] == [to_base64(each) for each in proof.hashes]
    assert lines[8] == ""
    assert "\n".join(lines[9:]).encode() == proof.checkpoint


def test_a_log_of_one_entry_needs_no_hashes() -> None:
    alone = Checkpoint(ORIGIN, 1, leaf_hash(b"only"))
    raw = TlogProof(0, (), signed(alone), b"only").encode()
    assert raw.startswith(b"c2sp.org/tlog-proof@v1\nextra b25seQ==\nindex 0\n\nexample.org/log\n1\n")
    assert verify(raw, POLICY).entry == b"only"


def test_every_flipped_byte_is_found() -> None:
    raw = proof_of(13).encode()
    for place in range(len(raw)):
        for bit in (place % 8, 7):
            flipped = bytearray(raw)
            flipped[place] ^= 1 << bit
            with pytest.raises(VerificationError):
                verify(bytes(flipped), POLICY)


def test_a_proof_whose_root_nobody_trusts_is_refused() -> None:
    """Told: an attacker makes a tree of their own with the entry they want, proves it faultlessly and signs the root."""
    forged = tree([b"a million credits for me"])
    checkpoint = Checkpoint(ORIGIN, 1, root(forged, 1))
    for raw in (checkpoints.sign(checkpoint, ATTACKER), signed(checkpoint, ATTACKER)):
        with pytest.raises(SignatureRefused, match="none of the trusted keys"):
            verify(TlogProof(0, (), raw, b"a million credits for me").encode(), POLICY)
    # The log itself, behind its witnesses' backs.
    with pytest.raises(QuorumMissed):
        verify(TlogProof(0, (), checkpoints.sign(checkpoint, LOG), b"a million credits for me").encode(), POLICY)


def test_a_proof_of_another_entry_place_or_log_is_refused() -> None:
    proof, checkpoint = proof_of(5), proof_of(5).checkpoint
    grown = signed(Checkpoint(ORIGIN, SIZE - 1, root(TILES, SIZE - 1)))
    for wrong in (
        TlogProof(6, proof.hashes, checkpoint, proof.extra),
        TlogProof(5, proof.hashes, checkpoint, ENTRIES[6]),
        TlogProof(5, proof_of(6).hashes, checkpoint, proof.extra),
        TlogProof(5, proof.hashes[:-1], checkpoint, proof.extra),
        TlogProof(5, (*proof.hashes, proof.hashes[0]), checkpoint, proof.extra),
        TlogProof(SIZE, proof.hashes, checkpoint, proof.extra),
        TlogProof(5, proof.hashes, grown, proof.extra),
    ):
        with pytest.raises(ProofRefused):
            verify(wrong.encode(), POLICY)
    elsewhere = signed(Checkpoint("example.org/other", SIZE, CHECKPOINT.root))
    with pytest.raises(VerificationError, match=r"of example\.org/other, not of"):
        verify(TlogProof(5, proof.hashes, elsewhere, proof.extra).encode(), POLICY)


def test_a_proof_without_its_entry_can_be_read_but_proves_nothing() -> None:
    bare = TlogProof(5, proof_of(5).hashes, proof_of(5).checkpoint)
    assert TlogProof.decode(bare.encode()) == bare
    assert b"extra" not in bare.encode()
    with pytest.raises(NoEntry):
        verify(bare.encode(), POLICY)


RAW = proof_of(5).encode().decode()


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("tlog-proof@v1", "tlog-proof@v2"),
        ("tlog-proof@v1", "tlog-proof@v1 "),
        ("c2sp", "\nc2sp"),
        ("extra ZW50cnkgNQ==\n", "extra \n"),
        ("extra ZW50cnkgNQ==\n", "extra\n"),
        ("extra ZW50cnkgNQ==\n", "extra ZW50cnkgNR==\n"),
        ("extra ZW50cnkgNQ==\n", "extra ZW50cnkgNQ\n"),
        ("extra ZW50cnkgNQ==\n", "extra  ZW50cnkgNQ==\n"),
        ("extra ZW50cnkgNQ==\n", "extra ZW50cnkgNQ==\nextra ZW50cnkgNQ==\n"),
        ("index 5\n", ""),
        ("index 5\n", "index 05\n"),
        ("index 5\n", "index  5\n"),
        ("index 5\n", "index -5\n"),
        ("index 5\n", "index +5\n"),
        ("index 5\n", "index 5 \n"),
        ("index 5\n", "index 9223372036854775808\n"),
        ("index 5\n", "index 5\nindex 5\n"),
        ("index 5\n", "index 5\nAAAA\n"),
        ("index 5\n", "index 5\n" + "A" * 43 + "=\n" + "A" * 43 + "\n"),
        ("index 5\n", "index 5\n" + ("A" * 43 + "=\n") * 64),
        ("index 5\n", "index 5\n\n"),
        ("\n\nexample.org", "\nexample.org"),
        ("\n", "\r\n"),
        ("example.org/log\n21\n", "example.org/log\n021\n"),
    ],
)
def test_a_proof_in_another_form_is_refused(was: str, becomes: str) -> None:
    assert was in RAW
    with pytest.raises(Malformed):
        TlogProof.decode(RAW.replace(was, becomes).encode())


@given(st.integers(0, 900), st.integers(0, 60), st.binary(max_size=40))
def test_whatever_is_read_is_written_back_the_same(at: int, cut: int, piece: bytes) -> None:
    raw = RAW.encode()[:at] + piece + RAW.encode()[at + cut :]
    try:
        proof = TlogProof.decode(raw)
    except VerificationError:
        return
    assert proof.encode() == raw


@given(st.integers(0, 2**63 - 1), st.lists(st.binary(min_size=32, max_size=32), max_size=63), st.none() | st.binary(min_size=1))
def test_what_is_written_is_read_back_the_same(index: int, hashes: list[bytes], extra: bytes | None) -> None:
    proof = TlogProof(index, tuple(hashes), signed(CHECKPOINT), extra)
    assert TlogProof.decode(proof.encode()) == proof


def test_a_proof_that_can_not_be_written_is_not_made() -> None:
    checkpoint = signed(CHECKPOINT)
    for index, hashes, raw, extra in [
        (-1, (), checkpoint, None),
        (2**63, (), checkpoint, None),
        (0, (b"short",), checkpoint, None),
        (0, (bytes(32),) * 64, checkpoint, None),
        (0, (), checkpoint[:-1], None),
        (0, (), sign("text\n", LOG).encode(), None),
        (0, (), checkpoint, b""),
    ]:
        with pytest.raises(Malformed):
            TlogProof(index, hashes, raw, extra)
    longest = TlogProof(0, (bytes(32),) * 63, checkpoint, b"\xff" * 65_535)
    assert TlogProof.decode(longest.encode()) == longest
