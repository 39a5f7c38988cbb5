"""Logging in and out: a cookie holds one of the service's own tokens, which ends with the last request's quarter-hour.

The cookie goes with requests of this site's own pages alone (SameSite), no script can read it (HttpOnly), and what changes
anything must come from this site by its Origin header too.
"""

from __future__ import annotations

import re
from urllib.parse import parse_qs, quote, urlsplit

from fastapi import Request, Response

from gridnet.app.service.errors import Forbidden, NotAuthenticated
from gridnet.errors import Fault, InputError

COOKIE = "__Host-gridnet"
"""With this prefix, browsers take it from this host alone and never in clear."""
PATH = "/console/login"
_KEPT = {"path": "/", "secure": True, "httponly": True, "samesite": "strict"}
_FORM = "application/x-www-form-urlencoded"
_MOST_FIELDS = 50
_OWN = re.compile(r"/console/[A-Za-z0-9_./?=&%:+-]*")


def token_of(request: Request) -> str:
    """The token that the browser brings. Raises `NotAuthenticated`."""
    token = request.cookies.get(COOKIE)
    if not token:
        raise NotAuthenticated("nobody is logged in here")
    return token


def give(answer: Response, token: str) -> Response:
    """The answer with the token in its cookie, which the browser forgets when it is closed."""
    answer.set_cookie(COOKIE, token, **_KEPT)  # type: ignore[arg-type]
    return answer


def take(answer: Response) -> Response:
    """The answer that ends the cookie."""
    answer.delete_cookie(COOKIE, **_KEPT)  # type: ignore[arg-type]
    return answer


def check_origin(request: Request) -> None:
    """Raises `Forbidden` for a request that no page of this site made."""
    said = urlsplit(request.headers.get("origin", ""))
    if (said.scheme, said.netloc) != (request.url.scheme, request.headers.get("host")):
        raise Forbidden("this did not come from a page of this site, so it is not done")


def form_of(request: Request, body: bytes) -> dict[str, str]:
    """The fields of a form; of one that comes twice the last. Raises `InputError`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind != _FORM and body:
            raise ValueError(kind)
        fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError as error:
        raise InputError("the form can't be read:", [Fault("body", repr(str(error))[:80], f"{_FORM} in UTF-8")]) from error
    return {name: values[-1] for name, values in fields.items()}


def way_in(request: Request) -> str:
    """The login page's address, which knows where the browser wanted to go."""
    wanted = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return f"{PATH}?next={quote(wanted, safe='/')}" if request.method == "GET" and own_path(wanted) else PATH


def own_path(wanted: str) -> str | None:
    """`wanted`, if it is an address of the console's pages: nobody is sent anywhere else."""
    return wanted if _OWN.fullmatch(wanted) and not wanted.startswith((PATH, "/console/feeds")) else None
