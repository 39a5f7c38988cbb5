"""The whole ledger as one file, for an auditor to take away."""

from __future__ import annotations

import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from gridnet.app.service.ledger_view import LedgerView

_PIECE_BYTES = 65_536


def exported(view: LedgerView) -> Iterator[bytes]:
    """A zip of the folder that `gridnet ledger export` writes, a piece at a time; it is written before the first is asked for.
    Raises `LedgerError`."""
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
            while piece := file.read(_PIECE_BYTES):
                yield piece

    return pieces()
