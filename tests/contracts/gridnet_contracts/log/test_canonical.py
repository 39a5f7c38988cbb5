"""Text with exactly one spelling."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridnet_contracts.log.canonical import Malformed, from_base64, from_decimal, to_base64, to_text


@given(st.binary(max_size=100))
def test_base64_is_read_back(raw: bytes) -> None:
    assert from_base64(to_base64(raw), "it") == raw


@pytest.mark.parametrize(
    "text", ["A", "AA", "AA=", "AB==", "AAB=", "AA==\n", " AA==", "A A=", "AA==AA==", "AA-_", "ÀA==", "=", "===="]
)
def test_base64_in_another_spelling_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match=r"^it: "):
        from_base64(text, "it")


@given(st.integers(0, 2**63 - 1))
def test_a_decimal_is_read_back(number: int) -> None:
    assert from_decimal(str(number), "it") == number


@pytest.mark.parametrize("text", ["", "00", "01", "-0", "+1", "1.0", "1e3", "1_0", " 1", "1\n", "٣", "0x1", str(2**63), "9" * 5000])
def test_a_decimal_in_another_spelling_or_too_large_is_refused(text: str) -> None:
    with pytest.raises(Malformed, match=r"^it: "):
        from_decimal(text, "it")


def test_a_text_is_clean_and_short() -> None:
    assert to_text("ü\n\n".encode(), "it", 4) == "ü\n\n"
    for raw in (b"", b"a", b"a\x00\n", b"a\r\n", b"a\t\n", b"a\x1f\n", b"\xff\n", b"\xed\xa0\x80\n", b"\xc0\x8a", b"abcd\n"):
        with pytest.raises(Malformed, match=r"^it: "):
            to_text(raw, "it", 4)
