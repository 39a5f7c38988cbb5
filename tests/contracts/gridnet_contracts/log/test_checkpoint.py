"""Checkpoints and cosignatures: a real log's checkpoint with its real witnesses, and what a policy refuses."""

from __future__ import annotations

import pytest

from gridnet.errors import InputError, VerificationError
from gridnet_contracts.log import checkpoint as checkpoints
from gridnet_contracts.log import cosignature, note
from gridnet_contracts.log.canonical import Malformed
from gridnet_contracts.log.checkpoint import Checkpoint, Head, WrongOrigin
from gridnet_contracts.log.cosignature import Policy, QuorumMissed, cosign, cosigners
from gridnet_contracts.log.keys import Algorithm, SignerKey, VerifierKey
from gridnet_contracts.log.merkle import EMPTY_ROOT
from gridnet_contracts.log.note import Note, Signature, SignatureRefused

# A checkpoint of the public staging log arche2025h1 as it was published, cosigned by four public witnesses in May 2026. The first
# signature is of a type (RFC 6962) that is not known here. The keys are those that the log and the witnesses publish.
REAL = """\
arche2025h1.staging.ct.transparency.dev
1432088532
U7WM79jrzyhGZ5/GUBTpM7NzwdyfFx61t3RovgcC4Ro=

— arche2025h1.staging.ct.transparency.dev zTM8sQAAAZ5W0WdjBAMARjBEAiBjW5IQf9pvsYLfQFX6hoGREPMHbdQ3urbllzalApkptQIgIpwtEroeW2BXaHAI4kJXFbon5Ch9MNL5zRNZ55lvGt0=
— arche2025h1.staging.ct.transparency.dev ui8GwCF1+kWqZrxGdhj4aX3gcw7XUlXQQabg/27lefwhUkzbC3NygNI75MdhL1bfTW9g8Ei59RA23oHP7Ry1k3ZFWwQ=
— transparency.dev/DEV:witness-little-garden 2AQqhwAAAABqEiEgzgFIqqhbUoDwjMWE6UP8nd8/KYTzwZ2rhIgcqoXHAwVkjZr4AscylP3v7sEodkRAErumC2q44vdgJY096st5BQ==
— witness1.smartit.nu/witness1 pIyCDwAAAABqEiEghIp82KWebrw7/oHQwlTAm3g2RKS4+eebl8eO0WH+/iEcxZ75W3u5hNI7TOQtmJbqmNWVuE0tgh0XwzdZsDsUAQ==
— remora.n621.de 2net5wAAAABqEiEgPlfF3V06o0Y+fHM+J5J9s27wgxxcOVSpZ/2g/KSiXCg9DEZI+aVCIobWX9sXTynk5XeU/zZ0WBxtqB0DrAWfBw==
— witness.stagemole.eu Z/euoAAAAABqEiEgw0i+7g2ENfDAWHmtRzCfKTHSDwYDJA2NmKeGi9Y8FtEyOUvVr+AJmIY/2TUFucgKi7lI7cUiOvKFYe/TmN9DAg==
""".encode()  # noqa: E501 (a signature is one line)
REAL_LOG = VerifierKey.decode("arche2025h1.staging.ct.transparency.dev+ba2f06c0+AU0vHmlGCS/PdN8b2OaGmKprLI8HKM+dJ472xgFYh15f")
REAL_WITNESSES = tuple(
    map(
        VerifierKey.decode,
        [
            "transparency.dev/DEV:witness-little-garden+d8042a87+BCtusOxINQNUTN5Oj8HObRkh2yHf/MwYaGX4CPdiVEPM",
            "witness1.smartit.nu/witness1+a48c820f+BPSFWg9G6KPiO7QPryYO5Xq4oYJJ+kAvLKLSimDhoxMO",
            "remora.n621.de+da77ade7+BOvN63jn/bLvkieywe8R6UYAtVtNbZpXh34x7onlmtw2",
            "witness.stagemole.eu+67f7aea0+BEqSG3yu9YrmcM3BHvQYTxwFj3uSWakQepafafpUqklv",
        ],
    )
)
REAL_POLICY = Policy(REAL_LOG.name, REAL_LOG, REAL_WITNESSES, quorum=4)
# The example of tlog-checkpoint.
SPEC_TEXT = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
ROOT = bytes(range(32))


def cosigned(checkpoint: Checkpoint, log: SignerKey, witnesses: tuple[SignerKey, ...], time_s: int = 1_700_000_000) -> bytes:
    made = tuple(cosign(checkpoint, key, time_s) for key in witnesses)
    return Note(checkpoint.text(), (*note.sign(checkpoint.text(), log).signatures, *made)).encode()


