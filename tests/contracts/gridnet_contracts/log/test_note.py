"""Signed notes: published ones verify, and a note in any other spelling or with a bad signature is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet.errors import InputError, VerificationError
from gridnet_contracts.log.canonical import Malformed
from gridnet_contracts.log.keys import Algorithm, SignerKey, VerifierKey
from gridnet_contracts.log.note import NOTE_BYTES_MAX, SIGNATURES_MAX, Note, Signature, SignatureRefused, sign, verify

# Documentation of golang.org/x/mod/sumdb/note: key, text and the exact note.
GO_SIGNER = SignerKey.decode("PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")
GO_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
GO_LINE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
# The specification signed-note, section "Verifier keys".
SPEC_VERIFIER = VerifierKey.decode("example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k")
SPEC_NOTE = (
    "This is an example message.\n\n"
    "— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n"
).encode()
# The specification signed-note, introduction: two paragraphs, so that only the last blank line ends the text.
SPEC_POEM = (
    "Ognuno sta solo sul cuor della terra\ntrafitto da un raggio di sole:\n\ned è subito sera.\n\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()
ONE, OTHER = SignerKey("one.example", b"\x01" * 32), SignerKey("other.example", b"\x02" * 32)


def broken(line: str) -> str:
    """The signature line with another signature byte, under the same name and id."""
    signature = Signature.decode(line)
    return Signature(signature.name, signature.key_id, bytes([signature.payload[0] ^ 1]) + signature.payload[1:]).line()


def test_signing_gives_the_published_note() -> None:
    assert sign(GO_TEXT, GO_SIGNER).encode() == f"{GO_TEXT}\n{GO_LINE}".encode()


def test_the_specification_s_note_verifies_and_a_changed_one_does_not() -> None:
    assert verify(Note.decode(SPEC_NOTE), [SPEC_VERIFIER]) == (SPEC_VERIFIER,)
    with pytest.raises(SignatureRefused, match=r"^2"):
        verify(Note.decode(SPEC_NOTE.replace(b"message", b"massage")), [SPEC_VERIFIER])


def test_the_last_blank_line_ends_the_text() -> None:
    note = Note.decode(SPEC_POEM)
    assert note.text.endswith("sole:\n\ned è subito sera.\n")
    assert [each.name for each in note.signatures] == ["quasimodo.example/salvatore"]
    assert note.encode() == SPEC_POEM


# The first seven are the bad notes of golang.org/x/mod/sumdb/note.
BAD_NOTES = [
    GO_TEXT,
    f"{GO_TEXT}\n",
    f"{GO_TEXT}\n{GO_LINE[:-1]}",
    f"\x01{GO_TEXT}\n{GO_LINE}",
    f"{GO_TEXT}\n{GO_LINE.replace('PeterNeumann', 'Bad Name')}",
    f"{GO_TEXT}\n{GO_LINE}Unexpected line.\n",
    f"{GO_TEXT}\n— PeterNeumann x08go/=\n",
    "",
    "\n",
    f"{GO_TEXT}{GO_LINE}",
    f"{GO_TEXT}\n{GO_LINE}\n",
    f"{GO_TEXT}\r\n\n{GO_LINE}",
    f"{GO_TEXT}\n{GO_LINE}".replace("\n", "\r\n"),
    f"{GO_TEXT}\t\n\n{GO_LINE}",
    f"{GO_TEXT}\n{GO_LINE.replace('—', '-')}",
    f"{GO_TEXT}\n{GO_LINE.replace('— ', '—')}",
    f"{GO_TEXT}\n{GO_LINE.replace('PeterNeumann ', 'PeterNeumann  ')}",
    f"{GO_TEXT}\n{GO_LINE.replace('PeterNeumann ', '')}",
    f"{GO_TEXT}\n{GO_LINE.replace('PeterNeumann ', 'Peter+Neumann ')}",
    f"{GO_TEXT}\n" + GO_LINE.replace("PeterNeumann ", "Peter\N{NO-BREAK SPACE}Neumann "),
    f"{GO_TEXT}\n{GO_LINE.replace('=', '')}",
    f"{GO_TEXT}\n{GO_LINE.replace('M=', 'N=')}",  # the same bytes behind another last digit
    f"{GO_TEXT}\n{GO_LINE.replace('/', '_')}",
    f"{GO_TEXT}\n{GO_LINE.replace('=', '= ')}",
    f"{GO_TEXT}\n— PeterNeumann x08gow==\n",  # an id without a signature
    f"{GO_TEXT}\n" + GO_LINE * (SIGNATURES_MAX + 1),
]


@pytest.mark.parametrize("text", BAD_NOTES)
def test_a_note_in_another_form_is_refused(text: str) -> None:
    with pytest.raises(Malformed):
        Note.decode(text.encode())


def test_a_note_that_is_no_text_or_too_long_is_refused() -> None:
    with pytest.raises(Malformed, match="not UTF-8"):
        Note.decode(b"\xff" + SPEC_NOTE)
    with pytest.raises(Malformed, match="at most"):
        Note.decode(b"a" * NOTE_BYTES_MAX + SPEC_NOTE)
    assert verify(Note.decode(f"{GO_TEXT}\n{GO_LINE * SIGNATURES_MAX}".encode()), [GO_SIGNER.verifier])


def test_unknown_keys_are_passed_over_even_with_a_known_name_or_id() -> None:
    same_name = Signature(ONE.name, OTHER.verifier.key_id, b"\x00" * 64)
    same_id = Signature(OTHER.name, ONE.verifier.key_id, b"\x00" * 64)
    note = Note("text\n", (same_name, same_id, *sign("text\n", ONE).signatures))
    assert verify(note, [ONE.verifier]) == (ONE.verifier,)
    with pytest.raises(SignatureRefused, match=r"^3"):
        verify(Note("text\n", (same_name, same_id)), [ONE.verifier])


def test_a_known_key_s_bad_signature_condemns_the_note() -> None:
    good, other = sign("text\n", ONE).signatures[0].line(), sign("text\n", OTHER).signatures[0].line()
    for lines in (broken(good), good + broken(good), broken(good) + good, other + broken(good)):
        with pytest.raises(SignatureRefused, match=r"^2"):
            verify(Note.decode(f"text\n\n{lines}".encode()), [ONE.verifier, OTHER.verifier])
    assert verify(Note.decode(f"text\n\n{broken(good)}{other}".encode()), [OTHER.verifier]) == (OTHER.verifier,)


def test_a_note_that_no_trusted_key_signed_is_refused() -> None:
    for trusted in ([], [OTHER.verifier]):
        with pytest.raises(SignatureRefused, match=r"^3"):
            verify(sign("text\n", ONE), trusted)


def test_two_keys_of_one_name_and_id_are_told_apart_by_nobody() -> None:
    # Ids have 4 bytes: these two numbers, taken as public keys, share theirs (found by trying).
    twins = [VerifierKey("twin.example", number.to_bytes(32, "big")) for number in (22_922, 28_974)]
    assert twins[0].key_id == twins[1].key_id
    with pytest.raises(InputError, match="another name"):
        verify(sign("text\n", ONE), [ONE.verifier, *twins])
    assert verify(sign("text\n", ONE), [ONE.verifier, twins[0], twins[0]])


def test_a_witness_s_key_signs_no_notes() -> None:
    witness = SignerKey(ONE.name, ONE.seed, Algorithm.COSIGNATURE)
    with pytest.raises(InputError, match="cosigns"):
        sign("text\n", witness)
    forged = Note("text\n", (Signature(ONE.name, witness.verifier.key_id, ONE.sign(b"text\n")),))
    with pytest.raises(InputError, match="cosigns"):
        verify(forged, [witness.verifier])


@pytest.mark.parametrize("text", ["", "text", "te\x00xt\n", "te\rxt\n", "\ud800\n"])
def test_a_text_that_can_not_be_a_note_is_not_signed(text: str) -> None:
    with pytest.raises(Malformed):
        sign(text, ONE)


LINES = st.lists(st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=20), min_size=1, max_size=5)


@given(LINES)
def test_what_is_signed_is_what_is_read_back(lines: list[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    note = Note.decode(sign(text, ONE, OTHER).encode())
    assert note.text == text
    assert verify(note, [OTHER.verifier, ONE.verifier]) == (ONE.verifier, OTHER.verifier)


@given(st.binary(max_size=60), st.integers(0, 200))
def test_whatever_is_read_is_written_back_the_same(piece: bytes, at: int) -> None:
    raw = SPEC_NOTE[:at] + piece + SPEC_NOTE[at:]
    try:
        note = Note.decode(raw)
    except VerificationError:
        return
    assert note.encode() == raw


def test_every_flipped_byte_of_a_note_is_found() -> None:
    for place in range(len(SPEC_NOTE)):
        for bit in range(8):
            flipped = bytearray(SPEC_NOTE)
            flipped[place] ^= 1 << bit
            with pytest.raises(VerificationError):
                verify(Note.decode(bytes(flipped)), [SPEC_VERIFIER])
