"""MySQL's first packets, against captured ones and arbitrary input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed

CAPABILITIES = 0xF7FE | 0x81FF << 16
GREETING = (
    b"\x0a5.5.5-10.11.19-MariaDB\0"
    + b"\x04\0\0\0"
    + b"12345678\0"
    + (CAPABILITIES & 0xFFFF).to_bytes(2, "little")
    + b"\x2d\x02\0"
    + (CAPABILITIES >> 16).to_bytes(2, "little")
    + b"\x15"
    + bytes(10)
    + b"123456789012\0"
    + b"mysql_native_password\0"
)


def test_a_greeting_gives_version_and_plugin() -> None:
    assert mysql.read_greeting(GREETING) == mysql.Greeting("5.5.5-10.11.19-MariaDB", "mysql_native_password")


def test_an_error_before_the_greeting_has_the_servers_own_bytes() -> None:
    # As MariaDB 10.11 sends it: 17 00 00 00 FF 10 04 "Too many connections".
    assert (
        mysql.error_before_greeting(1040, "Too many connections").hex(" ").startswith("17 00 00 00 ff 10 04")
    )
    packet = mysql.read_packet(mysql.error_before_greeting(1053, "going down"))
    assert packet is not None
    assert mysql.read_greeting(packet.payload) == mysql.ServerError(1053, "going down")


def test_a_sqlstate_is_no_part_of_the_message() -> None:
    payload = b"\xff\x15\x04#28000Access denied"
    assert mysql.read_error(payload) == mysql.ServerError(1045, "Access denied")


def test_packets_are_taken_whole_and_the_rest_is_kept() -> None:
    data = mysql.packet(3, b"hello")
    for length in range(len(data)):
        assert mysql.read_packet(data[:length]) is None
    assert mysql.read_packet(data + b"tail") == mysql.Packet(3, b"hello", b"tail")


@given(st.binary(max_size=200))
def test_arbitrary_bytes_give_values_or_a_declared_error(data: bytes) -> None:
    try:
        packet = mysql.read_packet(data)
        if packet is not None:
            mysql.read_greeting(packet.payload)
    except Malformed:
        return


@given(st.binary(max_size=120))
def test_a_mutilated_greeting_gives_values_or_a_declared_error(tail: bytes) -> None:
    for payload in (b"\x0a" + tail, GREETING[:30] + tail):
        try:
            mysql.read_greeting(payload)
        except Malformed:
            continue


@pytest.mark.parametrize("length", [b"\0\0\0\0", b"\xff\xff\xff\0"])
def test_impossible_lengths_are_malformed(length: bytes) -> None:
    with pytest.raises(Malformed):
        mysql.read_packet(length)
