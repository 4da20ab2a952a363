"""The server: one listening socket of one process, and the clock that its connections are held to.

What a connection does stands in `connection`, what it may do in `gate`, what it hands over in
`responder`. Several workers each have a server of their own on a shared port (`loop.listen`).
"""

import asyncio
import socket

from .connection import Connection
from .gate import READING_BODY, Gate
from .limits import Limits
from .loop import BACKLOG
from .responder import Call, Handler, Request, Responder
from .turn import Turn

__all__ = ["Call", "Handler", "Request", "Responder", "Server"]


class Server:
    """Make it in the loop that will run it. `turn`: the one of the client pool that answers come from."""

    def __init__(self, handler: Handler, limits: Limits | None = None, turn: Turn | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits or Limits()
        self._gate = Gate(handler, self._limits, turn or Turn(), self._loop)
        self._listening: asyncio.AbstractServer | None = None
        self._sweeping: asyncio.TimerHandle | None = None

    @property
    def connections(self) -> int:
        return len(self._gate.members)

    async def start(self, sock: socket.socket) -> None:
        """Accepts connections on a socket of `loop.listen`."""
        gate = self._gate
        self._listening = await self._loop.create_server(lambda: Connection(gate), sock=sock, backlog=BACKLOG)
        self._sweep_at(self._loop.time())

    async def stop(self, drain_s: float) -> bool:
        """Accepts no more, closes idle connections, waits for calls under way; then cuts what is left.

        Returns whether every call could finish.
        """
        gate = self._gate
        gate.draining = True
        if self._listening is not None:
            self._listening.close()
        for member in tuple(gate.members):
            member.keep = False
            if member.state <= READING_BODY:
                member.close()
        finished = True
        if gate.members:
            gate.emptied.clear()
            try:
                async with asyncio.timeout(drain_s):
                    await gate.emptied.wait()
            except TimeoutError:
                finished = False
        for member in tuple(gate.members):
            member.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()
        return finished

    def _sweep_at(self, when: float) -> None:
        """Ticks stand still while the loop does, and do not drift while it runs."""
        when = max(when + self._limits.sweep_ms / 1000, self._loop.time())
        self._sweeping = self._loop.call_at(when, self._sweep, when)

    def _sweep(self, when: float) -> None:
        self._gate.sweep()
        self._sweep_at(when)
