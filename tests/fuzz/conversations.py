"""Targets: the wires' conversations as a whole, with both parties saying anything.

An input is a byte of options, one of chunk sizes, the length of the client's words in two, its words, and the
server's. Whatever they are: a conversation ends or asks, never asks one that has left, nor for ever, and
keeps no more than it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from dbambassador.events import Refusal
from dbambassador.forwarding.conversation import CHUNK, Conversation, Done, Heard, Party, answer, begin
from dbambassador.forwarding.engine import Tap
from dbambassador.forwarding.mysql_wire import MysqlWire
from dbambassador.forwarding.postgresql_wire import PostgresqlWire
from dbambassador.forwarding.wire import (
    Cancel,
    Denied,
    Hello,
    Left,
    NotOpened,
    Opened,
    Request,
    TcpWire,
    Wire,
)
from dbambassador.protocols.postgresql import ENCRYPTION_REQUEST
from dbambassador.protocols.postgresql_tap import MAX_STARTUP_REPLY
from dbambassador.settings.schema import SslMode, TargetSessionAttrs, Tls
from dbambassador.transport.tls_files import Encryption
from tests.protocols.captures import Capture, Side
from tests.transport.tls_peer import SERVER, Server

T = TypeVar("T")

MOST_ASKED = 200_000
"""Times that a conversation asks, at most: one byte each of the longest packets takes a third of them."""
MOST_HEARD = 1024 * 1024
"""Bytes that it hears of parties that go on for ever, at most; the longest packets are of 64 KiB."""
MOST_TAPPED = MAX_STARTUP_REPLY + CHUNK
"""Bytes that a tap keeps, at most."""

_FOREVER = 0x80
"""The option by which a party says its last words again and again."""
_EXPOSED = 0x40
"""The option by which the client came over a unix socket, and the server is elsewhere."""
_OUTSIDE, _NEVER = 0x20, 0x10
"""The options by which a server that said that it has TLS forgets it: after the handshake, or before."""
_ROLES = tuple(TargetSessionAttrs)


_ENCRYPTION = Encryption(Tls(mode=SslMode.REQUIRE))


def played(capture: Capture, options: int = 0) -> bytes:
    """The input in which both say what they did."""
    client, server = capture.said(Side.CLIENT), capture.said(Side.SERVER)
    return bytes((options, 255)) + len(client).to_bytes(2, "big") + client + server


@dataclass
class Voice:
    """One party: what it has to say, and what it was told."""

    words: bytes
    chunk: int
    forever: bool
    told: list[bytes] = field(default_factory=list)
    silences: int = 0
    _at: int = 0

    def answers(self, say: bytes, limit: int) -> bytes:
        """What it says when it was told this; nothing once it has said all."""
        self.told.append(say)
        return self.next(limit)

    def next(self, limit: int) -> bytes:
        if self._at >= len(self.words) and self.forever and self.words:
            self._at = max(0, len(self.words) - 64)
        data = self.words[self._at : self._at + min(limit, self.chunk)]
        self._at += len(data)
        return data


class EncryptedVoice(Voice):
    """A server that takes TLS, and says its words in it; or outside of it, once it has begun."""

    def __init__(self, plain: Voice, options: int) -> None:
        super().__init__(plain.words, plain.chunk, plain.forever)
        self._never, self._inside = bool(options & _NEVER), not options & _OUTSIDE
        self._tls = Server(SERVER)
        self._waiting = b""

    def answers(self, say: bytes, limit: int) -> bytes:
        if say == ENCRYPTION_REQUEST:
            return b"S"
        if self._never:
            return self.next(limit)
        self._waiting += self._tls.hear(say)
        if not self._waiting and self._tls.done:
            words = self.next(limit)
            if self._inside and words:
                self._tls.tls.write(words)
                words = self._tls.outgoing.read()
            self._waiting = words
        data, self._waiting = self._waiting[:limit], self._waiting[limit:]
        return data


def voices(data: bytes) -> dict[Party, Voice]:
    options, size = (*data[:2], 0, 0)[:2]
    length = int.from_bytes(data[2:4], "big")
    chunk, forever = 1 + size * 64, bool(options & _FOREVER)
    words = data[4:]
    return {
        Party.CLIENT: Voice(words[:length], chunk, forever),
        Party.SERVER: Voice(words[length:], chunk, forever),
    }


def held(conversation: Conversation[T], parties: dict[Party, Voice]) -> T:
    """Drives a conversation to its end."""
    asked = heard = 0
    said = begin(conversation)
    while not isinstance(said, Done):
        ask = said.ask
        party = parties[ask.party]
        assert 0 < ask.limit <= CHUNK
        data = party.answers(ask.say, ask.limit)
        asked, heard = asked + 1, heard + len(data)
        party.silences += not data
        assert party.silences <= 1, f"asks a {ask.party.name.lower()} that has left"
        assert asked <= MOST_ASKED, "asks for ever"
        assert heard <= MOST_HEARD, "hears for ever"
        said = answer(said, Heard(data))
    return said.result


def conversing(wire: Wire, *, encrypted: bool = False) -> Callable[[bytes], None]:
    """Everything that a wire may be asked to hold with these two. `encrypted`: the server has TLS."""

    def feed(data: bytes) -> None:
        options = data[0] if data else 0
        wanted = _ROLES[options % len(_ROLES)]
        exposed = bool(options & _EXPOSED)
        for last in (_opened, _identified, _refused):
            parties = voices(data)
            if encrypted and last is _opened:
                parties[Party.SERVER] = EncryptedVoice(parties[Party.SERVER], options)
            hello = held(wire.hello(), parties)
            assert isinstance(hello, Hello | Cancel | Left)
            if isinstance(hello, Hello):
                last(wire, hello, parties, Request("db.test", wanted, wanted, _nobody, exposed))

    return feed


def _opened(wire: Wire, hello: Hello, parties: dict[Party, Voice], request: Request) -> None:
    opened = held(wire.open(hello, request), parties)
    assert isinstance(opened, Opened | NotOpened | Cancel | Left | Denied)
    if isinstance(opened, Opened) and opened.tap is not None:
        _tapped(opened.tap, parties[Party.SERVER])


def _tapped(tap: Tap, server: Voice) -> None:
    """It sees the server's words until it is done, and keeps none of them for ever."""
    kept = 0
    while data := server.next(CHUNK):
        tapped = tap(data)
        kept += len(data) - len(tapped.forward)
        if tapped.done or tapped.refuse:
            return
        assert kept <= MOST_TAPPED, "the tap keeps everything"


