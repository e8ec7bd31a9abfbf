"""The conformance suite of a relay engine, over real socket pairs of both kinds."""

from __future__ import annotations

import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from random import Random

import pytest
import trio
import trio.testing

from dbambassador.forwarding.engine import How, Link, Tap, Tapped
from dbambassador.forwarding.stream_relay import StreamRelay

Pair = tuple[trio.SocketStream, trio.SocketStream]


async def tcp_pair() -> Pair:
    listener = (await trio.open_tcp_listeners(0, host="127.0.0.1"))[0]
    async with listener:
        outer = await trio.open_tcp_stream(*listener.socket.getsockname())
        return outer, await listener.accept()


async def unix_pair() -> Pair:
    outer, inner = trio.socket.socketpair()
    return trio.SocketStream(outer), trio.SocketStream(inner)


@pytest.fixture(params=[tcp_pair, unix_pair], ids=["tcp", "unix"])
def pair(request: pytest.FixtureRequest) -> Callable[[], object]:
    return request.param  # type: ignore[no-any-return]


@dataclass
class Relayed:
    """Both outer ends of a session under relay, and how it ended."""

    client: trio.SocketStream
    server: trio.SocketStream
    link: Link
    scope: trio.CancelScope = field(default_factory=trio.CancelScope)
    ended: trio.Event = field(default_factory=trio.Event)
    server_ended: trio.Event = field(default_factory=trio.Event)
    how: How | None = None


@asynccontextmanager
async def relayed(
    pair: Callable[[], object], *, to_server: bytes = b"", to_client: bytes = b"", tap: Tap | None = None
) -> AsyncIterator[Relayed]:
    client, inner_client = await pair()  # type: ignore[misc]
    server, inner_server = await pair()  # type: ignore[misc]
    server_ended = trio.Event()
    link = Link(inner_client, inner_server, to_server, to_client, tap, on_server_end=server_ended.set)
    session = Relayed(client, server, link, server_ended=server_ended)

    async def relay() -> None:
        with session.scope:
            session.how = await StreamRelay().relay(link)
        session.ended.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery, client, server:
            nursery.start_soon(relay)
            yield session
            session.scope.cancel()


async def read_all(stream: trio.SocketStream) -> bytes:
    data = b""
    while chunk := await stream.receive_some(65536):
        data += chunk
    return data


