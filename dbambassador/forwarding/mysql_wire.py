"""MySQL and MariaDB: the server speaks first, so the ambassador dials before it hears anything."""

from __future__ import annotations

import ipaddress
import socket

import trio

from dbambassador.events import Refusal
from dbambassador.forwarding.wire import (
    OPEN_TIMEOUT,
    Cancel,
    Denied,
    Hello,
    Left,
    NotOpened,
    Opened,
    Request,
    Seen,
    Witness,
    farewell,
    receive,
)
from dbambassador.health.evidence import Signal
from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed
from dbambassador.transport.dial import reset_on_close

_CODES = {
    Refusal.TOO_MANY: mysql.TOO_MANY_CONNECTIONS,
    Refusal.NO_DESCRIPTORS: mysql.TOO_MANY_CONNECTIONS,
}


_CHALLENGE_RESPONSE = frozenset({"mysql_native_password", "client_ed25519"})
"""Plugins that never send the password itself."""


class MysqlWire:
    """Reads the greeting before the session is handed over: a dead server is found out in time."""

    async def hello(self, client: trio.SocketStream) -> Hello | Cancel | Left:
        return Hello()

    async def open(
        self, client: trio.SocketStream, server: trio.SocketStream, hello: Hello, request: Request
    ) -> Opened | NotOpened | Cancel | Left | Denied:
        data = b""
        reset_on_close(server, True)
        with trio.move_on_after(OPEN_TIMEOUT):
            while True:
                received = await receive(server)
                if not received.data:
                    return NotOpened(Signal.FALTERED, f"{received.reason} before its greeting")
                data += received.data
                try:
                    packet = mysql.read_packet(data)
                    if packet is None:
                        continue
                    greeting = mysql.read_greeting(packet.payload)
                except Malformed as malformed:
                    return NotOpened(Signal.FALTERED, str(malformed))
                reset_on_close(server, False)
                return self._welcome(client, server, data, greeting, request.witness)
        return NotOpened(Signal.FALTERED, f"no greeting in {OPEN_TIMEOUT:g} s")

    def _welcome(
        self,
        client: trio.SocketStream,
        server: trio.SocketStream,
        data: bytes,
        greeting: mysql.Greeting | mysql.ServerError,
        witness: Witness,
    ) -> Opened | NotOpened | Denied:
        if isinstance(greeting, mysql.ServerError):
            if greeting.code == mysql.SERVER_SHUTDOWN:
                return NotOpened(Signal.NOT_READY, greeting.message)
            if greeting.code in (mysql.HOST_BLOCKED, mysql.HOST_NOT_PRIVILEGED):
                return NotOpened(Signal.FALTERED, greeting.message)  # of this host, not of this client
            witness(Seen(rejected=True))
        elif _would_leak(client, server, greeting):
            return Denied(
                f"the server's {greeting.plugin or 'authentication plugin'} would make this client send its "
                "password in clear over the network, since it takes a unix socket to be private"
            )
        return Opened(to_client=data)

    async def identify(self, client: trio.SocketStream, hello: Hello) -> bytes | Cancel | Left:
        return b""  # the server speaks first

    async def refuse(self, client: trio.SocketStream, hello: Hello, refusal: Refusal, why: str) -> None:
        code = _CODES.get(refusal, mysql.SERVER_SHUTDOWN)
        text = f"dbambassador: {refusal.value}"
        await farewell(client, mysql.error_before_greeting(code, f"{text} ({why})" if why else text))


def _would_leak(client: trio.SocketStream, server: trio.SocketStream, greeting: mysql.Greeting) -> bool:
    """Client libraries send passwords in clear over unix sockets; ours would go on over plain TCP."""
    if client.socket.family != socket.AF_UNIX or greeting.plugin in _CHALLENGE_RESPONSE:
        return False
    try:
        host = server.socket.getpeername()[0]
    except OSError:
        return False  # reset since its greeting: it gets no password either
    return not ipaddress.ip_address(host).is_loopback
