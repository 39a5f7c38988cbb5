"""Who asks: a bearer token, or a client certificate of this service's authority, taken from the connection itself.

A header that names a certificate is never looked at: whoever reaches the port could write one.
"""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from fastapi.security import HTTPBearer
from uvicorn.protocols.http.h11_impl import H11Protocol

from gridnet.app.service.authority import lfdi_of
from gridnet.app.service.errors import NotAuthenticated
from gridnet.app.service.model import Principal
from gridnet.app.service.service import Service

TLS = "tls"
BEARER = HTTPBearer(auto_error=False, description="a token of /oauth/token; devices may come with a client certificate instead")


class CertificateProtocol(H11Protocol):
    """uvicorn's HTTP/1.1, with the certificate that the client came with in each request's scope."""

    def connection_made(self, transport: Any) -> None:
        """Notes the certificate, which TLS has verified."""
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = None if tls is None else tls.getpeercert(binary_form=True)
        if certificate is not None:
            lfdi, served = lfdi_of(certificate), self.app

            async def with_certificate(scope: Any, receive: Any, send: Any) -> None:
                scope["extensions"] = {**scope.get("extensions", {}), TLS: {"client_lfdi": lfdi}}
                await served(scope, receive, send)

            self.app = with_certificate


def service_of(request: Request) -> Service:
    """The service that the application was made for."""
    service = request.app.state.service
    assert isinstance(service, Service)
    return service


def principal_of(request: Request, _: Annotated[object, Depends(BEARER)] = None) -> Principal:
    """Whoever asks, and one request more of theirs, with whatever token. Raises `NotAuthenticated`, `TooMany`."""
    principal = known_principal(request)
    request.app.state.rates.take(principal.id)
    return principal


def known_principal(request: Request) -> Principal:
    """Whoever asks, in the course of a request that was counted already. Raises `NotAuthenticated`."""
    return identify(service_of(request), request.scope, request.headers.get("authorization", ""))


def identify(service: Service, scope: Any, authorization: str) -> Principal:
    """The same from a connection's scope and its Authorization header, for WebSockets too. Raises `NotAuthenticated`."""
    kind, _, token = authorization.partition(" ")
    if kind.lower() == "bearer" and token:
        return service.people.by_token(token.strip())
    lfdi = scope.get("extensions", {}).get(TLS, {}).get("client_lfdi")
    if lfdi is None:
        raise NotAuthenticated("no credentials: bring a bearer token or a client certificate")
    return service.people.by_certificate(lfdi)


async def _serving(request: Request) -> Service:
    # `async`, so that no thread is taken for it.
    return service_of(request)


Serving = Annotated[Service, Depends(_serving)]
