"""The conformance suite of a relay engine over real sockets of both kinds: what passes, and how it ends."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from hashlib import sha256
from random import Random

import pytest
import trio
import trio.testing

from dbambassador.forwarding.relay.engine import Engine, How, Tapped
from tests.forwarding.relay.relaying import (
    MakePair,
    Relayed,
    fill,
    read_all,
    read_rest,
    relayed,
    reset,
    send_now,
    tcp_pair,
    unix_pair,
)

SIDES = ("client", "server")
OTHER = {"client": "server", "server": "client"}


def end(session: Relayed, side: str) -> trio.SocketStream:
    return session.client if side == "client" else session.server


def carried(session: Relayed, source: str) -> int:
    """Bytes that went from this side to the other."""
    traffic = session.link.traffic
    return traffic.to_server if source == "client" else traffic.to_client


async def until(reached: Callable[[], bool]) -> None:
    """Waits for what is to happen; the session's own deadline bounds it."""
    while not reached():  # noqa: ASYNC110 - counters have no event
        await trio.sleep(0.002)


# What passes


async def test_bytes_read_before_the_hand_over_come_first(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair, to_server=b"startup ", to_client=b"greeting ") as session:
        await session.client.send_all(b"query")
        await session.server.send_all(b"answer")
        await session.client.send_eof()
        await session.server.send_eof()
        assert await read_all(session.server) == b"startup query"
        assert await read_all(session.client) == b"greeting answer"
        await session.ended.wait()
        assert session.outcome in (How.CLIENT_CLOSED, How.SERVER_CLOSED)
        assert (session.link.traffic.to_server, session.link.traffic.to_client) == (13, 15)


async def test_bytes_that_wait_behind_a_full_socket_at_the_hand_over_come_first(
    engine: Engine, pair: MakePair
) -> None:
    first = Random(1).randbytes(3 << 20)
    async with relayed(engine, pair, to_client=first) as session:
        await session.server.send_all(b"last")
        await session.server.send_eof()
        assert await read_all(session.client) == first + b"last"


async def test_first_bytes_for_a_socket_that_is_full_wait(engine: Engine, pair: MakePair) -> None:
    sent = 0

    def fill_it(session: Relayed) -> None:
        nonlocal sent
        with suppress(BlockingIOError):
            while True:
                sent += session.link.client.send(bytes(1 << 16))

    async with relayed(engine, pair, to_client=b"greeting", before=fill_it) as session:
        await session.server.send_eof()
        assert await read_all(session.client) == bytes(sent) + b"greeting"


