"""The parsers read what real servers and clients said."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbambassador.protocols import mysql
from dbambassador.protocols.postgresql import Kind, read_error, read_opening, read_reply, startup_parameters
from dbambassador.protocols.postgresql_tap import Passage, StartupTap
from tests.protocols.captures import Capture, Side, captures, read, written

OTHER_FIRST_PACKETS = {
    "sslrequest-refused": Kind.SSL,
    "tls": Kind.SSL,
    "gssenc": Kind.GSSENC,
    "direct-tls": Kind.DIRECT_TLS,
    "cancel": Kind.CANCEL,
    "cancel-3.2": Kind.CANCEL,
}
ERRORS = {
    "wrong-password": "28P01",
    "unknown-database": "3D000",
    "too-many-connections": "53300",
    "not-accepting": "57P03",
    "shutting-down": "57P03",
}
LONG_KEYS = ("postgresql-18-protocol-3.2", "postgresql-18-newer-minor")
"""Sessions of protocol 3.2."""
PLUGINS = {"mariadb": "mysql_native_password", "mysql": "caching_sha2_password"}
MYSQL_ERRORS = {"too-many-connections": 1040, "blocked-host": 1129}

postgresql = pytest.mark.parametrize("capture", captures("postgresql-*"), ids=lambda capture: capture.name)
mysqls = pytest.mark.parametrize("capture", captures("m*"), ids=lambda capture: capture.name)


def scene(capture: Capture) -> str:
    """The name without the server's."""
    return capture.name.split("-", 2 if capture.name.startswith("postgresql") else 1)[-1]


STARTUPS = [capture for capture in captures("postgresql-*") if scene(capture) not in OTHER_FIRST_PACKETS]


@postgresql
def test_a_client_s_first_packet_is_read_whole(capture: Capture) -> None:
    first = capture.words[0][1]
    opening = read_opening(first)
    assert opening is not None
    assert opening.kind is OTHER_FIRST_PACKETS.get(scene(capture), Kind.STARTUP)
    assert (opening.packet, opening.rest) == (first, b"")
    if opening.kind is Kind.STARTUP:
        assert startup_parameters(first)["user"]


@pytest.mark.parametrize("capture", STARTUPS, ids=lambda capture: capture.name)
def test_what_a_server_answers_to_a_startup(capture: Capture) -> None:
    passage = tapped(capture.said(Side.SERVER))
    assert passage.done
    assert passage.error == ERRORS.get(scene(capture))
    assert passage.welcome is (passage.error is None)
    if passage.welcome:
        assert passage.standby is (scene(capture) == "standby")
        assert passage.read_only is (scene(capture) == "read-only-by-default")
        assert passage.key is not None
        assert len(passage.key) == (36 if capture.name in LONG_KEYS else 8)


def tapped(data: bytes) -> Passage:
    reply = read_reply(data)
    assert reply is not None
    if reply[0] == b"E":
        assert read_error(reply[1]).message
    return StartupTap(hold_back=True).feed(data)


@mysqls
def test_a_server_s_first_packet_is_a_greeting_or_its_error(capture: Capture) -> None:
    side, first = capture.words[0]
    assert side is Side.SERVER
    packet = mysql.read_packet(first)
    assert packet is not None
    greeting = mysql.read_greeting(packet.payload)
    if code := MYSQL_ERRORS.get(scene(capture)):
        assert isinstance(greeting, mysql.ServerError)
        assert greeting.code == code
    else:
        assert isinstance(greeting, mysql.Greeting)
        assert greeting.plugin == PLUGINS[capture.name.split("-")[0]]
        assert greeting.tls is (capture.name.startswith("mysql") or scene(capture).startswith("tls"))


def test_there_are_captures_of_every_server() -> None:
    servers = {"-".join(capture.name.split("-")[:2]) for capture in captures("postgresql-*")}
    assert servers >= {"postgresql-15", "postgresql-16", "postgresql-18"}
    assert len(captures("mariadb-*")) >= 10
    assert len(captures("mysql-*")) >= 5


@given(st.lists(st.tuples(st.sampled_from(Side), st.binary(max_size=300))))
def test_what_is_written_is_read_again(words: list[tuple[Side, bytes]]) -> None:
    assert read(written("a comment", words)) == tuple(words)
