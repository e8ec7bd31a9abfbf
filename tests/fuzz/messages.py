"""Targets: messages of databases and nameservers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from dbambassador.discovery import dns as dns_messages
from dbambassador.discovery.answers import Outcome, Question
from dbambassador.discovery.ask import ORDINARY
from dbambassador.protocols import (
    mysql,
    mysql_authentication,
    mysql_response,
    postgresql,
    postgresql_tap,
)
from dbambassador.protocols.malformed import Malformed
from tests.protocols.captures import Side, captures
from tests.testbed.dns import reply_to

POSTGRESQL, MYSQL = captures("postgresql-*"), captures("mariadb-*") + captures("mysql-*")

GREETING = captures("mysql-fast-authentication") + captures("mariadb-native-password")

FROM_CLIENTS = tuple({capture.said(Side.CLIENT): None for capture in POSTGRESQL})
FROM_POSTGRESQL = tuple({capture.said(Side.SERVER): None for capture in POSTGRESQL})
FROM_MYSQL = tuple({capture.said(Side.SERVER): None for capture in MYSQL})

POSTGRESQL_WORDS = (
    bytes.fromhex("0000000804d2162f"),
    bytes.fromhex("0000000804d21630"),
    bytes.fromhex("04d2162e"),
    bytes.fromhex("00030000"),
    b"user\0",
    b"database\0",
    b"_pq_.",
    b"R\0\0\0\x08\0\0\0\0",
    b"S\0\0\0\x16in_hot_standby\0on\0",
    b"default_transaction_read_only\0on\0",
    b"K\0\0\0\x0c\0\0\0\1\0\0\0\2",
    b"Z\0\0\0\5I",
    b"E\0\0\0\x0cC57P03\0\0",
    b"N\0\0\0\4",
    b"v\0\0\0\x0c\0\3\0\0\0\0\0\0",
)
MYSQL_WORDS = (
    b"\x0a",
    b"\xff\x10\x04",
    b"#08S01",
    b"\xfe",
    b"mysql_native_password\0",
    b"caching_sha2_password\0",
    b"client_ed25519\0",
    b"\1\3",
    b"\1\4",
    b"\7\0\0\2\0\0\0\2\0\0\0",
)


def startup(data: bytes) -> None:
    opening = postgresql.read_opening(data)
    if opening is not None:
        assert opening.packet + opening.rest == data
        assert len(opening.packet) <= max(
            postgresql.MAX_STARTUP_PACKET, len(data) * opening.packet.startswith(b"\x16")
        )
        if opening.kind is postgresql.Kind.STARTUP:
            postgresql.startup_parameters(opening.packet)


def reply(data: bytes) -> None:
    read = postgresql.read_reply(data)
    if read is not None and read[0] == b"E":
        postgresql.read_error(read[1])


def tap(data: bytes) -> None:
    """Fed in pieces whose sizes the first byte tells: nothing may be lost, nor kept for ever."""
    size = 1 << data[0] % 16 if data else 1
    for hold_back in (True, False):
        watcher = postgresql_tap.StartupTap(hold_back=hold_back)
        forwarded = 0
        for at in range(1, len(data), size):
            passage = watcher.feed(data[at : at + size])
            assert data.startswith(passage.forward, 1 + forwarded), "bytes changed on their way"
            forwarded += len(passage.forward)
            kept = min(at + size, len(data)) - 1 - forwarded
            if passage.done:
                assert kept == 0, "bytes were lost"
                break
            assert kept <= postgresql_tap.MAX_STARTUP_REPLY, "more is kept than the tap may"


def mysql_packets(data: bytes) -> None:
    while (packet := mysql.read_packet(data)) is not None:
        assert len(packet.payload) <= mysql.MAX_PACKET
        assert packet.whole == data
        mysql.read_error(packet.payload)
        mysql_authentication.read_step(packet.payload, multi_factor=True)
        _response(packet.payload)
        if isinstance(mysql.read_greeting(packet.payload), mysql.Greeting):
            assert len(mysql.without_tls(packet.payload)) == len(packet.payload)
        data = packet.rest


def _response(payload: bytes) -> None:
    if mysql_response.wants_tls(payload):
        return
    try:
        read = mysql_response.read_response(payload)
    except Malformed:
        return
    assert mysql_response.read_response(mysql_response.with_tls(payload)).plugin == read.plugin
    assert mysql_response.wants_tls(mysql_response.ssl_request(payload))


_ASKED = dns_messages.query(Question("orders.db.test", "A"))
_ASKED_SRV = dns_messages.query(Question("_postgresql._tcp.db.test", "SRV"))


def dns_reply(asked: dns_messages.Query) -> Callable[[bytes], None]:
    """The id is the query's own: others are not even read."""

    def feed(data: bytes) -> None:
        wire = asked.wire[:2] + data[2:]
        if dns_messages.may_answer(asked, wire):
            answer = dns_messages.read(asked, wire, "10.0.0.53:53")
            assert (answer.outcome is Outcome.OK) == bool(answer.addresses or answer.services)

    return feed


def _replies(asked: dns_messages.Query) -> Iterator[bytes]:
    name = asked.question.name
    soa = "db.test 60 SOA ns.db.test. hostmaster.db.test. 1 3600 600 86400 7"
    for records in (
        (f"{name} 9 CNAME a.test.", "a.test 5 A 10.0.0.7", "a.test 5 A 10.0.0.8"),
        (f"{name} 9 A 10.0.0.7", f"{name} 9 AAAA fd00::7"),
        (f"{name} 9 SRV 1 2 5432 a.db.test.", f"{name} 9 SRV 0 2 5432 ."),
        (),
    ):
        yield reply_to(asked.message, *records, authority=[soa]).to_wire()
        yield reply_to(asked.message, *records).to_wire()


REPLIES = tuple(wire for wire in _replies(_ASKED) if len(wire) <= ORDINARY)
SRV_REPLIES = tuple(wire for wire in _replies(_ASKED_SRV) if len(wire) <= ORDINARY)
a_reply = dns_reply(_ASKED)
srv_reply = dns_reply(_ASKED_SRV)
