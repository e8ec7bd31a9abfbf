"""PostgreSQL: the client speaks first, may ask for encryption, and reads errors only after its startup."""

from __future__ import annotations

from functools import partial

import trio

from dbambassador.events import Refusal
from dbambassador.forwarding.engine import Tapped
from dbambassador.forwarding.wire import (
    OPEN_TIMEOUT,
    PREAMBLE_TIMEOUT,
    Cancel,
    Denied,
    Hello,
    Left,
    NotOpened,
    Opened,
    Request,
    Seen,
    farewell,
    receive,
)
from dbambassador.health.evidence import Role, Signal
from dbambassador.health.roles import fits, session_fits, told_by_session
from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.postgresql import (
    CANNOT_CONNECT_NOW,
    TOO_MANY_CONNECTIONS,
    Kind,
    Opening,
    error_response,
    read_error,
    read_opening,
    read_reply,
    startup_parameters,
)
from dbambassador.protocols.postgresql_tap import StartupTap
from dbambassador.settings.schema import TargetSessionAttrs

_ENCRYPTION = (Kind.SSL, Kind.GSSENC)
_ANSWERS = (b"S", b"G", b"N", b"E")
"""First bytes of a server's answer to a request for encryption."""
_SQLSTATES = {Refusal.TOO_MANY: TOO_MANY_CONNECTIONS, Refusal.NO_DESCRIPTORS: TOO_MANY_CONNECTIONS}


class PostgresqlWire:
    """Replaces the welcome of a server in the wrong role by an error: the client has seen none of it yet."""

    async def hello(self, client: trio.SocketStream) -> Hello | Cancel | Left:
        hello = Hello()
        opening = await _opening_of(client, hello)
        if isinstance(opening, Left):
            return opening
        if opening.kind is Kind.CANCEL:
            return Cancel(opening.cancel_key, opening.packet)
        return hello

    async def open(
        self, client: trio.SocketStream, server: trio.SocketStream, hello: Hello, request: Request
    ) -> Opened | NotOpened | Cancel | Left | Denied:
        opening = await _opening_of(client, hello)
        while isinstance(opening, Opening) and opening.kind in _ENCRYPTION:
            if opening.rest:
                # Bytes behind the request would be taken for encrypted ones: CVE-2021-23214.
                return Left("sent data behind its encryption request")
            answer = await _ask(server, opening.packet, 1, trio.current_time() + OPEN_TIMEOUT)
            if isinstance(answer, str):
                return NotOpened(Signal.FALTERED, answer)
            if answer not in _ANSWERS:
                return NotOpened(
                    Signal.FALTERED, f"not a PostgreSQL server (its answer begins with {answer!r})"
                )
            if answer in (b"S", b"G"):
                request.witness(Seen(encrypted=True))
            if answer != b"N":  # encrypted from here on, or an error of a server that knows no encryption
                return Opened(to_client=answer)
            opening = await _tell_no(client, hello)
        if isinstance(opening, Left):
            return opening
        if opening.kind is Kind.CANCEL:
            return Cancel(opening.cancel_key, opening.packet)
        if opening.kind is Kind.DIRECT_TLS:
            return Opened(to_server=opening.packet, tap=partial(_encrypted, request))
        return await self._start(server, hello, request)

    async def _start(self, server: trio.SocketStream, hello: Hello, request: Request) -> Opened | NotOpened:
        """Sends the startup packet and reads the server's first message."""
        deadline = trio.current_time() + OPEN_TIMEOUT
        data = await _ask(server, hello.data, 16 * 1024, deadline)
        while isinstance(data, bytes):
            try:
                reply = read_reply(data)
            except Malformed as malformed:
                return NotOpened(Signal.FALTERED, str(malformed))
            if reply is not None:
                return self._welcome(data, reply, request)
            more = await _ask(server, b"", 16 * 1024, deadline)
            data = data + more if isinstance(more, bytes) else more
        return NotOpened(Signal.FALTERED, data)

    def _welcome(self, data: bytes, reply: tuple[bytes, bytes], request: Request) -> Opened | NotOpened:
        kind, body = reply
        if kind == b"E":
            error = read_error(body)
            if error.sqlstate == CANNOT_CONNECT_NOW:
                return NotOpened(Signal.NOT_READY, error.message)
            request.witness(Seen(rejected=True))
            return Opened(to_client=data)
        tap = _Tap(request)
        first = tap(data)
        if first.tell is not None:
            first.tell()
        tap.wanted = request.at_last
        if first.refuse and not tap.only_this_session:
            return NotOpened(Signal.SERVED, "in another role")
        return Opened(to_client=first.forward, tap=_refuse if first.refuse else None if first.done else tap)

    async def identify(self, client: trio.SocketStream, hello: Hello) -> bytes | Cancel | Left:
        """User and database. A client that asks for encryption is told that there is none, for encrypted it
        would not tell them."""
        opening = await _opening_of(client, hello)
        while isinstance(opening, Opening) and opening.kind in _ENCRYPTION:
            opening = await _tell_no(client, hello)
        if isinstance(opening, Left):
            return opening
        if opening.kind is Kind.CANCEL:
            return Cancel(opening.cancel_key, opening.packet)
        if opening.kind is Kind.DIRECT_TLS:
            return b""
        try:
            parameters = startup_parameters(opening.packet)
        except Malformed as malformed:
            return Left(str(malformed))
        return parameters.get("user", b"") + b"\0" + parameters.get("database", b"")

    async def refuse(self, client: trio.SocketStream, hello: Hello, refusal: Refusal, why: str) -> None:
        opening = await _opening_of(client, hello)
        while isinstance(opening, Opening) and opening.kind in _ENCRYPTION:
            # An error in place of the answer would lose its SQLSTATE, and libpq would not try its next host.
            opening = await _tell_no(client, hello)
        if isinstance(opening, Opening) and opening.kind is Kind.STARTUP:
            sqlstate = _SQLSTATES.get(refusal, CANNOT_CONNECT_NOW)
            await farewell(client, error_response(sqlstate, f"dbambassador: {refusal.value}", why))


