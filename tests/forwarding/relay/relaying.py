"""Sessions under relay, for every engine: both outer ends in the test's hands."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field

import trio

from dbambassador.forwarding.relay import epoll_engine
from dbambassador.forwarding.relay.engine import Carried, Engine, How, Link, Tap
from dbambassador.forwarding.relay.stream_relay import StreamRelay

RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Ends = tuple[socket.socket, socket.socket]
"""The outer end of a connection, and the one that an engine gets. Neither blocks."""
MakePair = Callable[[], Ends]
MakeEngine = Callable[[], AbstractAsyncContextManager[Engine]]


@asynccontextmanager
async def stream_relay() -> AsyncIterator[Engine]:
    async with trio.open_nursery() as sessions:
        yield StreamRelay(sessions)


@asynccontextmanager
async def epoll() -> AsyncIterator[Engine]:
    with epoll_engine.running() as engine:
        yield engine


ENGINES: dict[str, MakeEngine] = {"stream": stream_relay, "epoll": epoll}


def tcp_pair() -> Ends:
    """A connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outer = socket.create_connection(listener.getsockname())
        inner, _ = listener.accept()
    for end in (outer, inner):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        end.setblocking(False)
    return outer, inner


def unix_pair() -> Ends:
    outer, inner = socket.socketpair()
    for end in (outer, inner):
        end.setblocking(False)
    return outer, inner


PAIRS: dict[str, MakePair] = {"tcp": tcp_pair, "unix": unix_pair}


def as_stream(end: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(end))


@dataclass
class Relayed:
    """A session under relay."""

    client: trio.SocketStream
    server: trio.SocketStream
    link: Link
    ended: trio.Event = field(default_factory=trio.Event)
    server_ended: trio.Event = field(default_factory=trio.Event)
    server_endings: int = 0
    """How often the engine told of the server's end."""
    outcomes: list[How | Exception] = field(default_factory=list)
    """What the engine told of the session's end: one, once it ended."""
    carried: Carried | None = None

    @property
    def outcome(self) -> How | Exception:
        (outcome,) = self.outcomes
        return outcome

    def cut(self) -> None:
        assert self.carried is not None
        self.carried.cut()

    def over(self, outcome: How | Exception) -> None:
        trio.lowlevel.current_task()  # fails elsewhere than in trio's thread
        self.outcomes.append(outcome)
        if self.link.client.fileno() == self.link.server.fileno() == -1:
            self.ended.set()

    def note_server_end(self) -> None:
        trio.lowlevel.current_task()
        self.server_endings += 1
        self.server_ended.set()


@asynccontextmanager
async def relayed(
    engine: Engine,
    pair: MakePair,
    *,
    to_server: bytes = b"",
    to_client: bytes = b"",
    tap: Tap | None = None,
    before: Callable[[Relayed], None] | None = None,
) -> AsyncIterator[Relayed]:
    """One session, which is cut at the end. `before` is called when its sockets are there and the engine has
    not got them yet."""
    client, inner_client = pair()
    server, inner_server = pair()
    link = Link(
        inner_client,
        inner_server,
        to_server,
        to_client,
        tap,
        on_server_end=lambda: session.note_server_end(),
    )
    session = Relayed(as_stream(client), as_stream(server), link)
    if before is not None:
        before(session)
    with trio.fail_after(20):
        async with session.client, session.server:
            session.carried = engine.carry(link, session.over)
            try:
                yield session
            finally:
                session.cut()
                with trio.move_on_after(5, shield=True):
                    await session.ended.wait()
            assert len(session.outcomes) == 1


async def read_all(stream: trio.SocketStream) -> bytes:
    """All up to the end of stream."""
    chunks = []
    while chunk := await stream.receive_some(65536):
        chunks.append(chunk)
    return b"".join(chunks)


async def read_rest(stream: trio.SocketStream) -> tuple[bytes, bool]:
    """All up to the end of stream or a reset; true for the reset."""
    chunks = []
    try:
        while chunk := await stream.receive_some(65536):
            chunks.append(chunk)
    except trio.BrokenResourceError as broken:
        if not isinstance(broken.__cause__, ConnectionResetError):
            raise
        return b"".join(chunks), True
    return b"".join(chunks), False


async def fill(stream: trio.SocketStream, pattern: bytes = bytes(1 << 16)) -> int:
    """Sends the pattern again and again until nothing more is taken; gives the number of bytes taken."""
    taken = 0
    while True:
        with trio.move_on_after(0.1) as waiting:
            await trio.lowlevel.wait_writable(stream.socket)
        if waiting.cancelled_caught:
            return taken
        try:
            taken += send_now(stream, memoryview(pattern)[taken % len(pattern) :])
        except BlockingIOError:
            continue


def send_now(stream: trio.SocketStream, data: bytes | memoryview, *, urgent: bool = False) -> int:
    """Sends what the kernel takes at once, and gives its size."""
    with socket.socket(fileno=os.dup(stream.socket.fileno())) as end:
        end.setblocking(False)
        return end.send(data, socket.MSG_OOB if urgent else 0)


def reset(stream: trio.SocketStream) -> None:
    """Closes with a reset."""
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_ON_CLOSE)
    stream.socket.close()
