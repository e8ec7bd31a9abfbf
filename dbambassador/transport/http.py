"""A small, bounded HTTP/1.1 leaf on trio: a server for our own pages, and a client for one request.

h11 does the protocol (RFC 9112); this module moves its bytes and holds the bounds. What a peer does wrong is
answered or dropped, never raised: a slow, silent, oversized or garbled request costs one slot for a few
seconds. The leaf knows nothing of what it serves.
"""

from __future__ import annotations

import http
import inspect
import os
import re
import socket
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager

import h11
import trio

from dbambassador.transport.crowd import Crowd, Limits
from dbambassador.transport.http_messages import Failure, Request, Response, text

READ = 16 * 1024

# Seconds after an error of accept(), as "no descriptor left": waiting is all that helps.
ACCEPT_RETRY = 0.1

# Larger than any status page or metrics text of ours: an answer beyond it comes from something else.
MAX_ANSWER = 8 * 1024 * 1024

# h11 quotes the whole of a line that it cannot read; the beginning tells enough.
LONGEST_QUOTE = 120


Handler = Callable[[Request], Response | Awaitable[Response]]


async def serve(
    listeners: Sequence[trio.SocketListener], handler: Handler, *, limits: Limits | None = None
) -> None:
    """Serves until cancelled.

    Resources: takes the listeners over; they and all connections are closed at the end.
    Errors: what the handler raises ends the server, as it is our own fault; nothing a peer does, does.
    """
    crowd = Crowd(limits or Limits())
    async with trio.open_nursery() as nursery:
        for listener in listeners:
            nursery.start_soon(_accept, listener, handler, crowd)


async def _accept(listener: trio.SocketListener, handler: Handler, crowd: Crowd) -> None:
    """Accepts all who wait before any of them is served: else each would wait for a request of all others."""
    async with listener, trio.open_nursery() as nursery:
        with _plain(listener.socket) as listening:
            while True:
                await trio.lowlevel.wait_readable(listening)
                await crowd.enter()
                try:
                    client, _ = listening.accept()
                    nursery.start_soon(_converse, client, handler, crowd)
                    while crowd.enter_nowait():
                        client, _ = listening.accept()
                        nursery.start_soon(_converse, client, handler, crowd)
                except BlockingIOError:
                    crowd.leave()
                except OSError:
                    crowd.leave()
                    await trio.sleep(ACCEPT_RETRY)


@contextmanager
def _plain(listening: trio.socket.SocketType) -> Iterator[socket.socket]:
    """The same socket for the standard library: trio's lets others run after each accept."""
    with socket.socket(fileno=listening.dup().detach()) as plain:
        plain.setblocking(False)
        yield plain


async def _converse(client: socket.socket, handler: Handler, crowd: Crowd) -> None:
    try:
        connection = h11.Connection(h11.SERVER, max_incomplete_event_size=crowd.limits.header_bytes)
        async with trio.SocketStream(trio.socket.from_stdlib_socket(client)) as stream:
            while await _exchange(stream, connection, handler, crowd):
                connection.start_next_cycle()
            answered = connection.our_state is not h11.IDLE
            if answered and connection.their_state not in (h11.CLOSED, h11.MUST_CLOSE):
                # Closing with unread bytes makes TCP reset, and the peer may lose the answer
                # (RFC 9112 section 9.6).
                with crowd.patience(leaving=True):
                    await stream.send_eof()
                    while await stream.receive_some(READ):
                        pass
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass
    finally:
        crowd.leave()


async def _exchange(
    stream: trio.SocketStream, connection: h11.Connection, handler: Handler, crowd: Crowd
) -> bool:
    """One request and its answer. True if the connection can serve another."""
    with crowd.patience() as scope:
        asked = await _receive(stream, connection, crowd)
    if scope.cancelled_caught:
        silent = connection.their_state is h11.IDLE and not connection.trailing_data[0]
        asked = None if silent else text(408, "the request took too long")
    if asked is None:
        return False

    response = asked if isinstance(asked, Response) else None
    try:
        if isinstance(asked, Request):
            with trio.move_on_after(crowd.limits.deadline):
                answer = handler(asked)
                response = await answer if inspect.isawaitable(answer) else answer
        if response is None:
            return False
        method = asked.method if isinstance(asked, Request) else ""
        with crowd.patience() as scope:
            for piece in _pieces(connection, response, method, close=crowd.dense):
                await stream.send_all(piece)
    finally:
        if response is not None and response.afterwards is not None:
            response.afterwards()
    return not scope.cancelled_caught and connection.our_state is connection.their_state is h11.DONE


async def _receive(
    stream: trio.SocketStream, connection: h11.Connection, crowd: Crowd
) -> Request | Response | None:
    """A whole request, the answer to a bad one, or None where the client went away without asking."""
    head: h11.Request | None = None
    body = bytearray()
    while True:
        try:
            event = connection.next_event()
            if event is h11.NEED_DATA:
                if connection.they_are_waiting_for_100_continue:
                    go_on = h11.InformationalResponse(status_code=100, headers=[])
                    await stream.send_all(connection.send(go_on) or b"")
                connection.receive_data(await stream.receive_some(READ))
                continue
        except h11.RemoteProtocolError as error:
            return text(error.error_status_hint, "bad request")
        match event:
            case h11.Request():
                if not event.http_version.startswith(b"1."):
                    return text(505, "HTTP/1.1 is spoken here")
                head = event
            case h11.Data():
                body += event.data
                if len(body) > crowd.limits.body_bytes:
                    return text(413, f"the body is larger than {crowd.limits.body_bytes} bytes")
            case h11.EndOfMessage() if head is not None:
                return _request(head, bytes(body), crowded=crowd.dense)
            case _:
                return None


