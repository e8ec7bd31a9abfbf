"""The HTTP leaf on real sockets: the server by raw bytes and http.client, the client by raw servers."""

from __future__ import annotations

import http.client
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dbambassador.transport.crowd import Limits
from dbambassador.transport.http import Handler, fetch, serve
from dbambassador.transport.http_messages import Failure, Request, Response, text


def echo(request: Request) -> Response:
    seen = [request.method, request.path, request.query, request.body.decode("latin-1")]
    return Response(200, json.dumps(seen).encode(), "application/json", (("X-Test", "yes"),))


@asynccontextmanager
async def served(handler: Handler = echo, limits: Limits | None = None) -> AsyncIterator[int]:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(lambda: serve(listeners, handler, limits=limits))
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


async def raw(port: int, data: bytes, *, eof: bool = True) -> bytes:
    """All bytes the server sends back to these, until it closes."""
    with trio.fail_after(10):
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            answer = b""
            try:
                await stream.send_all(data)
                if eof:
                    await stream.send_eof()
                while part := await stream.receive_some():
                    answer += part
            except trio.BrokenResourceError:
                pass
            return answer


async def test_http_client_of_the_standard_library_keeps_its_connection() -> None:
    def ask(port: int) -> list[tuple[int, str | None, bytes]]:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        answers = []
        for method, body in (("GET", None), ("POST", b"hello"), ("HEAD", None), ("GET", None)):
            connection.request(method, "/path?a=b", body)
            answer = connection.getresponse()
            answers.append((answer.status, answer.getheader("Content-Length"), answer.read()))
            assert not answer.will_close
        connection.close()
        return answers

    async with served() as port:
        answers = await trio.to_thread.run_sync(ask, port)
    get = b'["GET", "/path", "a=b", ""]'
    post = b'["POST", "/path", "a=b", "hello"]'
    head = b'["HEAD", "/path", "a=b", ""]'
    assert answers == [
        (200, str(len(get)), get),
        (200, str(len(post)), post),
        (200, str(len(head)), b""),
        (200, str(len(get)), get),
    ]


async def test_pipelined_and_chunked_requests_are_answered_in_order() -> None:
    async with served() as port:
        answer = await raw(
            port,
            b"GET /1 HTTP/1.1\r\nHost: x\r\n\r\n"
            b"POST /2 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"
            b"GET /3 HTTP/1.0\r\n\r\n",
        )
    assert [answer.index(part) for part in (b'"/1"', b'"/2", "", "abc"', b'"/3"')] == sorted(
        answer.index(part) for part in (b'"/1"', b'"/2", "", "abc"', b'"/3"')
    )
    assert answer.count(b"HTTP/1.1 200 OK\r\n") == 3


