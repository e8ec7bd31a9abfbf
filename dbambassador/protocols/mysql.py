"""MySQL's and MariaDB's connection phase, as far as an ambassador needs it.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase.html. A packet is a 3-byte
little-endian length, a sequence number, and the payload. The server speaks first.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.protocols.malformed import Malformed

SERVER_SHUTDOWN = 1053
"""ER_SERVER_SHUTDOWN: clients take it for a lost server. 2xxx codes are the clients' own and confuse them."""
TOO_MANY_CONNECTIONS = 1040
HOST_BLOCKED = 1129
HOST_NOT_PRIVILEGED = 1130
NOT_PREPARED = 1047
"""ER_UNKNOWN_COM_ERROR: what a Galera node says to every query before it has joined its cluster."""
OFFLINE_MODE = 3032
"""ER_SERVER_OFFLINE_MODE: sessions are for administrators only."""

BAD_HANDSHAKE = 1043
"""ER_HANDSHAKE_ERROR: what a server answers to packets that it does not understand."""

MAX_PACKET = 16 * 1024
"""Bytes. More than any packet of the connection phase that a server sends unasked."""
LONGEST = 4 + MAX_PACKET
"""With its header."""
MAX_ANSWER = 96 * 1024
"""More than anything that is said in answer to one: 64 KiB of connection attributes (the server's limit), and
tickets of Kerberos with half of that."""

CLIENT_LONG_PASSWORD = 0x1
CLIENT_CONNECT_WITH_DB = 0x8
CLIENT_PROTOCOL_41 = 0x200
CLIENT_SSL = 0x800
CLIENT_SECURE_CONNECTION = 0x8000
CLIENT_PLUGIN_AUTH = 0x80000
CLIENT_LENENC_AUTH = 0x200000
"""CLIENT_PLUGIN_AUTH_LENENC_CLIENT_DATA."""
CLIENT_MULTI_FACTOR = 0x10000000
"""CLIENT_MULTI_FACTOR_AUTHENTICATION, of MySQL 8.0.27."""
SALT = 20
"""Bytes of a challenge, in greetings and in requests for another plugin."""
_UTF8MB4 = 45
_SQLSTATES = {TOO_MANY_CONNECTIONS: b"08004"}
"""Of the errors that are ours to send; of all others it is 08S01, a lost connection.
https://dev.mysql.com/doc/mysql-errors/8.4/en/server-error-reference.html"""


@dataclass(frozen=True, slots=True)
class Packet:
    """One packet and what followed it."""

    sequence: int
    payload: bytes
    rest: bytes

    @property
    def whole(self) -> bytes:
        """All of it, and what followed, as it came."""
        return packet(self.sequence, self.payload) + self.rest


@dataclass(frozen=True, slots=True)
class Greeting:
    """The server's first packet of protocol 10."""

    version: str
    plugin: str
    """Its default authentication plugin."""
    capabilities: int = 0
    salt: bytes = b""
    """The challenge for that plugin."""

    @property
    def tls(self) -> bool:
        """It takes TLS."""
        return bool(self.capabilities & CLIENT_SSL)


@dataclass(frozen=True, slots=True)
class ServerError:
    """An ERR packet."""

    code: int
    message: str


def read_packet(data: bytes) -> Packet | None:
    """The server's first packet, or None while it is incomplete.

    Raises:
      Malformed: no server says that much unasked, nor nothing.
    """
    length = int.from_bytes(data[:3], "little")
    if len(data) >= 4 and not 0 < length <= MAX_PACKET:
        raise Malformed(f"not a MySQL server (a first packet of {length} bytes)")
    return read_answer(data)


def read_answer(data: bytes) -> Packet | None:
    """A later packet of either side, which may be empty, or None while it is incomplete.

    Raises:
      Malformed: longer than any packet of the connection phase.
    """
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:3], "little")
    if length > MAX_ANSWER:
        raise Malformed(f"a packet of {length} bytes where {MAX_ANSWER} are the most")
    if len(data) < 4 + length:
        return None
    return Packet(data[3], data[4 : 4 + length], data[4 + length :])


