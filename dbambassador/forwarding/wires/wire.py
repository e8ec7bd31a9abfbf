"""What a protocol knows of a connection's first bytes: hello, open, last words. `tcp` knows nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from socket import socket
from typing import Protocol

from dbambassador.events import Refusal
from dbambassador.forwarding.relay.engine import Tap
from dbambassador.forwarding.wires.conversation import Conversation, at_once
from dbambassador.forwarding.wires.encrypted import handshake
from dbambassador.health.evidence import Role, Signal
from dbambassador.settings.schema import TargetSessionAttrs
from dbambassador.transport.encrypted_socket import EncryptedSocket
from dbambassador.transport.tls import TlsEnd
from dbambassador.transport.tls_failures import TlsFailed
from dbambassador.transport.tls_files import Encryption


@dataclass(slots=True)
class Hello:
    """A client that wants a session, and what it said so far that no server has taken.

    Conversations keep it up to date: an attempt may be cut short at any moment, and another begun.
    """

    data: bytes = b""
    exchanged: int = 0
    """Packets that passed between the client and its server, where the server speaks first. With any, it is
    too late for another server."""
    asked: bool = False
    """It owes an answer to the last of them."""


@dataclass(frozen=True, slots=True)
class Cancel:
    """A client that wants another session's query cancelled."""

    key: bytes
    packet: bytes


@dataclass(frozen=True, slots=True)
class Left:
    """A client that is gone, or speaks something else."""

    reason: str
    refusal: Refusal | None = None
    """What it was refused, if that is why."""
    garbled: bool = False
    """It is there, and speaks something else."""


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
    seen: Seen | None = None
    owed: int = 0
    """Bytes that a client says at least, now that it is its turn: until then it is as silent as one that has
    just connected, and holds a session of the server."""
    tls: TlsEnd | None = None
    """The server's side is encrypted."""

    def relayed(self, server: socket) -> socket:
        """The server's socket for an engine; this takes it over."""
        return server if self.tls is None else EncryptedSocket(server, self.tls)


@dataclass(frozen=True, slots=True)
class NotOpened:
    """The server did not take the session, and the client has seen nothing of it: another may be tried."""

    signal: Signal
    detail: str
    seen: Seen | None = None


@dataclass(frozen=True, slots=True)
class Denied:
    """The client gets no session, with whatever server, and is told why."""

    why: str
    refusal: Refusal = Refusal.UNSAFE
    seen: Seen | None = None


Witness = Callable[[Seen], None]
"""Told by a tap what it saw."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a session asks of the server that it is opened with."""

    host: str
    """The server's name, as its certificate is to have it."""

    wanted: TargetSessionAttrs
    at_last: TargetSessionAttrs
    """What it must have even once the client has heard the server, and no other one can be tried."""
    witness: Witness
    """Told of what is seen once the session is open; before, the result tells."""
    exposed: bool = False
    """The client's way to us is private to this host, ours to the server is not, and no password may go there
    in clear."""


Greeted = Hello | Cancel | Left
Tried = Opened | NotOpened | Cancel | Left | Denied

Greeting = Conversation[Greeted]
Opening = Conversation[Tried]


class Wire(Protocol):
    """One protocol's part in a session. Pure: conversations say what is to be sent and heard."""

    opaque: bool
    """Nothing is known of what is said: a session is open once it is connected."""
    encryption: Encryption | None
    """The server's side is encrypted here."""
    resets_unopened: bool
    """A server counts connections that end before the session is open against this host. One that has not
    spoken yet is left with a reset, see `dial.reset_on_close`; with any other the conversation is brought to
    its end, see `departures`."""

    def hello(self) -> Greeting:
        """What the client wants, as far as it speaks first."""
        ...

    def open(self, hello: Hello, request: Request) -> Opening:
        """Begins the session with the server, up to its first word."""
        ...

    def identify(self, hello: Hello) -> Conversation[bytes | Cancel | Left]:
        """What `balance: hash` goes by; empty where the protocol does not tell before a server is chosen."""
        ...

    def last_words(self, hello: Hello, refusal: Refusal, why: str) -> Conversation[bytes | Cancel]:
        """The client's own error that tells it that there is no session, once it can understand it. Empty:
        it has to be closed without a word. One that turns out to want no session is not refused."""
        ...


class TcpWire:
    """Bytes of which nothing is known: a refused client is closed, which is all that can be said."""

    resets_unopened = False

    def __init__(self, encryption: Encryption | None = None) -> None:
        """`encryption`: the server's side is encrypted here, from its first byte on."""
        self.encryption = encryption
        self.opaque = encryption is None

    def hello(self) -> Greeting:
        return at_once(Hello())

    def open(self, hello: Hello, request: Request) -> Opening:
        if self.encryption is None:
            return Opened()
        try:
            tls = self.encryption.begin(request.host)
            failure = yield from handshake(tls)
            # A server that speaks first may have done so in one segment with the end of its handshake, and no
            # event will tell of that.
            first = b"" if failure else tls.decrypt(b"")
        except TlsFailed as failed:
            return NotOpened(Signal.FALTERED, str(failed))
        return NotOpened(Signal.FALTERED, failure) if failure else Opened(to_client=first, tls=tls)

    def identify(self, hello: Hello) -> Conversation[bytes | Cancel | Left]:
        return at_once(b"")

    def last_words(self, hello: Hello, refusal: Refusal, why: str) -> Conversation[bytes]:
        return at_once(b"")
