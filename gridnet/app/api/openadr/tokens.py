"""OAuth 2 client credentials (RFC 6749, section 4.4), at the place where OpenADR 3.1 lets clients discover it."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import JSONResponse

from gridnet.app.api.openadr.access import SCOPES
from gridnet.app.service.errors import NotAuthenticated
from gridnet.app.service.service import Service

_NO_STORE = {"Cache-Control": "no-store"}
_MOST_FIELDS = 20


async def read_form(request: Request) -> Mapping[str, str]:
    """The fields of a form, and a client's name and secret from its Basic authorization."""
    text = (await request.body()).decode("latin-1")
    try:
        fields = dict(parse_qsl(text, max_num_fields=_MOST_FIELDS))
        scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            client, _, secret = base64.b64decode(credentials, validate=True).decode().partition(":")
            fields |= {"client_id": client, "client_secret": secret}
    except (ValueError, binascii.Error):
        return {}
    return fields


Form = Annotated[Mapping[str, str], Depends(read_form)]


def add_tokens(router: APIRouter, service: Service) -> None:
    """`/auth/server` and `/auth/token`."""

    def server(request: Request) -> Response:
        return JSONResponse({"tokenURL": f"{str(request.base_url).rstrip('/')}{router.prefix}/auth/token"})

    def token(form: Form) -> Response:
        if form.get("grant_type") != "client_credentials":
            return _refused(400, "unsupported_grant_type" if form.get("grant_type") else "invalid_request")
        try:
            bearer, lives_s = service.people.issue_token(form.get("client_id", ""), form.get("client_secret", ""))
        except NotAuthenticated as error:
            return _refused(401, "invalid_client", str(error))
        granted = SCOPES[service.people.by_token(bearer).role]
        asked = form.get("scope", "").split()
        if not set(asked) <= set(granted):
            return _refused(400, "invalid_scope", f"this client may have: {' '.join(granted)}")
        told = {"access_token": bearer, "token_type": "Bearer", "expires_in": lives_s, "scope": " ".join(asked or granted)}
        return JSONResponse(told, headers=_NO_STORE)

    router.add_api_route("/auth/server", server, methods=["GET"])
    router.add_api_route("/auth/token", token, methods=["POST"])


def _refused(status: int, error: str, description: str = "") -> Response:
    told: dict[str, Any] = {"error": error} | ({"error_description": description} if description else {})
    headers = _NO_STORE | ({"WWW-Authenticate": 'Basic realm="gridnet"'} if status == 401 else {})
    return JSONResponse(told, status, headers)