def read_greeting(payload: bytes) -> Greeting | ServerError:
    """The server's first word: its greeting, or the error it sends instead.

    Raises:
      Malformed: neither of the two.
    """
    if payload[:1] == b"\xff":
        return read_error(payload)
    end = payload.find(b"\0", 1)
    if payload[:1] != b"\x0a" or end < 0:
        raise Malformed(f"not a MySQL server (its greeting begins with {payload[:8]!r})")
    # After the version: thread id 4, salt 8, filler 1, capabilities 2, charset 1, status 2, capabilities 2,
    # salt length 1, reserved 10; then the rest of the salt (at least 13) and the plugin's name.
    fixed = payload[end + 1 :]
    plugin, salt = "", fixed[4:12]
    capabilities = int.from_bytes(fixed[13:15], "little")
    if len(fixed) >= 31:
        capabilities |= int.from_bytes(fixed[18:20], "little") << 16
        salt += fixed[31 : 31 + SALT - 8]
        if capabilities & CLIENT_PLUGIN_AUTH:
            salt_rest = max(13, fixed[20] - 8)
            plugin = fixed[31 + salt_rest :].split(b"\0", 1)[0].decode("ascii", "replace")
    version = payload[1:end].decode("ascii", "replace")
    return Greeting(version, plugin, capabilities, salt)


def without_tls(greeting: bytes) -> bytes:
    """A greeting, by its payload, that offers no TLS and is otherwise the same."""
    place = greeting.index(b"\0", 1) + 1 + 13
    capabilities = greeting[place : place + 2]
    others = int.from_bytes(capabilities, "little") & ~CLIENT_SSL
    return greeting[:place] + others.to_bytes(len(capabilities), "little") + greeting[place + 2 :]


def read_error(payload: bytes) -> ServerError:
    """An ERR packet with or without its `#SQLSTATE`."""
    text = payload[3:]
    if text[:1] == b"#":
        text = text[6:]
    return ServerError(int.from_bytes(payload[1:3], "little"), text.decode("utf-8", "replace"))


def packet(sequence: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "little") + bytes([sequence & 0xFF]) + payload


def error_before_greeting(code: int, message: str) -> bytes:
    """An ERR packet in place of the greeting: without a SQLSTATE, as the servers themselves send it."""
    return packet(0, b"\xff" + code.to_bytes(2, "little") + message.encode())


def error_in_handshake(sequence: int, code: int, message: str) -> bytes:
    """An ERR packet in answer to a client that speaks protocol 4.1."""
    sqlstate = _SQLSTATES.get(code, b"08S01")
    return packet(sequence, b"\xff" + code.to_bytes(2, "little") + b"#" + sqlstate + message.encode())


def handshake_response(user: str, plugin: str, *, tls: bool = False) -> bytes:
    """A HandshakeResponse41 with an empty password; `tls`: it follows a `tls_request`."""
    return packet(2 if tls else 1, without_password(user, plugin, tls=tls))


def without_password(user: str, plugin: str, *, tls: bool = False) -> bytes:
    """Its payload."""
    # The length of an empty authentication response stands before the plugin.
    return _beginning(tls) + user.encode() + b"\0" + b"\0" + plugin.encode() + b"\0"


def tls_request() -> bytes:
    """An SSLRequest: TLS begins behind it."""
    return packet(1, _beginning(tls=True))


def _beginning(tls: bool) -> bytes:
    """What an SSLRequest consists of, and a HandshakeResponse41 begins with."""
    capabilities = CLIENT_LONG_PASSWORD | CLIENT_PROTOCOL_41 | CLIENT_SECURE_CONNECTION | CLIENT_PLUGIN_AUTH
    capabilities |= CLIENT_SSL if tls else 0
    return (
        capabilities.to_bytes(4, "little") + (1 << 24).to_bytes(4, "little") + bytes([_UTF8MB4]) + bytes(23)
    )


QUIT = packet(0, b"\x01")
"""COM_QUIT."""
