"""Sessions under relay, for every engine: both outer ends in the test's hands."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field

import trio

from dbambassador.forwarding import epoll_engine
from dbambassador.forwarding.engine import Engine, How, Link, Tap
from dbambassador.forwarding.stream_relay import StreamRelay

RESET_ON_CLOSE = struct.pack("ii", 1, 0)

Pair = tuple[trio.SocketStream, trio.SocketStream]
MakePair = Callable[[], Awaitable[Pair]]
MakeEngine = Callable[[], AbstractContextManager[Engine]]


@contextmanager
def stream_relay() -> Iterator[Engine]:
    yield StreamRelay()


ENGINES: dict[str, MakeEngine] = {"stream": stream_relay, "epoll": epoll_engine.running}


async def tcp_pair() -> Pair:
    outer, inner = connected_tcp()
    return as_stream(outer), as_stream(inner)


async def unix_pair() -> Pair:
    outer, inner = socket.socketpair()
    return as_stream(outer), as_stream(inner)


PAIRS: dict[str, MakePair] = {"tcp": tcp_pair, "unix": unix_pair}


def connected_tcp() -> tuple[socket.socket, socket.socket]:
    """Two ends of a connection over loopback."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        outer = socket.create_connection(listener.getsockname())
        inner, _ = listener.accept()
    for end in (outer, inner):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return outer, inner


def as_stream(end: socket.socket) -> trio.SocketStream:
    return trio.SocketStream(trio.socket.from_stdlib_socket(end))


@dataclass
class Relayed:
    """A session under relay."""

    client: trio.SocketStream
    server: trio.SocketStream
    link: Link
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    server_ended: trio.Event = field(default_factory=trio.Event)
    server_endings: int = 0
    """How often the engine told of the server's end."""
    how: How | None = None

    def note_server_end(self) -> None:
        trio.lowlevel.current_task()  # fails elsewhere than in trio's thread
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
    """One session. `before` is called when its sockets are there and the engine has not got them yet."""
    client, inner_client = await pair()
    server, inner_server = await pair()
    link = Link(
        inner_client,
        inner_server,
        to_server,
        to_client,
        tap,
        on_server_end=lambda: session.note_server_end(),
    )
    session = Relayed(client, server, link)
    if before is not None:
        before(session)

    async def relay() -> None:
        with session.scope:
            session.how = await engine.relay(link)
        session.ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, client, server:
            nursery.start_soon(relay)
            yield session
            session.scope.cancel()


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
