"""A small TCP proxy: the network between a worker and its server, to be cut, slowed and held up."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any


class Network:
    """The loop, in a thread, in which all gates live."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()

    def gate(self, port: int) -> Gate:
        """A way to *port* of this machine."""
        gate = Gate(self, port)
        self.run(gate.listen())
        return gate

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)

    def soon(self, change: Callable[[], None]) -> None:
        async def changed() -> None:
            change()

        self.run(changed())

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)


class Gate:
    """One port of the proxy, and all connections that go through it."""

    def __init__(self, network: Network, target: int) -> None:
        self._network = network
        self._target = target
        self._wires: set[_Wire] = set()
        self._open = True
        self.delay = 0.0
        self.flowing: asyncio.Event
        self.port = 0

    async def listen(self) -> None:
        self.flowing = asyncio.Event()
        self.flowing.set()
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]

    def cut(self) -> None:
        """Every connection is reset, and new ones are refused."""

        def change() -> None:
            self._open = False
            self._reset()

        self._network.soon(change)

    def reset(self) -> None:
        """Every connection is reset; new ones may come."""
        self._network.soon(self._reset)

    def slow(self, seconds: float) -> None:
        """Every message takes so much longer, in seconds."""
        self._network.soon(lambda: setattr(self, "delay", seconds))

    def hold(self) -> None:
        """Nothing arrives any more, in either direction; neither side sees an error."""
        self._network.soon(lambda: self.flowing.clear())

    def forget(self) -> None:
        """Open connections are silent for ever, without an error; new ones work. A firewall
        that has forgotten connections does the same."""

        def change() -> None:
            for wire in self._wires:
                wire.silent = True

        self._network.soon(change)

    def heal(self) -> None:
        """All is well again."""

        def change() -> None:
            self._open = True
            self.delay = 0.0
            self.flowing.set()

        self._network.soon(change)

    def _reset(self) -> None:
        for wire in list(self._wires):
            wire.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._open:
            writer.transport.abort()
            return
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        wire = _Wire(self, (reader, writer), (there, back))
        self._wires.add(wire)
        try:
            await wire.carry()
        finally:
            self._wires.discard(wire)


class _Wire:
    """One connection."""

    def __init__(self, gate: Gate, near: Any, far: Any) -> None:
        self._gate = gate
        self._near, self._far = near, far
        self.silent = False

    async def carry(self) -> None:
        ways = [
            asyncio.ensure_future(self._pump(self._near[0], self._far[1])),
            asyncio.ensure_future(self._pump(self._far[0], self._near[1])),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        for _, writer in (self._near, self._far):
            writer.close()

    def abort(self) -> None:
        for _, writer in (self._near, self._far):
            writer.transport.abort()

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65_536):
                if self._gate.delay:
                    await asyncio.sleep(self._gate.delay)
                await self._gate.flowing.wait()
                if self.silent:
                    continue
                writer.write(data)
                await writer.drain()
            await self._gate.flowing.wait()  # nor does an end arrive
        except OSError:
            pass