def _identified(wire: Wire, hello: Hello, parties: dict[Party, Voice], _: Request) -> None:
    assert isinstance(held(wire.identify(hello), parties), bytes | Cancel | Left)


def _refused(wire: Wire, hello: Hello, parties: dict[Party, Voice], _: Request) -> None:
    assert isinstance(held(wire.last_words(hello, Refusal.TOO_MANY, "why"), parties), bytes)


def _nobody(_: object) -> None:
    """A witness that does not care."""


postgresql = conversing(PostgresqlWire())
postgresql_plain = conversing(PostgresqlWire(passes_tls=False))
postgresql_encrypted = conversing(PostgresqlWire(_ENCRYPTION), encrypted=True)
tcp_encrypted = conversing(TcpWire(_ENCRYPTION), encrypted=True)
mysql = conversing(MysqlWire())
mysql_plain = conversing(MysqlWire(passes_tls=False))


def seeds(captures: tuple[Capture, ...]) -> Iterator[bytes]:
    """Every capture, with each role wanted now and then, and each option."""
    options = (_FOREVER, _OUTSIDE, _NEVER, _EXPOSED)
    for number, capture in enumerate(captures):
        yield played(capture, number % len(_ROLES))
        if number % 5 == 0:
            yield played(capture, options[number // 5 % len(options)])
