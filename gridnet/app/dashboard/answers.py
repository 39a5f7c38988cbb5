"""What the console answers with: pages, feeds and files, with the headers that keep others' code and curiosity out."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.responses import StreamingResponse

from gridnet.app.dashboard.downloads import Attachment
from gridnet.app.dashboard.files import File

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "connect-src 'self'",
        "img-src 'self' data:",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    # Not "no-referrer", under which browsers send forms with the origin "null".
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "vary": "accept-encoding, cookie",
}
NEVER, FOR_EVER = "no-store", "public, max-age=31536000, immutable"
_WORTH_COMPRESSING = 1000
_LEVEL = 5


def page(request: Request, html: str, status: int = 200) -> Response:
    """A page."""
    return _answer(request, html.encode(), "text/html; charset=utf-8", status)


def feed(request: Request, body: Mapping[str, Any], status: int = 200) -> Response:
    """An object of JSON. Raises `ValueError` for a number that JSON can't say."""
    return _answer(request, json.dumps(body, separators=(",", ":"), allow_nan=False).encode(), "application/json", status)


def file(request: Request, found: File) -> Response:
    """A file that never changes under its address."""
    zipped = _takes_gzip(request)
    headers = {**HEADERS, "cache-control": FOR_EVER} | ({"content-encoding": "gzip"} if zipped else {})
    return Response(found.gzipped if zipped else found.body, 200, headers, found.media_type)


def attachment(made: Attachment) -> Response:
    """A file to keep."""
    headers = {**HEADERS, "cache-control": NEVER, "content-disposition": f'attachment; filename="{made.name}"'}
    return StreamingResponse(made.pieces, 200, headers, made.media_type)


def elsewhere(path: str) -> Response:
    """Sends the browser on to another page."""
    return Response(status_code=303, headers={**HEADERS, "cache-control": NEVER, "location": path})


def _answer(request: Request, body: bytes, media_type: str, status: int) -> Response:
    headers = {**HEADERS, "cache-control": NEVER}
    if len(body) >= _WORTH_COMPRESSING and _takes_gzip(request):
        body, headers["content-encoding"] = gzip.compress(body, _LEVEL), "gzip"
    return Response(body, status, headers, media_type)


def _takes_gzip(request: Request) -> bool:
    return "gzip" in request.headers.get("accept-encoding", "")
