"""The demo's nameserver, asked by dnspython over the loopback interface."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import dns.asyncquery
import dns.flags
import dns.message
import dns.rcode
import pytest
import trio

from dbambassador.demo.dns import HOST, Nameserver, Zone


@asynccontextmanager
async def serving(zone: Zone) -> AsyncIterator[Nameserver]:
    server = Nameserver(zone)
    async with trio.open_nursery() as nursery:
        await nursery.start(server.serve)
        yield server
        nursery.cancel_scope.cancel()


async def ask(server: Nameserver, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
    query = dns.message.make_query(name, kind)
    if tcp:
        return await dns.asyncquery.tcp(query, HOST, timeout=5, port=server.port)
    return await dns.asyncquery.udp(query, HOST, timeout=5, port=server.port)


def texts(answer: dns.message.Message) -> list[str]:
    return sorted(record.to_text() for rrset in answer.answer for record in rrset)


@pytest.mark.parametrize("tcp", [False, True], ids=["udp", "tcp"])
async def test_records_change_from_one_question_to_the_next(tcp: bool) -> None:
    zone = Zone("db.test", ttl=30)
    zone.set("a", "A", ["127.0.0.1", "127.0.0.2"])
    async with serving(zone) as server:
        first = await ask(server, "a.db.test", tcp=tcp)
        assert texts(first) == ["127.0.0.1", "127.0.0.2"]
        assert first.flags & dns.flags.AA
        assert first.answer[0].ttl == 30
        zone.set("a", "A", ["127.0.0.3"])
        assert texts(await ask(server, "A.db.TEST", tcp=tcp)) == ["127.0.0.3"]


async def test_a_service_names_hosts_below_the_origin() -> None:
    zone = Zone("db.test")
    zone.set("_postgresql._tcp.orders", "SRV", ["0 1 5432 db-a"])
    async with serving(zone) as server:
        answer = await ask(server, "_postgresql._tcp.orders.db.test", "SRV")
        assert texts(answer) == ["0 1 5432 db-a.db.test."]


async def test_aliases_are_followed_within_the_zone_and_end_in_a_loop() -> None:
    zone = Zone("db.test")
    zone.set("orders", "CNAME", ["db-a"])
    zone.set("db-a", "A", ["127.0.0.1"])
    zone.set("away", "CNAME", ["elsewhere.example."])
    zone.set("round", "CNAME", ["round"])
    async with serving(zone) as server:
        assert texts(await ask(server, "orders.db.test")) == ["127.0.0.1", "db-a.db.test."]
        assert texts(await ask(server, "orders.db.test", "CNAME")) == ["db-a.db.test."]
        assert texts(await ask(server, "away.db.test")) == ["elsewhere.example."]
        assert (await ask(server, "round.db.test")).rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("name", "kind", "rcode"),
    [
        ("gone.db.test", "A", dns.rcode.NXDOMAIN),
        ("a.db.test", "AAAA", dns.rcode.NOERROR),
        ("below.db.test", "A", dns.rcode.NOERROR),
        ("db.test", "A", dns.rcode.NOERROR),
    ],
    ids=["no such name", "no data", "empty non-terminal", "origin"],
)
async def test_absence_comes_with_the_soa(name: str, kind: str, rcode: dns.rcode.Rcode) -> None:
    zone = Zone("db.test", negative_ttl=7)
    zone.set("a", "A", ["127.0.0.1"])
    zone.set("deep.below", "A", ["127.0.0.1"])
    zone.set("gone", "A", ["127.0.0.1"])
    zone.set("gone", "A", [])
    async with serving(zone) as server:
        answer = await ask(server, name, kind)
    assert answer.rcode() == rcode
    assert not answer.answer
    (soa,) = answer.authority
    assert soa.ttl == 7
    assert soa[0].minimum == 7


async def test_other_zones_are_refused() -> None:
    async with serving(Zone("db.test")) as server:
        assert (await ask(server, "example.org")).rcode() == dns.rcode.REFUSED


async def test_what_does_not_fit_is_truncated_over_udp_and_whole_over_tcp() -> None:
    zone = Zone("db.test")
    zone.set("many", "A", [f"127.0.1.{number}" for number in range(100)])
    async with serving(zone) as server:
        cut = await ask(server, "many.db.test")
        assert cut.flags & dns.flags.TC
        assert len(texts(await ask(server, "many.db.test", tcp=True))) == 100


async def test_garbage_is_ignored_and_the_next_question_answered() -> None:
    zone = Zone("db.test")
    zone.set("a", "A", ["127.0.0.1"])
    async with serving(zone) as server:
        with trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM) as udp:
            for garbage in (b"", b"\0" * 3, b"\xff" * 40):
                await udp.sendto(garbage, (HOST, server.port))
        async with await trio.open_tcp_stream(HOST, server.port) as stream:
            await stream.send_all(b"\x00\x03abc")
            assert await stream.receive_some(1) == b""
        assert texts(await ask(server, "a.db.test")) == ["127.0.0.1"]
