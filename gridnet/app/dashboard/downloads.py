"""What a page offers to keep as a file."""

from __future__ import annotations

import io
import tempfile
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gridnet.app.service.ledger_view import LedgerView
from gridnet.app.service.model import ROLES, Role

ZIP = "application/zip"
_CHUNK = 65_536
_EPOCH = (1980, 1, 1, 0, 0, 0)
"""The earliest time that a zip holds: the same proofs make the same archive."""


@dataclass(frozen=True)
class Attachment:
    """A file: its name, what it is, and its content a piece at a time."""

    name: str
    media_type: str
    pieces: Iterable[bytes]


@dataclass(frozen=True)
class Download:
    """A link that gives a file: `make(looking, **names)`."""

    path: str
    """Below /console, with names in braces."""
    make: Callable[..., Attachment]
    roles: tuple[Role, ...] = ROLES


def packed(files: Mapping[str, bytes]) -> bytes:
    """A zip of files, by their names."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()


def exported(view: LedgerView) -> Iterator[bytes]:
    """A zip of the whole ledger's export, a piece at a time; it is written before the first is asked for. Raises `LedgerError`."""
    with ExitStack() as made:
        folder = Path(made.enter_context(tempfile.TemporaryDirectory(prefix="gridnet-export-")))
        view.export(folder / "export")
        archive = folder / "export.zip"
        with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as pages:
            for path in sorted(each for each in (folder / "export").rglob("*") if each.is_file()):
                pages.write(path, path.relative_to(folder / "export"))
        kept = made.pop_all()

    def pieces() -> Iterator[bytes]:
        with kept, archive.open("rb") as file:
            while piece := file.read(_CHUNK):
                yield piece

    return pieces()
