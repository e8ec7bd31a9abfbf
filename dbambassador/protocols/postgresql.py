"""PostgreSQL's frontend/backend protocol, as far as an ambassador needs it.

https://www.postgresql.org/docs/current/protocol-message-formats.html. Messages before the startup have no
type byte: Int32 length, Int32 code. Later ones: Byte1 type, Int32 length (which counts itself), body.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from dbambassador.protocols.malformed import Malformed

SSL_REQUEST = 80877103
GSSENC_REQUEST = 80877104
CANCEL_REQUEST = 80877102
PROTOCOL_3 = 3
TLS_HANDSHAKE = 0x16
"""First byte of a TLS ClientHello: direct TLS, PostgreSQL 17."""

MAX_STARTUP_PACKET = 10_000 + 4
"""MAX_STARTUP_PACKET_LENGTH of src/include/libpq/pqcomm.h, and its length word."""

CANNOT_CONNECT_NOW = "57P03"
"""libpq and asyncpg try their next host on this one alone."""
TOO_MANY_CONNECTIONS = "53300"

_LENGTH_AND_CODE = struct.Struct("!II")
_TYPE_AND_LENGTH = struct.Struct("!cI")


class Kind(Enum):
    """What a client's packet asks for before, or as, its startup."""

    STARTUP = "startup"
    SSL = "SSLRequest"
    GSSENC = "GSSENCRequest"
    CANCEL = "CancelRequest"
    DIRECT_TLS = "direct TLS"


@dataclass(frozen=True, slots=True)
class Opening:
    """The first whole packet of a client, byte for byte, and what followed it in the same buffer."""

    kind: Kind
    packet: bytes
    rest: bytes = b""

    @property
    def cancel_key(self) -> bytes:
        """Process id and secret of a CancelRequest: 8 bytes in protocol 3.0, up to 260 in 3.2."""
        return self.packet[8:]


def read_opening(data: bytes) -> Opening | None:
    """The client's first packet, or None while it is incomplete.

    Any minor version of protocol 3 is accepted: the server negotiates it.

    Raises:
      Malformed: the bytes cannot begin a PostgreSQL connection.
    """
    if not data:
        return None
    if data[0] == TLS_HANDSHAKE:
        return Opening(Kind.DIRECT_TLS, data)
    if len(data) < 4:
        return None
    length = int.from_bytes(data[:4], "big")
    if not 8 <= length <= MAX_STARTUP_PACKET:
        raise Malformed(f"not a PostgreSQL startup packet (a length of {length})")
    if len(data) < 8:
        return None
    code = int.from_bytes(data[4:8], "big")
    kind = _kind(code, length)
    if len(data) < length:
        return None
    return Opening(kind, data[:length], data[length:])


def _kind(code: int, length: int) -> Kind:
    if code in (SSL_REQUEST, GSSENC_REQUEST):
        if length != 8:
            raise Malformed(f"an encryption request of {length} bytes instead of 8")
        return Kind.SSL if code == SSL_REQUEST else Kind.GSSENC
    if code == CANCEL_REQUEST:
        if not 16 <= length <= 12 + 256:
            raise Malformed(f"a cancel request of {length} bytes")
        return Kind.CANCEL
    if code >> 16 == PROTOCOL_3:
        return Kind.STARTUP
    raise Malformed(f"protocol {code >> 16}.{code & 0xFFFF} instead of 3")


def startup_message(parameters: dict[str, str]) -> bytes:
    """A StartupMessage of protocol 3.0."""
    body = b"".join(f"{name}\0{value}\0".encode() for name, value in parameters.items()) + b"\0"
    return _LENGTH_AND_CODE.pack(8 + len(body), PROTOCOL_3 << 16) + body


