"""A MySQL client's answer to the greeting, as clients may write it, and arbitrary input."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.protocols import mysql
from dbambassador.protocols.malformed import Malformed
from dbambassador.protocols.mysql_response import (
    Response,
    read_response,
    ssl_request,
    wants_tls,
    with_tls,
)

ALWAYS = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_PLUGIN_AUTH
NAMES = st.text(st.characters(codec="ascii", exclude_characters="\0"), max_size=20).map(str.encode)


def lenenc(length: int) -> bytes:
    if length < 0xFB:
        return bytes([length])
    return (
        b"\xfc" + length.to_bytes(2, "little") if length < 1 << 16 else b"\xfd" + length.to_bytes(3, "little")
    )


@st.composite
def responses(draw: st.DrawFn) -> tuple[bytes, Response]:
    """A response in one of its forms, and what it says."""
    capabilities, plugin = ALWAYS, draw(NAMES)
    answer = draw(st.binary(max_size=300))
    form = draw(st.sampled_from(["length-encoded", "short", "zero-terminated"]))
    if form == "length-encoded":
        capabilities |= mysql.CLIENT_LENENC_AUTH | mysql.CLIENT_SECURE_CONNECTION
        framed = lenenc(len(answer)) + answer
    elif form == "short":
        capabilities |= mysql.CLIENT_SECURE_CONNECTION
        framed = bytes([len(answer[:255])]) + answer[:255]
    else:
        framed = answer.replace(b"\0", b"") + b"\0"
    database = draw(st.none() | NAMES)
    if database is not None:
        capabilities |= mysql.CLIENT_CONNECT_WITH_DB
        framed += database + b"\0"
    fixed = capabilities.to_bytes(4, "little") + bytes(28)
    rest = draw(st.sampled_from([b"\0", b"\0\x05attrs", b""]))
    return fixed + draw(NAMES) + b"\0" + framed + plugin + rest, Response(capabilities, plugin.decode())


@given(responses())
def test_a_response_tells_its_plugin_in_each_of_its_forms(response: tuple[bytes, Response]) -> None:
    payload, said = response
    assert read_response(payload) == said
    assert not wants_tls(payload)


@given(responses())
def test_a_response_over_tls_says_so_and_is_otherwise_the_same(response: tuple[bytes, Response]) -> None:
    payload, said = response
    encrypted = with_tls(payload)
    assert read_response(encrypted) == Response(said.capabilities | mysql.CLIENT_SSL, said.plugin)
    assert encrypted[4:] == payload[4:]
    request = ssl_request(payload)
    assert (len(request), wants_tls(request)) == (32, True)
    assert encrypted.startswith(request)


def test_a_client_without_plugins_answers_the_native_one() -> None:
    capabilities = mysql.CLIENT_PROTOCOL_41 | mysql.CLIENT_SECURE_CONNECTION
    payload = capabilities.to_bytes(4, "little") + bytes(28) + b"app\0\0"
    assert read_response(payload) == Response(capabilities, "mysql_native_password")


@given(st.binary(max_size=120), st.integers(0, 300), responses())
def test_anything_else_is_a_declared_error(data: bytes, cut: int, response: tuple[bytes, Response]) -> None:
    for payload in (data, ALWAYS.to_bytes(4, "little") + data, response[0][:cut], response[0][:cut] + data):
        wants_tls(payload)
        try:
            read_response(payload)
        except Malformed:
            continue


@pytest.mark.parametrize("length", [b"\xfc", b"\xfd\xff", b"\xfe" + b"\xff" * 8, b"\xff", b""])
def test_a_length_beyond_the_end_leaves_the_plugin_unknown(length: bytes) -> None:
    capabilities = ALWAYS | mysql.CLIENT_LENENC_AUTH | mysql.CLIENT_CONNECT_WITH_DB
    payload = capabilities.to_bytes(4, "little") + bytes(28) + b"app\0" + length
    assert read_response(payload).plugin == ""
