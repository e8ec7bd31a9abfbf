"""A MySQL client that says as much as a test wants, for leaving at any point and for odd answers."""

from __future__ import annotations

import hashlib
import socket
import struct

from dbambassador.protocols import mysql
from dbambassador.protocols.mysql_authentication import NATIVE, Step, read_step


class Speaker:
    """One connection, packet by packet. Close it with `leave` or `reset`."""

    def __init__(self, connection: socket.socket) -> None:
        connection.settimeout(10.0)
        self.connection = connection
        self.sequence = 0
        self.greeting = b""
        self._heard = b""

    def hear(self) -> bytes:
        """The next packet's payload. Raises EOFError."""
        while (packet := mysql.read_answer(self._heard)) is None:
            more = self.connection.recv(65536)
            if not more:
                raise EOFError("the server closed the connection")
            self._heard += more
        self._heard = packet.rest
        self.sequence = packet.sequence + 1
        return packet.payload

    def say(self, payload: bytes) -> None:
        self.connection.sendall(self.framed(payload))

    def framed(self, payload: bytes) -> bytes:
        return mysql.packet(self.sequence, payload)

    def greeted(self) -> mysql.Greeting:
        self.greeting = self.hear()
        greeting = mysql.read_greeting(self.greeting)
        assert isinstance(greeting, mysql.Greeting), greeting
        return greeting

    def asked(self, user: str, plugin: str, answer: bytes = b"") -> Step:
        """Introduces itself, and gives what the server says to that."""
        self.say(response(user, plugin, answer))
        return self.step()

    def step(self) -> Step:
        return read_step(self.hear())

    def leave(self) -> None:
        self.connection.close()

    def reset(self) -> None:
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.close()


def response(user: str, plugin: str, answer: bytes = b"", *, capabilities: int = 0) -> bytes:
    """A HandshakeResponse41's payload."""
    empty = mysql.without_password(user, plugin)
    place = 32 + len(user.encode()) + 1
    flags = int.from_bytes(empty[:4], "little") | capabilities
    return flags.to_bytes(4, "little") + empty[4:place] + bytes([len(answer)]) + answer + empty[place + 1 :]


def native(password: str, salt: bytes) -> bytes:
    """The answer of mysql_native_password to a challenge."""
    once = hashlib.sha1(password.encode()).digest()
    mask = hashlib.sha1(salt + hashlib.sha1(once).digest()).digest()
    return bytes(a ^ b for a, b in zip(once, mask, strict=True))


__all__ = ["NATIVE", "Speaker", "native", "response"]
