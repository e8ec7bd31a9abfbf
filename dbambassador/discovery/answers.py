"""What a DNS question came to, as small values. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Outcome(Enum):
    """How a question ended. The values are those of the event `LookupEnded`."""

    OK = "ok"
    NXDOMAIN = "nxdomain"
    """The name does not exist, for no type (RFC 8020)."""
    NODATA = "nodata"
    """The name exists, without a record of this type (RFC 2308 section 2.2)."""
    TIMEOUT = "timeout"
    SERVFAIL = "servfail"
    REFUSED = "refused"
    MALFORMED = "malformed"
    """Something came back, but nothing that answers the question."""
    UNREACHABLE = "unreachable"
    """The network says that no nameserver is there."""
    INVALID = "invalid"
    """The name cannot be asked for: a label above 63 octets, an empty one, a name above 255."""

    @property
    def definite(self) -> bool:
        """DNS itself works: it told what it knows, even if that is "nothing"."""
        return self in (Outcome.OK, Outcome.NXDOMAIN, Outcome.NODATA)


@dataclass(frozen=True, slots=True)
class Question:
    """A full name, in lower case and without its trailing dot, and a record type."""

    name: str
    kind: str
    """A, AAAA or SRV."""


@dataclass(frozen=True, slots=True)
class Alias:
    """A CNAME record."""

    name: str
    target: str
    ttl: float


@dataclass(frozen=True, slots=True)
class Service:
    """A SRV record (RFC 2782)."""

    priority: int
    weight: int
    port: int
    target: str
    """Without its trailing dot; empty when it is the root: the service is decidedly not available."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to; never an exception."""

    question: Question
    outcome: Outcome
    server: str = ""
    """Who said so; several, separated by commas, where none answered."""
    addresses: tuple[str, ...] = ()
    """Sorted, as services are: a server that rotates its records says nothing by that."""
    services: tuple[Service, ...] = ()
    """By priority, those of more weight first."""
    chain: tuple[Alias, ...] = ()
    """The aliases that led from the question to the records."""
    ttl: float = 0.0
    """Seconds: the least along the chain; of a negative answer, the least of the SOA's TTL and MINIMUM
    (RFC 2308 section 5)."""
    seconds: float = 0.0
    """How long it took."""
    over_tcp: bool = False
    """The server's answer was too long for UDP."""
    detail: str = ""
    """What exactly went wrong: the response code, the operating system's message."""