class _Tap:
    """A startup tap that tells its witness and turns a server in the wrong role away."""

    def __init__(self, request: Request) -> None:
        self._tap = StartupTap(hold_back=request.wanted is not TargetSessionAttrs.ANY)
        self._request = request
        self.wanted = request.wanted
        self.only_this_session = False
        """The server would do for others: the read-only default is this session's own."""

    def __call__(self, data: bytes) -> Tapped:
        passage = self._tap.feed(data)
        if not passage.done:
            return Tapped(passage.forward)
        seen, wanted = (passage.standby, passage.read_only), self.wanted
        role = told_by_session(*seen, wanted)
        tell = partial(self._request.witness, Seen(passage.key, role, passage.error is not None))
        if passage.welcome and not session_fits(*seen, wanted):
            self.only_this_session = fits(role, wanted)
            return Tapped(_refusal_of_role(role, wanted), True, True, tell)
        return Tapped(passage.forward, True, tell=tell)


def _refusal_of_role(role: Role, wanted: TargetSessionAttrs) -> bytes:
    what = "this session is read-only by default" if fits(role, wanted) else f"it is a {role.value}"
    why = f"{what}, and the listener's target_session_attrs is {wanted.value}"
    return error_response(CANNOT_CONNECT_NOW, f"dbambassador: {Refusal.ROLE.value}", why)


def _encrypted(request: Request, data: bytes) -> Tapped:
    return Tapped(data, done=True, tell=partial(request.witness, Seen(encrypted=True)))


def _refuse(_: bytes) -> Tapped:
    return Tapped(refuse=True)


async def _opening_of(client: trio.SocketStream, hello: Hello) -> Opening | Left:
    """The packet that the client's hello begins with, once it is whole."""
    with trio.move_on_after(PREAMBLE_TIMEOUT):
        while True:
            try:
                opening = read_opening(hello.data)
            except Malformed as malformed:
                return Left(str(malformed))
            if opening is not None:
                return opening
            received = await receive(client)
            if not received.data:
                return Left(received.reason)
            hello.data += received.data
    return Left(f"said nothing for {PREAMBLE_TIMEOUT:g} s")


async def _tell_no(client: trio.SocketStream, hello: Hello) -> Opening | Left:
    """Refuses encryption, and reads what the client asks next."""
    try:
        await client.send_all(b"N")
    except trio.BrokenResourceError:
        return Left("closed the connection")
    hello.data = b""
    return await _opening_of(client, hello)


async def _ask(server: trio.SocketStream, question: bytes, limit: int, deadline: float) -> bytes | str:
    """The server's next bytes, or in words why there are none."""
    with trio.move_on_at(deadline):
        try:
            if question:
                await server.send_all(question)
        except trio.BrokenResourceError:
            return "connection reset"
        received = await receive(server, limit)
        return received.data or received.reason
    return f"no answer in {OPEN_TIMEOUT:g} s"
