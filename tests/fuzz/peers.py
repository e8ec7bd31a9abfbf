"""Targets that need a peer: HTTP both ways, and the checks, each with one that says the input and leaves."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from types import TracebackType
from typing import cast

import trio
import trio.testing

from dbambassador.events import Event, Reloaded, ReloadUntimely
from dbambassador.health.evidence import Blocked, Evidence, Signal
from dbambassador.health.mysql_session import Credentials, Server, talk
from dbambassador.observability.metrics.metrics import Metrics
from dbambassador.observability.recent import Recent
from dbambassador.observability.routes import Admin, Health, Sources
from dbambassador.settings.schema import Database, HttpCheck, Login, Protocol
from dbambassador.transport.crowd import Limits
from dbambassador.transport.http import fetch, serve
from dbambassador.transport.http_messages import Failure, Request, Response
from dbambassador.values import Address
from tests.health.checking import database, probe
from tests.observability.samples import running

ENOUGH = 10.0
"""Seconds for what waits for nothing: on memory, both have said all they have to say."""

HOST = "127.0.0.1"
LIMITS = Limits(header_bytes=4096, body_bytes=4096)

ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 42\r\n\r\n"
    b'{"role": "primary", "state": "running"}   ',
    b"HTTP/1.1 503 Service Unavailable\r\nTransfer-Encoding: chunked\r\n\r\n"
    b'4\r\n{"a"\r\n3\r\n:1}\r\n0\r\nX: y\r\n\r\n',
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.0 200 OK\r\n\r\nuntil the end",
    b"HTTP/1.1 301 Moved\r\nLocation: /\r\nConnection: close\r\n\r\n",
)
REQUESTS = (
    b"GET /readiness?x=1 HTTP/1.1\r\nHost: localhost:9090\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /reload HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nExpect: 100-continue\r\n\r\nbody",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4;ext=1\r\nbody\r\n0\r\n\r\n",
    b"HEAD / HTTP/1.0\r\n\r\n",
    b"GET /status HTTP/1.1\r\nHost: [::1]:9091\r\n\r\n",
    b"POST /quitquitquit HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://a.test\r\n\r\n",
    b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n",
)
HTTP_WORDS = (
    b"\r\n",
    b"\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Content-Length: 99999999999999999999\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"Expect: 100-continue\r\n",
    b"Upgrade: websocket\r\n",
    b"HTTP/1.1 ",
    b"HTTP/1.1 204 \r\n",
    b"CONNECT a:1 HTTP/1.1\r\n",
    b"ffffffff\r\n",
    b"0\r\n\r\n",
    b" : ",
    b"\r\n folded",
)


def http_answer(data: bytes) -> None:
    """What an HTTP client of ours makes of an answer."""
    trio.run(_fetch, data)


async def _fetch(data: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(data)
    await theirs.send_eof()
    with trio.fail_after(ENOUGH):
        answer = await fetch(HOST, 80, "GET", "/", timeout=60, limit=4096, over=cast(trio.SocketStream, ours))
    assert isinstance(answer, Response | Failure)
    if isinstance(answer, Response):
        assert len(answer.body) <= 4096
    else:
        assert len(answer.reason) < 200


def http_request(data: bytes) -> None:
    """What our HTTP server makes of requests."""
    trio.run(_serve, data)


async def _serve(data: bytes) -> None:
    client, server = trio.testing.memory_stream_pair()
    await client.send_all(data)
    await client.send_eof()
    answers = b""
    async with trio.open_nursery() as nursery:
        listener = cast(trio.SocketListener, _Listener(server))
        nursery.start_soon(lambda: serve([listener], _answered, limits=LIMITS))
        with trio.fail_after(ENOUGH):
            while more := await client.receive_some():
                answers += more
        nursery.cancel_scope.cancel()
    assert not answers or answers.startswith(b"HTTP/1.1 ")


def _crashed(event: Event) -> None:
    raise AssertionError(f"a handler's own fault: {event}")


async def _reload(trigger: str) -> Reloaded:
    await trio.lowlevel.checkpoint()
    return ReloadUntimely(trigger, "shutting down")


_SOURCES = Sources(running, Metrics(), Recent(lambda: 0.0), lambda: None, _reload)
_HEALTH, _ADMIN = Health(_SOURCES, _crashed), Admin(_SOURCES, _crashed)


def _answered(request: Request) -> Response | Awaitable[Response]:
    """By the two ports' own handlers."""
    assert len(request.body) <= LIMITS.body_bytes
    assert "?" not in request.path
    health, admin = _HEALTH(request), _ADMIN(request)
    return health if isinstance(admin, Response) and admin.status in (403, 404) else admin


class _Listener:
    """Has one connection to give."""

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._streams = [stream]

    async def accept(self) -> trio.abc.Stream:
        if not self._streams:
            await trio.sleep_forever()
        return self._streams.pop()

    async def __aenter__(self) -> None:
        pass

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for stream in self._streams:
            await trio.aclose_forcefully(stream)


def checked(protocol: Protocol) -> Callable[[bytes], None]:
    """The check without credentials of a server that says this."""
    return lambda data: trio.run(_checked, data, lambda _: database(protocol))


def logged_in(protocol: Protocol) -> Callable[[bytes], None]:
    """The check with a login, without a password."""
    return lambda data: trio.run(_checked, data, lambda _: database(protocol, login=Login("probe")))


def asked_beside(data: bytes) -> None:
    """The check over HTTP."""
    trio.run(_checked, data, lambda port: database(Protocol.POSTGRESQL, http=HttpCheck(port, "/primary")))


async def _checked(data: bytes, described: Callable[[int], Database]) -> None:
    (listener,) = await trio.open_tcp_listeners(0, host=HOST)
    port: int = listener.socket.getsockname()[1]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(trio.serve_listeners, _saying(data), [listener])
        with suppress(Blocked):
            evidence = await probe(described(port), Address(HOST, port))
            assert isinstance(evidence, Evidence)
            assert evidence.signal is not Signal.SILENT, "a peer that has left is waited for"
            assert len(evidence.detail) < 70_000
        nursery.cancel_scope.cancel()


def _saying(data: bytes) -> Callable[[trio.SocketStream], Awaitable[None]]:
    async def say(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            await stream.send_all(data)
            await stream.send_eof()
            while await stream.receive_some():
                pass

    return say


def mysql_session(data: bytes) -> None:
    """PyMySQL's part of a check, as far as it is driven by us."""
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.settimeout(ENOUGH)
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with suppress(Blocked):
            server = Server(Address(HOST, 3306), "db.test", None)
            assert isinstance(talk(ours, server, Credentials("probe", "", "")), Evidence)
