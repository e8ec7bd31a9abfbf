"""What a protocol knows of a connection's first bytes: hello, open, refuse. `tcp` knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import trio

from dbambassador.events import Refusal
from dbambassador.forwarding.engine import Tap
from dbambassador.health.evidence import Role, Signal
from dbambassador.settings.schema import TargetSessionAttrs
from dbambassador.transport.dial import broken

PREAMBLE_TIMEOUT = 60.0
"""Seconds for a client to say what it wants: PostgreSQL's authentication_timeout."""
OPEN_TIMEOUT = 10.0
"""Seconds for a server's first words: it may be looking up our name, or forking under load."""
FAREWELL_TIMEOUT = 2.0
"""Seconds for a refused client to take its error."""


@dataclass(slots=True)
class Hello:
    """A client that wants a session, and what it said so far that no server has taken.

    `open` and `refuse` keep it up to date: an attempt may be cut short at any moment, and another begun.
    """

    data: bytes = b""


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client that wants another session's query cancelled."""

    key: bytes
    packet: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """A client that is gone, or speaks something else."""

    reason: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the first bytes of a session told."""

    key: bytes | None = None
    role: Role = Role.UNKNOWN
    encrypted: bool = False
    """The server took a session that is encrypted end to end: nothing else of it will be seen."""
    rejected: bool = False
    """The server answered with an error of its own: that it then closes is no sign of trouble."""


@dataclass(frozen=True, slots=True)
class Opened:
    """The server took the session. The bytes are what either side said and the other has not got yet."""

    to_server: bytes = b""
    to_client: bytes = b""
    tap: Tap | None = None


@dataclass(frozen=True, slots=True)
class NotOpened:
    """The server did not take the session, and the client has seen nothing of it: another may be tried."""

    signal: Signal
    detail: str


@dataclass(frozen=True, slots=True)
class Denied:
    """The session would be unsafe, with whatever server: the client is told why."""

    why: str


Witness = Callable[[Seen], None]
"""Told by a tap what it saw."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a session asks of the server that it is opened with."""

    wanted: TargetSessionAttrs
    at_last: TargetSessionAttrs
    """What it must have even once the client has heard the server, and no other one can be tried."""
    witness: Witness


class Wire(Protocol):
    """One protocol's part in a session."""

    async def hello(self, client: trio.SocketStream) -> Hello | Cancel | Left:
        """What the client wants, as far as it speaks first."""
        ...

    async def open(
        self, client: trio.SocketStream, server: trio.SocketStream, hello: Hello, request: Request
    ) -> Opened | NotOpened | Cancel | Left | Denied:
        """Begins the session with the server, up to its first word."""
        ...

    async def identify(self, client: trio.SocketStream, hello: Hello) -> bytes | Cancel | Left:
        """What `balance: hash` goes by; empty where the protocol does not tell before a server is chosen."""
        ...

    async def refuse(self, client: trio.SocketStream, hello: Hello, refusal: Refusal, why: str) -> None:
        """Tells the client in its own protocol, at the right moment, that there is no session."""
        ...


class TcpWire:
    """Bytes of which nothing is known: a refused client is closed, which is all that can be said."""

    async def hello(self, client: trio.SocketStream) -> Hello | Cancel | Left:
        return Hello()

    async def open(
        self, client: trio.SocketStream, server: trio.SocketStream, hello: Hello, request: Request
    ) -> Opened | NotOpened | Cancel | Left | Denied:
        return Opened()

    async def identify(self, client: trio.SocketStream, hello: Hello) -> bytes | Cancel | Left:
        return b""

    async def refuse(self, client: trio.SocketStream, hello: Hello, refusal: Refusal, why: str) -> None:
        return


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes from a stream; none when it ended, with the reason if it broke."""

    data: bytes
    reason: str = "closed the connection"


async def receive(stream: trio.SocketStream, limit: int = 16 * 1024) -> Received:
    """Some bytes; a broken stream is a value as well as an ended one."""
    try:
        return Received(bytes(await stream.receive_some(limit)))
    except trio.BrokenResourceError as error:
        return Received(b"", broken(error))


async def farewell(client: trio.SocketStream, last_words: bytes) -> None:
    """Sends an error and lets the client read it: closing with its bytes unread would reset it away."""
    with trio.move_on_after(FAREWELL_TIMEOUT):
        try:
            await client.send_all(last_words)
            await client.send_eof()
            while await client.receive_some(4096):
                pass
        except trio.BrokenResourceError:
            pass
