"""OAuth2 client credentials (RFC 6749, section 4.4): the one issuer of tokens, OpenADR's too."""

from __future__ import annotations

import base64
import binascii
from urllib.parse import parse_qs, unquote_plus

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse

from gridnet.app.api.identity import service_of
from gridnet.app.api.schemas import TokenOut
from gridnet.app.service.errors import NotAuthenticated

router = APIRouter(tags=["tokens"])
_FORM = {
    "requestBody": {
        "content": {
            "application/x-www-form-urlencoded": {
                "schema": {
                    "type": "object",
                    "required": ["grant_type"],
                    "properties": {
                        "grant_type": {"const": "client_credentials"},
                        "client_id": {"type": "string"},
                        "client_secret": {"type": "string"},
                    },
                }
            }
        }
    }
}


@router.post(
    "/oauth/token",
    summary="A bearer token",
    response_model=TokenOut,
    responses={400: {"description": "invalid_request or unsupported_grant_type"}, 401: {"description": "invalid_client"}},
    openapi_extra=_FORM,
)
async def token(request: Request) -> JSONResponse:
    """For a client id and secret, in the form or as HTTP Basic. It lives for 15 minutes."""
    return await issue(request)


async def issue(request: Request) -> JSONResponse:
    """The answer to a request for a token, at whatever address."""
    body = await request.body()
    try:
        form = {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=20).items()}
        client, secret = _credentials(request, form)
    except ValueError:
        return _refused(400, "invalid_request")
    if form.get("grant_type") != "client_credentials":
        return _refused(400, "unsupported_grant_type" if "grant_type" in form else "invalid_request")
    try:
        made, lives_s = await to_thread.run_sync(service_of(request).people.issue_token, client, secret)
    except NotAuthenticated:
        return _refused(401, "invalid_client")
    answer = {"access_token": made, "token_type": "Bearer", "expires_in": lives_s}
    return JSONResponse(answer, headers={"cache-control": "no-store"})


def _credentials(request: Request, form: dict[str, str]) -> tuple[str, str]:
    """Raises `ValueError`."""
    kind, _, basic = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client, _, secret = base64.b64decode(basic, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError) as error:
        raise ValueError(basic) from error
    return unquote_plus(client), unquote_plus(secret)


def _refused(status: int, error: str) -> JSONResponse:
    headers = {"cache-control": "no-store"} | ({"www-authenticate": 'Basic realm="gridnet"'} if status == 401 else {})
    return JSONResponse({"error": error}, status, headers=headers)
