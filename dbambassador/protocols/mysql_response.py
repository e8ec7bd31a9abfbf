"""What a MySQL client answers to the greeting: its wish for TLS, or who it is.

https://dev.mysql.com/doc/dev/mysql-server/latest/page_protocol_connection_phase_packets.html. Both begin
with the same 32 bytes: capabilities 4, longest packet 4, character set 1, and 23 of which MariaDB uses the
last four for capabilities of its own.
"""

from __future__ import annotations

from dataclasses import dataclass

from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed

_FIXED = 32


@dataclass(frozen=True, slots=True)
class Response:
    """A HandshakeResponse41, as far as it matters who answers what."""

    capabilities: int
    plugin: str
    """Whose answer to the greeting's challenge it brings."""


def wants_tls(payload: bytes) -> bool:
    """It is an SSLRequest, and TLS follows."""
    both = mysql.CLIENT_SSL | mysql.CLIENT_PROTOCOL_41
    return int.from_bytes(payload[:4], "little") & both == both


def read_response(payload: bytes) -> Response:
    """Reads the payload of a client's answer that is no SSLRequest.

    Raises:
      Malformed: no server of today would understand it.
    """
    end_of_user = payload.find(b"\0", _FIXED)
    capabilities = int.from_bytes(payload[:4], "little")
    if end_of_user < 0 or not capabilities & mysql.CLIENT_PROTOCOL_41:
        raise Malformed(f"not a client of MySQL 4.1 or later (a response of {len(payload)} bytes)")
    if not capabilities & mysql.CLIENT_PLUGIN_AUTH:
        return Response(capabilities, "mysql_native_password")
    place = _behind_authentication(payload, end_of_user + 1, capabilities)
    if capabilities & mysql.CLIENT_CONNECT_WITH_DB:
        end = payload.find(b"\0", place)
        place = end + 1 if end >= 0 else len(payload)
    plugin = payload[place:].split(b"\0", 1)[0]
    return Response(capabilities, plugin.decode("ascii", "replace"))


def with_tls(payload: bytes) -> bytes:
    """A response that says that it comes over TLS: MySQL goes by an SSLRequest's capabilities, MariaDB by
    these."""
    capabilities = int.from_bytes(payload[:4], "little") | mysql.CLIENT_SSL
    return capabilities.to_bytes(4, "little") + payload[4:]


def ssl_request(payload: bytes) -> bytes:
    """The SSLRequest's payload that goes before a response."""
    return with_tls(payload)[:_FIXED]


def _behind_authentication(payload: bytes, place: int, capabilities: int) -> int:
    """Where the answer to the challenge ends, which begins at `place`."""
    if capabilities & mysql.CLIENT_LENENC_AUTH:
        first, place = payload[place : place + 1], place + 1
        width = _WIDTHS.get(first[0] if first else 0, 0)
        length = int.from_bytes(payload[place : place + width] if width else first, "little")
        return place + width + length
    if capabilities & mysql.CLIENT_SECURE_CONNECTION:
        return place + 1 + int.from_bytes(payload[place : place + 1], "little")
    end = payload.find(b"\0", place)
    return end + 1 if end >= 0 else len(payload)


_WIDTHS = {0xFC: 2, 0xFD: 3, 0xFE: 8}
"""Bytes of a length-encoded integer that does not fit into one."""