async def send_until_broken(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(b"query" * 1000)
        await trio.sleep(0.001)  # lets the other side's reset arrive


def reset(stream: trio.SocketStream) -> None:
    stream.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()


async def test_bytes_read_before_the_hand_over_come_first(pair: Callable[[], object]) -> None:
    async with relayed(pair, to_server=b"startup ", to_client=b"greeting ") as session:
        await session.client.send_all(b"query")
        await session.server.send_all(b"answer")
        await session.client.send_eof()
        await session.server.send_eof()
        assert await read_all(session.server) == b"startup query"
        assert await read_all(session.client) == b"greeting answer"
        await session.ended.wait()
        assert session.how is How.CLIENT_CLOSED
        assert (session.link.traffic.to_server, session.link.traffic.to_client) == (13, 15)


async def test_a_half_close_is_passed_on_as_one(pair: Callable[[], object]) -> None:
    async with relayed(pair) as session:
        await session.client.send_all(b"last words")
        await session.client.send_eof()
        assert await read_all(session.server) == b"last words"
        await session.server.send_all(b"still here")
        assert await session.client.receive_some(100) == b"still here"
        await session.server.send_eof()
        assert await session.client.receive_some(100) == b""
        await session.ended.wait()
        assert session.how is How.CLIENT_CLOSED


async def test_who_closes_first_is_told(pair: Callable[[], object]) -> None:
    async with relayed(pair) as session:
        await session.client.send_eof()
        assert await session.server.receive_some(1) == b""
        await session.server.send_eof()
        await session.ended.wait()
        assert session.how is How.CLIENT_CLOSED
        assert not session.server_ended.is_set()


async def test_the_servers_end_is_told_while_the_client_keeps_its_connection(
    pair: Callable[[], object],
) -> None:
    async with relayed(pair) as session:
        await session.server.send_eof()
        await session.server_ended.wait()
        assert not session.ended.is_set()
        assert await session.client.receive_some(1) == b""
        await session.client.send_eof()
        await session.ended.wait()
        assert session.how is How.SERVER_CLOSED


@pytest.mark.parametrize("direction", ["to_server", "to_client", "both"])
async def test_a_megabyte_arrives_unchanged_past_a_slow_reader(
    pair: Callable[[], object], direction: str
) -> None:
    payload = Random(direction).randbytes(1 << 20)
    digest = sha256(payload).digest()

    async def send(stream: trio.SocketStream) -> None:
        await stream.send_all(payload)
        await stream.send_eof()

    async def check(stream: trio.SocketStream) -> None:
        seen = sha256()
        random = Random(1)
        while chunk := await stream.receive_some(random.choice([1, 7, 4096, 65536])):
            seen.update(chunk)
            if random.random() < 0.01:
                await trio.sleep(0.001)  # slow: this is what is tested
        assert seen.digest() == digest

    async with relayed(pair) as session:
        ends = {"to_server": (session.client, session.server), "to_client": (session.server, session.client)}
        async with trio.open_nursery() as nursery:
            for name, (source, sink) in ends.items():
                if direction in (name, "both"):
                    nursery.start_soon(send, source)
                    nursery.start_soon(check, sink)
                else:
                    nursery.start_soon(source.send_eof)
        await session.ended.wait()


async def test_a_sink_that_does_not_read_stops_its_source(pair: Callable[[], object]) -> None:
    async with relayed(pair) as session:
        sent = 0
        with trio.move_on_after(0.5):
            while True:
                await session.client.send_all(bytes(65536))
                sent += 65536
        # Four kernel buffers, each growing to some megabytes, and 64 KiB of ours.
        assert sent < 64 << 20
        received = 0
        while received < sent:
            received += len(await session.server.receive_some(1 << 20))


async def test_a_reset_is_passed_on_as_a_reset() -> None:
    for side in ("client", "server"):
        async with relayed(tcp_pair) as session:
            one, other = session.client, session.server
            if side == "server":
                one, other = other, one
            await one.send_all(b"before")
            assert await other.receive_some(100) == b"before"
            reset(one)
            with pytest.raises(trio.BrokenResourceError) as broken:
                await other.receive_some(1)
            assert isinstance(broken.value.__cause__, ConnectionResetError)
            await session.ended.wait()
            assert session.how is (How.CLIENT_RESET if side == "client" else How.SERVER_RESET)


async def test_what_a_peer_sent_before_it_broke_is_read_out() -> None:
    async with relayed(tcp_pair) as session:
        await session.server.send_all(b"FATAL: terminating connection")
        session.server.socket.close()
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BrokenResourceError):
            await send_until_broken(session.client)
        # The client's kernel may have dropped nothing: it got the words before the reset.
        assert session.link.traffic.to_client == len(b"FATAL: terminating connection")
        await session.ended.wait()
        assert session.how is How.SERVER_CLOSED


async def test_cancelling_resets_both_sides() -> None:
    async with relayed(tcp_pair) as session:
        await session.client.send_all(b"x")
        assert await session.server.receive_some(1) == b"x"
        session.scope.cancel()
        await session.ended.wait()
        for side in (session.client, session.server):
            with pytest.raises(trio.BrokenResourceError):
                await side.receive_some(1)


async def test_a_tap_sees_the_servers_bytes_until_it_is_done(pair: Callable[[], object]) -> None:
    seen: list[bytes] = []

    def tap(data: bytes) -> Tapped:
        seen.append(data)
        return Tapped(data.upper(), done=len(seen) == 2)

    async with relayed(pair, tap=tap) as session:
        for word, expected in ((b"one", b"ONE"), (b"two", b"TWO"), (b"three", b"three")):
            await session.server.send_all(word)
            assert await session.client.receive_some(10) == expected
        await session.client.send_all(b"untouched")
        assert await session.server.receive_some(20) == b"untouched"
        assert seen == [b"one", b"two"]


async def test_a_tap_that_refuses_ends_the_session_with_its_words(pair: Callable[[], object]) -> None:
    async with relayed(pair, tap=lambda data: Tapped(b"no", True, True)) as session:
        await session.server.send_all(b"welcome")
        assert await read_all(session.client) == b"no"
        await session.ended.wait()
        assert session.how is How.REFUSED


async def test_one_blocked_session_does_not_stop_another() -> None:
    async with relayed(tcp_pair) as blocked, relayed(tcp_pair) as lively:
        with trio.move_on_after(0.2):
            while True:
                await blocked.client.send_all(bytes(65536))
        await lively.client.send_all(b"ping")
        assert await lively.server.receive_some(10) == b"ping"
