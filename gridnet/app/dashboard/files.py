"""The files that pages load: scripts, styles, pictures. Read once; their address holds a digest of them all, so that browsers may
keep them for ever, and modules find each other by relative names."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "assets"
MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
    ".LICENSE": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class File:
    """One file, as it is and compressed."""

    media_type: str
    body: bytes
    gzipped: bytes


class Files:
    """All files of a folder whose kind is known, by their path in it."""

    def __init__(self, folder: Path = FOLDER) -> None:
        self._files: dict[str, File] = {}
        digest = hashlib.sha256()
        for path in sorted(folder.rglob("*")):
            if path.is_file() and path.suffix in MEDIA_TYPES:
                name, body = path.relative_to(folder).as_posix(), path.read_bytes()
                self._files[name] = File(MEDIA_TYPES[path.suffix], body, gzip.compress(body, mtime=0))
                digest.update(f"{name}\0{len(body)}\0".encode() + body)
        self.digest = digest.hexdigest()[:16]

    def address(self, name: str) -> str:
        """Where a page finds the file. Raises `KeyError` for one that is not there: a page must not name it."""
        if name not in self._files:
            raise KeyError(f"no file {name} to load")
        return f"/console/assets/{self.digest}/{name}"

    def get(self, digest: str, name: str) -> File | None:
        """The file; None where there is none, or was another at that address."""
        return self._files.get(name) if digest == self.digest else None
