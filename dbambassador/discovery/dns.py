"""One DNS question to the nameservers: the only module that knows dnspython.

Theory of operation. The first server is asked over UDP; whenever one fails, or says nothing for `PATIENCE`,
the next one is asked too, and all go on listening: the first definite answer wins. A silent server is asked
again every `PATIENCE`, with the same packet, until the lifetime is over; so a lost packet costs 0.4 s, a dead
first server costs 0.4 s, and a slow one still gets to answer. A truncated answer is fetched over TCP.

Every question has a random id and a socket of its own (a random source port) that is connected: an ICMP "port
unreachable" ends the wait at once, and datagrams of strangers never arrive. What does not answer the question
is passed over, for it may be forged, and listening goes on.

EDNS is off, as in glibc: old servers answer FORMERR to it, and TCP serves what does not fit 512 bytes.

dnspython's own timeouts follow the wall clock, which may jump, so only trio's deadlines are used.
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import dns.asyncbackend
import dns.asyncquery
import dns.exception
import dns.flags
import dns.inet
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import trio

# Named here so that no lookup imports a module: dnspython would load these record types at first sight, and a
# process that is out of file descriptors at that moment would read them as unknown types for ever after.
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from dbambassador.discovery.answers import Alias, Answer, Outcome, Question, Service
from dbambassador.values import Address

PATIENCE = 0.4
"""Seconds of silence before the next server is asked, and a silent one again. Unbound takes 0.376 s for a
server it does not know yet; glibc's 5 s would be most of the time that a failover may take."""

_TRIO = dns.asyncbackend.get_backend("trio")


async def ask(question: Question, servers: Sequence[Address], lifetime: float) -> Answer:
    """Asks the servers, in order of preference, for at most `lifetime` seconds.

    Never raises for what the network, a server or the name does: that is the answer's outcome. All sockets
    are closed when it returns or is cancelled.
    """
    try:
        query = dns.message.make_query(dns.name.from_text(question.name), question.kind, use_edns=False)
    except (dns.exception.DNSException, UnicodeError) as error:
        return Answer(question, Outcome.INVALID, detail=str(error))
    started = trio.current_time()
    conversation = _Conversation(question, query)
    with trio.move_on_after(lifetime):
        await conversation.hold(servers)
    return replace(conversation.result(servers), seconds=trio.current_time() - started)


class _Conversation:
    """One question to several servers, until one answers or all have failed."""

    def __init__(self, question: Question, query: dns.message.Message) -> None:
        self._question = question
        self._query = query
        self._definite: Answer | None = None
        self._failures: dict[Address, Answer] = {}

    def result(self, servers: Sequence[Address]) -> Answer:
        """The definite answer, else the failure of the first server that said anything, else a timeout."""
        if self._definite:
            return self._definite
        for server in servers:
            if server in self._failures:
                return self._failures[server]
        return Answer(self._question, Outcome.TIMEOUT, ", ".join(map(str, servers)))

    async def hold(self, servers: Sequence[Address]) -> None:
        async with trio.open_nursery() as nursery:
            for server in servers:
                failed = trio.Event()
                nursery.start_soon(self._with, server, failed, nursery.cancel_scope)
                with trio.move_on_after(PATIENCE):
                    await failed.wait()

    async def _with(self, server: Address, failed: trio.Event, everyone: trio.CancelScope) -> None:
        try:
            answer = _read(self._question, await self._exchange(server, failed), server)
        except OSError as error:
            answer = self._failure(Outcome.UNREACHABLE, server, error.strerror or str(error))
        except (trio.BrokenResourceError, EOFError):
            answer = self._failure(Outcome.UNREACHABLE, server, "connection closed")
        except Exception as error:
            # Over TCP, dnspython's parser has no closed set of exceptions; a packet must never end a lookup.
            answer = self._failure(Outcome.MALFORMED, server, str(error))
        if answer.outcome.definite:
            self._definite = answer
            everyone.cancel()
        else:
            self._failures[server] = answer
            failed.set()

    async def _exchange(self, server: Address, failed: trio.Event) -> dns.message.Message:
        try:
            return await self._over_udp(server, failed)
        except dns.message.Truncated:
            return await dns.asyncquery.tcp(self._query, server.host, port=server.port, backend=_TRIO)

    async def _over_udp(self, server: Address, failed: trio.Event) -> dns.message.Message:
        family = dns.inet.af_for_address(server.host)
        destination = (server.host, server.port)
        opening = _TRIO.make_socket(family, socket.SOCK_DGRAM, destination=destination)  # type: ignore[no-untyped-call]
        async with await opening as udp:
            while True:
                await dns.asyncquery.send_udp(udp, self._query, None)
                with trio.move_on_after(PATIENCE):
                    return await self._reply(udp, server, failed)

    async def _reply(self, udp: Any, server: Address, failed: trio.Event) -> dns.message.Message:
        while True:
            found = "an answer to another question"
            try:
                reply: dns.message.Message
                reply, _, _ = await dns.asyncquery.receive_udp(udp, raise_on_truncation=True)
                if self._query.is_response(reply):
                    return reply
            except dns.message.Truncated as truncated:
                if self._query.is_response(truncated.kwargs["message"]):
                    raise
            except OSError:
                raise
            except Exception as error:
                found = str(error)
            self._failures[server] = self._failure(Outcome.MALFORMED, server, found)
            failed.set()

    def _failure(self, outcome: Outcome, server: Address, detail: str) -> Answer:
        return Answer(self._question, outcome, str(server), detail=detail)


def _read(question: Question, reply: dns.message.Message, server: Address) -> Answer:
    """What a reply to our question says.

    Raises:
        DNSException: it contradicts itself, or its CNAME chain is longer than 16 (or a loop).
    """
    code = reply.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        outcome = Outcome.REFUSED if code == dns.rcode.REFUSED else Outcome.SERVFAIL
        return Answer(question, outcome, str(server), detail=dns.rcode.to_text(code))
    assert isinstance(reply, dns.message.QueryMessage)
    found = reply.resolve_chaining()
    chain = tuple(
        Alias(_text(aliases.name), _text(alias.target), float(aliases.ttl))
        for aliases in found.cnames
        for alias in list(aliases)[:1]
        if isinstance(alias, CNAME)
    )
    answer = Answer(question, Outcome.OK, str(server), chain=chain, ttl=float(found.minimum_ttl))
    if code == dns.rcode.NXDOMAIN:
        return replace(answer, outcome=Outcome.NXDOMAIN)
    if found.answer is None:
        if not chain and _knows_nothing(reply):
            detail = "neither an answer nor recursion"
            return Answer(question, Outcome.REFUSED, str(server), detail=detail)
        return replace(answer, outcome=Outcome.NODATA)
    addresses = tuple(record.address for record in found.answer if isinstance(record, A | AAAA))
    services = tuple(
        Service(record.priority, record.weight, record.port, _text(record.target))
        for record in found.answer
        if isinstance(record, SRV)
    )
    return replace(answer, addresses=addresses, services=services)


def _knows_nothing(reply: dns.message.Message) -> bool:
    """A referral, or an empty reply of a server that neither has the zone nor asks others: no "no data"."""
    speaks_for_the_zone = dns.flags.AA | dns.flags.RA
    has_soa = any(isinstance(record, SOA) for rrset in reply.authority for record in rrset)
    return not (reply.flags & speaks_for_the_zone or has_soa)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""
