"""`/s2/{device}`: the WebSocket that a device's resource manager connects to, with a bearer token."""

from __future__ import annotations

import asyncio
import contextlib

from anyio import to_thread
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from s2python.message import S2Message

from gridnet.app.api.identity import identify
from gridnet.app.api.s2.session import Session
from gridnet.app.service.errors import NotFound
from gridnet.app.service.model import Device, Principal
from gridnet.app.service.service import Service
from gridnet.errors import GridnetError

LOOK_EVERY_S = 2.0
"""How often a connection looks for another setpoint."""
MOST_CHARACTERS = 256 * 1024
_MOST_WAITING = 32
_REFUSED, _TOO_LONG = 1008, 1009


def make_router(service: Service) -> APIRouter:
    """The CEM's side of S2."""
    router = APIRouter(tags=["S2"])

    @router.websocket("/s2/{device}")
    async def connect(socket: WebSocket, device: str) -> None:
        try:
            authorization = socket.headers.get("authorization", "")
            by = await to_thread.run_sync(identify, service, socket.scope, authorization)
            owned = await to_thread.run_sync(service.devices.get, by, device)
        except GridnetError:
            # Closed before it is accepted, this is an HTTP 403: nobody learns which of both it was.
            await socket.close(_REFUSED)
            return
        await socket.accept()
        await _Connection(service, socket, by, owned).run()

    return router


class _Connection:
    """Carries a session's messages."""

    def __init__(self, service: Service, socket: WebSocket, by: Principal, device: Device) -> None:
        self._service = service
        self._socket = socket
        self._by = by
        self._session = Session(service, by, device)
        self._texts: asyncio.Queue[str | None] = asyncio.Queue(_MOST_WAITING)

    async def run(self) -> None:
        """Until either side ends it."""
        reading = asyncio.create_task(self._read())
        try:
            await self._talk()
        except GridnetError:
            # The device is gone, or its owner may no longer speak for it.
            with contextlib.suppress(RuntimeError):
                await self._socket.close(_REFUSED)
        except WebSocketDisconnect:
            pass
        finally:
            reading.cancel()

    async def _talk(self) -> None:
        await self._send(self._session.opened())
        while not self._session.ended:
            try:
                text = await asyncio.wait_for(self._texts.get(), LOOK_EVERY_S)
            except TimeoutError:
                await to_thread.run_sync(_still_known, self._service, self._by)
            else:
                if text is None:
                    return
                if len(text) > MOST_CHARACTERS:
                    await self._socket.close(_TOO_LONG)
                    return
                await self._send(await to_thread.run_sync(self._session.received, text))
            await self._send(await to_thread.run_sync(self._session.due))
        await self._socket.close()

    async def _read(self) -> None:
        try:
            while True:
                await self._texts.put(await self._socket.receive_text())
        except (WebSocketDisconnect, KeyError):
            # A frame of bytes has no text: S2 has none of them.
            await self._texts.put(None)

    async def _send(self, messages: list[S2Message]) -> None:
        for message in messages:
            await self._socket.send_text(message.to_json())


def _still_known(service: Service, by: Principal) -> None:
    """A connection outlives its token, but not its owner's right to it. Raises `NotAuthenticated`."""
    if by.lfdi is not None:
        service.people.by_certificate(by.lfdi)
        return
    if service.people.get(by, by.id).revoked:
        raise NotFound(f"{by.id} was revoked")
