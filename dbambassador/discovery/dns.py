"""DNS messages as bytes: the only module that knows dnspython. Pure, but for the random id of a query.

EDNS is off, as in glibc: old servers answer FORMERR to it, and TCP serves what does not fit 512 bytes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import ip_address

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype

# Named here so that no lookup imports a module: dnspython would load these record types at first sight, and a
# process that is out of file descriptors at that moment would read them as unknown types for ever after.
from dns.rdtypes.ANY.CNAME import CNAME
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.IN.A import A
from dns.rdtypes.IN.AAAA import AAAA
from dns.rdtypes.IN.SRV import SRV

from dbambassador.discovery.answers import Alias, Answer, Outcome, Question, Service

HEADER = 12
RESPONSE = 0x80
"""The bit QR, in the third octet (RFC 1035 section 4.1.1)."""


class NotAName(ValueError):
    """The name cannot be asked for."""


class Malformed(ValueError):
    """The bytes are no message that answers the query."""


class Truncated(Exception):
    """The answer did not fit: it is to be asked for over TCP."""


@dataclass(frozen=True, slots=True)
class Query:
    """A question as it is sent."""

    question: Question
    message: dns.message.Message
    wire: bytes


def query(question: Question) -> Query:
    """A query with a random id.

    Raises:
        NotAName: a label above 63 octets, an empty one, a name above 255.
    """
    try:
        message = dns.message.make_query(dns.name.from_text(question.name), question.kind, use_edns=False)
        return Query(question, message, message.to_wire())
    except (dns.exception.DNSException, UnicodeError) as error:
        raise NotAName(_told(error)) from None


def may_answer(asked: Query, wire: bytes) -> bool:
    """Whether the bytes begin as a reply to this query: more is done only for those, as anyone may send."""
    return len(wire) >= HEADER and wire[:2] == asked.wire[:2] and bool(wire[2] & RESPONSE)


def read(asked: Query, wire: bytes, server: str) -> Answer:
    """What a server's reply says. A CNAME chain longer than 16, or a loop, is a malformed answer.

    Raises:
        Malformed: the bytes are no message, or one that answers another question.
        Truncated: there is more than it says.
    """
    cut = False
    try:
        try:
            reply = dns.message.from_wire(wire, raise_on_truncation=True)
        except dns.message.Truncated as truncated:
            reply, cut = truncated.message(), True  # type: ignore[no-untyped-call]
        if not asked.message.is_response(reply):
            raise Malformed("an answer to another question")
    except Malformed:
        raise
    except Exception as error:
        # dnspython's parser has no closed set of exceptions; a packet must never end a lookup.
        raise Malformed(_told(error)) from None
    if cut:
        raise Truncated
    try:
        return _read(asked.question, reply, server)
    except dns.exception.DNSException as error:
        return Answer(asked.question, Outcome.MALFORMED, server, detail=_told(error))


def _read(question: Question, reply: dns.message.Message, server: str) -> Answer:
    code = reply.rcode()
    if code not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
        outcome = Outcome.REFUSED if code == dns.rcode.REFUSED else Outcome.SERVFAIL
        return Answer(question, outcome, server, detail=dns.rcode.to_text(code))
    assert isinstance(reply, dns.message.QueryMessage)
    found = reply.resolve_chaining()
    chain = tuple(
        Alias(_text(aliases.name), _text(alias.target), float(aliases.ttl))
        for aliases in found.cnames
        for alias in list(aliases)[:1]
        if isinstance(alias, CNAME)
    )
    answer = Answer(question, Outcome.OK, server, chain=chain, ttl=float(found.minimum_ttl))
    if code == dns.rcode.NXDOMAIN or found.answer is None:
        if code == dns.rcode.NOERROR and not chain and _knows_nothing(reply):
            detail = "neither an answer nor recursion"
            return Answer(question, Outcome.REFUSED, server, detail=detail)
        outcome = Outcome.NXDOMAIN if code == dns.rcode.NXDOMAIN else Outcome.NODATA
        # RFC 2308 section 5: without a SOA, "no" must not be cached.
        return replace(answer, outcome=outcome, ttl=answer.ttl if _has_soa(reply) else 0.0)
    addresses = [record.address for record in found.answer if isinstance(record, A | AAAA)]
    services = [
        Service(record.priority, record.weight, record.port, _text(record.target))
        for record in found.answer
        if isinstance(record, SRV)
    ]
    addresses.sort(key=lambda address: int(ip_address(address)))
    services.sort(key=lambda service: (service.priority, -service.weight, service.target, service.port))
    return replace(answer, addresses=tuple(addresses), services=tuple(services))


def _knows_nothing(reply: dns.message.Message) -> bool:
    """A referral, or an empty reply of a server that neither has the zone nor asks others: no "no data"."""
    speaks_for_the_zone = dns.flags.AA | dns.flags.RA
    return not (reply.flags & speaks_for_the_zone or _has_soa(reply))


def _has_soa(reply: dns.message.Message) -> bool:
    return any(isinstance(record, SOA) for rrset in reply.authority for record in rrset)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower() if name != dns.name.root else ""


def _told(error: Exception) -> str:
    return str(error) or type(error).__name__
