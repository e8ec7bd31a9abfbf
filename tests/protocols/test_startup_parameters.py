"""What a startup packet asks for, as the server reads it: against its loop, retold, and against a server."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from dbambassador.demo.postgresql import PostgreSQL
from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.postgresql import (
    MAX_STARTUP_PACKET,
    ServerError,
    read_error,
    startup_message,
    startup_parameters,
)

PROTOCOL_VIOLATION = "08P01"
UNDEFINED_DATABASE = "3D000"


def packet(body: bytes, minor: int = 0) -> bytes:
    return struct.pack("!IHH", 8 + len(body), 3, minor) + body


def test_user_and_database_are_read() -> None:
    sent = {"user": "app", "database": "orders", "options": "", "application_name": "shop"}
    expected = {"user": b"app", "database": b"orders", "options": b"", "application_name": b"shop"}
    assert startup_parameters(startup_message(sent)) == expected


@pytest.mark.parametrize("sent", [{"user": "app"}, {"database": "", "user": "app"}])
def test_the_database_defaults_to_the_users_name(sent: dict[str, str]) -> None:
    assert startup_parameters(startup_message(sent))["database"] == b"app"


def test_the_last_of_several_values_counts() -> None:
    body = b"user\0one\0database\0a\0user\0two\0database\0b\0\0"
    assert startup_parameters(packet(body)) == {"user": b"two", "database": b"b"}


def test_values_of_any_encoding_are_kept() -> None:
    parameters = startup_parameters(packet(b"user\0J\xfcrgen\0sch\xf6n.er\0\xff\0\0"))
    assert parameters["user"] == parameters["database"] == b"J\xfcrgen"
    assert parameters["sch\\xf6n.er"] == b"\xff"


def test_a_missing_user_is_left_to_the_server() -> None:
    assert startup_parameters(packet(b"\0")).get("user", b"") == b""


def test_a_packet_as_long_as_a_server_takes_is_read() -> None:
    rest = MAX_STARTUP_PACKET - len(packet(b"user\0\0\0"))
    assert startup_parameters(packet(b"user\0" + b"u" * rest + b"\0\0"))["user"] == b"u" * rest
    with pytest.raises(Malformed):
        startup_parameters(packet(b"user\0" + b"u" * (rest + 1) + b"\0\0"))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"user",
        b"user\0",
        b"user\0app",
        b"user\0app\0",
        b"user\0app\0database\0\0",
        b"user\0app\0\0\0",
        b"user\0app\0\0database\0orders\0\0",
        b"\0user\0app\0\0",
    ],
)
def test_another_layout_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        startup_parameters(packet(body))


@pytest.mark.parametrize(
    "other",
    [
        b"",
        b"\x16" + packet(b"user\0app\0\0")[1:],
        struct.pack("!II", 8, 80877103),
        struct.pack("!II", 16, 80877102) + b"user\0a\0\0",
        packet(b"user\0app\0\0")[:-1],
        packet(b"user\0app\0\0") + b"\0",
        packet(b"user\0app\0") + b"\0",
        b"\0\0\0\x09\0\x02\0\0\0",
    ],
)
def test_what_is_not_one_whole_startup_packet_is_malformed(other: bytes) -> None:
    with pytest.raises(Malformed):
        startup_parameters(other)


def as_the_server_reads(body: bytes) -> dict[bytes, bytes] | None:
    """The loop of ProcessStartupPacket; None: it misses the terminator, which has to be zero here."""
    buffer, parameters, offset = body + b"\0", dict[bytes, bytes](), 0
    while offset < len(body):
        name = buffer[offset : buffer.index(b"\0", offset)]
        value_offset = offset + len(name) + 1
        if not name or value_offset >= len(body):
            break
        value = buffer[value_offset : buffer.index(b"\0", value_offset)]
        parameters[name] = value
        offset = value_offset + len(value) + 1
    return parameters if offset == len(body) - 1 and body.endswith(b"\0") else None


words = st.sampled_from([b"user", b"database", b"app", b"orders", b"x", b"\xff", b"", b"\0"])
bodies = st.lists(words, max_size=12).map(b"\0".join) | st.lists(words, max_size=12).map(
    lambda some: b"".join(word + b"\0" for word in some) + b"\0"
)


@given(bodies | st.binary(max_size=40), st.integers(0, 0xFFFF))
def test_arbitrary_parameters_are_read_as_the_server_reads_them(body: bytes, minor: int) -> None:
    expected = as_the_server_reads(body)
    if expected is None:
        with pytest.raises(Malformed):
            startup_parameters(packet(body, minor))
        return
    user = expected.get(b"user", b"")
    expected[b"database"] = expected.get(b"database") or user
    found = startup_parameters(packet(body, minor))
    assert found == {name.decode("utf-8", "backslashreplace"): value for name, value in expected.items()}


@given(st.binary(max_size=80))
@example(packet(b"\0"))
def test_arbitrary_bytes_give_parameters_or_a_declared_error(data: bytes) -> None:
    try:
        parameters = startup_parameters(data)
    except Malformed:
        return
    assert "database" in parameters
    assert sum(map(len, parameters.values())) < 2 * len(data)


def refusal(server: PostgreSQL, sent: bytes) -> ServerError | None:
    """The error that ends a startup; None: the server is ready for queries."""
    with (
        socket.create_connection(("127.0.0.1", server.port), 5) as connection,
        connection.makefile("rb") as stream,
    ):
        connection.sendall(sent)
        while True:
            kind, length = struct.unpack("!cI", stream.read(5))
            body = stream.read(length - 4)
            if kind in (b"E", b"Z"):
                return read_error(body) if kind == b"E" else None


@settings(max_examples=30, deadline=None)
@given(body=bodies)
@example(body=b"user\0app\0\0\0")
@example(body=b"user\0app\0database\0\0")
@example(body=b"user\0app\0\0")
def test_a_server_finds_the_same_packets_malformed(postgresql: PostgreSQL, body: bytes) -> None:
    assume(body.endswith(b"\0"))  # in the terminator's place the server takes any byte
    error = refusal(postgresql, packet(body))
    refused = error is not None and error.sqlstate == PROTOCOL_VIOLATION
    assert refused == (as_the_server_reads(body) is None)


def test_a_server_takes_the_users_name_for_a_missing_database(postgresql: PostgreSQL) -> None:
    postgresql.query("CREATE ROLE homeless LOGIN")
    try:
        for sent in ({"user": "homeless"}, {"user": "homeless", "database": ""}):
            told = startup_parameters(startup_message(sent))["database"].decode()
            error = refusal(postgresql, startup_message(sent))
            assert error is not None
            assert error.sqlstate == UNDEFINED_DATABASE
            assert f'"{told}"' in error.message
    finally:
        postgresql.query("DROP ROLE homeless")
