"""A small authoritative DNS server (RFC 1034, 1035, 2782) on the loopback interface, for one zone.

Records change while it runs, at once and for the next question. It serves a show, so a zone is a table of
names in memory: no transfers, no wildcards, no delegations.
"""

from __future__ import annotations

import errno
import struct
from collections.abc import Sequence

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import trio

from dbambassador.demo.ports import free_port

HOST = "127.0.0.1"

UDP_LIMIT = 512
"""Bytes that an asker without EDNS takes over UDP (RFC 1035, 4.2.1)."""

IDLE = 10.0
"""Seconds that a TCP connection may stay silent (RFC 7766, 6.2.3, asks for a few)."""

CHAIN = 8
"""CNAMEs followed within the zone; a loop ends there."""

BIND_ATTEMPTS = 20


class Zone:
    """The records of one zone."""

    def __init__(self, origin: str, *, ttl: int = 30, negative_ttl: int = 5) -> None:
        """`origin` as `db.test`. TTLs in seconds, for records and (RFC 2308) for their absence."""
        self.origin = dns.name.from_text(origin)
        self._ttl = ttl
        self._records: dict[dns.name.Name, dict[dns.rdatatype.RdataType, dns.rrset.RRset]] = {}
        soa = f"ns.{self.origin} hostmaster.{self.origin} 1 3600 600 86400 {negative_ttl}"
        self._soa = dns.rrset.from_text(self.origin, negative_ttl, "IN", "SOA", soa)
        self._put(self._soa)

    def set(self, name: str, kind: str, values: Sequence[str]) -> None:
        """Replaces the records of a name (relative to the origin, or absolute) and kind; none removes them.

        Values are written as in a zone file; host names in them are relative to the origin, too.
        Raises dns.exception.SyntaxError where a value cannot be read.
        """
        owner, rdtype = dns.name.from_text(name, self.origin), dns.rdatatype.from_text(kind)
        if values:
            self._put(
                dns.rrset.from_text_list(
                    owner, self._ttl, "IN", kind, values, origin=self.origin, relativize=False
                )
            )
            return
        self._records.get(owner, {}).pop(rdtype, None)
        if not self._records.get(owner, {1: 1}):
            del self._records[owner]

    def answer(self, wire: bytes) -> dns.message.Message | None:
        """The answer to a question; None for what is no question at all."""
        try:
            query = dns.message.from_wire(wire)
        except (dns.exception.DNSException, struct.error):
            return None
        if query.flags & dns.flags.QR:
            return None
        response = dns.message.make_response(query)
        if query.opcode() != dns.opcode.QUERY or len(query.question) != 1:
            response.set_rcode(dns.rcode.NOTIMP)
            return response
        asked = query.question[0]
        if not asked.name.is_subdomain(self.origin) or asked.rdclass != dns.rdataclass.IN:
            response.set_rcode(dns.rcode.REFUSED)
            return response
        response.flags |= dns.flags.AA
        self._fill(response, asked.name, asked.rdtype)
        return response

    def _put(self, rrset: dns.rrset.RRset) -> None:
        self._records.setdefault(rrset.name, {})[rrset.rdtype] = rrset

    def _fill(
        self, response: dns.message.Message, name: dns.name.Name, kind: dns.rdatatype.RdataType
    ) -> None:
        for _ in range(CHAIN):
            here = self._records.get(name)
            if here is None:
                # A name with names below it exists, without data (RFC 8020).
                if not any(other.is_subdomain(name) for other in self._records):
                    response.set_rcode(dns.rcode.NXDOMAIN)
                break
            if kind in here:
                response.answer.append(here[kind])
                return
            alias = here.get(dns.rdatatype.CNAME)
            if alias is None:
                break
            response.answer.append(alias)
            name = alias[0].target
            if not name.is_subdomain(self.origin):
                return
        response.authority.append(self._soa)


class Nameserver:
    """Serves a zone over UDP and TCP on one port."""

    def __init__(self, zone: Zone) -> None:
        self.zone = zone
        self.port = 0
        """Known once it serves."""

    async def serve(self, *, task_status: trio.TaskStatus[str] = trio.TASK_STATUS_IGNORED) -> None:
        """Serves until cancelled; ready with its address, as `HOST:PORT`. Raises OSError without a port."""
        udp, listeners = await self._bind()
        with udp:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._datagrams, udp)
                nursery.start_soon(trio.serve_listeners, self._stream, listeners)
                task_status.started(f"{HOST}:{self.port}")

    async def _bind(self) -> tuple[trio.socket.SocketType, list[trio.SocketListener]]:
        for _ in range(BIND_ATTEMPTS):
            self.port = free_port()
            udp = trio.socket.socket(trio.socket.AF_INET, trio.socket.SOCK_DGRAM)
            try:
                await udp.bind((HOST, self.port))
                return udp, await trio.open_tcp_listeners(self.port, host=HOST)
            except OSError:
                udp.close()  # another took the port since we looked
        raise OSError(errno.EADDRINUSE, "no port free for both UDP and TCP")

    async def _datagrams(self, udp: trio.socket.SocketType) -> None:
        while True:
            wire, asker = await udp.recvfrom(4096)
            response = self.zone.answer(wire)
            if response is None:
                continue
            limit = max(response.request_payload or UDP_LIMIT, UDP_LIMIT)
            try:
                await udp.sendto(_wire(response, limit), asker)
            except OSError:
                continue  # an asker that is gone is no reason to stop

    async def _stream(self, stream: trio.SocketStream) -> None:
        with trio.move_on_after(IDLE) as scope:
            async with stream:
                try:
                    while True:
                        (length,) = struct.unpack("!H", await _exactly(stream, 2))
                        response = self.zone.answer(await _exactly(stream, length))
                        if response is None:
                            return
                        wire = _wire(response, 0xFFFF)
                        await stream.send_all(struct.pack("!H", len(wire)) + wire)
                        scope.deadline = trio.current_time() + IDLE
                except (trio.BrokenResourceError, EOFError):
                    return


def _wire(response: dns.message.Message, limit: int) -> bytes:
    try:
        return response.to_wire(max_size=limit)
    except dns.exception.TooBig:
        cut = dns.message.Message(response.id)
        cut.flags = response.flags | dns.flags.TC
        cut.question = response.question
        return cut.to_wire()


async def _exactly(stream: trio.SocketStream, count: int) -> bytes:
    received = bytearray()
    while len(received) < count:
        chunk = await stream.receive_some(count - len(received))
        if not chunk:
            raise EOFError
        received += chunk
    return bytes(received)
