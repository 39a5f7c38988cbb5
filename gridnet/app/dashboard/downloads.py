"""What a page offers to keep as a file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from gridnet.app.service.model import ROLES, Role

ZIP = "application/zip"
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


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip of files, by their names."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in files.items():
            made.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)
    return archive.getvalue()