def startup_parameters(packet: bytes) -> Mapping[str, bytes]:
    """What a whole StartupMessage asks for, by name; the encoding of the values is known to the server alone.

    As the server reads it (ProcessStartupPacket in src/backend/tcop/backend_startup.c): the last of several
    values counts, and `database` without one is the user's name. A user may be missing: the server will say
    so in its own words.

    Raises:
      Malformed: it is no StartupMessage, or longer than a server takes, or not laid out as pairs of strings.
    """
    opening = read_opening(packet)
    if opening is None or opening.kind is not Kind.STARTUP or opening.rest:
        raise Malformed(f"not one whole startup packet ({len(packet)} bytes)")
    strings = packet[_LENGTH_AND_CODE.size :].split(b"\0")
    names, values, end = strings[:-2:2], strings[1:-2:2], strings[-2:]
    if end != [b"", b""] or len(names) != len(values) or b"" in names:
        raise Malformed("a startup packet whose parameters do not end where it does")
    parameters = {
        name.decode("utf-8", "backslashreplace"): value for name, value in zip(names, values, strict=True)
    }
    if not parameters.get("database"):
        parameters["database"] = parameters.get("user", b"")
    return parameters


ENCRYPTION_REQUEST = _LENGTH_AND_CODE.pack(8, SSL_REQUEST)


class NoProcess(Malformed):
    """The server can start no process for one more client; those whom it has need none."""


def why_not_encrypted(answer: bytes) -> str:
    """What another answer than `S` and `N` to an encryption request says; empty where there is none."""
    if not answer:
        return ""
    if answer == b"E":
        return "it answers a request for TLS with an error"
    return f"not a PostgreSQL server (its answer begins with {answer!r})"


def error_response(sqlstate: str, message: str, hint: str = "") -> bytes:
    """A FATAL ErrorResponse, as a server sends before it closes."""
    fields = {"S": "FATAL", "V": "FATAL", "C": sqlstate, "M": message, "H": hint}
    body = b"".join(f"{code}{text}\0".encode() for code, text in fields.items() if text) + b"\0"
    return _TYPE_AND_LENGTH.pack(b"E", 4 + len(body)) + body


@dataclass(frozen=True, slots=True)
class ServerError:
    """What an ErrorResponse says."""

    sqlstate: str
    message: str


def read_error(body: bytes) -> ServerError:
    """The SQLSTATE and message in the body of an ErrorResponse; empty where it has none."""
    fields = {part[:1]: part[1:].decode("utf-8", "replace") for part in body.split(b"\0") if part}
    return ServerError(fields.get(b"C", ""), fields.get(b"M", ""))


MAX_REPLY = 64 * 1024
"""More than any message of a startup has; a server's first reply is 9 to some hundred bytes."""
MAX_FORK_FAILURE = 1000
"""A server that can start no process says so as in protocol 2: `E`, a text, a zero byte, and no length. This
is all the space that it has for it (report_fork_failure_to_client in src/backend/postmaster)."""


def read_reply(data: bytes) -> tuple[bytes, bytes] | None:
    """Type and body of the server's first message, or None while it is incomplete.

    NegotiateProtocolVersion is none: a server that knows less than its client says so before its answer, be
    that an error.

    Raises:
      Malformed: no PostgreSQL server answers so.
    """
    message = _read_message(data)
    if message is not None and message[0] == b"v":
        return _read_message(data[_TYPE_AND_LENGTH.size + len(message[1]) :])
    return message


def _read_message(data: bytes) -> tuple[bytes, bytes] | None:
    if not data:
        return None
    if data[:1] not in b"REvN":
        raise Malformed(f"not a PostgreSQL server (its reply begins with {data[:8]!r})")
    if len(data) < 5:
        return None
    length = int.from_bytes(data[1:5], "big")
    if data[:1] == b"E" and data[1] >= ord(" ") and len(data) < MAX_FORK_FAILURE:
        text, ended, _ = data[1:].partition(b"\0")
        return (b"E", b"M" + text.strip() + b"\0") if ended else None
    if not 4 <= length <= MAX_REPLY:
        raise Malformed(f"not a PostgreSQL server (a message of {length} bytes)")
    return (data[:1], data[5 : 1 + length]) if len(data) > length else None