def test_a_real_checkpoint_is_trusted_by_its_log_and_its_four_witnesses() -> None:
    checkpoint = cosignature.verify(REAL, REAL_POLICY)
    assert checkpoint.head == Head(1_432_088_532, checkpoint.root)
    assert checkpoints.verify(REAL, REAL_LOG.name, [REAL_LOG]) == checkpoint
    assert set(cosigners(Note.decode(REAL), REAL_WITNESSES).values()) == {0x6A122120}
    assert Note.decode(REAL).encode() == REAL


def test_every_flipped_byte_that_somebody_signed_is_found() -> None:
    unsigned = len(REAL.split(b"\n\n")[0]) + 2 + len(REAL.split(b"\n\n")[1].split(b"\n")[0])
    for place in range(len(REAL)):
        if not len(REAL.split(b"\n\n")[0]) + 2 <= place < unsigned:  # the line of the type that is not known here
            flipped = bytearray(REAL)
            flipped[place] ^= 1 << place % 8
            with pytest.raises(VerificationError):
                cosignature.verify(bytes(flipped), REAL_POLICY)


def test_the_specification_s_checkpoint_is_read_and_written_back() -> None:
    checkpoint = Checkpoint.parse(SPEC_TEXT)
    assert (checkpoint.origin, checkpoint.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert checkpoint.text() == SPEC_TEXT
    extended = Checkpoint.parse(f"{SPEC_TEXT}more\nand more\n")
    assert extended.extensions == ("more", "and more")
    assert extended.text() == f"{SPEC_TEXT}more\nand more\n"


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (SPEC_TEXT, ""),
        (SPEC_TEXT, "example.com\n5\n"),
        ("example.com/behind-the-sofa", ""),
        ("20852163", "020852163"),
        ("20852163", "-1"),
        ("20852163", "+1"),
        ("20852163", "1_0"),
        ("20852163", " 1"),
        ("20852163", "٣"),
        ("20852163", "9223372036854775808"),
        ("20852163", "9" * 5000),
        ("20852163", "0"),  # a tree without leaves has one root only
        ("2I=\n", "2I\n"),
        ("2I=\n", "2J=\n"),
        ("CsUY", ""),
        ("2I=\n", "2I=\n\n"),
        ("2I=\n", "2I=\n\nmore\n"),
        ("2I=\n", "2I="),
        ("2I=\n", "2I=\nmore"),
    ],
)
def test_a_checkpoint_in_another_form_is_refused(was: str, becomes: str) -> None:
    assert was in SPEC_TEXT
    with pytest.raises(Malformed):
        Checkpoint.parse(SPEC_TEXT.replace(was, becomes))


def test_a_checkpoint_that_could_not_be_read_back_is_not_made() -> None:
    for origin, size, root, extensions in [
        ("", 1, ROOT, ()),
        ("a\nb", 1, ROOT, ()),
        ("a", -1, ROOT, ()),
        ("a", 2**63, ROOT, ()),
        ("a", 1, ROOT[:-1], ()),
        ("a", 0, ROOT, ()),
        ("a", 1, ROOT, ("",)),
    ]:
        with pytest.raises(Malformed):
            Checkpoint(origin, size, root, extensions)
    assert Checkpoint.parse(Checkpoint("a", 0, EMPTY_ROOT).text()).head == Head(0, EMPTY_ROOT)


def test_a_checkpoint_of_another_log_is_refused(log_key: SignerKey) -> None:
    raw = checkpoints.sign(Checkpoint("example.org/one", 1, ROOT), log_key)
    assert checkpoints.verify(raw, "example.org/one", [log_key.verifier]).size == 1
    with pytest.raises(WrongOrigin, match=r"^a checkpoint of example.org/one, not of example.org/two$"):
        checkpoints.verify(raw, "example.org/two", [log_key.verifier])


def test_a_cosignature_signs_the_time_and_the_whole_text(witness_keys: tuple[SignerKey, ...]) -> None:
    key, checkpoint = witness_keys[0], Checkpoint("a", 1, ROOT, ("extension",))
    line = cosign(checkpoint, key, 1_679_315_147)
    # tlog-cosignature, "Ed25519 signed message"
    message = f"cosignature/v1\ntime 1679315147\n{checkpoint.text()}".encode()
    assert line.payload == (1_679_315_147).to_bytes(8, "big") + key.sign(message)
    assert cosigners(Note(checkpoint.text(), (line,)), [key.verifier]) == {key.verifier: 1_679_315_147}
    later = Signature(line.name, line.key_id, (1_679_315_148).to_bytes(8, "big") + line.payload[8:])
    with pytest.raises(SignatureRefused):
        cosigners(Note(checkpoint.text(), (later,)), [key.verifier])
    with pytest.raises(SignatureRefused):
        cosigners(Note(Checkpoint("a", 1, ROOT).text(), (line,)), [key.verifier])