async def test_nothing_at_all_passes(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        await session.client.send_eof()
        await session.server.send_eof()
        assert await read_all(session.server) == b""
        assert await read_all(session.client) == b""
        await session.ended.wait()
        assert (session.link.traffic.to_server, session.link.traffic.to_client) == (0, 0)


async def test_single_bytes_pass_at_once_each_way(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        for number in range(256):
            await session.client.send_all(bytes([number]))
            assert await session.server.receive_some(10) == bytes([number])
            await session.server.send_all(bytes([255 - number]))
            assert await session.client.receive_some(10) == bytes([255 - number])
        assert (session.link.traffic.to_server, session.link.traffic.to_client) == (256, 256)


@pytest.mark.parametrize("direction", ["to_server", "to_client", "both"])
async def test_a_megabyte_arrives_unchanged_past_a_slow_reader(
    engine: Engine, pair: MakePair, direction: str
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

    async with relayed(engine, pair) as session:
        ends = {"to_server": (session.client, session.server), "to_client": (session.server, session.client)}
        async with trio.open_nursery() as nursery:
            for name, (source, sink) in ends.items():
                if direction in (name, "both"):
                    nursery.start_soon(send, source)
                    nursery.start_soon(check, sink)
                else:
                    nursery.start_soon(source.send_eof)
        await session.ended.wait()


async def test_a_slow_writers_pieces_arrive_one_by_one(engine: Engine, pair: MakePair) -> None:
    random = Random(2)
    pieces = [random.randbytes(random.choice([1, 2, 300, 20_000])) for _ in range(100)]

    async def write(stream: trio.SocketStream) -> None:
        for piece in pieces:
            await stream.send_all(piece)
            await trio.sleep(0.0005)  # slow: this is what is tested
        await stream.send_eof()

    async with relayed(engine, pair) as session, trio.open_nursery() as nursery:
        nursery.start_soon(write, session.client)
        nursery.start_soon(write, session.server)
        assert await read_all(session.server) == b"".join(pieces)
        assert await read_all(session.client) == b"".join(pieces)


async def test_both_directions_full_at_once(engine: Engine, pair: MakePair) -> None:
    """Neither peer reads before it is rid of what it has to say: as two pipelining peers do."""
    pattern = Random(3).randbytes(1 << 16)
    taken: dict[str, int] = {}

    async def stuff(session: Relayed, side: str) -> None:
        taken[side] = await fill(end(session, side), pattern)

    async with relayed(engine, pair) as session:
        async with trio.open_nursery() as nursery:
            for side in SIDES:
                nursery.start_soon(stuff, session, side)
        async with trio.open_nursery() as nursery:
            for side in SIDES:
                nursery.start_soon(end(session, side).send_eof)
        for side in SIDES:
            received = await read_all(end(session, OTHER[side]))
            count = taken[side]
            assert len(received) == count
            assert received == (pattern * (count // len(pattern) + 1))[:count]
        await session.ended.wait()


async def test_a_sink_that_does_not_read_stops_its_source(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        taken = await fill(session.client)
        # Four kernel buffers, each growing to some megabytes, and what the engine keeps.
        assert taken < 64 << 20
        received = 0
        while received < taken:
            received += len(await session.server.receive_some(1 << 20))
        await session.client.send_all(b"on it goes")
        assert await session.server.receive_some(100) == b"on it goes"


@pytest.mark.parametrize("side", SIDES)
async def test_urgent_data_neither_stops_nor_spoils_the_stream(engine: Engine, side: str) -> None:
    """The urgent byte itself is not carried: it is no part of the stream."""

    def speak(session: Relayed) -> None:
        source = end(session, side)
        send_now(source, b"before")
        send_now(source, b"!", urgent=True)
        send_now(source, b"after")

    async with relayed(engine, tcp_pair, before=speak) as session:
        source, sink = end(session, side), end(session, OTHER[side])
        await until(lambda: carried(session, side) == len(b"beforeafter"))
        await source.send_eof()
        assert await read_all(sink) == b"beforeafter"


async def test_an_urgent_byte_alone_is_no_end(engine: Engine) -> None:
    async with relayed(engine, tcp_pair) as session:
        for _ in range(3):
            send_now(session.client, b"!", urgent=True)
            await session.client.send_all(b"query")
            assert await session.server.receive_some(100) == b"query"


async def test_one_blocked_session_does_not_stop_another(engine: Engine) -> None:
    async with relayed(engine, tcp_pair) as blocked, relayed(engine, tcp_pair) as lively:
        await fill(blocked.client)
        await lively.client.send_all(b"ping")
        assert await lively.server.receive_some(10) == b"ping"


async def test_a_bulk_stream_does_not_starve_another_session(engine: Engine, pair: MakePair) -> None:
    async def pour(stream: trio.SocketStream) -> None:
        while True:
            await stream.send_all(bytes(1 << 20))

    async def swallow(stream: trio.SocketStream) -> None:
        while True:
            await stream.receive_some(1 << 20)

    async with (
        relayed(engine, pair) as bulk,
        relayed(engine, pair) as lively,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(pour, bulk.server)
        nursery.start_soon(swallow, bulk.client)
        for _ in range(50):
            await lively.client.send_all(b"ping")
            assert await lively.server.receive_some(10) == b"ping"
        nursery.cancel_scope.cancel()


async def test_sessions_that_come_and_go_never_mix(engine: Engine, pair: MakePair) -> None:
    """Descriptors of ended sessions are those of the next ones, here within a few microseconds."""

    async def live(number: int) -> None:
        random = Random(number)
        question, answer = random.randbytes(random.randrange(40_000)), random.randbytes(1000)
        async with relayed(engine, pair) as session:
            await session.client.send_all(question)
            await session.client.send_eof()
            assert await read_all(session.server) == question
            await session.server.send_all(answer)
            if number % 3:
                await session.server.send_eof()
                assert await read_all(session.client) == answer
                await session.ended.wait()
            else:
                reset(session.server)
                delivered, _ = await read_rest(session.client)
                assert answer.startswith(delivered)

    for batch in range(5):
        async with trio.open_nursery() as nursery:
            for number in range(20):
                nursery.start_soon(live, 20 * batch + number)


# How it ends


async def test_a_half_close_is_passed_on_as_one(engine: Engine, pair: MakePair) -> None:
    for side in SIDES:
        async with relayed(engine, pair) as session:
            source, sink = end(session, side), end(session, OTHER[side])
            await source.send_all(b"last words")
            await source.send_eof()
            assert await read_all(sink) == b"last words"
            await sink.send_all(b"still here")
            assert await source.receive_some(100) == b"still here"
            assert not session.ended.is_set()
            await sink.send_eof()
            assert await source.receive_some(100) == b""
            await session.ended.wait()
            assert session.outcome is (How.CLIENT_CLOSED if side == "client" else How.SERVER_CLOSED)


async def test_the_servers_end_is_told_while_the_client_keeps_its_connection(
    engine: Engine, pair: MakePair
) -> None:
    async with relayed(engine, pair) as session:
        await session.server.send_eof()
        await session.server_ended.wait()
        assert not session.ended.is_set()
        assert await session.client.receive_some(1) == b""
        await session.client.send_eof()
        await session.ended.wait()
        assert session.outcome is How.SERVER_CLOSED
        assert session.server_endings == 1


async def test_a_server_that_ends_after_its_client_is_not_told_of(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        await session.client.send_eof()
        assert await session.server.receive_some(1) == b""
        await session.server.send_eof()
        await session.ended.wait()
        assert session.outcome is How.CLIENT_CLOSED
        assert session.server_endings == 0


@pytest.mark.parametrize("side", SIDES)
async def test_data_and_end_of_stream_in_one_event(engine: Engine, pair: MakePair, side: str) -> None:
    words = Random(4).randbytes(50_000)

    def say_it_all(session: Relayed) -> None:
        source = end(session, side)
        assert send_now(source, words) == len(words)
        source.socket.shutdown(trio.socket.SHUT_WR)

    async with relayed(engine, pair, before=say_it_all) as session:
        assert await read_all(end(session, OTHER[side])) == words
        assert not session.ended.is_set()


@pytest.mark.parametrize("side", SIDES)
async def test_data_and_reset_in_one_event(engine: Engine, side: str) -> None:
    words = Random(5).randbytes(50_000)

    def say_and_break(session: Relayed) -> None:
        assert send_now(end(session, side), words) == len(words)
        reset(end(session, side))

    async with relayed(engine, tcp_pair, before=say_and_break) as session:
        delivered, by_reset = await read_rest(end(session, OTHER[side]))
        assert by_reset
        assert words.startswith(delivered)
        await session.ended.wait()
        assert session.outcome is (How.CLIENT_RESET if side == "client" else How.SERVER_RESET)


@pytest.mark.parametrize("side", SIDES)
async def test_a_reset_is_passed_on_as_a_reset(engine: Engine, side: str) -> None:
    async with relayed(engine, tcp_pair) as session:
        one, other = end(session, side), end(session, OTHER[side])
        await one.send_all(b"before")
        assert await other.receive_some(100) == b"before"
        reset(one)
        assert await read_rest(other) == (b"", True)
        await session.ended.wait()
        assert session.outcome is (How.CLIENT_RESET if side == "client" else How.SERVER_RESET)
        assert session.server_endings == (side == "server")


@pytest.mark.parametrize("side", SIDES)
async def test_a_peer_gone_in_mid_buffer(engine: Engine, pair: MakePair, side: str) -> None:
    """It leaves while its sockets are full of what it did not read, and the engine has some more for it."""
    async with relayed(engine, pair) as session:
        writer, leaver = end(session, side), end(session, OTHER[side])
        taken = await fill(writer)
        await leaver.receive_some(1000)
        reset(leaver)
        _, by_reset = await read_rest(writer)
        if pair is tcp_pair:
            assert by_reset
        await session.ended.wait()
        assert session.outcome is (How.SERVER_RESET if side == "client" else How.CLIENT_RESET)
        assert carried(session, side) < taken
        assert session.server_endings == (side == "client")


async def test_what_a_peer_sent_before_it_broke_is_read_out(engine: Engine) -> None:
    words = b"FATAL: terminating connection"

    def break_and_ask(session: Relayed) -> None:
        send_now(session.client, b"query" * 1000)
        send_now(session.server, words)
        reset(session.server)

    async with relayed(engine, tcp_pair, before=break_and_ask) as session:
        await session.ended.wait()
        # Sending the query met the reset first, or reading did: in either case the words were read out.
        assert session.link.traffic.to_client == len(words)
        assert session.outcome is How.SERVER_RESET


async def test_a_side_that_takes_nothing_more_has_some_time_to_end(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("stream_relay", "epoll_loop"):
        monkeypatch.setattr(f"dbambassador.forwarding.relay.{module}.READ_OUT_LIMIT", 0.2)
    async with relayed(engine, unix_pair) as session:
        await reading_out(session)
        await session.ended.wait()
        assert session.outcome is How.CLIENT_RESET


# Taps


async def test_a_tap_sees_the_servers_bytes_until_it_is_done(engine: Engine, pair: MakePair) -> None:
    seen: list[bytes] = []

    def tap(data: bytes) -> Tapped:
        seen.append(data)
        return Tapped(data.upper(), done=len(seen) == 2)

    async with relayed(engine, pair, tap=tap) as session:
        for word, expected in ((b"one", b"ONE"), (b"two", b"TWO"), (b"three", b"three")):
            await session.server.send_all(word)
            assert await session.client.receive_some(10) == expected
        await session.client.send_all(b"untouched")
        assert await session.server.receive_some(20) == b"untouched"
        assert seen == [b"one", b"two"]


async def test_a_tap_may_hold_bytes_back_and_add_some(engine: Engine, pair: MakePair) -> None:
    held = b""

    def tap(data: bytes) -> Tapped:
        nonlocal held
        held += data
        whole = held.endswith(b"yet.")
        return Tapped(held + bytes(3 << 20), done=True) if whole else Tapped()

    async with relayed(engine, pair, tap=tap) as session:
        await session.server.send_all(b"not ")
        await until(lambda: held == b"not ")
        await session.server.send_all(b"yet.")
        await until(lambda: held == b"not yet.")
        await session.server.send_all(b"after")
        await session.server.send_eof()
        assert await read_all(session.client) == b"not yet." + bytes(3 << 20) + b"after"


@pytest.mark.parametrize("size", [2, 3 << 20])
async def test_a_tap_that_refuses_ends_the_session_with_its_words(
    engine: Engine, pair: MakePair, size: int
) -> None:
    words = Random(6).randbytes(size)
    async with relayed(engine, pair, tap=lambda data: Tapped(words, True, True)) as session:
        await session.server.send_all(b"welcome")
        assert await read_all(session.client) == words
        await session.client.send_eof()
        await session.ended.wait()
        assert session.outcome is How.REFUSED


async def test_a_refused_client_that_speaks_on_reads_why_and_reaches_nobody(
    engine: Engine, pair: MakePair
) -> None:
    words = Random(7).randbytes(1 << 20)
    async with relayed(engine, pair, tap=lambda data: Tapped(words, True, True)) as session:
        await session.client.send_all(b"startup")
        assert await session.server.receive_some(100) == b"startup"
        await session.server.send_all(b"welcome")
        heard = bytes(await session.client.receive_some(1))
        await session.client.send_all(b"query" * 10_000)
        assert heard + await read_all(session.client) == words
        await session.client.send_all(b"query")
        assert (await read_rest(session.server))[0] == b""
        await session.client.send_eof()
        await session.ended.wait()
        assert session.outcome is How.REFUSED


async def test_a_tap_that_fails_ends_its_own_session_alone(engine: Engine) -> None:
    bug = ValueError("a bug")

    def tap(data: bytes) -> Tapped:
        raise bug

    async with relayed(engine, tcp_pair) as other, relayed(engine, tcp_pair, tap=tap) as session:
        await session.server.send_all(b"welcome")
        for side in SIDES:
            assert await read_rest(end(session, side)) == (b"", True)
        await session.ended.wait()
        assert session.outcome is bug
        await other.client.send_all(b"unharmed")
        assert await other.server.receive_some(100) == b"unharmed"


async def test_what_fails_in_trios_thread_fails_its_session_alone(engine: Engine) -> None:
    bug = ValueError("a bug")

    def fail() -> None:
        raise bug

    def tap(data: bytes) -> Tapped:
        return Tapped(data, tell=fail)

    async with relayed(engine, tcp_pair) as other:
        async with relayed(engine, tcp_pair, tap=tap) as session:
            await session.server.send_all(b"welcome")
            await session.ended.wait()
            assert session.outcome is bug
        async with relayed(engine, tcp_pair) as session:
            session.note_server_end = fail  # type: ignore[method-assign]
            await session.server.send_eof()
            await session.ended.wait()
            assert session.outcome is bug
        await other.client.send_all(b"unharmed")
        assert await other.server.receive_some(100) == b"unharmed"


# Cutting


async def nothing_yet(session: Relayed) -> None:
    await trio.testing.wait_all_tasks_blocked()


async def after_some_words(session: Relayed) -> None:
    await session.client.send_all(b"x")
    assert await session.server.receive_some(1) == b"x"


async def full(session: Relayed, side: str) -> None:
    await fill(end(session, side))


async def half_closed(session: Relayed, side: str) -> None:
    await end(session, side).send_eof()
    assert await end(session, OTHER[side]).receive_some(1) == b""


async def both_full(session: Relayed) -> None:
    await full(session, "client")
    await full(session, "server")


async def reading_out(session: Relayed) -> None:
    session.client.socket.shutdown(trio.socket.SHUT_RD)
    await session.server.send_all(b"unwanted")
    await session.client.send_all(b"still talking")
    assert await session.server.receive_some(100) == b"still talking"


POINTS: dict[str, Callable[[Relayed], Awaitable[None]]] = {
    "nothing yet": nothing_yet,
    "some words": after_some_words,
    "the server's socket full": partial(full, side="client"),
    "the client's socket full": partial(full, side="server"),
    "both full": both_full,
    "the client half closed": partial(half_closed, side="client"),
    "the server half closed": partial(half_closed, side="server"),
}


@pytest.mark.parametrize("point", POINTS)
async def test_a_cut_resets_both_sides(engine: Engine, pair: MakePair, point: str) -> None:
    async with relayed(engine, pair) as session:
        await POINTS[point](session)
        await cut(session)
        for side in SIDES:
            _, by_reset = await read_rest(end(session, side))
            assert by_reset or pair is unix_pair or "half closed" in point


async def test_a_cut_while_a_side_is_read_out(engine: Engine) -> None:
    async with relayed(engine, unix_pair) as session:
        await reading_out(session)
        await cut(session)
        await read_rest(session.server)


async def test_a_cut_while_the_first_bytes_wait(engine: Engine, pair: MakePair) -> None:
    first = bytes(8 << 20)
    async with relayed(engine, pair, to_client=first) as session:
        await after_some_words(session)
        await cut(session)
        assert session.link.traffic.to_client < len(first)


async def cut(session: Relayed) -> None:
    session.cut()
    await session.ended.wait()
    assert session.outcome is How.CUT
    assert session.link.traffic.server is None


async def test_a_session_cut_before_it_began_leaves_no_socket(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        await cut(session)  # nothing waited: no engine has seen a thing of it
        for side in SIDES:
            await read_rest(end(session, side))


async def test_a_second_cut_and_one_after_the_end_change_nothing(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        session.cut()
        await cut(session)
        session.cut()
    async with relayed(engine, pair) as session:
        await session.client.send_eof()
        await session.server.send_eof()
        await session.ended.wait()
        session.cut()
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert session.outcome in (How.CLIENT_CLOSED, How.SERVER_CLOSED)


# What can be seen of it


async def test_the_servers_socket_is_lent_while_the_engine_has_it(engine: Engine) -> None:
    async with relayed(engine, tcp_pair) as session:
        await until(lambda: session.link.traffic.server is not None)
        lent = session.link.traffic.server
        assert lent is not None
        assert lent.getpeername() == session.server.socket.getsockname()
        await session.client.send_eof()
        await session.server.send_eof()
        await session.ended.wait()
        assert session.link.traffic.server is None
        with pytest.raises(OSError, match=os.strerror(9)):
            lent.getpeername()


async def test_traffic_is_counted_as_it_goes(engine: Engine, pair: MakePair) -> None:
    async with relayed(engine, pair) as session:
        for number, side in enumerate(SIDES):
            await end(session, side).send_all(bytes(10_000 + number))
        traffic = session.link.traffic
        await until(lambda: (traffic.to_server, traffic.to_client) == (10_000, 10_001))
        assert not session.ended.is_set()
