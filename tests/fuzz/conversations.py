"""Targets: the wires' conversations as a whole, with both parties saying anything.

An input is a byte of options, one of chunk sizes, the length of the client's words in two, its words, and the
server's. Whatever they are: a conversation ends or asks, never asks one that has left, nor for ever, and
keeps no more than it may.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from dbambassador.events import Refusal
from dbambassador.forwarding.relay.engine import Tap
from dbambassador.forwarding.wires.conversation import CHUNK, Conversation, Done, Heard, Party, answer, begin
from dbambassador.forwarding.wires.mysql import MysqlWire
from dbambassador.forwarding.wires.mysql_handshake import MOST_STEPS
from dbambassador.forwarding.wires.postgresql import PostgresqlWire
from dbambassador.forwarding.wires.wire import (
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
from dbambassador.protocols import mysql as mysql_packets
from dbambassador.protocols.mysql import MAX_ANSWER
from dbambassador.protocols.postgresql import ENCRYPTION_REQUEST
from dbambassador.protocols.postgresql_tap import MAX_STARTUP_REPLY
from dbambassador.settings.schema import SslMode, TargetSessionAttrs, Tls
from dbambassador.transport.password_key import PasswordKey
from dbambassador.transport.tls_files import Encryption
from tests.protocols.captures import Capture, Side
from tests.transport.tls_peer import SERVER, Server

T = TypeVar("T")

MOST_ASKED = 200_000
"""Times that a conversation asks, at most: one byte each of the longest packets takes a third of them."""
MOST_HEARD = 2 * MOST_STEPS * MAX_ANSWER
"""Bytes that it hears of parties that go on for ever, at most: MySQL's longest packets, of either."""
MOST_TAPPED = MAX_STARTUP_REPLY + CHUNK
"""Bytes that a tap keeps, at most."""

LAST_WORDS = 240
"""Bytes that are said for ever: whole packets of 5, 6, 8, 10, 12 or 20."""

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
    """One party: what it has to say."""

    words: bytes
    chunk: int
    forever: bool
    silences: int = 0
    _at: int = 0

    def answers(self, say: bytes, limit: int) -> bytes:
        """What it says when it was told this; nothing once it has said all."""
        return self.next(limit)

    def next(self, limit: int) -> bytes:
        if self._at >= len(self.words) and self.forever and self.words:
            self._at = max(0, len(self.words) - LAST_WORDS)
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


class MysqlVoice(EncryptedVoice):
    """One that greets in clear, and is told in clear that TLS begins."""

    def __init__(self, plain: Voice, options: int) -> None:
        super().__init__(plain, options)
        self._greeting = 4 + int.from_bytes(self.words[:3], "little")
        self._heard = b""
        self._begun = False

    def answers(self, say: bytes, limit: int) -> bytes:
        if self._greeting > 0:
            data = self.next(min(limit, self._greeting))
            self._greeting -= len(data)
            return data
        if not self._begun:
            self._heard += say
            request = mysql_packets.read_answer(self._heard)
            if request is None:
                return b""
            self._begun, say = True, request.rest
        return super().answers(say, limit)


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
        say = ask.say if ask.find is None else ask.say + ask.find()
        data = party.answers(say, ask.limit)
        if say and ask.told is not None:
            ask.told()
        asked, heard = asked + 1, heard + len(data)
        party.silences += not data
        assert party.silences <= 1, f"asks a {ask.party.name.lower()} that has left"
        assert asked <= MOST_ASKED, "asks for ever"
        assert heard <= MOST_HEARD, "hears for ever"
        said = answer(said, Heard(data))
    return said.result


def conversing(wire: Wire, server: type[EncryptedVoice] | None = None) -> Callable[[bytes], None]:
    """Everything that a wire may be asked to hold with these two. `server`: how it has TLS."""

    def feed(data: bytes) -> None:
        options = data[0] if data else 0
        wanted = _ROLES[options % len(_ROLES)]
        exposed = bool(options & _EXPOSED)
        for last in (_opened, _identified, _refused):
            parties = voices(data)
            if server is not None and last is _opened:
                parties[Party.SERVER] = server(parties[Party.SERVER], options)
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
    assert isinstance(held(wire.last_words(hello, Refusal.TOO_MANY, "why"), parties), bytes | Cancel)


def _nobody(_: object) -> None:
    """A witness that does not care."""


postgresql = conversing(PostgresqlWire())
postgresql_plain = conversing(PostgresqlWire(passes_tls=False))
postgresql_encrypted = conversing(PostgresqlWire(_ENCRYPTION), EncryptedVoice)
tcp_encrypted = conversing(TcpWire(_ENCRYPTION), EncryptedVoice)
mysql = conversing(MysqlWire())
mysql_encrypted = conversing(MysqlWire(_ENCRYPTION, PasswordKey()), MysqlVoice)
mysql_plain = conversing(MysqlWire(passes_tls=False))


def seeds(captures: tuple[Capture, ...]) -> Iterator[bytes]:
    """Every capture, with each role wanted now and then, and each option."""
    options = (_FOREVER, _OUTSIDE, _NEVER, _EXPOSED)
    for number, capture in enumerate(captures):
        yield played(capture, number % len(_ROLES))
        if number % 5 == 0:
            yield played(capture, options[number // 5 % len(options)])


def endless(captures: tuple[Capture, ...]) -> Iterator[bytes]:
    """Servers of MySQL's that say one thing of the connection phase for ever, to clients that answer."""
    for capture in captures:
        greeting = capture.words[0][1]
        for payload in (b"\1\3", b"\1\4", b"\xfemysql_native_password\0" + b"salt" * 5 + b"\0", b"\xfe"):
            said = mysql_packets.packet(2, payload)
            words = greeting + said * -(-LAST_WORDS // len(said))
            client = capture.said(Side.CLIENT)
            yield bytes((_FOREVER, 255)) + len(client).to_bytes(2, "big") + client + words