def test_of_one_witness_s_cosignatures_the_latest_counts(witness_keys: tuple[SignerKey, ...]) -> None:
    key, checkpoint = witness_keys[0], Checkpoint("a", 1, ROOT)
    lines = tuple(cosign(checkpoint, key, time_s) for time_s in (5, 9, 7))
    assert cosigners(Note(checkpoint.text(), lines), [key.verifier]) == {key.verifier: 9}


@pytest.mark.parametrize("time_s", [-1, 2**63])
def test_a_time_out_of_range_is_neither_signed_nor_accepted(witness_keys: tuple[SignerKey, ...], time_s: int) -> None:
    key, checkpoint = witness_keys[0], Checkpoint("a", 1, ROOT)
    with pytest.raises(InputError, match="2\\^63 - 1"):
        cosign(checkpoint, key, time_s)
    wrapped = time_s % 2**64
    made = key.sign(f"cosignature/v1\ntime {wrapped}\n{checkpoint.text()}".encode())
    forged = Signature(key.name, key.verifier.key_id, wrapped.to_bytes(8, "big") + made)
    with pytest.raises(SignatureRefused):
        cosigners(Note(checkpoint.text(), (forged,)), [key.verifier])


def test_a_log_s_signature_is_no_cosignature_and_a_log_s_key_no_witness(
    log_key: SignerKey, witness_keys: tuple[SignerKey, ...]
) -> None:
    checkpoint = Checkpoint("a", 1, ROOT)
    with pytest.raises(InputError, match="0x04"):
        cosign(checkpoint, log_key, 0)
    plain = witness_keys[0].sign(checkpoint.text().encode())
    forged = Signature(witness_keys[0].name, witness_keys[0].verifier.key_id, plain)
    with pytest.raises(SignatureRefused):
        cosigners(Note(checkpoint.text(), (forged,)), [witness_keys[0].verifier])


def test_a_quorum_counts_different_named_witnesses(log_key: SignerKey, witness_keys: tuple[SignerKey, ...]) -> None:
    checkpoint = Checkpoint("example.org/log", 1, ROOT)
    named = tuple(key.verifier for key in witness_keys)
    policy = Policy("example.org/log", log_key.verifier, named, quorum=2)
    stranger = SignerKey("stranger.example", b"\x63" * 32, Algorithm.COSIGNATURE)
    one, two, _ = witness_keys
    assert cosignature.verify(cosigned(checkpoint, log_key, (one, two)), policy) == checkpoint
    assert cosignature.verify(cosigned(checkpoint, log_key, (one, stranger, two)), policy) == checkpoint
    for signers in ((), (one,), (one, one), (one, stranger)):
        with pytest.raises(QuorumMissed):
            cosignature.verify(cosigned(checkpoint, log_key, signers), policy)
    with pytest.raises(SignatureRefused, match=r"^3"):  # witnesses alone don't make a checkpoint
        cosignature.verify(cosigned(checkpoint, stranger_log(), witness_keys), policy)


def stranger_log() -> SignerKey:
    return SignerKey("stranger.example/log", b"\x64" * 32)


def test_a_named_witness_s_bad_cosignature_condemns_the_checkpoint(log_key: SignerKey, witness_keys: tuple[SignerKey, ...]) -> None:
    checkpoint, other = Checkpoint("example.org/log", 1, ROOT), Checkpoint("example.org/log", 2, ROOT)
    policy = Policy("example.org/log", log_key.verifier, tuple(key.verifier for key in witness_keys), quorum=1)
    good = Note.decode(cosigned(checkpoint, log_key, witness_keys[:1]))
    moved = Note(good.text, (*good.signatures, cosign(other, witness_keys[1], 0)))
    with pytest.raises(SignatureRefused, match="witness12"):
        cosignature.verify(moved.encode(), policy)


def test_a_policy_that_can_not_mean_what_it_says_is_refused(log_key: SignerKey, witness_keys: tuple[SignerKey, ...]) -> None:
    log, (one, two, _) = log_key.verifier, (key.verifier for key in witness_keys)
    renamed = VerifierKey("another.example", one.public, Algorithm.COSIGNATURE)
    log_as_witness = VerifierKey("w.example", log.public, Algorithm.COSIGNATURE)
    for witnesses, quorum in [
        ((one,), 2),
        ((), 1),
        ((one,), -1),
        ((one, one), 1),
        ((one, renamed), 2),
        ((log_as_witness,), 1),
        ((log,), 1),
    ]:
        with pytest.raises(InputError):
            Policy("example.org/log", log, witnesses, quorum)
    assert Policy("example.org/log", log, (one, two), 2).quorum == 2
