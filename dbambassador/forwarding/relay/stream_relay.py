"""The relay engine on trio's loop: two tasks for each session. It needs nothing but sockets.

Each task reads without waiting first and asks the loop only when the kernel has nothing, which costs half of
what a stream's `receive_some` and `send_all` do. One buffer serves all sessions: nothing waits between a read
into it and the copy of what could not be sent at once.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import suppress
from time import monotonic

import trio

from dbambassador.forwarding.relay.endings import READ_OUT_LIMIT, End, Endings, Then
from dbambassador.forwarding.relay.engine import Carried, How, Link, Over, Tap, Work
from dbambassador.transport.dial import reset_on_close

BUFFER = 64 * 1024
BURST = 16
"""Reads in a row before other tasks get their turn: 1 MiB at most."""


class StreamRelay:
    """An `Engine` on trio's own loop."""

    def __init__(self, sessions: trio.Nursery) -> None:
        """Sessions run in the given nursery."""
        self._sessions = sessions
        self._buffer = memoryview(bytearray(BUFFER))

    def carry(self, link: Link, over: Over) -> Carried:
        session = _Session(self._buffer, link)
        self._sessions.start_soon(session.run, over, name="relay")
        return session

    async def settle(self) -> None:
        await trio.lowlevel.checkpoint()  # it has told already

    def silence(self) -> float:
        return 0.0  # it has no other loop than that of who asks

    def work(self) -> Work | None:
        return None


class _Direction:
    """One of a session's two ways."""

    def __init__(self, source: socket.socket, sink: socket.socket, first: bytes, tap: Tap | None) -> None:
        self.source = source
        self.sink = sink
        self.send: Callable[[bytes | memoryview], int] = sink.send
        self.first = first
        self.tap = tap


class _Session:
    def __init__(self, buffer: memoryview, link: Link) -> None:
        self._buffer = buffer
        self._client = link.client
        self._server = link.server
        self._to_server = _Direction(self._client, self._server, link.to_server, None)
        self._to_client = _Direction(self._server, self._client, link.to_client, link.tap)
        self._traffic = link.traffic
        self._traffic.server = self._server
        self._on_server_end = link.on_server_end or (lambda: None)
        self._endings = Endings()
        self._scope = trio.CancelScope()
        self._outcome: How | Exception = How.CUT

    def cut(self) -> None:
        self._scope.cancel()

    async def run(self, over: Over) -> None:
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    for direction in (self._to_server, self._to_client):
                        nursery.start_soon(self._carry, direction, nursery.cancel_scope)
                self._outcome = self._endings.how
        except* Exception as bugs:  # a session's failure stays in the session
            self._outcome = bugs.exceptions[0]
        finally:
            self._close()
            over(self._outcome)

    def _close(self) -> None:
        """Closes both sockets; unless the session ended in order, with a reset to whoever is still there."""
        self._traffic.server = None
        self._traffic.ended_at = monotonic()
        orderly = isinstance(self._outcome, How) and self._outcome is not How.CUT and self._endings.orderly
        for side in (self._client, self._server):
            if not orderly:
                reset_on_close(side, True)
            trio.lowlevel.notify_closing(side)
            side.close()

    async def _carry(self, direction: _Direction, session: trio.CancelScope) -> None:
        end = await self._until_end(direction)
        first = not self._endings.begun
        then = self._endings.note(end, of_client=direction is self._to_server)
        if first and self._endings.server_left_first:
            self._on_server_end()
        if then is Then.PASS_ON:
            try:
                direction.sink.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # gone by itself: its own direction tells
        elif then is Then.READ_OUT:
            session.deadline = trio.current_time() + READ_OUT_LIMIT
        elif then is Then.DISCARD:
            for side in (self._client, self._server):
                with suppress(OSError):  # gone by itself
                    side.shutdown(socket.SHUT_WR)
            session.deadline = trio.current_time() + READ_OUT_LIMIT
        else:
            session.cancel()

    async def _until_end(self, direction: _Direction) -> End:
        try:
            if direction.first:
                await self._send(direction, direction.first)
        except OSError:
            return End.SINK_RESET
        burst = 0
        while True:
            try:
                count = direction.source.recv_into(self._buffer)
            except BlockingIOError:
                burst = 0
                await trio.lowlevel.wait_readable(direction.source)
                continue
            except OSError:
                return End.SOURCE_RESET
            if count == 0:
                return End.EOF
            try:
                if direction.tap is None:
                    await self._send_buffer(direction, count)
                elif await self._send_tapped(direction, count):
                    return End.REFUSED
            except OSError:
                return End.SINK_RESET
            burst += 1
            if burst == BURST:
                burst = 0
                await trio.lowlevel.checkpoint()

    async def _send_buffer(self, direction: _Direction, count: int) -> None:
        """Sends what lies in the shared buffer, which is free again at the first wait."""
        try:
            sent = direction.send(self._buffer[:count])
        except BlockingIOError:
            sent = 0
        self._count(direction, sent)
        if sent < count:
            await self._send(direction, bytes(self._buffer[sent:count]))

    async def _send_tapped(self, direction: _Direction, count: int) -> bool:
        assert direction.tap is not None
        tapped = direction.tap(bytes(self._buffer[:count]))
        if tapped.tell is not None:
            tapped.tell()
        if tapped.done or tapped.refuse:
            direction.tap = None
        if tapped.refuse:
            self._to_server.send = len  # whatever the client says now, nobody hears
        if tapped.forward:
            await self._send(direction, tapped.forward)
        return tapped.refuse

    async def _send(self, direction: _Direction, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            try:
                sent = direction.send(rest)
            except BlockingIOError:
                await trio.lowlevel.wait_writable(direction.sink)
                continue
            self._count(direction, sent)
            rest = rest[sent:]

    def _count(self, direction: _Direction, sent: int) -> None:
        self._traffic.asked = direction is self._to_server
        if self._traffic.asked:
            self._traffic.to_server += sent
        else:
            self._traffic.to_client += sent
        if self._traffic.still:
            self._traffic.move()
