"""The relay engine on trio's loop: two tasks for each session. It needs nothing but sockets.

Each task reads without waiting first and asks the loop only when the kernel has nothing, which costs half of
what a stream's `receive_some` and `send_all` do. One buffer serves all sessions: nothing waits between a read
into it and the copy of what could not be sent at once.
"""

from __future__ import annotations

import socket
import struct
from enum import Enum

import trio

from dbambassador.forwarding.engine import How, Link, Tap

BUFFER = 64 * 1024
BURST = 16
"""Reads in a row before other tasks get their turn: 1 MiB at most."""
READ_OUT_LIMIT = 5.0
"""Seconds for which a side whose other direction broke may still deliver what it had sent before."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _End(Enum):
    """How one direction ended."""

    EOF = "end of stream"
    SOURCE_RESET = "source reset"
    SINK_RESET = "sink reset"
    REFUSED = "refused"


_SERVER_ENDS = (_End.EOF, _End.SOURCE_RESET)
"""Ends of the server's direction that the server brought about."""


class StreamRelay:
    """An `Engine` on trio's own loop."""

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(BUFFER))

    async def relay(self, link: Link) -> How:
        session = _Session(self._buffer, link)
        try:
            return await session.run()
        finally:
            session.close()


class _Direction:
    """One of a session's two ways."""

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes, tap: Tap | None) -> None:
        self.source = source
        self.sink = sink
        self.first = first
        self.tap = tap
        self.end: _End | None = None


class _Session:
    def __init__(self, buffer: memoryview, link: Link) -> None:
        self._buffer = buffer
        # From here on plain sockets: trio's would take a turn of its loop for each read and each write.
        self._client = socket.socket(fileno=link.client.socket.detach())
        self._server = socket.socket(fileno=link.server.socket.detach())
        for side in (self._client, self._server):
            side.setblocking(False)
        self._to_server = _Direction(self._client, self._server, link.to_server, None)
        self._to_client = _Direction(self._server, self._client, link.to_client, link.tap)
        self._traffic = link.traffic
        self._traffic.server = self._server
        self._on_server_end = link.on_server_end or (lambda: None)
        self._ended: list[_Direction] = []
        self._orderly = False

    async def run(self) -> How:
        async with trio.open_nursery() as nursery:
            for direction in (self._to_server, self._to_client):
                nursery.start_soon(self._carry, direction, nursery.cancel_scope)
        self._orderly = all(direction.end is _End.EOF for direction in self._ended) or self._refused
        return self._how()

    @property
    def _refused(self) -> bool:
        return self._to_client.end is _End.REFUSED

    def close(self) -> None:
        """Closes both sockets; unless the session ended in order, with a reset to whoever is still there."""
        self._traffic.server = None
        for side in (self._client, self._server):
            if not self._orderly:
                side.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            trio.lowlevel.notify_closing(side)
            side.close()

    def _how(self) -> How:
        first = self._ended[0]
        client_first = first is self._to_server
        if first.end is _End.REFUSED:
            return How.REFUSED
        if first.end is _End.EOF:
            return How.CLIENT_CLOSED if client_first else How.SERVER_CLOSED
        lost_client = client_first == (first.end is _End.SOURCE_RESET)
        return How.CLIENT_RESET if lost_client else How.SERVER_RESET

    async def _carry(self, direction: _Direction, session: trio.CancelScope) -> None:
        end = await self._until_end(direction)
        direction.end = end
        self._ended.append(direction)
        if self._ended[0] is self._to_client and len(self._ended) == 1 and end in _SERVER_ENDS:
            self._on_server_end()
        if end is _End.EOF:
            other = self._ended[0]
            if other is not direction and other.end is _End.SINK_RESET:
                return  # that socket is reset: an end of stream would tell its peer all was well
            try:
                direction.sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # gone by itself: its own direction tells
        elif end is _End.SINK_RESET:
            # What the sink's peer sent before it broke may still be unread: the other direction reads it out.
            session.deadline = trio.current_time() + READ_OUT_LIMIT
        else:
            session.cancel()

    async def _until_end(self, direction: _Direction) -> _End:
        try:
            if direction.first:
                await self._send(direction, direction.first)
        except OSError:
            return _End.SINK_RESET
        burst = 0
        while True:
            try:
                count = direction.source.recv_into(self._buffer)
            except BlockingIOError:
                burst = 0
                await trio.lowlevel.wait_readable(direction.source)
                continue
            except OSError:
                return _End.SOURCE_RESET
            if count == 0:
                return _End.EOF
            try:
                if direction.tap is None:
                    await self._send_buffer(direction, count)
                elif await self._send_tapped(direction, count):
                    return _End.REFUSED
            except OSError:
                return _End.SINK_RESET
            burst += 1
            if burst == BURST:
                burst = 0
                await trio.lowlevel.checkpoint()

    async def _send_buffer(self, direction: _Direction, count: int) -> None:
        """Sends what lies in the shared buffer, which is free again at the first wait."""
        try:
            sent = direction.sink.send(self._buffer[:count])
        except BlockingIOError:
            sent = 0
        self._count(direction, sent)
        if sent < count:
            await self._send(direction, bytes(self._buffer[sent:count]))

    async def _send_tapped(self, direction: _Direction, count: int) -> bool:
        assert direction.tap is not None
        tapped = direction.tap(bytes(self._buffer[:count]))
        if tapped.done or tapped.refuse:
            direction.tap = None
        if tapped.forward:
            await self._send(direction, tapped.forward)
        return tapped.refuse

    async def _send(self, direction: _Direction, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                sent = direction.sink.send(rest)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(direction.sink)
                continue
            self._count(direction, sent)
            rest = rest[sent:]

    def _count(self, direction: _Direction, sent: int) -> None:
        if direction is self._to_server:
            self._traffic.to_server += sent
        else:
            self._traffic.to_client += sent
