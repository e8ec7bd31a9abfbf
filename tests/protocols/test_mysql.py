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

OFFERING_TLS = GREETING.replace(b"\xfe\xf7", b"\xfe\xff")


def test_a_greeting_gives_version_and_plugin() -> None:
    assert mysql.read_greeting(GREETING) == mysql.Greeting(
        "5.5.5-10.11.19-MariaDB", "mysql_native_password", CAPABILITIES, b"12345678123456789012"
    )


def test_a_greeting_without_tls_differs_in_one_bit() -> None:
    plain = mysql.without_tls(OFFERING_TLS)
    assert mysql.read_greeting(plain) == mysql.read_greeting(GREETING)
    assert len(plain) == len(OFFERING_TLS)
    assert sum(one != other for one, other in zip(plain, OFFERING_TLS, strict=True)) == 1
    assert mysql.without_tls(plain) == plain


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
            assert packet.whole == data
            if isinstance(mysql.read_greeting(packet.payload), mysql.Greeting):
                mysql.read_greeting(mysql.without_tls(packet.payload))
    except Malformed:
        return


@given(st.binary(max_size=120))
def test_a_mutilated_greeting_gives_values_or_a_declared_error(tail: bytes) -> None:
    for payload in (b"\x0a" + tail, GREETING[:30] + tail):
        try:
            greeting = mysql.read_greeting(payload)
        except Malformed:
            continue
        assert isinstance(greeting, mysql.Greeting)
        plain = mysql.read_greeting(mysql.without_tls(payload))
        assert isinstance(plain, mysql.Greeting)
        assert (plain.tls, plain.plugin, plain.salt) == (False, greeting.plugin, greeting.salt)


@pytest.mark.parametrize("length", [b"\0\0\0\0", b"\xff\xff\xff\0"])
def test_impossible_lengths_are_malformed(length: bytes) -> None:
    with pytest.raises(Malformed):
        mysql.read_packet(length)


def test_an_answer_may_be_empty_and_is_bounded() -> None:
    assert mysql.read_answer(b"\0\0\0\3tail") == mysql.Packet(3, b"", b"tail")
    with pytest.raises(Malformed):
        mysql.read_answer((mysql.MAX_ANSWER + 1).to_bytes(3, "little") + b"\1")


@pytest.mark.parametrize(("code", "sqlstate"), [(1053, b"08S01"), (1040, b"08004"), (1043, b"08S01")])
def test_an_error_in_a_handshake_has_a_sqlstate_and_the_next_number(code: int, sqlstate: bytes) -> None:
    packet = mysql.read_answer(mysql.error_in_handshake(258, code, "no"))
    assert packet is not None
    assert packet.sequence == 2
    assert packet.payload.startswith(b"\xff" + code.to_bytes(2, "little") + b"#" + sqlstate)
    assert mysql.read_error(packet.payload) == mysql.ServerError(code, "no")
