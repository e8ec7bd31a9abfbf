"""The first bytes of a PostgreSQL connection, against the documented formats and arbitrary input."""

from __future__ import annotations

import struct

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.postgresql import (
    Kind,
    error_response,
    read_error,
    read_opening,
    read_reply,
    startup_message,
)

SSL = struct.pack("!II", 8, 80877103)
GSSENC = struct.pack("!II", 8, 80877104)
CANCEL = struct.pack("!IIII", 16, 80877102, 4711, 0xDEADBEEF)
STARTUP = startup_message({"user": "app", "database": "orders"})


@pytest.mark.parametrize(
    ("packet", "kind"),
    [(SSL, Kind.SSL), (GSSENC, Kind.GSSENC), (CANCEL, Kind.CANCEL), (STARTUP, Kind.STARTUP)],
)
def test_every_kind_is_told_only_when_it_is_whole(packet: bytes, kind: Kind) -> None:
    for length in range(len(packet)):
        assert read_opening(packet[:length]) is None
    opening = read_opening(packet + b"tail")
    assert opening is not None
    assert (opening.kind, opening.packet, opening.rest) == (kind, packet, b"tail")


def test_startup_message_has_the_documented_bytes() -> None:
    assert startup_message({"user": "a"}) == b"\x00\x00\x00\x10\x00\x03\x00\x00user\x00a\x00\x00"


@pytest.mark.parametrize("minor", [0, 2, 9999])
def test_any_minor_version_is_left_to_the_server(minor: int) -> None:
    packet = struct.pack("!IHH", 9, 3, minor) + b"\0"
    opening = read_opening(packet)
    assert opening is not None
    assert opening.kind is Kind.STARTUP


@pytest.mark.parametrize("key_length", [4, 32, 256])
def test_a_cancel_key_is_taken_whole(key_length: int) -> None:
    key = struct.pack("!I", 4711) + bytes(range(256))[:key_length]
    opening = read_opening(struct.pack("!II", 8 + len(key), 80877102) + key)
    assert opening is not None
    assert opening.cancel_key == key


def test_direct_tls_is_known_by_its_first_byte() -> None:
    opening = read_opening(b"\x16")
    assert opening is not None
    assert opening.kind is Kind.DIRECT_TLS


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\n",
        b"\x00\x00\x00\x07",
        b"\x00\x00\x27\x15\x00\x03\x00\x00",
        struct.pack("!II", 9, 80877103) + b"x",
        struct.pack("!II", 8, 80877102),
        struct.pack("!IHH", 8, 2, 0),
    ],
)
def test_what_is_no_startup_is_said_so(garbage: bytes) -> None:
    with pytest.raises(Malformed):
        read_opening(garbage)


@given(st.binary(max_size=64))
@example(b"\x00\x00\x00\x08\x04\xd2\x16\x2f")
def test_arbitrary_bytes_give_an_opening_or_a_declared_error(data: bytes) -> None:
    try:
        opening = read_opening(data)
    except Malformed:
        return
    if opening is not None:
        assert opening.packet + opening.rest == data


def test_an_error_response_reads_back() -> None:
    data = error_response("57P03", "no usable address", "nothing resolves")
    assert data[:1] == b"E"
    assert int.from_bytes(data[1:5], "big") == len(data) - 1
    error = read_error(data[5:])
    assert (error.sqlstate, error.message) == ("57P03", "no usable address")


FORK_FAILURE = b"Ecould not fork new process for connection: Resource temporarily unavailable\n\0"
"""As captured from PostgreSQL 18 with no process left, and a client that had not said anything."""


@given(st.integers(0, len(FORK_FAILURE)))
def test_a_server_that_cannot_fork_says_so_without_a_length(said: int) -> None:
    reply = read_reply(FORK_FAILURE[:said])
    if said < len(FORK_FAILURE):
        assert reply is None
    else:
        assert reply is not None
        error = read_error(reply[1])
        assert reply[0] == b"E"
        assert error.sqlstate == ""
        assert error.message == "could not fork new process for connection: Resource temporarily unavailable"
    with pytest.raises(Malformed):
        read_reply(FORK_FAILURE[:-2] * 20)


@given(st.binary(max_size=80))
def test_a_servers_first_message_is_whole_or_malformed(data: bytes) -> None:
    try:
        reply = read_reply(data)
    except Malformed:
        return
    if reply is not None and not (data.startswith(b"E") and data[1] >= ord(" ")):
        kind, body = reply
        assert data.startswith(kind + (len(body) + 4).to_bytes(4, "big") + body)
