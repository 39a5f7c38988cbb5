"""Requests: what is read of them, and what no parser may be asked to do."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from gridnet.app.api.sep.incoming import Malformed, parse
from gridnet.app.service.errors import TooLarge
from gridnet.errors import InputError
from tests.gridnet.app.api.sep.parties import NS

NESTING = 32


def test_names_are_read_without_their_namespaces() -> None:
    root = parse(f"<A {NS}><csipaus:b>7</csipaus:b><c><b> x </b></c></A>".encode(), NESTING)

    inner = root.child("c")

    assert (root.name, root.integer("b", 0, 9)) == ("A", 7)
    assert inner is not None
    assert inner.text("b") == "x"
    assert root.child("d") is None
    root.done()


def test_everything_wrong_is_told_at_once() -> None:
    root = parse(b"<A><number>12x</number><small>-1</small><hex>0G</hex><long>12345</long></A>", NESTING)

    root.integer("number", 0, 99)
    root.integer("small", 0, 99)
    root.hexadecimal("hex", 2)
    root.text("long", 4)
    root.text("missing", needed=True)

    with pytest.raises(InputError) as refused:
        root.done()
    assert [fault.where for fault in refused.value.faults] == ["A/number", "A/small", "A/hex", "A/long", "A/missing"]


@pytest.mark.parametrize("text", ["", "<A>", "no xml", "<A>&unknown;</A>", "<A/><B/>"])
def test_what_is_no_document_is_malformed(text: str) -> None:
    with pytest.raises(Malformed):
        parse(text.encode(), NESTING)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
@pytest.mark.parametrize(
    "kind",
    [
        "<!DOCTYPE A>",
        '<!DOCTYPE A [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>',
        '<!DOCTYPE A [<!ENTITY x SYSTEM "file:///etc/hostname">]>',
        '<!DOCTYPE A SYSTEM "http://127.0.0.1:1/a.dtd">',
    ],
)
def test_a_document_type_is_refused_in_any_encoding(kind: str, encoding: str) -> None:
    with pytest.raises(Malformed, match="document type"):
        parse(f"{kind}<A>1</A>".encode(encoding), NESTING)


def test_a_file_that_an_entity_names_is_not_opened(tmp_path: Path) -> None:
    broken = tmp_path / "broken"
    broken.write_text("&undefined;", encoding="utf-8")

    # Had it been opened, it would be told of first.
    with pytest.raises(Malformed, match="document type"):
        parse(f'<!DOCTYPE A [<!ENTITY x SYSTEM "{broken.as_uri()}">]><A>&x;</A>'.encode(), NESTING)


def test_entities_that_multiply_are_refused() -> None:
    bomb = "".join(f'<!ENTITY {one} "{f"&{other};" * 10}">' for other, one in pairwise("abcdefghij"))

    with pytest.raises(Malformed):
        parse(f'<!DOCTYPE A [<!ENTITY a "a">{bomb}]><A>&j;</A>'.encode(), NESTING)


def test_a_comment_is_no_part_of_a_value() -> None:
    root = parse(b"<A><b>1<!-- 2 -->3</b><?c d?></A>", NESTING)

    assert root.integer("b", 0, 99) == 13
    assert [each.name for each in root.all()] == ["b"]


def test_nesting_has_a_bound() -> None:
    def nested(depth: int) -> bytes:
        return b"<a>" * depth + b"</a>" * depth

    assert parse(nested(NESTING), NESTING).name == "a"
    with pytest.raises(TooLarge):
        parse(nested(NESTING + 1), NESTING)


@pytest.mark.parametrize("said", ["1e3", "0x10", "1_000", "٣", "--1", "-+1", "+", "9" * 30, " "])
def test_only_plain_digits_are_a_number(said: str) -> None:
    root = parse(f"<A><b>{said}</b></A>".encode(), NESTING)

    assert root.integer("b", -(2**63), 2**63, needed=True) is None
    with pytest.raises(InputError):
        root.done()