async def test_a_client_that_waits_for_100_continue_gets_it() -> None:
    async with served() as port, await trio.open_tcp_stream("127.0.0.1", port) as stream:
        with trio.fail_after(5):
            await stream.send_all(
                b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
            )
            assert (await stream.receive_some()).startswith(b"HTTP/1.1 100 ")
            await stream.send_all(b"ok")
            assert b'"ok"' in await stream.receive_some()


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"\x16\x03\x01\x02\x00\x01\x00", 400),  # a TLS ClientHello
        (b"\x00\x00\x00\x08\x04\xd2\x16\x2f\r\n\r\n", 400),  # a PostgreSQL SSLRequest
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04", 505),  # HTTP/2 without asking
        (b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nten\r\n", 400),
        (b"GET / HTTP/1.1\r\n\r\n", 400),  # no Host
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 40_000 + b"\r\n\r\n", 431),
        (b"GET /" + b"x" * 20_000, 431),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 70000\r\n\r\n" + b"x" * 70_000, 413),
        (b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nshort", 400),
    ],
)
async def test_a_bad_request_is_answered_and_closed(data: bytes, status: int) -> None:
    async with served() as port:
        answer = await raw(port, data)
        assert answer.startswith(b"HTTP/1.1 %d " % status)
        assert b"connection: close" in answer.lower()
        assert (await raw(port, b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")).startswith(
            b"HTTP/1.1 200"
        )


async def test_an_oversized_upload_still_learns_why() -> None:
    """The answer comes before the end of the request and must survive the close."""
    async with served() as port:
        body = b"x" * 2_000_000
        answer = await fetch("127.0.0.1", port, "POST", "/", timeout=5, body=body)
    assert answer == Failure("connection reset") or (isinstance(answer, Response) and answer.status == 413)
    async with served() as port:
        answer = await fetch("127.0.0.1", port, "POST", "/", timeout=5, body=b"x" * 100_000)
    assert isinstance(answer, Response)
    assert answer.status == 413


async def test_slow_and_silent_clients_are_cut_off() -> None:
    limits = Limits(deadline=0.2)
    async with served(limits=limits) as port:
        began = trio.current_time()
        assert await raw(port, b"", eof=False) == b""
        assert (await raw(port, b"GET / HT", eof=False)).startswith(b"HTTP/1.1 408 ")
        head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc"
        assert (await raw(port, head, eof=False)).startswith(b"HTTP/1.1 408 ")
        assert trio.current_time() - began < 5


@pytest.mark.parametrize(
    ("target", "path", "query", "host"),
    [
        (b"http://other.example/a?b=c", "/a", "b=c", "other.example"),
        (b"HTTP://localhost:9091", "/", "", "localhost:9091"),
        (b"https://[::1]:1?x", "/", "x", "[::1]:1"),
        (b"/a://b", "/a://b", "", "x"),
        (b"*", "*", "", "x"),
    ],
)
async def test_what_a_request_to_a_proxy_names_counts_and_no_host_header(
    target: bytes, path: str, query: str, host: str
) -> None:
    seen: list[Request] = []

    def look(request: Request) -> Response:
        seen.append(request)
        return text(200, "ok")

    async with served(look) as port:
        assert b" 200 " in await raw(port, b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nA: b\r\n\r\n")
    assert (seen[0].path, seen[0].query, seen[0].header("host")) == (path, query, host)
    assert seen[0].header("a") == "b"


async def drip(stream: trio.SocketStream) -> None:
    while True:
        await stream.send_all(b"X")
        await trio.sleep(0.02)


async def test_a_client_that_drips_bytes_has_one_deadline_for_all() -> None:
    async with (
        served(limits=Limits(deadline=0.3)) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        with trio.fail_after(5), pytest.raises(trio.BrokenResourceError):
            await drip(stream)


async def test_a_client_that_does_not_read_is_cut_off() -> None:
    gone = trio.Event()

    def large(_: Request) -> Response:
        return Response(200, b"x" * 30_000_000, afterwards=gone.set)

    async with (
        served(large, Limits(deadline=0.2)) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as stream,
    ):
        await stream.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        with trio.fail_after(5):
            await gone.wait()


async def test_afterwards_comes_after_the_answer() -> None:
    called = trio.Event()
    async with served(lambda _: Response(200, b"bye", afterwards=called.set)) as port:
        answer = await fetch("127.0.0.1", port, "POST", "/", timeout=5)
        assert isinstance(answer, Response)
        assert answer.body == b"bye"
        with trio.fail_after(5):
            await called.wait()


async def test_200_requests_at_once_are_all_answered_by_few_slots() -> None:
    most = now = 0

    async def counted(_: Request) -> Response:
        nonlocal most, now
        now += 1
        most = max(most, now)
        await trio.sleep(0.005)
        now -= 1
        return text(200, "ok")

    answers: list[Response | Failure] = []

    async def ask(port: int) -> None:
        answers.append(await fetch("127.0.0.1", port, "GET", "/", timeout=20))

    async with served(counted, Limits(connections=16)) as port, trio.open_nursery() as nursery:
        for _ in range(200):
            nursery.start_soon(ask, port)
    assert [answer.status for answer in answers if isinstance(answer, Response)] == [200] * 200
    assert 1 < most <= 16


async def test_slow_clients_in_every_slot_do_not_starve_the_next() -> None:
    async with served(limits=Limits(connections=4, deadline=60, crowded_deadline=0.2)) as port:
        streams = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(4)]
        for stream in streams:
            await stream.send_all(b"GET / HTTP/1.1\r\n")
        await trio.testing.wait_all_tasks_blocked(0.05)
        began = trio.current_time()
        answer = await fetch("127.0.0.1", port, "GET", "/", timeout=10)
        assert isinstance(answer, Response)
        assert answer.status == 200
        assert trio.current_time() - began < 5
        for stream in streams:
            await stream.aclose()


async def test_who_has_waited_longest_leaves_first_and_alone() -> None:
    async with served(limits=Limits(connections=3, deadline=60, crowded_deadline=0.05)) as port:
        first, second, third = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        for stream in (first, second, third):
            await stream.send_all(b"GET / HTTP/1.1\r\n")
            await trio.sleep(0.1)
        assert isinstance(await fetch("127.0.0.1", port, "GET", "/", timeout=10), Response)
        with trio.fail_after(5):
            assert (await first.receive_some()).startswith(b"HTTP/1.1 408 ")
            for stream in (second, third):
                await stream.send_all(b"Host: x\r\n\r\n")
                assert (await stream.receive_some()).startswith(b"HTTP/1.1 200 ")
        for stream in (first, second, third):
            await stream.aclose()


async def test_in_a_dense_crowd_each_connection_is_served_one_request() -> None:
    crowded: list[bool] = []

    def look(request: Request) -> Response:
        crowded.append(request.crowded)
        return text(200, "ok")

    one = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with served(look, Limits(connections=16)) as port:
        assert (await raw(port, one * 3)).count(b" 200 ") == 3
        silent = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(3)]
        await trio.testing.wait_all_tasks_blocked(0.05)
        answer = await raw(port, one * 3)
        assert answer.count(b" 200 ") == 1
        assert b"connection: close" in answer.lower()
        assert crowded == [False, False, False, True]
        for stream in silent:
            await stream.aclose()


async def test_a_kept_connection_gives_its_slot_to_the_next() -> None:
    async with (
        served(limits=Limits(connections=1, deadline=60, crowded_deadline=0.1)) as port,
        await trio.open_tcp_stream("127.0.0.1", port) as kept,
    ):
        await kept.send_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert (await kept.receive_some()).startswith(b"HTTP/1.1 200")
        answer = await fetch("127.0.0.1", port, "GET", "/", timeout=10)
        assert isinstance(answer, Response)


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=64),
            st.sampled_from(
                [
                    b"GET / HTTP/1.1\r\n",
                    b"POST /x HTTP/1.1\r\n",
                    b"CONNECT a:1 HTTP/1.1\r\n",
                    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
                    b"Host: localhost\r\n",
                    b"Transfer-Encoding: chunked\r\n",
                    b"Content-Length: 5\r\n",
                    b"Content-Length: 99999999999999999999\r\n",
                    b"Upgrade: h2c\r\nConnection: upgrade\r\n",
                    b"Expect: 100-continue\r\n",
                    b"Connection: close\r\n",
                    b"\r\n",
                    b"5\r\nhello\r\n0\r\n\r\n",
                    b"hello",
                ]
            ),
        ),
        max_size=12,
    ),
    st.booleans(),
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_garbage_is_answered_in_http_or_dropped(parts: list[bytes], eof: bool) -> None:
    async def main() -> bytes:
        async with served(limits=Limits(deadline=0.02)) as port:
            answer = await raw(port, b"".join(parts), eof=eof)
            assert isinstance(await fetch("127.0.0.1", port, "GET", "/", timeout=5), Response)
            return answer

    answer = trio.run(main)
    assert answer == b"" or answer.startswith(b"HTTP/1.1 ")


