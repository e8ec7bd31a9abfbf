"""A MySQL server and client by the book, without sockets: for conversations, and behind a stub's socket."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

import trio

from dbambassador.health.peer import PROBE_USER
from dbambassador.protocols import mysql
from dbambassador.protocols.mysql_authentication import CACHING_SHA2, CLEAR, ED25519, NATIVE, SHA256
from dbambassador.protocols.mysql_response import read_response, wants_tls
from tests.health.checking import greeting
from tests.testbed.mysql_client import response
from tests.transport.tls_peer import Server

USER, ANSWER, PASSWORD = "app", b"scramble of 20 bytes", b"app-password\0"
OK = b"\0\0\0\2\0\0\0"
DENIED = b"\xff\x15\x04#28000Access denied"
SSL_REQUEST = 36
"""Bytes."""
LENGTHS = {NATIVE: (0, len(ANSWER)), ED25519: (64,)}
"""Of answers that these plugins can read at all."""


class Line:
    """Numbers packets, and insists on the other's numbers."""

    def __init__(self) -> None:
        self._heard = b""
        self._sequence = 0

    def framed(self, payload: bytes) -> bytes:
        self._sequence += 1
        return mysql.packet(self._sequence - 1, payload)

    def heard(self, data: bytes) -> Iterator[bytes]:
        self._heard += data
        while (packet := mysql.read_answer(self._heard)) is not None:
            assert packet.sequence == self._sequence & 0xFF
            self._sequence += 1
            self._heard = packet.rest
            yield packet.payload


@dataclass
class BookServer:
    """Knows one account, `USER`, that has a plugin."""

    plugin: str = NATIVE
    default: str = NATIVE
    """The greeting's."""
    cached: bool = False
    tls: bool = False
    introduced: list[str] = field(default_factory=list)
    answers: list[bytes] = field(default_factory=list)
    verdict: str = ""
    """Empty: a connection that ends now is an aborted handshake."""
    after: bytes = b""
    """What came after the verdict, or after TLS was asked for."""
    asked_for_tls: bytes = b""

    def __post_init__(self) -> None:
        self._line = Line()
        self._state = "response"

    def begin(self) -> bytes:
        first = greeting(self.default, tls=self.tls)
        return self._line.framed(first[4:])

    def hear(self, data: bytes) -> bytes:
        """Its answer."""
        if self.verdict or self.asked_for_tls:
            self.after += data
            return b""
        said = b""
        for payload in self._line.heard(data):
            said += b"".join(map(self._line.framed, self._answer(payload)))
        return said

    def _answer(self, payload: bytes) -> list[bytes]:
        if self._state == "response":
            return self._introduction(payload)
        self.answers.append(payload)
        if self._state == "challenged":
            return self._challenged(payload)
        return self._judge(payload == PASSWORD)

    def _introduction(self, payload: bytes) -> list[bytes]:
        if wants_tls(payload) and len(payload) == 32:
            self.asked_for_tls = payload
            return []
        user = payload[32:].split(b"\0")[0].decode()
        self.introduced.append(user)
        if user == PROBE_USER:
            return self._judge(False)
        if read_response(payload).plugin == self.plugin:
            return self._challenged(ANSWER if ANSWER in payload else b"")
        self._state = "challenged"
        return [b"\xfe" + self.plugin.encode() + b"\0" + bytes(range(1, 21)) + b"\0"]

    def _challenged(self, answer: bytes) -> list[bytes]:
        if self.plugin in LENGTHS and len(answer) not in LENGTHS[self.plugin]:
            self.verdict = "garbled"
            return [b"\xff\x13\x04#08S01Bad handshake"]
        if self.plugin in (CLEAR, SHA256):
            return self._judge(answer == PASSWORD)
        if self.plugin != CACHING_SHA2:
            return self._judge(answer == ANSWER or (len(answer) == 64 and any(answer)))
        if answer in (b"", b"\0"):
            return self._judge(False)
        if self.cached:
            return [b"\1\3", *self._judge(True)]
        self._state = "full"
        return [b"\1\4"]

    def _judge(self, right: bool) -> list[bytes]:
        self.verdict = "in" if right else "denied"
        return [OK if right else DENIED]

    async def serve(self, stream: trio.SocketStream) -> None:
        """The same on a socket, up to its verdict or the end."""
        said = self.begin()
        while True:
            if said:
                await stream.send_all(said)
            data = b"" if self.verdict else await stream.receive_some(4096)
            if not data:
                return
            said = self.hear(bytes(data))


class EncryptedServer:
    """One that takes TLS."""

    def __init__(self, book: BookServer, context: ssl.SSLContext) -> None:
        self.book = book
        self.in_clear = b""
        self._asked = False
        self._tls = Server(context)

    def hear(self, data: bytes) -> bytes:
        if not self._asked:
            clear, data = data[:SSL_REQUEST], data[SSL_REQUEST:]
            self.in_clear += clear
            said = self.book.hear(clear)
            self._asked = bool(self.book.asked_for_tls)
            if not self._asked:
                return said + self.book.hear(data)
            self.book.asked_for_tls = b""
        said = self._tls.hear(data)
        text = self._tls.read() if self._tls.done else b""
        answer = self.book.hear(text) if text else b""
        if answer:
            self._tls.tls.write(answer)
        return said + self._tls.outgoing.read()


@dataclass
class BookClient:
    """Answers what it is asked, as far as its script goes; then it leaves."""

    script: list[bytes]
    told: list[bytes] = field(default_factory=list)
    """Payloads."""
    raw: bytes = b""

    def __post_init__(self) -> None:
        self._line = Line()

    @property
    def over(self) -> bool:
        """It was told how it ends."""
        return bool(self.told) and self.told[-1][:1] in (b"\0", b"\xff")

    @property
    def is_in(self) -> bool:
        return self.over and self.told[-1][:1] == b"\0"

    def hear(self, data: bytes) -> bytes:
        self.raw += data
        said = b""
        for payload in self._line.heard(data):
            self.told.append(payload)
            if self.over:
                break
            if payload != b"\1\3" and self.script:
                said += self._line.framed(self.script.pop(0))
        return said


def introduction(plugin: str = NATIVE, *, capabilities: int = 0) -> bytes:
    return response(USER, plugin, ANSWER, capabilities=capabilities)


async def converse(client: trio.SocketStream, *script: bytes) -> BookClient:
    """Says the script, and returns with its end: a verdict, or a question that it has no answer to."""
    book = BookClient(list(script))
    questions = len(script) + 1
    while len(book.told) < questions and not book.over:
        data = await client.receive_some(4096)
        if not data:
            break
        said = book.hear(bytes(data))
        if said:
            await client.send_all(said)
    return book
