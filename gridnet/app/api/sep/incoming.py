"""What clients send: XML without document types, entities or the network, read leniently. Unknown elements and namespaces are let
pass, what is needed and missing or out of range is reported, all of it at once."""

from __future__ import annotations

import re
from collections.abc import Iterator

from lxml import etree

from gridnet.app.service.errors import TooLarge
from gridnet.errors import Fault, InputError

INT48 = 2**47
UINT32 = 2**32 - 1
LFDI_DIGITS = 40
MRID_DIGITS = 32
LAST_S = 253_402_300_799
"""The end of the year 9999: later times are nobody's."""
_WHOLE = re.compile(r"[+-]?[0-9]{1,20}")


class Malformed(InputError):
    """The body is no XML document of the kind that is accepted."""


class Reader:
    """An element, and what is wrong in its document so far."""

    def __init__(self, element: etree._Element, faults: list[Fault]) -> None:
        self._element = element
        self._faults = faults

    @property
    def name(self) -> str:
        """The element's name without its namespace."""
        return str(etree.QName(self._element).localname)

    @property
    def value(self) -> str | None:
        """Its text, None where it has elements inside."""
        return None if len(self._element) else (self._element.text or "").strip()

    def all(self) -> Iterator[Reader]:
        """What is inside."""
        return (Reader(each, self._faults) for each in self._element)

    def children(self, name: str) -> list[Reader]:
        """Those of a name."""
        return [each for each in self.all() if each.name == name]

    def child(self, name: str) -> Reader | None:
        """The first of a name."""
        return next(iter(self.children(name)), None)

    def text(self, name: str, most: int = 192, *, needed: bool = False) -> str | None:
        """An element's text."""
        found = self.child(name)
        said = None if found is None else found.value
        if said is not None and len(said) > most:
            self.refuse(name, said, f"{most} characters at most")
            return None
        if needed and not said:
            self.refuse(name, "nothing", "a value")
        return said

    def integer(self, name: str, lowest: int, highest: int, *, needed: bool = False) -> int | None:
        """An element's whole number within bounds."""
        said = self.text(name, needed=needed)
        if not said:
            return None
        if not (_WHOLE.fullmatch(said) and lowest <= int(said) <= highest):
            self.refuse(name, said, f"a whole number from {lowest} to {highest}")
            return None
        return int(said)

    def hexadecimal(self, name: str, digits: int, *, exactly: bool = False, needed: bool = False) -> str | None:
        """An element's hexadecimal digits in capitals, `digits` at most."""
        said = self.text(name, needed=needed)
        if not said:
            return None
        if len(said) > digits or (exactly and len(said) != digits) or not set(said.upper()) <= set("0123456789ABCDEF"):
            self.refuse(name, said, f"{digits} hexadecimal digits{'' if exactly else ' at most'}")
            return None
        return said.upper()

    def refuse(self, name: str, got: str, expected: str) -> None:
        """Notes what is wrong with an element."""
        self._faults.append(Fault(f"{self.name}/{name}", repr(got[:80]), expected))

    def done(self) -> None:
        """Raises `InputError` with all that is wrong so far."""
        if self._faults:
            raise InputError(f"this can't be a {self.name}:", self._faults)


def parse(body: bytes, most_nesting: int) -> Reader:
    """The root of a document. Raises `Malformed`, `TooLarge` where it is nested too deeply."""
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True, remove_pis=True
    )
    try:
        root = etree.fromstring(body, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Malformed("the request can't be read:", [Fault("body", str(error)[:200], "an XML document")]) from error
    if root.getroottree().docinfo.internalDTD is not None:
        raise Malformed("the request can't be read:", [Fault("body", "a document type", "none")])
    level, depth = [root], 1
    while level:
        if depth > most_nesting:
            raise TooLarge(f"elements are nested more than {most_nesting} deep")
        level, depth = [child for each in level for child in each], depth + 1
    return Reader(root, [])