@asynccontextmanager
async def answering(data: bytes, *, close: bool = True) -> AsyncIterator[int]:
    """A server that reads something, sends these bytes and closes, or else stays silent."""

    async def handle(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(data)
        if not close:
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, handle, 0)
        yield listeners[0].socket.getsockname()[1]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "not an HTTP answer"),
        (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", "not an HTTP answer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000, "larger than"),
    ],
)
async def test_fetch_gives_a_failure_for_what_is_no_answer(data: bytes, reason: str) -> None:
    async with answering(data) as port:
        answer = await fetch("127.0.0.1", port, "GET", "/", timeout=5)
    assert isinstance(answer, Failure)
    assert reason in answer.reason


async def test_fetch_takes_answers_of_any_framing() -> None:
    for data in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.0 200 OK\r\n\r\nok",
        b"HTTP/1.1 103 Early Hints\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
    ):
        async with answering(data) as port:
            answer = await fetch("127.0.0.1", port, "GET", "/", timeout=5)
        assert isinstance(answer, Response)
        assert (answer.status, answer.body) == (200, b"ok")


async def test_fetch_gives_up_in_time_and_says_what_was_refused() -> None:
    async with answering(b"HTTP/1.1 200 OK\r\n", close=False) as port:
        assert await fetch("127.0.0.1", port, "GET", "/", timeout=0.1) == Failure("no answer within 0.1 s")
    assert await fetch("127.0.0.1", port, "GET", "/", timeout=5) == Failure("connection refused")


@pytest.mark.parametrize("path", ["/a b", "/a\r\nX: y", ""])
async def test_fetch_refuses_a_path_that_would_forge_a_request(path: str) -> None:
    with pytest.raises(ValueError, match="not a request"):
        await fetch("127.0.0.1", 1, "GET", path, timeout=1)


async def test_cancelling_closes_listeners_and_connections() -> None:
    async with served() as port:
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        await stream.send_all(b"GET / HT")
    with trio.fail_after(5):
        try:
            assert await stream.receive_some() == b""
        except trio.BrokenResourceError:
            pass
    await stream.aclose()
    assert await fetch("127.0.0.1", port, "GET", "/", timeout=5) == Failure("connection refused")
