"""Registers over Modbus TCP: on loopback alone, for Modbus knows no credentials."""

from __future__ import annotations

import asyncio
import threading
from typing import Any, Self

from pymodbus.constants import ExcCodes
from pymodbus.server import ModbusTcpServer
from pymodbus.simulator import DataType, SimData, SimDevice

from gridnet.app.device.registers import BASE, Registers
from gridnet.errors import Fault, InputError

LOOPBACK = "127.0.0.1"
_ANY_UNIT = 0
_STARTING_S = 10.0


class ModbusServer:
    """Serves one map in a thread of its own. A context manager; `port` is known inside it."""

    def __init__(self, registers: Registers, port: int) -> None:
        """`port`: 0 for any that is free."""
        self._registers = registers
        self.port = port
        self._loop = asyncio.new_event_loop()
        self._ready, self._stop = threading.Event(), asyncio.Event()
        self._problem: str | None = None
        self._thread = threading.Thread(target=self._run, name="modbus", daemon=True)

    def __enter__(self) -> Self:
        """Raises `InputError` where the port is taken."""
        self._thread.start()
        if not self._ready.wait(_STARTING_S) or self._problem is not None:
            raise InputError(
                "the registers can't be served:", [Fault("Modbus port", str(self.port), self._problem or "a free one")]
            )
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(_STARTING_S)

    @property
    def address(self) -> str:
        """Where it is served."""
        return f"{LOOPBACK}:{self.port}"

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        words = self._registers.read(BASE, self._registers.end - BASE)
        block = SimData(BASE, values=list(words), datatype=DataType.REGISTERS)
        server = ModbusTcpServer(SimDevice(_ANY_UNIT, [block], action=self._access), address=(LOOPBACK, self.port))
        try:
            await server.serve_forever(background=True)
        except RuntimeError:
            self._problem = "a free one"
            self._ready.set()
            return
        listening: Any = server.transport  # asyncio's server, which pymodbus types as the transport of a connection
        self.port = listening.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        await server.shutdown()  # type: ignore[no-untyped-call]

    async def _access(self, function: int, start: int, address: int, count: int, *held: Any) -> ExcCodes | None:
        """What pymodbus calls at each request with its copy of the words, which begins at `start`, and what shall be written:
        brings the copy up to date, or writes."""
        words, written = held
        if written is not None and not self._registers.write(address, [int(each) for each in written]):
            return ExcCodes.ILLEGAL_ADDRESS
        words[address - start : address - start + count] = self._registers.read(address, count)
        return None
