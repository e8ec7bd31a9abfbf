"""MySQL and MariaDB: the server speaks first, so the ambassador dials before it hears anything."""

from __future__ import annotations

from dbambassador.events import Refusal
from dbambassador.forwarding.conversation import Ask, Conversation, Party, at_once
from dbambassador.forwarding.wire import (
    Cancel,
    Denied,
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

_CODES = {
    Refusal.TOO_MANY: mysql.TOO_MANY_CONNECTIONS,
    Refusal.NO_DESCRIPTORS: mysql.TOO_MANY_CONNECTIONS,
}


_CHALLENGE_RESPONSE = frozenset({"mysql_native_password", "client_ed25519"})
"""Plugins that never send the password itself."""


class MysqlWire:
    """Reads the greeting before the session is handed over: a dead server is found out in time."""

    opaque = False
    resets_unopened = True

    def hello(self) -> Greeting:
        return at_once(Hello())

    def open(self, hello: Hello, request: Request) -> Opening:
        data = b""
        while True:
            heard = yield Ask(Party.SERVER)
            if not heard.data:
                return NotOpened(Signal.FALTERED, f"{heard.reason} before its greeting")
            data += heard.data
            try:
                packet = mysql.read_packet(data)
                if packet is None:
                    continue
                greeting = mysql.read_greeting(packet.payload)
            except Malformed as malformed:
                return NotOpened(Signal.FALTERED, str(malformed))
            return _welcome(data, greeting, exposed=request.exposed)

    def identify(self, hello: Hello) -> Conversation[bytes | Cancel | Left]:
        return at_once(b"")  # the server speaks first

    def last_words(self, hello: Hello, refusal: Refusal, why: str) -> Conversation[bytes]:
        code = _CODES.get(refusal, mysql.SERVER_SHUTDOWN)
        text = f"dbambassador: {refusal.value}"
        return at_once(mysql.error_before_greeting(code, f"{text} ({why})" if why else text))


def _welcome(
    data: bytes, greeting: mysql.Greeting | mysql.ServerError, *, exposed: bool
) -> Opened | NotOpened | Denied:
    if isinstance(greeting, mysql.ServerError):
        if greeting.code == mysql.SERVER_SHUTDOWN:
            return NotOpened(Signal.NOT_READY, greeting.message)
        if greeting.code in (mysql.HOST_BLOCKED, mysql.HOST_NOT_PRIVILEGED):
            return NotOpened(Signal.FALTERED, greeting.message)  # of this host, not of this client
        return Opened(to_client=data, seen=Seen(rejected=True))
    # Client libraries send passwords in clear over unix sockets; ours would go on over plain TCP.
    if exposed and greeting.plugin not in _CHALLENGE_RESPONSE:
        return Denied(
            f"the server's {greeting.plugin or 'authentication plugin'} would make this client send its "
            "password in clear over the network, since it takes a unix socket to be private"
        )
    return Opened(to_client=data)