def _request(head: h11.Request, body: bytes, *, crowded: bool) -> Request:
    target = head.target.decode("latin-1")
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers]
    scheme, absolute, rest = target.partition("://")
    if absolute and scheme.lower() in ("http", "https"):
        # As to a proxy; what it names counts, and no Host header (RFC 9112 section 3.2.2).
        authority = re.split("[/?]", rest, maxsplit=1)[0]
        target = rest.removeprefix(authority)
        target = target if target.startswith("/") else f"/{target}"
        headers = [("host", authority), *((name, value) for name, value in headers if name != "host")]
    path, _, query = target.partition("?")
    return Request(head.method.decode("latin-1"), path, query, tuple(headers), body, crowded)


def _pieces(connection: h11.Connection, response: Response, method: str, *, close: bool) -> Sequence[bytes]:
    headers = [
        ("Content-Type", response.content_type),
        ("Content-Length", str(len(response.body))),
        *response.headers,
    ]
    if close or connection.their_state is not h11.DONE:
        headers.append(("Connection", "close"))
    reason = http.HTTPStatus(response.status).phrase
    head = connection.send(h11.Response(status_code=response.status, headers=headers, reason=reason)) or b""
    body = b"" if method == "HEAD" else response.body
    if body:
        connection.send_with_data_passthrough(h11.Data(data=body))  # counts it, and copies nothing
    connection.send(h11.EndOfMessage())
    # A large one by itself: a crowd that reads slowly waits for the end of the same bytes, not of copies.
    return [head, body] if len(body) > READ else [head + body]


async def fetch(
    host: str,
    port: int,
    method: str,
    path: str,
    *,
    timeout: float,
    headers: Sequence[tuple[str, str]] = (),
    body: bytes = b"",
    limit: int = MAX_ANSWER,
    over: trio.SocketStream | None = None,
) -> Response | Failure:
    """Asks once, within `timeout` seconds in all, on a connection of its own or `over` one that is there.

    Redirects are not followed.

    Resources: the connection is closed at the end.
    Errors: none of the network's; a refusal, a reset, a timeout, an answer that is not HTTP or larger than
    `limit` bytes is a `Failure`. A method, path or header that HTTP cannot carry raises ValueError.
    """
    name = f"[{host}]" if ":" in host else host
    fields = [("Host", name if port == 80 else f"{name}:{port}"), ("Connection", "close"), *headers]
    if body or method == "POST":
        fields.append(("Content-Length", str(len(body))))
    connection = h11.Connection(h11.CLIENT)
    try:
        question = connection.send(h11.Request(method=method, target=path, headers=fields)) or b""
        question += connection.send(h11.Data(data=body)) or b""
        question += connection.send(h11.EndOfMessage()) or b""
    except h11.LocalProtocolError as error:
        raise ValueError(f"not a request that HTTP can carry: {method} {path!r}: {error}") from error

    with trio.move_on_after(timeout):
        try:
            stream = over or await trio.open_tcp_stream(host, port)
        except OSError as error:
            return Failure(_reason(error))
        async with stream:
            try:
                await stream.send_all(question)
            except trio.BrokenResourceError:
                pass  # an early answer may still be there to read
            try:
                return await _answer(stream, connection, limit)
            except trio.BrokenResourceError:
                return Failure("connection reset")
            except h11.RemoteProtocolError as error:
                cut_off = connection.trailing_data[1]
                return Failure(f"not an HTTP answer: {str(error)[:LONGEST_QUOTE]}", answered=not cut_off)
    return Failure(f"no answer within {timeout:g} s")


async def _answer(stream: trio.SocketStream, connection: h11.Connection, limit: int) -> Response | Failure:
    head: h11.Response | None = None
    body = bytearray()
    while True:
        event = connection.next_event()
        match event:
            case h11.NEED_DATA:
                connection.receive_data(await stream.receive_some(READ))
            case h11.Response():
                head = event
            case h11.Data():
                body += event.data
                if len(body) > limit:
                    return Failure(f"the answer is larger than {limit} bytes", answered=True)
            case h11.EndOfMessage() if head is not None:
                got = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in head.headers)
                return Response(head.status_code, bytes(body), dict(got).get("content-type", ""), got)
            case h11.InformationalResponse():
                pass
            case _:
                return Failure("closed without an answer")


def _reason(error: OSError) -> str:
    """What kept us from connecting; trio wraps the attempts to several addresses."""
    cause: BaseException | None = error.__cause__
    while isinstance(cause, BaseExceptionGroup):
        cause = cause.exceptions[0]
    said = cause if isinstance(cause, OSError) else error
    if said.errno is None or isinstance(said, socket.gaierror):
        return (said.strerror or str(said)).lower()
    return os.strerror(said.errno).lower()
