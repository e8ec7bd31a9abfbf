"""MySQL and MariaDB: the server speaks first, so the ambassador dials before it hears anything."""

from __future__ import annotations

from dbambassador.events import Refusal
from dbambassador.forwarding.wires.conversation import Ask, Conversation, Party, at_once
from dbambassador.forwarding.wires.mysql_handshake import Handshake, Key, Terms, error_in_turn
from dbambassador.forwarding.wires.wire import (
    Cancel,
    Greeting,
    Hello,
    Left,
    NotOpened,
    Opened,
    Opening,
    Request,
    Seen,
)
from dbambassador.health.evidence import Signal
from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed
from dbambassador.transport.tls_failures import NO_TLS, TlsFailed, no_tls
from dbambassador.transport.tls_files import Encryption

_CODES = {
    Refusal.TOO_MANY: mysql.TOO_MANY_CONNECTIONS,
    Refusal.NO_DESCRIPTORS: mysql.TOO_MANY_CONNECTIONS,
    Refusal.GARBLED: mysql.BAD_HANDSHAKE,
}


class MysqlWire:
    """Holds the whole connection phase: a dead server is found out in time, and no server ever waits for a
    client in vain."""

    opaque = False
    resets_unopened = True

    def __init__(
        self, encryption: Encryption | None = None, key: Key | None = None, *, passes_tls: bool = True
    ) -> None:
        """
        Args:
          encryption: the server's side is encrypted here, and the client's is not.
          key: with that.
          passes_tls: otherwise, a client may have TLS with the server.
        """
        self.encryption = encryption
        self._key = key
        self._passes_tls = passes_tls and encryption is None

    def hello(self) -> Greeting:
        return at_once(Hello())

    def open(self, hello: Hello, request: Request) -> Opening:
        try:
            first = yield from _first_packet()
            if isinstance(first, NotOpened):
                return first
            greeting = mysql.read_greeting(first.payload)
        except Malformed as malformed:
            return NotOpened(Signal.FALTERED, str(malformed))
        if isinstance(greeting, mysql.ServerError):
            return _of_error(first, greeting)
        if not greeting.capabilities & mysql.CLIENT_PROTOCOL_41 and self.encryption is None:
            return Opened(to_client=first.whole)  # of before MySQL 4.1: nothing of what follows is known
        if first.rest and self.encryption is not None:
            # Anybody may have said it: it must not be taken for a part of what is said in TLS.
            return NotOpened(Signal.FALTERED, "it says more than its greeting before TLS")
        handshake = Handshake(hello, first, greeting)
        terms = self._terms(greeting, request)
        if isinstance(terms, Terms):
            return (yield from handshake.run(terms))
        yield from handshake.end()
        return terms

    def _terms(self, greeting: mysql.Greeting, request: Request) -> Terms | NotOpened:
        if self.encryption is not None:
            if not greeting.tls:
                return NotOpened(Signal.FALTERED, no_tls(NO_TLS))
            try:
                return Terms(False, tls=self.encryption.begin(request.host), key=self._key)
            except TlsFailed as failed:
                return NotOpened(Signal.FALTERED, str(failed))
        return Terms(self._passes_tls, request.exposed)

    def identify(self, hello: Hello) -> Conversation[bytes | Cancel | Left]:
        return at_once(b"")  # the server speaks first

    def last_words(self, hello: Hello, refusal: Refusal, why: str) -> Conversation[bytes]:
        code = _CODES.get(refusal, mysql.SERVER_SHUTDOWN)
        text = f"dbambassador: {refusal.value}"
        text = f"{text} ({why})" if why else text
        if hello.exchanged:
            return error_in_turn(hello, code, text)
        return at_once(mysql.error_before_greeting(code, text))


def _first_packet() -> Conversation[mysql.Packet | NotOpened]:
    """Raises: Malformed."""
    data = b""
    while (packet := mysql.read_packet(data)) is None:
        heard = yield Ask(Party.SERVER)
        if not heard.data:
            return NotOpened(Signal.FALTERED, f"{heard.reason} before its greeting")
        data += heard.data
    return packet


def _of_error(first: mysql.Packet, error: mysql.ServerError) -> Opened | NotOpened:
    """What to do with a server that answers a connection with an error."""
    if error.code == mysql.SERVER_SHUTDOWN:
        return NotOpened(Signal.NOT_READY, error.message)
    if error.code in (mysql.HOST_BLOCKED, mysql.HOST_NOT_PRIVILEGED):
        return NotOpened(Signal.FALTERED, error.message)  # of this host, not of this client
    return Opened(to_client=first.whole, seen=Seen(rejected=True), owed=1)
